// Sends one call to a server and streams the answer back, chunk by chunk and at the reader's pace. Answers that the
// gateway must turn into its own are held: nothing of them reaches the client.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { Fault, isFault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import { keepDoubtful } from './doubted-answer.ts'
import type { Doubted } from './doubted-answer.ts'
import { createToolFilter } from './tool-filter.ts'
import type { ToolFilter } from './tool-filter.ts'
import { overhearing } from './overhear.ts'
import type { Overheard } from './overhear.ts'
import type { IsOffered } from './policy.ts'

/** One call on its way out. */
export interface Outgoing {
  readonly url: string
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly headers: Record<string, string>
  readonly body: Buffer | undefined
}

/** What became of it. Only `held` and `failed` leave the response untouched. */
export type Outcome =
  | { readonly kind: 'passed'; readonly status: number }
  | { readonly kind: 'held'; readonly status: number; readonly headers: IncomingHttpHeaders }
  | { readonly kind: 'failed'; readonly fault: Fault }
  /** The client left, or the server stopped in the middle of its answer. */
  | { readonly kind: 'broken'; readonly status: number; readonly because: string }

interface Parts {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  readonly outgoing: Outgoing
  readonly response: ServerResponse
  /** Our header fields for an answer that passes. */
  readonly headersOf: (upstream: IncomingHttpHeaders) => Record<string, string>
  /** How long the server may think before it answers. */
  readonly answerTimeMs: number
  /** Told when the answer is a stream of events: how to end it, and what it gives is called when it is over. */
  readonly watch?: ((end: () => void) => () => void) | undefined
  /** Which tools the caller is offered, where the answer may list some; absent: the answer passes as it is. */
  readonly isOffered?: IsOffered | undefined
  /** Keeps a refusal that may mean only that the server speaks another transport: it is not sent. */
  readonly keepsDoubtful?: boolean
  /** Listens to the answer; absent where nothing of it is kept. */
  readonly overheard?: Overheard | undefined
}

/** Dispatches the call. Never throws; the outcome says what is left to do. */
export function forward(parts: Parts): Promise<Outcome | Doubted> {
  const { outbound, outgoing, response, answerTimeMs, keepsDoubtful = false, overheard } = parts
  return new Promise((resolve) => {
    const plain = createRelay(parts, resolve)
    const relay =
      overheard === undefined ? plain : { ...plain, handler: overhearing(plain.handler, overheard) }
    if (response.destroyed) return resolve(clientLeft(0))
    response.once('close', relay.clientClosed)
    try {
      const url = new URL(outgoing.url)
      outbound.dispatcher.dispatch(
        {
          origin: url.origin,
          path: url.pathname + url.search,
          method: outgoing.method,
          headers: outgoing.headers,
          body: outgoing.body ?? null,
          headersTimeout: answerTimeMs,
          bodyTimeout: 0, // An event stream may be silent for hours; it ends with the client's connection.
        },
        keepsDoubtful ? keepDoubtful(relay) : relay.handler,
      )
    } catch (thrown) {
      relay.failed(thrown)
    }
  })
}

/** Sends an answer that nobody doubts any more, unless it is one that never passes. */
export function passDoubted(
  {
    response,
    headersOf,
    isOffered,
    overheard,
  }: Pick<Parts, 'response' | 'headersOf' | 'isOffered' | 'overheard'>,
  { status, headers, body }: Doubted,
): Outcome {
  if (!mayPass(status, headers)) return { kind: 'held', status, headers }
  if (response.destroyed) return clientLeft(0)
  overheard?.begin(headers)
  overheard?.write(body)
  const filter = filterFor(headers, isOffered)
  response.writeHead(status, framed(filter === undefined, headersOf(headers)))
  response.end(filter === undefined ? body : Buffer.concat([filter.write(body), filter.end()]))
  return { kind: 'passed', status }
}

const discarded = new Error('the answer is not passed on')
const disconnected = new Error('the client left')

function createRelay(
  { response, headersOf, isOffered, watch }: Parts,
  resolve: (outcome: Outcome | Doubted) => void,
) {
  let upstream: Dispatcher.DispatchController | undefined
  let status = 0
  let isSettled = false
  let filter: ToolFilter | undefined
  const readOn = () => upstream?.resume()

  const settle = (outcome: Outcome | Doubted) => {
    if (isSettled) return
    isSettled = true
    response.off('close', clientClosed)
    response.off('drain', readOn)
    resolve(outcome)
  }
  const clientClosed = () => {
    settle(response.writableEnded ? endedByUs(status) : clientLeft(status))
    upstream?.abort(disconnected)
  }
  const failed = (thrown: unknown) => {
    if (isSettled) return
    if (status === 0) return settle({ kind: 'failed', fault: faultOf(thrown) })
    settle({ kind: 'broken', status, because: `the server broke off (${codeOf(thrown)})` })
    response.destroy() // The client must not take half an answer for a whole one.
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: (controller) => {
      upstream = controller
      if (isSettled) controller.abort(disconnected)
    },
    onResponseStart: (controller, statusCode, headers) => {
      if (statusCode < 200) return // RFC 9110 §15.2: more is to come.
      if (!mayPass(statusCode, headers)) {
        settle({ kind: 'held', status: statusCode, headers })
        return controller.abort(discarded)
      }
      filter = filterFor(headers, isOffered)
      const isFramed = statusCode !== 204 && filter === undefined
      response.writeHead(statusCode, framed(isFramed, headersOf(headers)))
      status = statusCode
      response.on('drain', readOn)
      if (isEventStream(headers)) openStream(response, watch, clientClosed)
    },
    onResponseData: (controller, chunk) => {
      if (isSettled || response.destroyed) return
      const bytes = filter === undefined ? chunk : filter.write(chunk)
      if (bytes.length > 0 && !response.write(bytes)) controller.pause()
    },
    onResponseEnd: () => {
      if (isSettled) return
      settle({ kind: 'passed', status })
      response.end(filter?.end())
    },
    onResponseError: (_controller, error) => failed(error),
  }
  return { handler, failed, clientClosed, settle }
}

/** Reads an answer that is in plain text; what the server encoded is not looked into. */
function filterFor(
  headers: IncomingHttpHeaders,
  isOffered: Parts['isOffered'],
): ToolFilter | undefined {
  const isPlain = (headers['content-encoding'] ?? 'identity') === 'identity'
  if (isOffered === undefined || !isPlain) return undefined
  return createToolFilter(mediaTypeOf(headers), isOffered)
}

/**
 * RFC 9110 §8.6: a 204 has no length; one that nevertheless came would make the next answer look like its body. What is
 * filtered has no longer the length that the server said.
 */
function framed(isFramed: boolean, headers: Record<string, string>): Record<string, string> {
  if (isFramed) return headers
  const { 'content-length': _none, ...others } = headers
  return others
}

const mediaTypes = new Set(['application/json', 'text/event-stream'])

/** Only MCP's two media types pass, and no answer that speaks about our credential or sends us elsewhere. */
function mayPass(status: number, headers: IncomingHttpHeaders): boolean {
  if (status === 401 || status === 407 || status === 429) return false
  if (status >= 300 && status < 400) return false
  if (status === 403 && headers['www-authenticate'] !== undefined) return false
  const mediaType = mediaTypeOf(headers)
  return mediaType === '' ? isEmpty(status, headers) : mediaTypes.has(mediaType)
}

function isEmpty(status: number, headers: IncomingHttpHeaders): boolean {
  return status === 204 || headers['content-length'] === '0'
}

function isEventStream(headers: IncomingHttpHeaders): boolean {
  return mediaTypeOf(headers) === 'text/event-stream'
}

function mediaTypeOf(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/** Tells whoever may end a stream that it is open; its end is a plain one, after which the client asks anew. */
export function openStream(
  response: ServerResponse,
  watch: Parts['watch'],
  closed: () => void,
): void {
  response.flushHeaders()
  const unwatch = watch?.(() => {
    response.end()
    closed()
  })
  if (unwatch !== undefined) response.once('close', unwatch)
}

/** The stream was ended for what it hangs on. */
export function endedByUs(status: number): Outcome {
  return { kind: 'broken', status, because: 'what the stream hangs on was ended' }
}

/** The client did not wait for its answer. */
export function clientLeft(status: number): Extract<Outcome, { kind: 'broken' }> {
  return { kind: 'broken', status, because: 'the client left' }
}

const timeoutCodes = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
  'timeout',
])

/** Only the code of an error is kept: its text may hold header values (threats X-28). */
export function faultOf(thrown: unknown): Fault {
  const code = codeOf(thrown)
  const because = `the server could not be asked (${isFault(thrown) ? thrown.because : code})`
  return new Fault(timeoutCodes.has(code) ? 'upstream_timeout' : 'server_unreachable', {
    because,
  })
}

function codeOf(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'string' ? code : 'unknown'
}
