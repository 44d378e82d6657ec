// The database that the settings name: a file in the data folder, or a Postgres.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'
import type { Store } from './store/database.ts'
import { openStore } from './store/database.ts'

/** The file of the embedded database, in the data folder. */
export const databaseFile = 'latchkey.db'

/** Opens the database that the settings name, making the data folder if need be. Throws an Error in plain words. */
export async function openConfiguredStore(config: Config): Promise<Store> {
  const { databaseUrl, dataFolder } = config
  try {
    if (databaseUrl !== undefined) {
      return await openStore({ kind: 'postgres', url: databaseUrl.reveal() })
    }
    mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
    return await openStore({ kind: 'sqlite', file: join(dataFolder, databaseFile) })
  } catch (cause) {
    const setting =
      databaseUrl === undefined ? `LATCHKEY_DATA (${dataFolder})` : 'LATCHKEY_DATABASE_URL'
    const words = cause instanceof Error ? cause.message : 'it does not open'
    throw new Error(`${setting}: ${words}`, { cause })
  }
}
