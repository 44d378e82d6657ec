// What a command works in: the rooms over the database of the settings, closed again however the command ends; and the
// one place that knows which tenant is meant.
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { openWorkshop } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import { terminal } from './terminal.ts'
import type { Terminal } from './terminal.ts'

/** What every command gets. */
export interface Bench {
  readonly workshop: Workshop
  readonly terminal: Terminal
}

// A process runs one command.
let chosenSlug: string | undefined

/** Opens the workshop of the environment, does the work, and closes it. */
export async function atTheBench<T>(work: (bench: Bench) => Promise<T>): Promise<T> {
  const of = chosenSlug === undefined ? {} : { tenantSlug: chosenSlug }
  const workshop = await openWorkshop(readConfig(process.env), of)
  try {
    return await work({ workshop, terminal })
  } finally {
    await workshop.close()
  }
}

/** The commands that work on one tenant; the others are about all of them. */
const ofOneTenant: ReadonlySet<string> = new Set([
  'clients',
  'servers',
  'users',
  'api-keys',
  'tokens',
  'keys rotate',
  'test-flow',
  'attempts',
  'usage',
])

/** Adds `--tenant`, before or after the words of a command. */
export function addTenantOption(program: Command): void {
  program
    .option('--tenant <slug>', 'of which tenant; the default one unless said')
    .configureHelp({ showGlobalOptions: true })
    .hook('preAction', (_program, action) => {
      const { tenant } = program.opts<{ tenant?: string }>()
      if (tenant !== undefined) requireOfOneTenant(program, action)
      chosenSlug = tenant
    })
}

function requireOfOneTenant(program: Command, action: Command): void {
  const words: string[] = []
  for (let at: Command | null = action; at !== null && at !== program; at = at.parent) {
    words.unshift(at.name())
  }
  const name = words.join(' ')
  if (ofOneTenant.has(words[0] ?? '') || ofOneTenant.has(name)) return
  throw new Error(`"latchkey ${name}" is about the whole installation: leave --tenant out.`)
}
