// One call to a server that speaks only the older HTTP+SSE transport (MCP 2024-11-05): a short session of its own, whose
// one answer goes back as plain JSON. So nothing has to be kept between calls, nor between processes.
import type { ServerResponse } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { SseMessage, SseOutcome, SseTarget } from '../connectors/sse-session.ts'
import { askOverSse } from '../connectors/sse-session.ts'
import type { Call } from './calls.ts'
import type { Outcome } from './proxy.ts'
import { clientLeft, faultOf } from './proxy.ts'
import { createToolFilter } from './tool-filter.ts'

interface Needs {
  readonly outbound: Pick<Outbound, 'dispatcher'>
  readonly answerTimeMs: number
}

interface SseCall {
  readonly response: ServerResponse
  readonly server: { readonly url: string }
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly call: Call
  readonly body: Buffer | undefined
  readonly isOffered?: ((tool: string) => boolean) | undefined
}

/** Sends it; as the proxy does, it never throws, and only `passed` has written an answer. */
export async function forwardOverSse(
  { outbound, answerTimeMs }: Needs,
  called: SseCall,
  headers: SseTarget['headers'],
): Promise<Outcome> {
  const { response, server, method, call, body } = called
  if (method !== 'POST') return { kind: 'held', status: 405, headers: { allow: 'POST' } }
  // What is never answered belongs to a session, and that of the call it is about is over or not ours to find.
  if (!call.wantsAnswer) return passed(response, 202)
  if (call.id === null) return { kind: 'held', status: 400, headers: {} } // no batches in 2024-11-05's sessions
  const message: SseMessage = { id: call.id, method: call.method, body: body?.toString() ?? '' }
  const left = new AbortController()
  const time = AbortSignal.timeout(answerTimeMs)
  const leave = () => left.abort()
  response.once('close', leave)
  try {
    const signal = AbortSignal.any([left.signal, time])
    return pass(
      called,
      await askOverSse({ outbound, signal }, { url: server.url, headers }, message),
    )
  } catch (thrown) {
    if (left.signal.aborted) return clientLeft(0)
    return { kind: 'failed', fault: time.aborted ? slow() : faultOf(thrown) }
  } finally {
    response.off('close', leave)
  }
}

function slow(): Fault {
  return new Fault('upstream_timeout', { because: 'the answer did not come over the stream' })
}

function pass({ response, isOffered }: SseCall, outcome: SseOutcome): Outcome {
  if (outcome.kind === 'refused') {
    const { status, headers } = outcome
    return { kind: 'held', status, headers }
  }
  const text = Buffer.from(outcome.text)
  if (isOffered === undefined) return passed(response, 200, text)
  const filter = createToolFilter('application/json', isOffered)
  return passed(response, 200, Buffer.concat([filter.write(text), filter.end()]))
}

function passed(response: ServerResponse, status: number, body?: Buffer): Outcome {
  response.writeHead(status, {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    'content-length': `${body?.length ?? 0}`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
  return { kind: 'passed', status }
}
