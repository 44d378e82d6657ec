// How one statement is run outside of any transaction where the engine has a cheaper way than a connection of Kysely's,
// whose handling costs more than what SQLite does for a hot query, and a good part of what Postgres does.
import type { RunApart } from './engine.ts'

const ways = new WeakMap<object, RunApart>()

/** From now on the hot queries of this database, but not of its transactions, are run in this way. */
export function runApartBy(db: object, run: RunApart): void {
  ways.set(db, run)
}

/** The way of this database; undefined for a transaction and where there is none. */
export function wayApart(db: object): RunApart | undefined {
  return ways.get(db)
}
