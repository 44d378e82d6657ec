// The guard for servers that speak `Request` and `Response`: the SDK's 2.x handlers, Deno, workers.
import { collectUpTo } from '../base/collect.ts'
import type { AuthInfo } from './auth-info.ts'
import { authInfoOf } from './auth-info.ts'
import type { Caller } from './caller.ts'
import type { Protection, Refusal } from './protect-mcp-server.ts'
import { lackingIn } from './tool-scopes.ts'
import type { ToolScopes } from './tool-scopes.ts'

export interface GuardOptions {
  readonly toolScopes?: ToolScopes
}

/** What is known of a request: an answer that is to be sent, or who calls. */
export type Passed =
  | { readonly kind: 'answer'; readonly response: Response }
  | { readonly kind: 'caller'; readonly caller: Caller; readonly authInfo: AuthInfo }

/** Takes each request first; its body can still be read afterwards. */
export type FetchGuard = (request: Request) => Promise<Passed>

/** Makes the guard: it serves the metadata, and lets nobody else through without a token. */
export function forFetch(
  protection: Protection<Caller>,
  { toolScopes }: GuardOptions = {},
): FetchGuard {
  const metadata = metadataOf(protection)
  return async (request) => {
    const described = metadata(request.method, request.url)
    if (described !== undefined) return { kind: 'answer', response: described }
    const verdict = await protection.guard(request)
    if (verdict.kind === 'refused') return answer(verdict)
    const caller = verdict.principal
    if (toolScopes !== undefined && request.method === 'POST') {
      const copy = request.clone()
      const text = await textOf(copy.body?.values({ preventCancel: true }) ?? null)
      if (text === undefined) {
        letGoBy(request, copy)
        return { kind: 'answer', response: new Response(null, { status: 413 }) }
      }
      const refusal = refusalFor(protection, toolScopes, { body: parsed(text), caller })
      if (refusal !== undefined) return answer(refusal)
    }
    return { kind: 'caller', caller, authInfo: authInfoOf(caller, protection.resource) }
  }
}

/** The refusal of a message that the caller's scopes do not open. */
export function refusalFor(
  protection: Protection<Caller>,
  toolScopes: ToolScopes,
  { body, caller }: { readonly body: unknown; readonly caller: Caller },
): Refusal | undefined {
  const rules = { toolScopes, all: protection.scopes }
  const lacking = lackingIn(body, rules, caller.scopes)
  return lacking && protection.insufficientScope(lacking.scopes, { id: lacking.id })
}

/** Answers a request for the metadata, which any page may read (RFC 9728 §3); undefined for any other request. */
export function metadataOf(protection: Protection<Caller>) {
  const paths = new Set(protection.metadataUrls.map((url) => new URL(url).pathname))
  const text = JSON.stringify(protection.metadata())
  return (method: string, url: string): Response | undefined => {
    if (method !== 'GET' && method !== 'HEAD') return undefined
    if (!paths.has(new URL(url, 'http://localhost').pathname)) return undefined
    const headers = { 'content-type': 'application/json', 'access-control-allow-origin': '*' }
    return new Response(text, { headers })
  }
}

function answer({ body, status, headers }: Refusal): Passed {
  return { kind: 'answer', response: new Response(body, { status, headers }) }
}

/** Reads on and keeps nothing, beside the answer: a client that is cut off while it sends would not see it. */
function letGoBy(request: Request, copy: Request): void {
  // One half of a body is over when the other is, so nobody waits here.
  void request.body?.cancel().catch(() => {})
  void copy.body?.pipeTo(new WritableStream()).catch(() => {})
}

const bodyBytesMax = 4 * 1024 * 1024

/** A body as text; undefined for one that is too long to be looked at. */
export async function textOf(body: AsyncIterable<Uint8Array> | null): Promise<string | undefined> {
  if (body === null) return ''
  return (await collectUpTo(body, bodyBytesMax))?.toString()
}

/** What is no JSON has no call in it; the server says so itself. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
