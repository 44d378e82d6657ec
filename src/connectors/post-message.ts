// One JSON-RPC message to a server by POST, and the one answer to it, out of JSON or an event stream; for calls that we
// make in our own words. What passes through as it came is the gateway's.
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { readEvents } from '../base/event-stream.ts'
import { Fault } from '../base/fault.ts'
import { readLimited } from '../base/outbound-body.ts'
import type { Outbound } from '../base/outbound.ts'
import { Secret } from '../base/secret.ts'

/** A JSON-RPC message. */
export type Message = Readonly<Record<string, unknown>>

export interface Post {
  readonly url: string
  readonly headers: Readonly<Record<string, string | Secret>>
  readonly body: string
  /** Of the request that is to be answered; undefined where nothing is. */
  readonly id: number | undefined
  /** Told what the server says on the way: notifications and questions. */
  readonly told?: (message: Message) => void
}

/** What came back; without an answer the status has to say all. */
export interface Posted {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly answer?: Message | undefined
}

interface Needs {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  /** Ends it. */
  readonly signal: AbortSignal
}

/** All that one answer may hold, images and all. */
const answerBytesMax = 16_777_216

/** Throws Fault('payload_too_large' | 'server_unreachable') and what undici throws. */
export async function post({ outbound, signal }: Needs, sent: Post): Promise<Posted> {
  const { origin, pathname, search } = new URL(sent.url)
  const response = await outbound.dispatcher.request({
    origin,
    path: pathname + search,
    method: 'POST',
    headers: fieldsOf(sent.headers),
    body: sent.body,
    headersTimeout: 0, // the signal ends it
    bodyTimeout: 0,
    signal,
  })
  const { statusCode: status, headers, body } = response
  // Without a listener the end that we make ourselves would be an unhandled error.
  body.on('error', () => undefined)
  try {
    return { status, headers, answer: await answerIn(response, sent) }
  } finally {
    body.destroy()
  }
}

function fieldsOf(headers: Post['headers']): Record<string, string> {
  const plain = Object.entries(headers).map(([name, value]): [string, string] => [
    name.toLowerCase(),
    value instanceof Secret ? value.reveal() : value,
  ])
  return {
    ...Object.fromEntries(plain),
    'accept-encoding': 'identity',
    'user-agent': 'latchkey',
  }
}

async function answerIn(
  { statusCode: status, headers, body }: Dispatcher.ResponseData,
  { id, told }: Post,
): Promise<Message | undefined> {
  if (id === undefined || status === 202 || status === 204) return undefined
  const mediaType = String(headers['content-type'] ?? '')
    .split(';', 1)[0]
    ?.trim()
    .toLowerCase()
  if (mediaType === 'application/json') {
    const text = await readLimited(body, { encoding: null, bytes: answerBytesMax })
    return messagesIn(text).find((message) => isAnswer(message, id))
  }
  if (mediaType !== 'text/event-stream' || status !== 200) return undefined
  for await (const { name, data } of readEvents(body, answerBytesMax)) {
    for (const message of name === 'message' ? messagesIn(data) : []) {
      if (isAnswer(message, id)) return message
      if (typeof message['method'] === 'string') told?.(message)
    }
  }
  throw new Fault('server_unreachable', { because: 'the stream ended before the answer' })
}

/** A refusal may name no id: then nobody could have read it out of the request (JSON-RPC 2.0 §5). */
function isAnswer(message: Message, id: number): boolean {
  if ('result' in message) return message['id'] === id
  return 'error' in message && (message['id'] === id || (message['id'] ?? null) === null)
}

/** MCP 2025-03-26 has batches; what is no JSON holds no message. */
function messagesIn(text: string): readonly Message[] {
  try {
    const said: unknown = JSON.parse(text)
    return (Array.isArray(said) ? said : [said]).filter(isObject)
  } catch {
    return []
  }
}

/** An object, and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
