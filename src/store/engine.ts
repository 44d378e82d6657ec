// What database.ts needs of an engine. Everything else about an engine stays in its own file.
import type { Dialect } from 'kysely'

/** One open database engine. */
export interface Engine {
  readonly name: 'sqlite' | 'postgres'
  readonly dialect: Dialect
  /** Did the engine give up for a reason that goes away when the same work is done again? */
  readonly isRetryable: (error: unknown) => boolean
  readonly close: () => Promise<void>
}
