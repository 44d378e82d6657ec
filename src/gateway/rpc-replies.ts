// What a server said to a question of ours, or we in its place, as the SDK's handlers give it to a client.
import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import type { Message } from '../connectors/post-message.ts'
import type { Answer } from './answers.ts'
import { isJsonObject } from './exact-json.ts'
import type { MissingReply } from './server-lists.ts'
import type { Reply } from './upstream-call.ts'

/** A JSON-RPC error object (JSON-RPC 2.0 §5.1). */
export interface RpcErrorObject {
  readonly code: number
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

/** The error to throw in place of a result. */
export function errorFor(reply: MissingReply): ProtocolError {
  const { code, message, data } = reply.kind === 'error' ? reply.error : errorIn(reply.answer)
  return new ProtocolError(code, message, data)
}

/** MCP 2026-07-28, "Multi Round-Trip Requests": what we ask the client for is a result. */
export function questionIn(reply: Reply): Message | undefined {
  if (reply.kind !== 'answer') return undefined
  const { result } = JSON.parse(reply.answer.body) as { readonly result?: Message } // written by answers.ts
  return result
}

/** Every other answer to a request that wants one is a JSON-RPC error of ours. */
export function errorIn({ body }: Answer): RpcErrorObject {
  const { error } = JSON.parse(body) as { readonly error: RpcErrorObject } // written by rpcErrorText()
  return error
}

/**
 * A result without what belongs to the exchange between the server and us: its revision, its caching, itself. Throws a
 * ProtocolError where it is a question that the client was not announced to be able to answer; `elsewhere` says what helps.
 */
export function resultOf(result: Message, elsewhere: string): Message {
  const { resultType, ttlMs: _time, cacheScope: _scope, _meta: said, ...others } = result
  if (resultType !== undefined && resultType !== 'complete') {
    const data = { reason: 'input_required' }
    throw new ProtocolError(ProtocolErrorCode.InternalError, elsewhere, data)
  }
  const { 'io.modelcontextprotocol/serverInfo': _itself, ...meta } = isJsonObject(said) ? said : {}
  return Object.keys(meta).length === 0 ? others : { ...others, _meta: meta }
}
