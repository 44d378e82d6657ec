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
import { hotQuery } from '../store/hot-query.ts'
import type { AccessTokenRow, RefreshTokenRow } from '../store/schema.ts'
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
  /** What an exchange made (RFC 8693 §2.2.1). */
  readonly issued_token_type?: typeof accessTokenType
}

/** The one type of token that is exchanged here, and what comes of it (RFC 8693 §3). */
export const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'

/** What a token is made from by an exchange: it is good no longer than that (RFC 8693). */
export interface TokenOrigin {
  readonly parentDigest: string
  readonly expiresAt: number
  /** The clients that exchanged it on its way, the latest first (RFC 8693 §4.1). */
  readonly actors: readonly string[]
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
  /** The end of the access token. */
  readonly expiresAt: number
  readonly origin: TokenOrigin | undefined
}

/** What tokens are asked for. */
export interface TokenOrder extends Omit<TokenFacts, 'expiresAt' | 'actors'> {
  readonly format: 'opaque' | 'jwt'
  readonly signIn: { readonly user: User; readonly nonce: string | undefined } | undefined
  readonly hasRefreshToken: boolean
  readonly origin: TokenOrigin | undefined
  /** When what the grant hangs on ends, if that is known. */
  readonly endsAt?: number | undefined
}

/** Makes the tokens of one answer. */
export async function mintTokens(
  needs: SigningNeeds & { readonly policy: Policy },
  order: TokenOrder,
): Promise<MintedTokens> {
  const { client, grant, scopes, format, signIn, hasRefreshToken, origin, jkt } = order
  const { random, clock, policy } = needs
  const { expiresAt: latest = Infinity, actors = [] } = origin ?? {}
  const { endsAt = Infinity } = order
  const expiresAt = Math.min(clock.now() + policy.accessTokenLifetimeMs, latest, endsAt)
  const facts = { ...order, expiresAt, actors }
  // RFC 6749 §4.4.3: a client that acts for itself can just ask again.
  const mayRefresh =
    hasRefreshToken &&
    grant.userId !== undefined &&
    client.metadata.grant_types.includes('refresh_token')
  const showsPerson = signIn !== undefined && scopes.includes(identityScopes.openid)
  return {
    accessToken:
      format === 'jwt' ? await signAccessToken(needs, facts) : randomSecret(random, 'mcp_at_'),
    refreshToken: mayRefresh ? randomSecret(random, 'mcp_rt_') : undefined,
    idToken: showsPerson ? await signIdToken(needs, facts, signIn) : undefined,
    scopes,
    jkt,
    expiresAt,
    origin,
  }
}

/** Writes the answer that carries the tokens (RFC 6749 §5.1). */
export function tokenAnswer(
  { accessToken, refreshToken, idToken, scopes, expiresAt, origin, jkt }: MintedTokens,
  now: number,
): TokenAnswer {
  return {
    access_token: accessToken.reveal(),
    token_type: jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: Math.max(0, Math.floor((expiresAt - now) / 1000)),
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken.reveal() }),
    scope: formatScope(scopes),
    ...(idToken === undefined ? {} : { id_token: idToken.reveal() }),
    ...(origin === undefined ? {} : { issued_token_type: accessTokenType }),
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
  { accessToken, refreshToken, scopes, expiresAt, origin, jkt }: MintedTokens,
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
  const digest = keyring.digest('access_token', accessToken)
  await insertAccessToken(tx, {
    ...common,
    token_digest: digest,
    user_id: grant.userId ?? null,
    scope: formatScope(scopes),
    resource: grant.resource,
    expires_at: expiresAt,
    revoked_at: null,
    actors: origin === undefined ? null : JSON.stringify(origin.actors),
  })
  if (origin !== undefined) await storeAncestors(tx, { tenant, digest }, origin)
  if (refreshToken === undefined) return
  await insertRefreshToken(tx, {
    ...common,
    token_digest: keyring.digest('refresh_token', refreshToken),
    generation,
    expires_at: now + policy.refreshTokenLifetimeMs,
    claimed_at: null,
    replay_sealed: null,
    replay_until: null,
  })
}

// Part of every answer.
const insertAccessToken = hotQuery((db, row: Pick<AccessTokenRow, keyof AccessTokenRow>) =>
  db.insertInto('access_tokens').values(row),
)
const insertRefreshToken = hotQuery((db, row: Pick<RefreshTokenRow, keyof RefreshTokenRow>) =>
  db.insertInto('refresh_tokens').values(row),
)

/** Its parent and all of that one's ancestors: whatever ends one of them ends this token. */
async function storeAncestors(
  tx: Database,
  { tenant, digest }: { readonly tenant: Tenant; readonly digest: string },
  { parentDigest }: TokenOrigin,
): Promise<void> {
  const further = await tx
    .selectFrom('token_ancestors')
    .select('ancestor_digest')
    .where('tenant_id', '=', tenant.id)
    .where('token_digest', '=', parentDigest)
    .execute()
  const ancestors = [parentDigest, ...further.map(({ ancestor_digest }) => ancestor_digest)]
  await tx
    .insertInto('token_ancestors')
    .values(
      ancestors.map((ancestor) => ({
        tenant_id: tenant.id,
        token_digest: digest,
        ancestor_digest: ancestor,
      })),
    )
    .execute()
}
