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
import type { Policy } from './policy.ts'
import type { SigningKeys } from './signing-keys.ts'
import { personClaims } from './userinfo.ts'

export interface SigningNeeds {
  readonly clock: Clock
  readonly random: Random
  readonly policy: Policy
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
}

/** An access token that says what it is worth (RFC 9068 §2). */
export function signAccessToken(needs: SigningNeeds, facts: TokenFacts): Promise<Secret> {
  const { tenant, client, grant, scopes, jkt } = facts
  return needs.signingKeys.sign(tenant, {
    typ: 'at+jwt',
    claims: {
      ...times(needs),
      iss: tenant.issuer,
      aud: grant.resource,
      // RFC 9068 §2.2: a client that acts for itself is the subject.
      sub: grant.userId ?? client.id,
      client_id: client.id,
      scope: formatScope(scopes),
      jti: randomId(needs.random, 'jti_'),
      // RFC 9449 §6.1: who holds this key, and nobody else, may present the token.
      ...(jkt === undefined ? {} : { cnf: { jkt } }),
    },
  })
}

/** Who signed in, for the client that asked (OIDC Core §2); the nonce is the client's own. */
export function signIdToken(
  needs: SigningNeeds,
  { tenant, client, scopes }: Omit<TokenFacts, 'grant' | 'jkt'>,
  signIn: { readonly user: User; readonly nonce: string | undefined },
): Promise<Secret> {
  const { user, nonce } = signIn
  return needs.signingKeys.sign(tenant, {
    typ: 'JWT',
    claims: {
      ...times(needs),
      iss: tenant.issuer,
      aud: client.id,
      ...personClaims(user, scopes),
      ...(nonce === undefined ? {} : { nonce }),
    },
  })
}

function times({ clock, policy }: SigningNeeds): { readonly iat: number; readonly exp: number } {
  const now = clock.now()
  return {
    iat: Math.floor(now / 1000),
    exp: Math.floor((now + policy.accessTokenLifetimeMs) / 1000),
  }
}
