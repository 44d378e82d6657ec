// Holds the database at a connection's tokens, so that a process stands just before its write and can be killed there.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { until } from './setting.ts'
import type { Setting } from './setting.ts'

export interface PausedDatabase {
  /** Resolves when somebody stands before the write. */
  readonly waitedFor: () => Promise<void>
  /** Lets it be written; resolves when what waited is through, also for a process that is dead by now. */
  readonly release: () => Promise<void>
}

// Nobody can see from outside that a writer of SQLite waits.
const sqliteWaitMs = 200

/** Lets nobody write the tokens of this connection. */
export function pauseDatabase(setting: Setting, id: string): Promise<PausedDatabase> {
  const { databaseUrl } = setting
  return databaseUrl === undefined ? pauseSqlite(setting) : pausePostgres(databaseUrl, id)
}

async function pauseSqlite({ settings }: Setting): Promise<PausedDatabase> {
  const file = join(settings['LATCHKEY_DATA'] ?? '', 'latchkey.db')
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec('begin immediate')
  return {
    waitedFor: () => sleep(sqliteWaitMs),
    release: async () => {
      database.exec('rollback')
      database.close()
    },
  }
}

async function pausePostgres(url: string, id: string): Promise<PausedDatabase> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  await client.query('select 1 from credentials where connection_id = $1 for update', [id])
  const others = async (how: string) => {
    const { rows } = await client.query(
      `select 1 from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and ${how}`,
    )
    return rows.length
  }
  return {
    waitedFor: () =>
      until('somebody waits', async () => (await others(`wait_event_type = 'Lock'`)) > 0),
    release: async () => {
      await client.query('rollback')
      await until('nobody writes', async () => (await others(`state = 'active'`)) === 0)
      await client.end()
    },
  }
}
