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
import { createFeed } from '../live-feed.ts'
import type { Feed } from '../live-feed.ts'
import { heartbeatMs, isAdmitted, streamAnswer, streamMaxMs, streamOf } from '../open-streams.ts'
import type { OpenStreams } from '../open-streams.ts'
import { eventStream } from '../output.ts'
import { route } from '../route.ts'
import type { Context, QueryParameter, Route } from '../route.ts'

interface Needs {
  readonly clock: Clock
  readonly journal: Journal
  readonly sessions: Sessions
  readonly apiKeys: ApiKeys
  readonly streams: OpenStreams
}

const reconnectMs = 2_000

const cursorParameter: QueryParameter = {
  name: 'cursor',
  words: 'The id of the last event that was heard.',
  schema: { type: 'integer', minimum: 0 },
}

/** The row of `/api/v1/events`. */
export function eventRoutes(needs: Needs): readonly Route[] {
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
      if (request.method === 'HEAD') return streamAnswer(null)
      const leave = needs.streams.enter(principal.user.id)
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
      return streamAnswer(createEventStream(needs, listening))
    },
  })
  return [row]
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
  const { principal, after, leave } = listening
  const userId = isAdmin(principal) ? undefined : principal.user.id
  const feed = createFeed(needs, { tenantId: principal.tenant.id, userId, after })
  const end = () => {
    feed.close()
    leave()
  }
  return streamOf(createTexts(needs, listening, feed), end)
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

function eventText(entry: SealedEntry, isForAdmin: boolean): string {
  const event = isForAdmin ? toPublicEvent(entry) : toPersonalEvent(entry)
  // JSON has no line breaks, so one data line holds it.
  return `id: ${entry.seq}\nevent: ${entry.type}\ndata: ${JSON.stringify(event)}\n\n`
}
