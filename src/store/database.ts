// Opens the store. Which engine it is, how writes are grouped and when work is tried again is seen from here down only;
// rooms see one Kysely.
import { Kysely } from 'kysely'
import type { Engine } from './engine.ts'
import { createTransactionScope, guardedDialect, guardedRun, guardTransactions } from './guard.ts'
import { openPostgres } from './postgres.ts'
import { runApartBy } from './run-apart.ts'
import type { Schema } from './schema.ts'
import { openSqlite } from './sqlite.ts'

/** What rooms query: the database itself, or a transaction of it. */
export type Database = Kysely<Schema>

/** An open database. */
export interface Store {
  readonly db: Database
  readonly engine: 'sqlite' | 'postgres'
  /** Waits for the writes that were asked for, then closes every connection. */
  readonly close: () => Promise<void>
}

/** Where the data is: a SQLite file (or ':memory:'), or a Postgres database, in one of its schemas if need be. */
export type Place =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly schema?: string }

/** Opens the store; its tables are made by `migrate`. */
export async function openStore(place: Place): Promise<Store> {
  return storeOn(place.kind === 'sqlite' ? await openSqlite(place.file) : await openPostgres(place))
}

/** The store on an engine that is open already. */
export function storeOn(engine: Engine): Store {
  const scope = createTransactionScope()
  const db: Database = new Kysely<Schema>({ dialect: guardedDialect(engine, scope) })
  guardTransactions(db, engine, scope)
  const run = guardedRun(engine, scope)
  if (run !== undefined) runApartBy(db, run)
  let closing: Promise<void> | undefined
  const close = async () => {
    await db.destroy()
    await engine.close()
  }
  return { db, engine: engine.name, close: () => (closing ??= close()) }
}
