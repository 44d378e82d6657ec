// The event stream: what happens, as server-sent events, from a cursor on. People hear of what is theirs, admins of all of
// their tenant. A stream ends with the session or key that opened it.
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Journal, SealedEntry } from '../../journal/entries.ts'
import { toPersonalEvent, toPublicEvent } from '../../journal/webhook-payload.ts'
import type { ApiKeys } from '../../people/api-keys.ts'
import { isAdmin } from '../../people/principal.ts'
import type { KeyPrincipal, SessionPrincipal } from '../../people/principal.ts'
import type { Sessions } from '../../people/sessions.ts'
import { createGuards } from '../guards.ts'
import { eventStream } from '../output.ts'
import { route } from '../route.ts'
import type { Context, QueryParameter, Route } from '../route.ts'

interface Needs {
  readonly clock: Clock
  readonly journal: Journal
  readonly sessions: Sessions
  readonly apiKeys: ApiKeys
}

const heartbeatMs = 15_000
/** A stream ends after this long; whoever listens comes back with the id of the last event. */
const streamMaxMs = 3_600_000
const streamsMax = 1_000
const streamsPerUserMax = 8
const waitingMax = 1_000
const pageEntries = 200
const reconnectMs = 2_000

const cursorParameter: QueryParameter = {
  name: 'cursor',
  words: 'The id of the last event that was heard.',
  schema: { type: 'integer', minimum: 0 },
}

/** The row of `/api/v1/events`. */
export function eventRoutes(needs: Needs): readonly Route[] {
  const open = createOpenStreams()
  const admit = createGuards(needs)
  const row: Route = route({
    surface: 'api',
    guard: 'api',
    path: '/api/v1/events',
    method: 'GET',
    query: [cursorParameter],
    output: eventStream,
    words: 'Server-sent events, from `Last-Event-ID` or `?cursor=` on, or from now on.',
    run: async (context) => {
      const { tenant, request, principal } = context
      const after = cursorOf(context) ?? (await needs.journal.head(tenant.id))
      if (request.method === 'HEAD') return answer(null)
      const leave = open.enter(principal.user.id)
      const listening = {
        after,
        principal,
        leave,
        // The guard that let the caller in decides whether they may stay.
        isStillAdmitted: async () => {
          const { principal: now } = await admit(row, tenant, request)
          return now !== undefined && isAdmin(now) === isAdmin(principal)
        },
      }
      return answer(createEventStream(needs, listening))
    },
  })
  return [row]
}

function answer(body: ReadableStream<Uint8Array> | null): Response {
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Or a proxy keeps events back until it has many.
      'x-accel-buffering': 'no',
    },
  })
}

/** How many streams are open, in all and per person. */
function createOpenStreams() {
  const counts = new Map<string, number>()
  let all = 0
  return {
    enter: (userId: string): (() => void) => {
      const own = counts.get(userId) ?? 0
      if (all >= streamsMax || own >= streamsPerUserMax) {
        throw new Fault('too_many_requests', {
          because: 'too many event streams are open',
          retryAfterS: 30,
        })
      }
      counts.set(userId, own + 1)
      all += 1
      let isIn = true
      return () => {
        if (!isIn) return
        isIn = false
        all -= 1
        const left = (counts.get(userId) ?? 1) - 1
        if (left === 0) counts.delete(userId)
        else counts.set(userId, left)
      }
    },
  }
}

/** What the browser's EventSource remembers comes before what its URL said at first. */
function cursorOf({ request, query }: Context<'api', undefined>): number | undefined {
  const text = request.headers.get('last-event-id') ?? query.get('cursor')
  if (text === null || text === '') return undefined
  const cursor = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(cursor)) return cursor
  throw new Fault('invalid_input', {
    because: 'the cursor is not one of ours',
    detail: { cursor: 'Use the id of an event, or leave it out to hear of what happens now.' },
  })
}

interface Listening {
  readonly after: number
  readonly principal: SessionPrincipal | KeyPrincipal
  readonly isStillAdmitted: () => Promise<boolean>
  readonly leave: () => void
}

function createEventStream(needs: Needs, listening: Listening): ReadableStream<Uint8Array> {
  const feed = createFeed(needs, listening)
  const end = () => {
    feed.close()
    listening.leave()
  }
  const encoder = new TextEncoder()
  const texts = createTexts(needs, listening, feed)
  return new ReadableStream<Uint8Array>({
    // Asked for one piece at a time, so that a slow reader costs no memory.
    pull: async (controller) => {
      const { done, value } = await texts.next().catch((thrown: unknown) => {
        end()
        throw thrown
      })
      if (!done) return controller.enqueue(encoder.encode(value))
      const isListenedTo = !feed.isClosed()
      end()
      if (isListenedTo) controller.close()
    },
    cancel: end,
  })
}

/** The pieces of the stream: where it begins, events as they come, and a comment when there are none. */
async function* createTexts(
  { clock }: Needs,
  { after, principal, isStillAdmitted }: Listening,
  feed: Feed,
): AsyncGenerator<string, void> {
  const textOf = (entry: SealedEntry) => eventText(entry, isAdmin(principal))
  const endsAt = clock.now() + streamMaxMs
  let checkedAt = clock.now()
  yield `retry: ${reconnectMs}\nid: ${after}\n\n`
  while (clock.now() < endsAt) {
    const entries = await feed.next(heartbeatMs)
    if (feed.isClosed()) return
    if (clock.now() - checkedAt >= heartbeatMs) {
      if (!(await isAdmitted(isStillAdmitted))) return
      checkedAt = clock.now()
    }
    yield entries.length === 0 ? ': still here\n\n' : entries.map(textOf).join('')
  }
}

async function isAdmitted(isStillAdmitted: () => Promise<boolean>): Promise<boolean> {
  try {
    return await isStillAdmitted()
  } catch {
    return false // The guard throws for whoever may not come in: the stream ends, and a new one is told why.
  }
}

function eventText(entry: SealedEntry, isForAdmin: boolean): string {
  const event = isForAdmin ? toPublicEvent(entry) : toPersonalEvent(entry)
  // JSON has no line breaks, so one data line holds it.
  return `id: ${entry.seq}\nevent: ${entry.type}\ndata: ${JSON.stringify(event)}\n\n`
}

interface Feed {
  /** What comes next, or nothing when nothing came for so long. */
  readonly next: (waitMs: number) => Promise<readonly SealedEntry[]>
  readonly isClosed: () => boolean
  readonly close: () => void
}

/** Entries of one listener: first what the journal has, then what comes. When it cannot keep up it reads the journal again. */
function createFeed(
  { clock, journal }: Needs,
  { after, principal }: Pick<Listening, 'after' | 'principal'>,
): Feed {
  const tenantId = principal.tenant.id
  const userId = isAdmin(principal) ? undefined : principal.user.id
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
