// One short session with a server that speaks only the older HTTP+SSE transport (MCP 2024-11-05): opens its stream, posts
// one message where the stream says, and waits for the answer to it. Nothing of it is kept for the next message.
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { readEvents } from '../base/event-stream.ts'
import type { StreamEvent } from '../base/event-stream.ts'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'
import { initializeRequest, sessionMessage, sessionVersion } from '../upstream/mcp.ts'

/** Where, and how our credential is shown there. */
export interface SseTarget {
  readonly url: string
  /** Asked for anew for every request. */
  readonly headers: (request: {
    readonly method: 'GET' | 'POST'
    readonly url: string
  }) => Readonly<Record<string, Secret>>
}

/** A JSON-RPC request. */
export interface SseMessage {
  readonly id: string | number
  readonly method: string
  readonly body: string
}

/** The answer as the server wrote it, or how it refused. */
export type SseOutcome =
  | { readonly kind: 'answer'; readonly text: string }
  | { readonly kind: 'refused'; readonly status: number; readonly headers: IncomingHttpHeaders }

interface Needs {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  /** Ends it all: the limit of time, or that nobody waits any more. */
  readonly signal: AbortSignal
}

const answerBytes = 4_194_304

/** Asks one thing. Throws Fault('server_unreachable') for a stream that is not this transport's, and what undici throws. */
export async function askOverSse(
  needs: Needs,
  target: SseTarget,
  message: SseMessage,
): Promise<SseOutcome> {
  const stream = await send(needs, target, { method: 'GET', url: target.url })
  try {
    if (!isEventStream(stream)) return refused(stream)
    const events = readEvents(stream.body, answerBytes)
    const url = await endpointOf(events, target.url)
    return await converse(events, message, (body) =>
      send(needs, target, { method: 'POST', url, body }),
    )
  } finally {
    // Without a listener the end that we make ourselves would be an unhandled error.
    stream.body.on('error', () => undefined).destroy()
  }
}

type Events = AsyncGenerator<StreamEvent, void, undefined>
type Post = (body: string) => Promise<Dispatcher.ResponseData>

/** MCP "Lifecycle": a session begins with `initialize`; the client's own is not said twice. */
async function converse(events: Events, message: SseMessage, send: Post): Promise<SseOutcome> {
  const ask = async ({ id, body }: Pick<SseMessage, 'id' | 'body'>): Promise<SseOutcome> => {
    const posted = await taken(send, body)
    return posted ?? { kind: 'answer', text: await answerTo(events, id) }
  }
  if (message.method === 'initialize') return ask(message)
  const hello = await ask({ id: 1, body: initializeRequest().body })
  if (hello.kind === 'refused') return hello
  return (await taken(send, initialized)) ?? ask(message)
}

const initialized = sessionMessage(
  { method: 'notifications/initialized' },
  { id: undefined, version: sessionVersion },
).body

/** Posts; undefined when the server took it. */
async function taken(send: Post, body: string): Promise<SseOutcome | undefined> {
  const response = await send(body)
  const isTaken = response.statusCode >= 200 && response.statusCode < 300
  response.body.on('error', () => undefined)
  if (isTaken) await response.body.dump()
  else response.body.destroy()
  return isTaken ? undefined : refused(response)
}

function refused({ statusCode, headers }: Dispatcher.ResponseData): SseOutcome {
  return { kind: 'refused', status: statusCode, headers }
}

interface Sent {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly body?: string
}

function send({ outbound, signal }: Needs, target: SseTarget, { method, url, body }: Sent) {
  const { origin, pathname, search } = new URL(url)
  const shown = Object.entries(target.headers({ method, url }))
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
    bodyTimeout: 0, // The signal ends it.
    signal,
  })
}

function isEventStream({ statusCode, headers }: Dispatcher.ResponseData): boolean {
  const type = headers['content-type']
  return statusCode === 200 && typeof type === 'string' && type.startsWith('text/event-stream')
}

/** The first event says where to post; never to another origin, for our credential goes there. */
async function endpointOf(events: Events, url: string): Promise<string> {
  const first = await events.next()
  if (first.done === true || first.value.name !== 'endpoint') {
    throw unusable('the stream does not begin with an endpoint')
  }
  const endpoint = URL.parse(first.value.data, url)
  if (endpoint === null || endpoint.origin !== new URL(url).origin) {
    throw unusable('the endpoint is at another origin')
  }
  return endpoint.href
}

/** Requests and notifications of the server's that come before it are not for a client that waits for one answer. */
async function answerTo(events: Events, id: string | number): Promise<string> {
  for (let event = await events.next(); event.done !== true; event = await events.next()) {
    if (event.value.name === 'message' && isAnswer(event.value.data, id)) return event.value.data
  }
  throw unusable('the stream ended before the answer')
}

function isAnswer(text: string, id: string | number): boolean {
  try {
    const message: unknown = JSON.parse(text)
    if (typeof message !== 'object' || message === null || !('id' in message)) return false
    return message.id === id && ('result' in message || 'error' in message)
  } catch {
    return false // what is no JSON is no answer
  }
}

function unusable(because: string): Fault {
  return new Fault('server_unreachable', { because })
}
