// Which tables a statement reads and writes, by what SQLite itself says of it when it prepares it: what a foreign key takes
// along is among them, and raw SQL hides nothing.
import { constants } from 'node:sqlite'
import type { DatabaseSync, StatementSync } from 'node:sqlite'

export interface Tables {
  readonly reads: ReadonlySet<string>
  /** `every` for what changes the tables themselves. */
  readonly writes: ReadonlySet<string> | 'every'
}

export interface Prepared {
  readonly statement: StatementSync
  readonly tables: Tables
}

const reading = new Set([constants.SQLITE_READ])
const writing = new Set([constants.SQLITE_INSERT, constants.SQLITE_UPDATE, constants.SQLITE_DELETE])
const harmless = new Set([
  constants.SQLITE_SELECT,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
  constants.SQLITE_PRAGMA,
  constants.SQLITE_TRANSACTION,
  constants.SQLITE_SAVEPOINT,
])

/** From now on statements of this connection are prepared with what they touch. */
export function createPrepare(db: DatabaseSync): (sql: string) => Prepared {
  let said: (action: number, table: string | null) => void = () => {}
  db.setAuthorizer((action, table) => {
    said(action, table)
    return constants.SQLITE_OK
  })
  return (sql) => {
    const reads = new Set<string>()
    const writes = new Set<string>()
    let writesEvery = false
    said = (action, table) => {
      if (reading.has(action)) reads.add(table ?? '')
      else if (writing.has(action)) writes.add(table ?? '')
      else if (!harmless.has(action)) writesEvery = true
    }
    try {
      const statement = db.prepare(sql)
      return { statement, tables: { reads, writes: writesEvery ? 'every' : writes } }
    } finally {
      // A statement that SQLite prepares again by itself, after a change of the tables, is not ours to note.
      said = () => {}
    }
  }
}
