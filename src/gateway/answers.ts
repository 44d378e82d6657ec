// The answers that the gateway gives itself instead of a server's: HTTP status and JSON-RPC error, in plain words.
import type { ServerResponse } from 'node:http'
import type { Fault } from '../base/fault.ts'
import { faultCatalogue } from '../base/fault.ts'
import { rpcCodes, rpcErrorText } from '../protect/index.ts'
import type { RequestId, RpcError } from '../protect/index.ts'
import type { Call } from './calls.ts'

/** An answer that is ready to be sent. `reason` goes to the journal too, `because` nowhere else. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly reason?: string
  readonly because?: string
}

/** Sends an answer, unless the client has gone. */
export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed || response.headersSent) return
  const length = { 'content-length': `${Buffer.byteLength(body)}` }
  response.writeHead(status, {
    ...headers,
    ...(status === 204 ? {} : length),
    // RFC 9110 §15.5.14: the rest of a body that is too large is not read.
    ...(status === 413 ? { connection: 'close' } : {}),
  })
  response.end(body)
}

/** A JSON-RPC error under an HTTP status. */
export function rpcAnswer(
  status: number,
  error: RpcError,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: rpcErrorText(error),
    reason: error.data.reason,
  }
}

/** A JSON-RPC result of our own. */
export function resultAnswer(id: RequestId, result: Readonly<Record<string, unknown>>): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify({ jsonrpc: '2.0', id, result }),
  }
}

/** MCP 2026-07-28, "Multi Round-Trip Requests": a state that does not belong to this request, or not any more. */
export function staleState({ id }: Call): Answer {
  const message = 'This requestState is not for this request, or is over. Make the call anew.'
  const data = { reason: 'invalid_request_state' }
  return rpcAnswer(200, { id, code: rpcCodes.invalidParams, message, data })
}

/** An answer without a body. */
export function emptyAnswer(status: number): Answer {
  return { status, headers: { 'cache-control': 'no-store' }, body: '' }
}

/** What the catalogue says about a Fault. */
export function faultAnswer(fault: Fault, call?: Call): Answer {
  const { status, words } = faultCatalogue[fault.code]
  const retry = fault.retryAfterS === undefined ? {} : { 'retry-after': `${fault.retryAfterS}` }
  const code = status === 500 ? rpcCodes.internal : rpcCodes.failed
  const id = call?.id ?? null
  const error = { id, code, message: words, data: { reason: fault.code } }
  return { ...rpcAnswer(status, error, retry), because: fault.because }
}

/** RFC 9110 §15.5.6: a wrong method is told the right ones. */
export function wrongMethod(allow = 'GET, POST, DELETE'): Answer {
  const message = faultCatalogue.method_not_allowed.words
  const data = { reason: 'method_not_allowed' }
  return rpcAnswer(405, { code: rpcCodes.failed, message, data }, { allow })
}

/** The body of a POST is not a JSON-RPC message. */
export function notRpc(): Answer {
  const message = 'The body is not a JSON-RPC message.'
  return rpcAnswer(400, { code: rpcCodes.parseError, message, data: { reason: 'parse_error' } })
}

/** MCP 2026-07-28, "Server Validation": a header says another thing than the body that it stands for. */
export function headerMismatch({ id }: Call): Answer {
  const message = 'Header mismatch: a header does not say the same as the body.'
  const data = { reason: 'header_mismatch' }
  return rpcAnswer(400, { id, code: rpcCodes.headerMismatch, message, data })
}

/** The session is unknown, or belongs to somebody else: the client starts a new one (MCP 2025-11-25, sessions). */
export function unknownSession(call: Call): Answer {
  const message = 'This session is not known. Start a new one.'
  const data = { reason: 'unknown_session' }
  return rpcAnswer(404, { id: call.id, code: rpcCodes.signInNeeded, message, data })
}

/** What a person has to sign in for, and where. */
export interface Connect {
  readonly serverName: string
  readonly connectUrl: string
  readonly reason: 'authorization_required' | 'scope_insufficient'
  /** The account is one that an administrator shares: it is for them to mend. */
  readonly isShared: boolean
}

/**
 * Asks the person to sign in at the server's own provider. It is an error of the call, not of our token, so the status is
 * 200; what is never answered is taken and dropped, and a stream is said not to be there.
 */
export function connectAnswer(call: Call, connect: Connect): Answer {
  const { connectUrl, reason } = connect
  if (!call.wantsAnswer) return { ...emptyAnswer(202), reason }
  if (call.method === 'GET' || call.method === 'DELETE') {
    return { ...wrongMethod('POST'), reason }
  }
  const message = `${connectWords(connect)}: ${connectUrl}`
  const data = { reason, connectUrl }
  return rpcAnswer(200, { id: call.id, code: rpcCodes.signInNeeded, message, data })
}

/** What the person is told; the link stands beside it. */
export function connectWords({
  serverName,
  reason,
  isShared,
}: Omit<Connect, 'connectUrl'>): string {
  const isOver = reason === 'authorization_required'
  if (isShared) {
    const trouble = isOver ? 'has to sign in again' : 'lacks a permission for this'
    return `The account that an administrator shares for ${serverName} ${trouble}. Ask an administrator, or connect an account of your own here`
  }
  return isOver
    ? `Connect your account to use ${serverName}. Open this link, sign in, and try again`
    : `${serverName} needs more permission for this. Open this link, agree, and try again`
}

interface RefusedScope {
  readonly serverName: string
  readonly scopes: readonly string[]
}

/** No sign-in has helped: it lies with whoever gives the person access at the server. */
export function scopeRefused(call: Call, { serverName, scopes }: RefusedScope): Answer {
  const reason = 'scope_insufficient'
  if (!call.wantsAnswer) return { ...emptyAnswer(202), reason }
  const named = scopes.length === 0 ? '' : `: ${scopes.join(' ')}`
  const message = `${serverName} refuses this to your account, and signing in again has not helped. Whoever gives you access there has to allow${named === '' ? ' it' : named}.`
  return rpcAnswer(403, { id: call.id, code: rpcCodes.failed, message, data: { reason } })
}

/** The server limits us: the client may try again later (RFC 6585 §4). */
export function slowDown(call: Call, retryAfter: string | undefined): Answer {
  const isValid = retryAfter !== undefined && /^(?:\d{1,9}|[\w, :]{20,40})$/.test(retryAfter)
  const message = faultCatalogue.too_many_requests.words
  const data = { reason: 'too_many_requests' }
  return rpcAnswer(
    429,
    { id: call.id, code: rpcCodes.tooManyRequests, message, data },
    { 'retry-after': isValid ? retryAfter : '30' },
  )
}

/** No waiting makes such a batch pass, so the client is told how large one may be. */
export function batchTooLarge(largest: number): Answer {
  const message = `This batch has more than the ${largest} calls that may be made in a minute. Send it as smaller batches.`
  const data = { reason: 'batch_too_large', largest }
  return rpcAnswer(413, { code: rpcCodes.invalidRequest, message, data })
}

/** The server refused with a status of its own, in a form that does not pass. */
export function refusedUpstream(call: Call, status: number, allow?: string): Answer {
  const message = `The server refused this request (${status}).`
  const data = { reason: 'upstream_refused', upstreamStatus: status }
  return rpcAnswer(
    status,
    { id: call.id, code: rpcCodes.failed, message, data },
    allow === undefined ? {} : { allow },
  )
}
