// What a command works in: the rooms over the database of the settings, closed again however the command ends.
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

/** Opens the workshop of the environment, does the work, and closes it. */
export async function atTheBench<T>(work: (bench: Bench) => Promise<T>): Promise<T> {
  const workshop = await openWorkshop(readConfig(process.env))
  try {
    return await work({ workshop, terminal })
  } finally {
    await workshop.close()
  }
}
