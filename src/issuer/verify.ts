// What an access token is worth right now: one indexed read, no cache, so that whatever ends a token holds on the next
// request. The only maker of a token's Principal.
import type { ExpressionBuilder } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { PresentedToken } from '../oauth/dpop.ts'
import { sameResource } from '../oauth/resource.ts'
import { parseScope } from '../oauth/scope.ts'
import { verifiedPrincipal } from '../people/principal.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import { toUser } from '../people/users.ts'
import type { User } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { steadyQuery } from '../store/hot-query.ts'
import type { Schema } from '../store/schema.ts'
import { spendProof } from './dpop-proofs.ts'
import type { UseNotes } from './use-notes.ts'

/**
 * The caller behind an access token of this tenant for this resource (RFC 8707 §2), presented as it is bound; undefined
 * for any other token. Throws Fault('invalid_dpop_proof') for a proof that was used before.
 */
export type Verify = (
  tenant: Tenant,
  presented: PresentedToken,
  resource: string,
) => Promise<TokenPrincipal | undefined>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly uses: UseNotes
}

/** Makes the verification of access tokens. */
export function createVerify(needs: Needs): Verify {
  return async (tenant, { token, proof }, resource) => {
    const row = await findLiveToken(needs, tenant, token)
    if (row === undefined || !sameResource(row.resource, resource)) return undefined
    // RFC 9449 §7: a bound token comes with its key and no other, never as Bearer; and a key makes no Bearer token better.
    if (row.jkt !== (proof?.jkt ?? null)) return undefined
    if (proof !== undefined) await spendProof(needs.db, tenant, proof)
    await needs.uses.note(tenant, row)
    return verifiedPrincipal<TokenPrincipal>({
      kind: 'token',
      tenant,
      user: readUser(tenant, row),
      clientId: row.client_id,
      grantId: row.grant_id,
      providerGrantId: row.provider_grant_id ?? undefined,
      scopes: parseScope(row.scope),
      resource: row.resource,
      // Only until a call of it was answered: what comes later is no part of the attempt to connect.
      attempt: row.first_call_at === null ? (row.attempt ?? undefined) : undefined,
    })
  }
}

/** An access token as its row says, with what it hangs on. */
export type LiveToken = Awaited<ReturnType<typeof queryToken>>[number]

/** An access token that is good at this moment, whatever it is for; undefined for every other text. */
export async function findLiveToken(
  { db, clock, keyring }: Pick<Needs, 'db' | 'clock' | 'keyring'>,
  tenant: Tenant,
  token: Secret,
): Promise<LiveToken | undefined> {
  const row = await findToken({ db, keyring }, tenant, token)
  return row !== undefined && whyEnded(row, clock.now()) === undefined ? row : undefined
}

/** An access token as its row says, alive or not. */
export async function findToken(
  { db, keyring }: Pick<Needs, 'db' | 'keyring'>,
  tenant: Tenant,
  token: Secret,
): Promise<LiveToken | undefined> {
  const digests = keyring.digests('access_token', token)
  const [row] = await queryToken(db, { tenantId: tenant.id, digests })
  return row
}

// Found by the digest of the whole text, a signed token as well as a random one: who has it has it as we made it, so no
// claim of it is ever believed.
const queryToken = steadyQuery((db, { tenantId, digests }: TokenPlace) =>
  db
    .selectFrom('access_tokens')
    .innerJoin('grants', (join) =>
      join
        .onRef('grants.tenant_id', '=', 'access_tokens.tenant_id')
        .onRef('grants.id', '=', 'access_tokens.grant_id'),
    )
    .innerJoin('clients', (join) =>
      join
        .onRef('clients.tenant_id', '=', 'access_tokens.tenant_id')
        .onRef('clients.id', '=', 'access_tokens.client_id'),
    )
    .leftJoin('users', (join) =>
      join
        .onRef('users.tenant_id', '=', 'access_tokens.tenant_id')
        .onRef('users.id', '=', 'access_tokens.user_id'),
    )
    .select(['access_tokens.grant_id', 'access_tokens.client_id', 'access_tokens.user_id'])
    .select(['access_tokens.scope', 'access_tokens.resource', 'access_tokens.jkt'])
    .select(['access_tokens.token_digest', 'access_tokens.actors'])
    .select((is) => [
      livingAncestors(is)
        .select((of) => of.fn.countAll<number>().as('living'))
        .as('living_ancestors'),
      livingAncestors(is)
        .select((of) => of.fn.min<number | null>('ancestor.expires_at').as('until'))
        .as('ancestors_expire_at'),
    ])
    .select(['access_tokens.created_at', 'access_tokens.expires_at', 'access_tokens.revoked_at'])
    .select(['grants.first_used_at', 'grants.last_used_at'])
    .select('grants.revoked_at as grant_revoked_at')
    .select(['grants.attempt', 'grants.first_call_at', 'grants.provider_grant_id'])
    .select('clients.disabled_at as client_disabled_at')
    .select(['users.email', 'users.email_verified', 'users.name', 'users.role'])
    .select(['users.disabled_at as user_disabled_at', 'users.created_at as user_created_at'])
    .where('access_tokens.tenant_id', '=', tenantId)
    .where('access_tokens.token_digest', 'in', digests),
)

type TokenPlace = {
  readonly tenantId: string
  readonly digests: readonly string[]
}

/** The tokens that an exchanged one was made from which nobody ended, nor their grants and clients. */
function livingAncestors(is: ExpressionBuilder<Schema, 'access_tokens'>) {
  return is
    .selectFrom('token_ancestors as lineage')
    .innerJoin('access_tokens as ancestor', (join) =>
      join
        .onRef('ancestor.tenant_id', '=', 'lineage.tenant_id')
        .onRef('ancestor.token_digest', '=', 'lineage.ancestor_digest'),
    )
    .innerJoin('grants as origin', (join) =>
      join
        .onRef('origin.tenant_id', '=', 'ancestor.tenant_id')
        .onRef('origin.id', '=', 'ancestor.grant_id'),
    )
    .innerJoin('clients as giver', (join) =>
      join
        .onRef('giver.tenant_id', '=', 'ancestor.tenant_id')
        .onRef('giver.id', '=', 'ancestor.client_id'),
    )
    .whereRef('lineage.tenant_id', '=', 'access_tokens.tenant_id')
    .whereRef('lineage.token_digest', '=', 'access_tokens.token_digest')
    .where('ancestor.revoked_at', 'is', null)
    .where('origin.revoked_at', 'is', null)
    .where('giver.disabled_at', 'is', null)
}

/** Who exchanged the token on its way, the latest first; each made one ancestor a token of its own. */
export function actorsOf({ actors }: Pick<LiveToken, 'actors'>): readonly string[] {
  return actors === null ? [] : (JSON.parse(actors) as readonly string[]) // only storeTokens() writes it
}

/** Why an access token is good no more. */
export type TokenEnd =
  | 'revoked'
  | 'grant_ended'
  | 'expired'
  | 'client_disabled'
  | 'user_disabled'
  | 'origin_ended'

/** The first reason why an access token is good no more; undefined while it is alive. */
export function whyEnded(row: LiveToken, now: number): TokenEnd | undefined {
  if (row.revoked_at !== null) return 'revoked'
  if (row.grant_revoked_at !== null) return 'grant_ended'
  if (row.expires_at <= now) return 'expired'
  if (row.client_disabled_at !== null) return 'client_disabled'
  const isNobody = row.user_id !== null && row.role === null
  if (isNobody || row.user_disabled_at !== null) return 'user_disabled'
  // RFC 8693: what was exchanged is worth as much as what it was exchanged for.
  const areAlive = row.living_ancestors === actorsOf(row).length
  const areExpired = row.ancestors_expire_at !== null && row.ancestors_expire_at <= now
  return areAlive && !areExpired ? undefined : 'origin_ended'
}

/** The person, unless the client acts for itself. */
function readUser({ id: tenantId }: Tenant, row: LiveToken): User | undefined {
  if (row.user_id === null || row.role === null) return undefined
  return toUser({
    tenant_id: tenantId,
    id: row.user_id,
    email: row.email,
    email_verified: row.email_verified ?? 0,
    name: row.name,
    role: row.role,
    disabled_at: null,
    created_at: row.user_created_at ?? 0,
  })
}
