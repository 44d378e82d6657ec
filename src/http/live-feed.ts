// The entries of the journal as one listener hears them: first what the journal has from a cursor on, then what comes.
import type { Clock } from '../base/clock.ts'
import type { Journal, SealedEntry } from '../journal/entries.ts'

export interface Feed {
  /** What comes next, or nothing when nothing came for so long. */
  readonly next: (waitMs: number) => Promise<readonly SealedEntry[]>
  readonly isClosed: () => boolean
  readonly close: () => void
}

interface Needs {
  readonly clock: Clock
  readonly journal: Journal
}

/** Which entries: those of a tenant, or of one person in it, after a place in the order. */
export interface FeedQuery {
  readonly tenantId: string
  readonly userId?: string | undefined
  readonly after: number
}

const waitingMax = 1_000
const pageEntries = 200

/** Begins to listen. A listener that cannot keep up reads the journal again. */
export function createFeed(
  { clock, journal }: Needs,
  { tenantId, userId, after }: FeedQuery,
): Feed {
  let waiting: SealedEntry[] = []
  let isBehind = true
  let cursor = after
  let wake = new AbortController()
  let isClosed = false

  const unsubscribe = journal.subscribe((entry) => {
    if (entry.tenantId !== tenantId) return
    if (userId !== undefined && entry.userId !== userId) return
    if (waiting.length < waitingMax) waiting.push(entry)
    else isBehind = true
    wake.abort()
  })
  const readJournal = async () => {
    waiting = []
    isBehind = false
    const entries = await journal.list({ tenantId, userId, after: cursor, limit: pageEntries })
    if (entries.length === pageEntries) isBehind = true
    return entries
  }
  const takeNew = async () => {
    const taken = isBehind ? await readJournal() : waiting.splice(0, pageEntries)
    const entries = taken.filter(({ seq }) => seq > cursor)
    cursor = entries.at(-1)?.seq ?? cursor
    return entries
  }
  const rest = async (waitMs: number) => {
    if (waiting.length > 0 || isBehind || isClosed) return
    wake = new AbortController()
    await clock.sleep(waitMs, wake.signal).catch(() => {}) // Woken: something came.
  }
  return {
    next: async (waitMs) => {
      const entries = await takeNew()
      if (entries.length > 0 || isClosed) return entries
      await rest(waitMs)
      return takeNew()
    },
    isClosed: () => isClosed,
    close: () => {
      isClosed = true
      unsubscribe()
      wake.abort()
    },
  }
}
