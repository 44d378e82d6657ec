// What database.ts needs of an engine. Everything else about an engine stays in its own file.
import type { CompiledQuery, Dialect, QueryResult } from 'kysely'

/** Runs one statement outside of any transaction. */
export type RunApart = <R>(query: CompiledQuery, wish?: ReadWish) => Promise<QueryResult<R>>

export interface ReadWish {
  /** The answer may be one that was kept, as long as nothing it was read from has changed; its rows are shared. */
  readonly isSteady: boolean
}

/** One open database engine. */
export interface Engine {
  readonly name: 'sqlite' | 'postgres'
  readonly dialect: Dialect
  /** Present where that is cheaper than a connection of the dialect for one statement. */
  readonly run?: RunApart
  /** Did the engine give up for a reason that goes away when the same work is done again? */
  readonly isRetryable: (error: unknown) => boolean
  readonly close: () => Promise<void>
}
