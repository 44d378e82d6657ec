// Counting in memory, and adding to a table now and then, so that a flood of what is counted costs few rows. Counts that
// the database did not take are kept for the next time.
import type { Log } from '../base/log.ts'

/** What is counted: equal but for their numbers, two are one with the sum of them. */
export interface Tally<T> {
  readonly add: (counted: T) => void
  /** How many different ones wait. */
  readonly size: () => number
  /** Brings what was counted into the table. */
  readonly flush: () => Promise<void>
}

interface Needs<T> {
  readonly log: Log
  /** Says what is one, as text. */
  readonly keyOf: (counted: T) => string
  readonly sum: (one: T, other: T) => T
  readonly store: (counted: readonly T[]) => Promise<void>
}

/** Makes the counts of one process. */
export function createTally<T>({ log, keyOf, sum, store }: Needs<T>): Tally<T> {
  const waiting = new Map<string, T>()
  let flushing: Promise<void> = Promise.resolve()

  const add = (counted: T) => {
    const key = keyOf(counted)
    const before = waiting.get(key)
    waiting.set(key, before === undefined ? counted : sum(before, counted))
  }
  const flush = async () => {
    const taken = [...waiting.values()]
    waiting.clear()
    if (taken.length === 0) return
    try {
      await store(taken)
    } catch (cause) {
      for (const counted of taken) add(counted)
      log.warn({ cause }, 'counts did not come into the database; they are kept for later')
    }
  }
  return { add, size: () => waiting.size, flush: () => (flushing = flushing.then(flush)) }
}
