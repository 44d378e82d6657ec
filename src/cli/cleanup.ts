// `latchkey cleanup`: deletes what has expired and prints how much of what (seed 003's oauth:cleanup). The running server
// does the same by itself, so this is for those who want it at a time of their own.
import type { Command } from 'commander'
import type { Workshop } from '../workshop.ts'
import { table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

/** Adds the command. */
export function addCleanup(program: Command): void {
  program
    .command('cleanup')
    .description('delete expired codes, tokens, sessions and the like, and print how many')
    .option('--json', 'as JSON')
    .action((options: { json?: boolean }) => atTheBench((bench) => cleanUp(bench, options)))
}

/** By the names of the counts, so that none is deleted without a word. */
const words: Readonly<Record<keyof Awaited<ReturnType<Workshop['sweep']>>, string>> = {
  codes: 'authorization codes',
  accessTokens: 'access tokens',
  refreshTokens: 'refresh tokens',
  authorizationRequests: 'authorization requests',
  pushedRequests: 'requests that were pushed ahead of the browser',
  deviceCodes: 'device codes',
  deviceGuesses: 'counts of wrong device codes',
  clients: 'clients that registered themselves and were never used',
  clientSecrets: 'client secrets that were replaced',
  clientAssertions: 'client assertions that were seen',
  dpopProofs: 'DPoP proofs that were seen',
  sessions: 'sessions',
  setupLinks: 'set-up links',
  signInFlows: 'sign-ins at providers that were begun',
  providerGrants: 'sign-ins at providers that ended',
  flows: 'sign-ins elsewhere',
  discoveries: 'findings of discovery',
  subjectTokens: 'ID tokens of people',
  idempotencyKeys: 'idempotency keys',
  rateLimits: 'counts of limits',
  attempts: 'attempts of clients to connect (their entries in the journal stay)',
  refusalCounts: 'counts of refusals',
  callCounts: 'days of counted calls',
  callContents: 'contents of calls that their tenant keeps no longer',
  webhookDeliveries: 'deliveries of webhooks that ended long ago',
}

/** Sweeps once and prints the counts. */
export async function cleanUp(
  { workshop, terminal }: Bench,
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  const counts = await workshop.sweep()
  if (json) return terminal.print(JSON.stringify(counts))
  const names = Object.keys(words) as (keyof typeof words)[] // its own keys
  terminal.print('Deleted:')
  terminal.print(table(names.map((name) => [`${counts[name]}`.padStart(6), words[name]])))
}
