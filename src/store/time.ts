// The time by which processes judge what they share, such as a lease: one clock, whoever asks.
import { sql } from 'kysely'
import type { AliasableExpression } from 'kysely'

/** One clock for all processes that share a database. */
export interface SharedTime {
  /** The moment so many milliseconds from now, for use inside a statement; none is now. */
  readonly in: (ms: number) => AliasableExpression<number>
}

/** The clock of a database server: the processes on several machines have as many others. */
export const serverTime: SharedTime = {
  in: (ms) =>
    sql<number>`(cast(extract(epoch from clock_timestamp()) * 1000 as bigint) + cast(${ms} as bigint))`,
}

/** A process's clock, where all processes run on one machine; and one that is turned by hand. */
export function timeOf(clock: { readonly now: () => number }): SharedTime {
  return { in: (ms) => sql<number>`cast(${clock.now() + ms} as bigint)` }
}
