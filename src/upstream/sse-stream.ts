// Opens the stream of the older HTTP+SSE transport (MCP 2024-11-05) and reads in it where to post. What is said over it is
// others' business; that nothing of a credential goes to another origin is this file's.
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { readEvents } from '../base/event-stream.ts'
import type { StreamEvent } from '../base/event-stream.ts'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'

/** What came of it. */
export type SseOpening =
  | {
      readonly kind: 'open'
      readonly endpoint: string
      readonly events: SseEvents
      readonly headers: IncomingHttpHeaders
      readonly close: () => void
    }
  | { readonly kind: 'refused'; readonly status: number; readonly headers: IncomingHttpHeaders }
  /** Whatever it is, it is not this transport. */
  | { readonly kind: 'other_transport' }

export type SseEvents = AsyncGenerator<StreamEvent, void, undefined>

/** One request of a session. */
export interface SseRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, Secret>>
  readonly body?: string
}

export interface SseNeeds {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  /** Ends it all. */
  readonly signal: AbortSignal
}

/** All that a stream may bring, so that nobody makes us read without end. */
const streamBytesMax = 16_777_216
/** How long a server may take until it has said where to post. */
const openTimeMs = 20_000

/** Opens it. Throws Fault('server_unreachable') for an endpoint at another origin, and what undici throws. */
export async function openSseStream(
  needs: SseNeeds,
  request: Pick<SseRequest, 'url' | 'headers'>,
): Promise<SseOpening> {
  const late = new AbortController()
  const time = AbortSignal.timeout(openTimeMs)
  const stop = () => late.abort(time.reason)
  time.addEventListener('abort', stop, { once: true })
  const signal = AbortSignal.any([needs.signal, late.signal])
  try {
    return await open({ ...needs, signal }, request)
  } catch (thrown) {
    if (late.signal.aborted && !needs.signal.aborted) return { kind: 'other_transport' }
    throw thrown
  } finally {
    time.removeEventListener('abort', stop)
  }
}

/** Sends one request of a session; its answer is never followed elsewhere. */
export function sendInSession(
  { outbound, signal }: SseNeeds,
  { method, url, headers, body }: SseRequest,
): Promise<Dispatcher.ResponseData> {
  const { origin, pathname, search } = new URL(url)
  const shown = Object.entries(headers)
  return outbound.dispatcher.request({
    origin,
    path: pathname + search,
    method,
    headers: {
      accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
      'accept-encoding': 'identity',
      'user-agent': 'latchkey',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...Object.fromEntries(shown.map(([name, value]) => [name.toLowerCase(), value.reveal()])),
    },
    body: body ?? null,
    headersTimeout: 0, // Some servers answer a POST only after their work; the signal ends it.
    bodyTimeout: 0,
    signal,
  })
}

async function open(
  needs: SseNeeds,
  request: Pick<SseRequest, 'url' | 'headers'>,
): Promise<SseOpening> {
  const response = await sendInSession(needs, { ...request, method: 'GET' })
  // Without a listener the end that we make ourselves would be an unhandled error.
  const close = () => void response.body.on('error', () => undefined).destroy()
  const { statusCode: status, headers } = response
  let isKept = false
  try {
    if (isOther(response)) return { kind: 'other_transport' }
    if (status !== 200) return { kind: 'refused', status, headers }
    const events = readEvents(response.body, streamBytesMax)
    const endpoint = await endpointOf(events, request.url)
    if (endpoint === undefined) return { kind: 'other_transport' }
    isKept = true
    return { kind: 'open', endpoint, events, headers, close }
  } finally {
    if (!isKept) close()
  }
}

// A server of Streamable HTTP may refuse a GET (405), or want a session first (400); one that has nothing there says 404.
const otherStatuses = new Set([400, 404, 405, 406])

function isOther({ statusCode: status, headers }: Dispatcher.ResponseData): boolean {
  if (otherStatuses.has(status)) return true
  const [type] = String(headers['content-type'] ?? '').split(';')
  return status >= 200 && status < 300 && type?.trim().toLowerCase() !== 'text/event-stream'
}

/** Undefined when the stream ends without one. What comes before it says nothing to us. */
async function endpointOf(events: SseEvents, url: string): Promise<string | undefined> {
  for (let event = await events.next(); event.done !== true; event = await events.next()) {
    if (event.value.name !== 'endpoint') continue
    const endpoint = URL.parse(event.value.data, url)
    if (endpoint?.origin === new URL(url).origin) return endpoint.href
    throw new Fault('server_unreachable', { because: 'the endpoint is at another origin' })
  }
  return undefined
}
