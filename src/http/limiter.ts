// Counts against quotas. Each process keeps tallies, a bounded number of them, and settles with what the instances share:
// a small quota at each step, so that it is exact; a large one now and then, so that the busiest path does not write for
// each request (docs/decisions/008-limits.md). While the store is away a process goes on by its own tally.
import type { Clock } from '../base/clock.ts'
import type { Count, Counter, SharedCounts } from './limit-counts.ts'

/** What became of one request to count. */
export interface Taken {
  readonly isOver: boolean
  /** Nothing is left now, and this process sees it for the first time in this window. */
  readonly isNewlyFull: boolean
  readonly remaining: number
  readonly endsAt: number
}

export interface Limiter {
  /** Counts one more, or `cost` more, unless that is over the quota. Never rejects. */
  readonly take: (counter: Counter, cost?: number) => Promise<Taken>
  /** Undoes a take of this window that turned out not to count. Never rejects. */
  readonly giveBack: (counter: Counter, cost?: number) => Promise<void>
  /** Until when the quota is used up, as far as this process knows. Counts nothing and asks nobody. */
  readonly spentUntil: (counter: Counter) => number | undefined
  /** Waits for what is being settled. */
  readonly close: () => Promise<void>
}

interface Needs {
  readonly counts: SharedCounts
  readonly clock: Clock
}

interface Settings {
  /** How many keys a process remembers; the ones unused for longest are forgotten first. */
  readonly keysMax?: number
}

/** One key in one window. `shared` is what all instances have told one another, `own` what we have not told yet. */
interface Tally {
  shared: number
  own: number
  endsAt: number
  heardAt: number
  isSettling: boolean
  isSeenFull: boolean
}

/** Up to this quota each step is settled. */
const exactQuotaMax = 100
/** A larger one is settled after this part of it, */
const settledParts = 50
/** or after this long; a refusal that was heard from others is believed for as long, too. */
const settledEveryMs = 1_000

/** Makes the limiter of one process. */
export function createLimiter(
  { counts, clock }: Needs,
  { keysMax = 20_000 }: Settings = {},
): Limiter {
  const underway = new Set<Promise<void>>()
  const settle = (counter: Counter, tally: Tally) => {
    const settling = settleOwn(counts, counter, tally, clock).finally(() =>
      underway.delete(settling),
    )
    underway.add(settling)
  }
  const tallies = createTallies({ clock, keysMax, forget: settle })

  const takeExactly = async (counter: Counter, tally: Tally, cost: number): Promise<boolean> => {
    if (tally.own + cost > counter.quota) return false
    const isFresh = clock.now() - tally.heardAt < settledEveryMs
    if (isFresh && isFull(counter, tally, cost)) return false
    try {
      const count = await counts.addWithin(counter, cost, counter.quota - tally.own)
      hear(tally, count, clock)
      return count.isWithin
    } catch {
      return takeAlone(counter, tally, cost) // Said in the log where it failed.
    }
  }

  const takeRoughly = (counter: Counter, tally: Tally, cost: number): boolean => {
    const isWithin = takeAlone(counter, tally, cost)
    if (isWithin && isDue(counter, tally, clock.now())) settle(counter, tally)
    return isWithin
  }

  return {
    take: async (counter, cost = 1) => {
      const tally = tallies.of(counter)
      // It fits in no window, so this one is not used up by it.
      if (cost > counter.quota)
        return { ...leftOf(counter, tally), isOver: true, isNewlyFull: false }
      const isWithin = isExact(counter)
        ? await takeExactly(counter, tally, cost)
        : takeRoughly(counter, tally, cost)
      return outcomeOf(counter, tally, isWithin)
    },

    giveBack: async (counter, cost = 1) => {
      const tally = tallies.find(counter)
      if (tally === undefined) return
      if (!isExact(counter) || tally.own >= cost) {
        tally.own -= cost
        return
      }
      tally.shared = Math.max(0, tally.shared - cost)
      await counts.subtract(counter, cost, tally.endsAt).catch(() => {}) // It counts until the window ends, then.
    },

    spentUntil: (counter) => {
      const tally = tallies.find(counter)
      return tally !== undefined && isFull(counter, tally, 1) ? tally.endsAt : undefined
    },

    close: async () => {
      await Promise.all(underway)
    },
  }
}

function isExact({ quota }: Counter): boolean {
  return quota <= exactQuotaMax
}

function outcomeOf(counter: Counter, tally: Tally, isWithin: boolean): Taken {
  const left = leftOf(counter, tally)
  const remaining = isWithin ? left.remaining : 0
  const isNewlyFull = remaining === 0 && !tally.isSeenFull
  tally.isSeenFull ||= isNewlyFull
  return { ...left, isOver: !isWithin, isNewlyFull, remaining }
}

function leftOf({ quota }: Counter, { shared, own, endsAt }: Tally) {
  return { remaining: Math.max(0, quota - shared - own), endsAt }
}

function isFull({ quota }: Counter, { shared, own }: Tally, cost: number): boolean {
  return shared + own + cost > quota
}

function takeAlone(counter: Counter, tally: Tally, cost: number): boolean {
  if (isFull(counter, tally, cost)) return false
  tally.own += cost
  return true
}

function isDue({ quota }: Counter, { own, heardAt, isSettling }: Tally, now: number): boolean {
  if (isSettling || own <= 0) return false
  return own >= quota / settledParts || now - heardAt >= settledEveryMs
}

/** Tells the others what we have counted. What is counted meanwhile stays for the next time; so does what fails. */
async function settleOwn(
  counts: SharedCounts,
  counter: Counter,
  tally: Tally,
  clock: Clock,
): Promise<void> {
  const told = tally.own
  tally.isSettling = true
  try {
    const count = await counts.add(counter, told)
    tally.own -= told
    hear(tally, count, clock)
  } catch {
    tally.heardAt = clock.now() // Said in the log where it failed; not again at once.
  } finally {
    tally.isSettling = false
  }
}

function hear(tally: Tally, { taken, endsAt }: Count, clock: Clock): void {
  tally.shared = taken
  tally.endsAt = endsAt
  tally.heardAt = clock.now()
}

interface TallyNeeds {
  readonly clock: Clock
  readonly keysMax: number
  readonly forget: (counter: Counter, tally: Tally) => void
}

interface Remembered {
  readonly counter: Counter
  readonly tally: Tally
}

/** The tallies of one process. The map's order is the order of use: the first one was unused for longest. */
function createTallies({ clock, keysMax, forget }: TallyNeeds) {
  const remembered = new Map<string, Remembered>()

  const find = (counter: Counter): Tally | undefined => {
    const tally = remembered.get(idOf(counter))?.tally
    return tally !== undefined && tally.endsAt > clock.now() ? tally : undefined
  }

  const forgetOldest = () => {
    const [oldest] = remembered
    if (remembered.size <= keysMax || oldest === undefined) return
    const [id, { counter, tally }] = oldest
    remembered.delete(id)
    // A single one is not worth a row: a flood of new keys would write a row for each of them.
    if (tally.own > 1 && !tally.isSettling && tally.endsAt > clock.now()) forget(counter, tally)
  }

  return {
    find,
    of: (counter: Counter): Tally => {
      const tally = find(counter) ?? newTally(counter, clock.now())
      const id = idOf(counter)
      remembered.delete(id)
      remembered.set(id, { counter, tally })
      forgetOldest()
      return tally
    },
  }
}

function newTally({ windowMs }: Counter, now: number): Tally {
  const endsAt = now + windowMs
  return { shared: 0, own: 0, endsAt, heardAt: now, isSettling: false, isSeenFull: false }
}

function idOf({ tenantId, name, key }: Counter): string {
  return `${tenantId}|${name}|${key}`
}
