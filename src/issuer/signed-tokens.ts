// The tokens that others can read: an access token as a JWT (RFC 9068) where a resource asks for one, and the ID token
// (OIDC Core §2). What our own doors believe is looked up in verify.ts, never read out of a token.
import type { Clock } from '../base/clock.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { formatScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import type { Client } from './clients.ts'
import type { Grant } from './grants.ts'
import type { SigningKeys } from './signing-keys.ts'
import { personClaims } from './userinfo.ts'

export interface SigningNeeds {
  readonly clock: Clock
  readonly random: Random
  readonly signingKeys: SigningKeys
}

/** What a token is made from. */
export interface TokenFacts {
  readonly tenant: Tenant
  readonly client: Client
  readonly grant: Grant
  readonly scopes: readonly string[]
  /** The key that the access token is bound to, if any (RFC 9449 §6). */
  readonly jkt: string | undefined
  readonly expiresAt: number
  /** Who exchanged it on its way, the latest first (RFC 8693 §4.1). */
  readonly actors: readonly string[]
}

/** An access token that says what it is worth (RFC 9068 §2). */
export function signAccessToken(needs: SigningNeeds, facts: TokenFacts): Promise<Secret> {
  const { tenant, client, grant, scopes, expiresAt, actors, jkt } = facts
  const act = actorClaim(actors)
  return needs.signingKeys.sign(tenant, {
    typ: 'at+jwt',
    claims: {
      ...times(needs, expiresAt),
      iss: tenant.issuer,
      aud: grant.resource,
      // RFC 9068 §2.2: a client that acts for itself is the subject.
      sub: grant.userId ?? client.id,
      client_id: client.id,
      scope: formatScope(scopes),
      ...(act === undefined ? {} : { act }),
      jti: randomId(needs.random, 'jti_'),
      // RFC 9449 §6.1: who holds this key, and nobody else, may present the token.
      ...(jkt === undefined ? {} : { cnf: { jkt } }),
    },
  })
}

/** The `act` claim (RFC 8693 §4.1): who acts for the person, and in it who did before. */
export type ActorClaim = { readonly sub: string; readonly act?: ActorClaim }

/** Writes the claim; undefined for a token that nobody exchanged. */
export function actorClaim(actors: readonly string[]): ActorClaim | undefined {
  return actors.reduceRight<ActorClaim | undefined>(
    (act, sub) => ({ sub, ...(act === undefined ? {} : { act }) }),
    undefined,
  )
}

/** Who signed in, for the client that asked (OIDC Core §2); the nonce is the client's own. */
export function signIdToken(
  needs: SigningNeeds,
  { tenant, client, scopes, expiresAt }: Omit<TokenFacts, 'grant' | 'actors' | 'jkt'>,
  signIn: { readonly user: User; readonly nonce: string | undefined },
): Promise<Secret> {
  const { user, nonce } = signIn
  return needs.signingKeys.sign(tenant, {
    typ: 'JWT',
    claims: {
      ...times(needs, expiresAt),
      iss: tenant.issuer,
      aud: client.id,
      ...personClaims(user, scopes),
      ...(nonce === undefined ? {} : { nonce }),
    },
  })
}

function times(
  { clock }: SigningNeeds,
  expiresAt: number,
): { readonly iat: number; readonly exp: number } {
  return { iat: Math.floor(clock.now() / 1000), exp: Math.floor(expiresAt / 1000) }
}
