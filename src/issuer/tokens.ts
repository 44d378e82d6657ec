// Making access and refresh tokens: random or, where a resource asks for it, signed; always stored as keyed digests
// (S3-43). What they are worth is looked up each time, in verify.ts.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomSecret } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { formatScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import type { Grant } from './grants.ts'
import type { Policy } from './policy.ts'
import { identityScopes } from './scopes.ts'
import { signAccessToken, signIdToken } from './signed-tokens.ts'
import type { SigningNeeds, TokenFacts } from './signed-tokens.ts'

/** A successful answer of the token endpoint (RFC 6749 §5.1). */
export type TokenAnswer = {
  readonly access_token: string
  readonly token_type: 'Bearer' | 'DPoP'
  readonly expires_in: number
  readonly refresh_token?: string
  readonly scope: string
  readonly id_token?: string
}

/** Tokens that exist but are not stored yet. */
export interface MintedTokens {
  readonly accessToken: Secret
  /** Absent for a client that did not register for the refresh token grant. */
  readonly refreshToken: Secret | undefined
  /** Present when somebody just signed in and the client may know who (OIDC Core §3.1.3.3). */
  readonly idToken: Secret | undefined
  readonly scopes: readonly string[]
  /** The key that they are bound to, if any (RFC 9449 §5). */
  readonly jkt: string | undefined
}

/** What tokens are asked for. */
export interface TokenOrder extends TokenFacts {
  readonly format: 'opaque' | 'jwt'
  readonly signIn: { readonly user: User; readonly nonce: string | undefined } | undefined
}

/** Makes the tokens of one answer. */
export async function mintTokens(needs: SigningNeeds, order: TokenOrder): Promise<MintedTokens> {
  const { client, grant, scopes, format, signIn, jkt } = order
  const { random } = needs
  // RFC 6749 §4.4.3: a client that acts for itself can just ask again.
  const mayRefresh =
    grant.userId !== undefined && client.metadata.grant_types.includes('refresh_token')
  const showsPerson = signIn !== undefined && scopes.includes(identityScopes.openid)
  return {
    accessToken:
      format === 'jwt' ? await signAccessToken(needs, order) : randomSecret(random, 'mcp_at_'),
    refreshToken: mayRefresh ? randomSecret(random, 'mcp_rt_') : undefined,
    idToken: showsPerson ? await signIdToken(needs, order, signIn) : undefined,
    scopes,
    jkt,
  }
}

/** Writes the answer that carries the tokens (RFC 6749 §5.1). */
export function tokenAnswer(
  { accessToken, refreshToken, idToken, scopes, jkt }: MintedTokens,
  policy: Policy,
): TokenAnswer {
  return {
    access_token: accessToken.reveal(),
    token_type: jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: Math.floor(policy.accessTokenLifetimeMs / 1000),
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken.reveal() }),
    scope: formatScope(scopes),
    ...(idToken === undefined ? {} : { id_token: idToken.reveal() }),
  }
}

interface Needs {
  readonly tx: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly policy: Policy
}

/** Stores the tokens inside the caller's transaction. */
export async function storeTokens(
  { tx, clock, keyring, policy }: Needs,
  { accessToken, refreshToken, scopes, jkt }: MintedTokens,
  owner: {
    readonly tenant: Tenant
    readonly clientId: string
    readonly grant: Grant
    readonly generation: number
  },
): Promise<void> {
  const { tenant, clientId, grant, generation } = owner
  const now = clock.now()
  const common = {
    tenant_id: tenant.id,
    grant_id: grant.id,
    client_id: clientId,
    created_at: now,
    jkt: jkt ?? null,
  }
  await tx
    .insertInto('access_tokens')
    .values({
      ...common,
      token_digest: keyring.digest('access_token', accessToken),
      user_id: grant.userId ?? null,
      scope: formatScope(scopes),
      resource: grant.resource,
      expires_at: now + policy.accessTokenLifetimeMs,
      revoked_at: null,
    })
    .execute()
  if (refreshToken === undefined) return
  await tx
    .insertInto('refresh_tokens')
    .values({
      ...common,
      token_digest: keyring.digest('refresh_token', refreshToken),
      generation,
      expires_at: now + policy.refreshTokenLifetimeMs,
      claimed_at: null,
      replay_sealed: null,
      replay_until: null,
    })
    .execute()
}
