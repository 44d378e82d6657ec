// Verifies what an OpenID provider says about a person (OIDC Core §3.1.3.7), and that their session there has ended
// (Back-Channel Logout §2.6). Nothing of a token is believed before its signature held.
import { createHash } from 'node:crypto'
import type { JWTPayload, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import { constantTimeEqual } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { KeySets } from './key-sets.ts'
import type { SignInProvider } from './sign-in-provider.ts'
import { isCompact, leewayS, verifySigned } from './verify-signed.ts'

interface Needs {
  readonly clock: Clock
  readonly keySets: KeySets
}

export interface ArrivedIdToken {
  readonly idToken: Secret
  readonly accessToken: Secret
  readonly nonce: string
}

const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']
// An ID token comes straight from the token endpoint: one that was made long ago is somebody else's or a replay.
const ageMaxS = 600

/** The claims of an ID token. Throws Fault('token_response_invalid') for one that is not for us, not now or not of this sign-in. */
export function verifyIdToken(
  needs: Needs,
  provider: SignInProvider,
  { idToken, accessToken, nonce }: ArrivedIdToken,
): Promise<JWTPayload> {
  return orRefused('ID token', async () => {
    const { payload, protectedHeader } = await verify(needs, provider, idToken, {
      requiredClaims: ['sub', 'exp', 'iat'],
    })
    const { typ, alg } = protectedHeader
    if (typ !== undefined && typ.toUpperCase() !== 'JWT') refuse('it is a token of another type')
    if (payload['nonce'] !== nonce) refuse('the nonce is of another sign-in')
    const hash = payload['at_hash']
    if (hash !== undefined && !isHashOf(hash, accessToken, alg)) {
      refuse('at_hash is of another access token')
    }
    return payload
  })
}

/** Whose session ended: everything of this subject, or one session of it. */
export interface LogoutNotice {
  readonly subject?: string | undefined
  readonly sid?: string | undefined
  /** A session that began after this is none of those that ended; so a token that comes again ends nothing new. */
  readonly before: number
}

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

/** What a logout token says. Throws Fault('invalid_request') for one that is not to be believed (§2.6, §2.8). */
export async function verifyLogoutToken(
  needs: Needs,
  provider: SignInProvider,
  token: Secret,
): Promise<LogoutNotice> {
  try {
    const { payload, protectedHeader } = await verify(needs, provider, token, {
      requiredClaims: ['iat', 'jti', 'events'],
    })
    const { typ } = protectedHeader
    if (typ !== undefined && !/^(?:jwt|logout\+jwt)$/i.test(typ)) refuse('it is of another type')
    return readNotice(payload)
  } catch (cause) {
    if (isFault(cause) && cause.code !== 'token_response_invalid') throw cause
    const because = cause instanceof Error ? cause.message : 'it cannot be verified'
    throw new Fault('invalid_request', {
      because: `the logout token is refused: ${because}`,
      cause,
    })
  }
}

function readNotice({ sub, sid, iat = 0, events, nonce }: JWTPayload): LogoutNotice {
  const isEvent =
    typeof events === 'object' && events !== null && Object.hasOwn(events, logoutEvent)
  if (!isEvent) refuse('it is no logout event')
  // §2.4: a nonce would make an ID token out of it.
  if (nonce !== undefined) refuse('it has a nonce')
  const session = typeof sid === 'string' && sid !== '' ? sid : undefined
  if (sub === undefined && session === undefined) refuse('it names nobody')
  return { subject: sub, sid: session, before: (iat + leewayS) * 1000 }
}

async function verify(
  { clock, keySets }: Needs,
  provider: SignInProvider,
  token: Secret,
  more: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const { issuer, registration, endpoints, tenantId } = provider
  const { jwksUri } = endpoints
  if (!isCompact(token.reveal())) refuse('it is no compact JWS')
  if (jwksUri === undefined) refuse('the provider publishes no keys')
  const keys = (wanted: { readonly isNewer: boolean }) =>
    keySets.fetch({ id: tenantId }, jwksUri, wanted)
  const verified = await verifySigned(token, keys, {
    issuer,
    audience: registration.clientId,
    algorithms,
    currentDate: new Date(clock.now()),
    clockTolerance: leewayS,
    maxTokenAge: ageMaxS,
    ...more,
  })
  requireForUs(verified.payload, registration.clientId)
  return verified
}

/** OIDC Core §3.1.3.7, 3 to 5: for us alone, or handed out to us by name. */
function requireForUs({ aud, azp }: JWTPayload, clientId: string): void {
  const others = Array.isArray(aud) ? aud.filter((one) => one !== clientId) : []
  if (azp === undefined && others.length === 0) return
  if (azp !== clientId) refuse('it was made for another party')
}

/** OIDC Core §3.1.3.6: the left half of the hash that belongs to the algorithm. */
function isHashOf(hash: unknown, accessToken: Secret, alg: string): boolean {
  if (typeof hash !== 'string') return false
  const name = alg.endsWith('256') ? 'sha256' : 'sha512'
  const digest = createHash(name).update(accessToken.reveal()).digest()
  const half = digest.subarray(0, digest.length / 2).toString('base64url')
  return constantTimeEqual(half, hash)
}

async function orRefused<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isFault(cause)) throw cause
    const because = cause instanceof Error ? cause.message : 'it cannot be verified'
    throw new Fault('token_response_invalid', {
      because: `the ${what} is refused: ${because}`,
      cause,
    })
  }
}

function refuse(because: string): never {
  throw new Fault('token_response_invalid', { because })
}
