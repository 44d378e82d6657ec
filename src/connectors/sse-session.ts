// One short session with a server that speaks only the older HTTP+SSE transport (MCP 2024-11-05): opens its stream, posts
// one message where the stream says, and waits for the answer to it. Nothing of it is kept for the next message.
import type { IncomingHttpHeaders } from 'node:http'
import { Fault, isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import { initializeRequest, sessionMessage, sessionVersion } from '../upstream/mcp.ts'
import { openSseStream, sendInSession } from '../upstream/sse-stream.ts'
import type { SseEvents, SseNeeds } from '../upstream/sse-stream.ts'

/** Where, and how our credential is shown there. */
export interface SseTarget {
  readonly url: string
  /** Asked for anew for every request. */
  readonly headers: (request: {
    readonly method: 'GET' | 'POST'
    readonly url: string
  }) => Readonly<Record<string, Secret>>
  /** Told what every answer says of how it was asked. */
  readonly heard?: (headers: IncomingHttpHeaders) => void
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
  /** Nothing was posted: the server has no stream of this transport there. */
  | { readonly kind: 'other_transport' }

interface Needs extends SseNeeds {
  /** The revision in which the session is begun. */
  readonly version?: string
  /** Told when the server turned out to speak this transport, before anything is posted. */
  readonly opened?: () => void
  /** Given what the server says on the way to the answer, as it wrote it; read on when it is taken. */
  readonly notified?: ((text: string) => Promise<void>) | undefined
}

/** Asks one thing. Throws Fault('server_unreachable') for a stream that does not keep to the rules, and what undici throws. */
export async function askOverSse(
  needs: Needs,
  target: SseTarget,
  message: SseMessage,
): Promise<SseOutcome> {
  const { url, headers, heard } = target
  const over = new AbortController()
  const signal = AbortSignal.any([needs.signal, over.signal])
  const parts = { outbound: needs.outbound, signal }
  const stream = await openSseStream(parts, { url, headers: headers({ method: 'GET', url }) })
  if (stream.kind !== 'open') return stream
  const { endpoint, events } = stream
  try {
    needs.opened?.()
    heard?.(stream.headers)
    const post = async (body: string) => {
      const shown = headers({ method: 'POST', url: endpoint })
      const response = await sendInSession(parts, {
        method: 'POST',
        url: endpoint,
        headers: shown,
        body,
      })
      heard?.(response.headers)
      return taken(response)
    }
    return await converse({ ...needs, events, post }, message)
  } finally {
    stream.close()
    over.abort() // A POST may still wait for an answer that nobody needs.
  }
}

/** Undefined when the server took it. */
type Post = (body: string) => Promise<SseOutcome | undefined>

interface Session extends Needs {
  readonly events: SseEvents
  readonly post: Post
}

async function taken({
  statusCode: status,
  headers,
  body,
}: Awaited<ReturnType<typeof sendInSession>>): ReturnType<Post> {
  body.on('error', () => undefined)
  const isTaken = status >= 200 && status < 300
  if (isTaken) await body.dump()
  else body.destroy()
  return isTaken ? undefined : { kind: 'refused', status, headers }
}

/** MCP "Lifecycle": a session begins with `initialize`; the client's own is not said twice. */
async function converse(session: Session, message: SseMessage): Promise<SseOutcome> {
  if (message.method === 'initialize') return ask(session, message)
  const { version = sessionVersion } = session
  const { body } = initializeRequest({ id: helloId, version })
  const hello = await ask({ ...session, notified: undefined }, { id: helloId, body })
  if (hello.kind !== 'answer') return hello
  if (messageIn(hello.text)?.['error'] !== undefined) {
    throw unusable('the server refuses to begin a session')
  }
  return (await session.post(initialized)) ?? ask(session, message)
}

/** No id of a client's is like it (JSON-RPC 2.0 §4: an id is used once). */
const helloId = 'latchkey:initialize'
const initialized = sessionMessage(
  { method: 'notifications/initialized' },
  { id: undefined, version: sessionVersion },
).body

async function ask(
  session: Session,
  { id, body }: Pick<SseMessage, 'id' | 'body'>,
): Promise<SseOutcome> {
  // The stream is read while the POST is under way: some servers end the one only when the other has been taken.
  const answer = answerTo(session, id)
  const posted = session.post(body)
  // That the stream ends is the lesser word where the POST says why.
  const ended = (thrown: unknown) => (isTooLarge(thrown) ? undefined : posted)
  const refusal = await Promise.race([posted, answer.then(() => undefined, ended)])
  return refusal ?? { kind: 'answer', text: await answer }
}

async function answerTo(session: Session, id: string | number): Promise<string> {
  const { events, notified } = session
  for (let event = await events.next(); event.done !== true; event = await events.next()) {
    const { name, data } = event.value
    const message = name === 'message' ? messageIn(data) : undefined
    if (message === undefined) continue
    const { method, id: itsId } = message
    const isAnswer = 'result' in message || 'error' in message
    if (isAnswer && itsId === id) return data
    if (method === undefined) continue
    await (itsId === undefined ? notified?.(data) : session.post(replyTo(message)))
  }
  throw unusable('the stream ended before the answer')
}

/** A server may ask whether we are there; for all else nobody is: what a client can do was not said to it. */
function replyTo({ id, method }: Message): string {
  const refusal = { code: -32_601, message: 'Method not found' }
  const said = method === 'ping' ? { result: {} } : { error: refusal }
  return JSON.stringify({ jsonrpc: '2.0', id, ...said })
}

type Message = Readonly<Record<string, unknown>>

/** Undefined for what is no JSON-RPC message. */
function messageIn(text: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(text)
    const isObject = typeof message === 'object' && message !== null && !Array.isArray(message)
    return isObject ? (message as Message) : undefined // an object that is no list has string keys
  } catch {
    return undefined // what is no JSON is no message
  }
}

function isTooLarge(thrown: unknown): boolean {
  return isFault(thrown) && thrown.code === 'payload_too_large'
}

function unusable(because: string): Fault {
  return new Fault('server_unreachable', { because })
}
