// Deletes what has expired, in small statements, so that a sweep of many rows never stands in anybody's way for long.
// What expires when is decided by the room that owns the table.
import { sql } from 'kysely'
import type { Database } from './database.ts'
import type { Schema } from './schema.ts'

/** A table whose rows end by themselves. */
export type ExpiringTable = {
  [Table in keyof Schema]: Schema[Table] extends { tenant_id: string; expires_at: number | null }
    ? Table
    : never
}[keyof Schema]

/** How many rows one statement deletes. */
export const sweepBatchRows = 500
/** After this many statements the rest is left to the next sweep. */
const batchesMax = 2000

/** Deletes the rows that expired at this time or before and says how many; `key` names a row within its tenant. */
export async function sweepExpired<Table extends ExpiringTable>(
  db: Database,
  facts: { readonly table: Table; readonly key: readonly (keyof Schema[Table] & string)[] },
  expiredAt: number,
): Promise<number> {
  const table = sql.table(facts.table)
  const key = sql.join(['tenant_id', ...facts.key].map((column) => sql.ref(column)))
  const statement = sql`
    delete from ${table} where (${key}) in (
      select ${key} from ${table}
      where expires_at <= ${expiredAt}
      order by expires_at
      limit ${sweepBatchRows}
    )`
  return inBatches(async () => (await statement.execute(db)).numAffectedRows)
}

/** Runs a statement that deletes at most `sweepBatchRows` until nothing is left for it; says how many rows went. */
export async function inBatches(deleteSome: () => Promise<bigint | undefined>): Promise<number> {
  let swept = 0
  for (let batch = 0; batch < batchesMax; batch += 1) {
    const deleted = Number((await deleteSome()) ?? 0)
    swept += deleted
    if (deleted < sweepBatchRows) break
  }
  return swept
}
