// One call to a server that speaks only the older HTTP+SSE transport (MCP 2024-11-05): a short session of its own, so that
// nothing has to be kept between calls, nor between processes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { SseOutcome, SseTarget } from '../connectors/sse-session.ts'
import { askOverSse } from '../connectors/sse-session.ts'
import type { Call } from './calls.ts'
import type { Era } from './eras.ts'
import type { Overheard } from './overhear.ts'
import type { IsOffered } from './policy.ts'
import type { Outcome } from './proxy.ts'
import { clientLeft, endedByUs, faultOf } from './proxy.ts'
import { accepted, createSseAnswer } from './sse-answer.ts'
import type { SseAnswer } from './sse-answer.ts'
import { wholeResult } from './whole-result.ts'

interface Needs {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  /** How long the server may take until the answer, or anything on the way to it, begins. */
  readonly answerTimeMs: number
}

interface SseCall {
  readonly request: Pick<IncomingMessage, 'headers'>
  readonly response: ServerResponse
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly call: Call
  readonly era: Era
  readonly body: Buffer | undefined
  readonly isOffered?: IsOffered | undefined
  readonly overheard?: Overheard | undefined
}

interface Way extends SseTarget {
  /** Told when the server turned out to speak this transport. */
  readonly opened?: (() => void) | undefined
  readonly watch: (end: () => void) => () => void
}

/** Sends it. As in the proxy nothing is thrown, and only `passed` and `broken` have written to the client. */
export async function forwardOverSse(
  needs: Needs,
  called: SseCall,
  way: Way,
): Promise<Outcome | { readonly kind: 'other_transport' }> {
  const { response, method, call } = called
  if (method !== 'POST') return { kind: 'held', status: 405, headers: { allow: 'POST' } }
  if (response.destroyed) return clientLeft(0)
  // What is never answered belongs to a session, and that of the call it is about is over or not ours to find.
  if (!call.wantsAnswer) {
    accepted(response)
    return { kind: 'passed', status: 202 }
  }
  if (call.id === null) return { kind: 'held', status: 400, headers: {} } // these sessions know no batches
  return converse(needs, called, { id: call.id, way })
}

async function converse(
  { outbound, answerTimeMs }: Needs,
  { request, response, call, era, body, isOffered, overheard }: SseCall,
  { id, way }: { readonly id: string | number; readonly way: Way },
) {
  const over = new AbortController()
  const end = () => over.abort()
  const { signal } = over
  const { accept } = request.headers
  const answer = createSseAnswer({ ...way, response, accept, isOffered, closed: end, signal })
  const time = AbortSignal.timeout(answerTimeMs)
  const late = () => (answer.isBegun() ? undefined : end())
  response.once('close', end)
  time.addEventListener('abort', late, { once: true })
  try {
    const { opened = () => {} } = way
    const parts = { outbound, signal, opened, ...versionOf(request, era) }
    const message = { id, method: call.method, body: body?.toString() ?? '' }
    const outcome = await askOverSse({ ...parts, notified: answer.notify }, way, message)
    const told = inWordsOf(era, outcome, call)
    if (told.kind === 'answer') overheard?.say(told.text)
    return concluded(response, answer, told)
  } catch (thrown) {
    const isLate = time.aborted && !answer.isBegun()
    return failed(response, answer, { fault: isLate ? slow() : faultOf(thrown) })
  } finally {
    response.off('close', end)
    time.removeEventListener('abort', late)
  }
}

/**
 * The revision that the client has agreed on with the server. Without a header it is an early one (MCP 2025-11-25, "Protocol
 * Version Header"); of the era without sessions we are the client ourselves.
 */
function versionOf({ headers }: SseCall['request'], era: Era) {
  if (era === 'modern') return {}
  const version = headers['mcp-protocol-version']
  return { version: typeof version === 'string' ? version : '2025-03-26' }
}

/** What only a client of the era without sessions is told. */
function inWordsOf(era: Era, outcome: SseOutcome, { method }: Call): SseOutcome {
  if (era === 'legacy' || outcome.kind !== 'answer') return outcome
  return { ...outcome, text: wholeResult(outcome.text, method) }
}

function concluded(response: ServerResponse, answer: SseAnswer, outcome: SseOutcome) {
  if (outcome.kind === 'answer') {
    answer.finish(outcome.text)
    return { kind: 'passed', status: 200 } as const
  }
  if (outcome.kind === 'other_transport') return outcome
  const { status, headers } = outcome
  if (!answer.isBegun()) return { kind: 'held', status, headers } as const
  return failed(response, answer, { fault: slow() })
}

function failed(
  response: ServerResponse,
  answer: SseAnswer,
  { fault }: { readonly fault: Fault },
): Outcome {
  const status = answer.isBegun() ? 200 : 0
  if (response.writableEnded) return endedByUs(status)
  if (response.destroyed) return clientLeft(status)
  if (status === 0) return { kind: 'failed', fault }
  response.destroy() // The client must not take half an answer for a whole one.
  return { kind: 'broken', status, because: fault.because }
}

function slow(): Fault {
  return new Fault('upstream_timeout', { because: 'the answer did not come over the stream' })
}
