// The guard as middleware of Node's http, and so of Express: the caller is in `request.auth`, where the SDK's transports look.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AuthInfo } from './auth-info.ts'
import { authInfoOf } from './auth-info.ts'
import type { Caller } from './caller.ts'
import { metadataOf, parsed, refusalFor, textOf } from './for-fetch.ts'
import type { GuardOptions } from './for-fetch.ts'
import type { Protection, Refusal } from './protect-mcp-server.ts'

/** Calls `next` for whoever may pass; Express takes it as it is. */
export type NodeGuard = (
  request: NodeRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => Promise<void>

/** What middleware adds to a request. */
interface NodeRequest extends IncomingMessage {
  auth?: AuthInfo
  readonly originalUrl?: string
  /** The parsed body: where a body parser has put it, or else this guard; for the transport's `handleRequest`. */
  body?: unknown
}

/** Makes it; mounted on every path it serves the metadata too. */
export function forNode(
  protection: Protection<Caller>,
  { toolScopes }: GuardOptions = {},
): NodeGuard {
  const metadata = metadataOf(protection)
  const admit = async (request: NodeRequest): Promise<Answer | Caller> => {
    // Express takes away from `url` what the guard is mounted on.
    const url = request.originalUrl ?? request.url ?? '/'
    const described = metadata(request.method ?? '', url)
    if (described !== undefined) return answerOf(described)
    const verdict = await protection.guard(request)
    if (verdict.kind === 'refused') return verdict
    if (toolScopes === undefined || request.method !== 'POST') return verdict.principal
    if (request.body === undefined) {
      // A request that is destroyed takes the connection along, before the answer is sent.
      const text = await textOf(request.iterator({ destroyOnReturn: false }))
      if (text === undefined) {
        request.resume() // What is still to come is let go by, or the client would be cut off while it sends.
        return { status: 413, headers: {}, body: '' }
      }
      request.body = parsed(text)
    }
    const asked = { body: request.body, caller: verdict.principal }
    return refusalFor(protection, toolScopes, asked) ?? verdict.principal
  }
  return async (request, response, next) => {
    try {
      const outcome = await admit(request)
      if ('status' in outcome) {
        response.writeHead(outcome.status, outcome.headers).end(outcome.body)
        return
      }
      request.auth = authInfoOf(outcome, protection.resource)
    } catch (thrown) {
      next(thrown)
      return
    }
    next()
  }
}

type Answer = Pick<Refusal, 'status' | 'headers' | 'body'>

async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response
  return { status, headers: Object.fromEntries(headers), body: await response.text() }
}
