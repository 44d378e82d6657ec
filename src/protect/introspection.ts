// Has the authorization server say what a token is worth (RFC 7662): revoked tokens are refused on the next call.
import { createHash } from 'node:crypto'
import { createMetadata } from './authorization-server.ts'
import { boundedFetch, jsonOf, requireSafe, unavailable } from './bounded-fetch.ts'
import type { Fetch } from './bounded-fetch.ts'
import { callerOf } from './caller.ts'
import type { Caller } from './caller.ts'
import type { Verify } from './protect-mcp-server.ts'

export interface IntrospectionSettings {
  /** The authorization server. */
  readonly issuer: string
  /** As whom this server asks; at Latchkey a client with `resource`. */
  readonly clientId: string
  readonly clientSecret: string
  /** The endpoint; found in the issuer's metadata unless said. */
  readonly endpoint?: string
  /** How long an answer is used again, at most 5 000; for so long a revoked token still works. 0 unless said. */
  readonly cacheMs?: number
  readonly fetch?: Fetch
  readonly now?: () => number
}

const cacheMsMax = 5_000
const cachedMax = 1_000

/**
 * Makes the `verify` of `protectMcpServer`. It throws Fault('temporarily_unavailable') when the server cannot be asked, and an
 * Error when that server does not know this one. Throws an Error for settings that cannot be used.
 */
export function introspection(settings: IntrospectionSettings): Verify<Caller> {
  const { issuer, cacheMs = 0, endpoint, now = Date.now, fetch } = settings
  if (!(cacheMs >= 0 && cacheMs <= cacheMsMax)) {
    throw new Error(`cacheMs must be from 0 to ${cacheMsMax}`)
  }
  const metadata = createMetadata({ issuer, fetch, now })
  if (endpoint !== undefined) requireSafe('endpoint', endpoint)
  const kept = new Map<string, Kept>()

  return async ({ token }, { resource }) => {
    const key = createHash('sha256').update(`${resource} ${token.reveal()}`).digest('base64url')
    const found = cacheMs === 0 ? undefined : kept.get(key)
    if (found !== undefined && now() < found.until) return found.caller
    const url = endpoint ?? (await metadata('introspection_endpoint'))
    const askedAt = now()
    const claims = await ask(url, settings, token.reveal())
    const judged = { issuer, audience: resource, nowMs: now() }
    const caller = claims['active'] === true ? callerOf(claims, judged) : undefined
    if (cacheMs > 0 && caller !== undefined) {
      keep(kept, key, { caller, until: Math.min(askedAt + cacheMs, caller.expiresAt * 1000) })
    }
    return caller
  }
}

interface Kept {
  readonly caller: Caller
  readonly until: number
}

/** The one that was kept first goes first: all are kept for the same short time. */
function keep(kept: Map<string, Kept>, key: string, one: Kept): void {
  kept.delete(key)
  const [oldest] = kept.keys()
  if (kept.size >= cachedMax && oldest !== undefined) kept.delete(oldest)
  kept.set(key, one)
}

async function ask(
  url: string,
  { clientId, clientSecret, fetch }: IntrospectionSettings,
  token: string,
): Promise<Readonly<Record<string, unknown>>> {
  // RFC 6749 §2.3.1: both are encoded as in a form before they are joined.
  const [id = '', secret = ''] = [clientId, clientSecret].map(formEncoded)
  const response = await boundedFetch(
    url,
    {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
        accept: 'application/json',
      },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
    },
    fetch,
  )
  if (response.status === 200) return jsonOf(response)
  if (response.status === 401 || response.status === 403) {
    throw new Error('The authorization server refuses clientId and clientSecret of this server.')
  }
  throw unavailable(`introspection was answered with ${response.status}`)
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}
