// Things that may be spent at most once before they expire: codes, refresh tokens, authorization requests, flows, links.
import type { Database } from './database.ts'
import type { Schema } from './schema.ts'

/** A table whose rows are spent at most once: it has `claimed_at` and `expires_at`. */
export type ClaimableTable = {
  [Table in keyof Schema]: Schema[Table] extends {
    tenant_id: string
    claimed_at: number | null
    expires_at: number
  }
    ? Table
    : never
}[keyof Schema]

/** Which row is meant: its tenant and whatever else names it. */
export type ClaimKey<Table extends ClaimableTable> = Partial<Schema[Table]> & { tenant_id: string }

/**
 * Spends the row that the key names, if it is unspent and unexpired at `now`; gives the row to exactly one caller, and
 * undefined to everybody else (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
 */
export async function claimOnce<Table extends ClaimableTable>(
  db: Database,
  table: Table,
  key: ClaimKey<Table>,
  now: number,
): Promise<Schema[Table] | undefined> {
  const claimed = await claim(db, table, Object.entries(key), now)
  if (claimed.length > 1) throw new Error(`a key claimed ${claimed.length} rows of ${table}`)
  return claimed[0] as Schema[Table] | undefined // `returning *` of the table that was given
}

// One conditional update: whoever comes second finds no row that fits (portable, no lock of its own).
function claim(
  db: Database,
  table: ClaimableTable,
  key: readonly (readonly [string, unknown])[],
  now: number,
): Promise<readonly unknown[]> {
  if (key.length < 2) throw new Error(`a claim on ${table} must name one row of one tenant`)
  return db
    .updateTable(table as 'codes') // every claimable table has the two columns used below
    .set({ claimed_at: now })
    .where('claimed_at', 'is', null)
    .where('expires_at', '>', now)
    .where(
      (is) =>
        is.and(key.map(([column, value]) => is(column as 'code_digest', '=', value as string))), // ClaimKey checks both
    )
    .returningAll()
    .execute()
}
