// The command line: reads words, calls parts, prints. The only place besides http/app that catches.
import { Command } from 'commander'
import { addApiKeys } from './api-keys.ts'
import { addApply } from './apply.ts'
import { addAttempts } from './attempts.ts'
import { addCleanup } from './cleanup.ts'
import { addClients } from './clients.ts'
import { addDoctor } from './doctor.ts'
import { addKeys } from './keys.ts'
import { addProtect } from './protect.ts'
import { addServers } from './servers.ts'
import { printable, wordsOf } from './terminal.ts'
import { printConfig } from './config.ts'
import { migrateCommand } from './migrate.ts'
import { addTenants } from './tenants.ts'
import { addTestFlow } from './test-flow.ts'
import { addTokens } from './tokens.ts'
import { addUsage } from './usage.ts'
import { addUsers } from './users.ts'
import { readVersion } from './version.ts'
import { addTenantOption } from './workshop.ts'

const program = new Command('latchkey')
  .description('Sign-in for MCP, in both directions.')
  .version(readVersion(), '-V, --version', 'print the version')
  .showHelpAfterError()

addTenantOption(program)

program
  .command('start')
  .description('run the authorization server, the connectors and the gateway')
  .action(async () => {
    // Only here are the doors loaded, which every other command starts quicker without.
    const { start } = await import('./start.ts')
    await start(process.env)
  })

addProtect(program)

program
  .command('config')
  .description('print every setting with its value, default and meaning')
  .option('--json', 'as JSON')
  .action((options: { json?: boolean }) => printConfig(process.env, options))

program
  .command('migrate')
  .description('bring the database to the shape that this version needs')
  .option('--dry-run', 'say what would be done, and change nothing')
  .option('--json', 'as JSON')
  .action((options: { dryRun?: boolean; json?: boolean }) => migrateCommand(process.env, options))

addClients(program)
addServers(program)
addTenants(program)
addApply(program)
addUsers(program)
addApiKeys(program)
addTokens(program)
addKeys(program)
addDoctor(program)
addTestFlow(program)
addAttempts(program)
addUsage(program)
addCleanup(program)

try {
  await program.parseAsync()
} catch (thrown) {
  console.error(printable(wordsOf(thrown)))
  process.exitCode = 1
}
