// Reads access tokens that are signed (RFC 9068) with the issuer's published keys: no call for a token, but one that was
// revoked is good until it ends.
import { createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose'
import type { JWTVerifyGetKey } from 'jose'
import { isFault } from '../base/fault.ts'
import { createMetadata } from './authorization-server.ts'
import { boundedFetch, requireSafe, unavailable } from './bounded-fetch.ts'
import type { Fetch } from './bounded-fetch.ts'
import { callerOf } from './caller.ts'
import type { Caller } from './caller.ts'
import type { Verify } from './protect-mcp-server.ts'

export interface JwksSettings {
  /** The authorization server. */
  readonly issuer: string
  /** What `aud` must be; the server's own identifier unless said. */
  readonly audience?: string
  /** Where the keys are; found in the issuer's metadata unless said. */
  readonly jwksUri?: string
  readonly fetch?: Fetch
  readonly now?: () => number
}

const algorithms = ['ES256', 'PS256', 'RS256', 'EdDSA', 'Ed25519']
const tokenCharsMax = 8_192
// An unknown `kid` has the keys fetched again, but not more often than this, whoever sends what.
const cooldownDuration = 30_000
const cacheMaxAge = 600_000
const clockToleranceS = 5

/**
 * Makes the `verify` of `protectMcpServer`. It throws Fault('temporarily_unavailable') when the keys cannot be had. Throws an
 * Error for settings that cannot be used.
 */
export function jwks(settings: JwksSettings): Verify<Caller> {
  const { issuer, now = Date.now } = settings
  const keys = createKeys(settings, now)
  return async ({ token }, { resource }) => {
    const text = token.reveal()
    if (text.length > tokenCharsMax) return undefined
    const audience = settings.audience ?? resource
    try {
      const { payload } = await jwtVerify(text, keys, {
        algorithms,
        issuer,
        audience,
        // RFC 9068 §4: an ID token or another JWT of this issuer is no access token.
        typ: 'at+jwt',
        requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'],
        clockTolerance: clockToleranceS,
        currentDate: new Date(now()),
      })
      const isEarly = (payload.iat ?? 0) * 1000 > now() + clockToleranceS * 1000
      return isEarly ? undefined : callerOf(payload, { issuer, audience, nowMs: now() })
    } catch (thrown) {
      if (isTokensFault(thrown)) return undefined
      throw isFault(thrown) ? thrown : unavailable('the keys of the issuer cannot be had')
    }
  }
}

function createKeys({ issuer, jwksUri, fetch }: JwksSettings, now: () => number): JWTVerifyGetKey {
  const metadata = createMetadata({ issuer, fetch, now })
  if (jwksUri !== undefined) requireSafe('jwksUri', jwksUri)
  let known: { readonly url: string; readonly keys: JWTVerifyGetKey } | undefined
  return async (header, token) => {
    const url = jwksUri ?? (await metadata('jwks_uri'))
    if (known?.url !== url) {
      const limited = (from: string, init: RequestInit) => boundedFetch(from, init, fetch)
      const limits = { cooldownDuration, cacheMaxAge, [customFetch]: limited }
      known = { url, keys: createRemoteJWKSet(new URL(url), limits) }
    }
    return known.keys(header, token)
  }
}

/** What is wrong with a token; all else is wrong with the keys or the way to them. */
function isTokensFault(thrown: unknown): boolean {
  return (
    thrown instanceof errors.JWTInvalid ||
    thrown instanceof errors.JWTExpired ||
    thrown instanceof errors.JWTClaimValidationFailed ||
    thrown instanceof errors.JWSInvalid ||
    thrown instanceof errors.JWSSignatureVerificationFailed ||
    thrown instanceof errors.JWKSNoMatchingKey ||
    thrown instanceof errors.JWKSMultipleMatchingKeys ||
    thrown instanceof errors.JOSEAlgNotAllowed ||
    thrown instanceof errors.JOSENotSupported
  )
}
