// What a secret of ours is worth, for an operator who found one: what it is, whose, what it is for, and whether it is alive
// or why not. The secret itself comes in and never goes out. Ending it is in token-ending.ts.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import { parseScope } from '../oauth/scope.ts'
import { findApiKeyRow } from '../people/api-key-administration.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { findCode } from './codes.ts'
import { findToken, whyEnded } from './verify.ts'
import type { TokenEnd } from './verify.ts'

/** What was found behind a secret. */
export interface InspectedToken {
  readonly kind: 'access_token' | 'refresh_token' | 'code' | 'client_secret' | 'api_key'
  /** The first reason why it is good no more; absent while it is alive. */
  readonly endedBy?: EndedBy
  readonly user?: { readonly id: string; readonly email?: string }
  readonly client?: { readonly id: string; readonly name: string }
  readonly grantId?: string
  readonly apiKeyId?: string
  readonly resource?: string
  readonly scopes?: readonly string[]
  readonly createdAt: number
  /** Of the grant, or of the key. */
  readonly lastUsedAt?: number
  /** Absent for what does not expire. */
  readonly expiresAt?: number
}

export type EndedBy = TokenEnd | 'spent'

export interface InspectionNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
}

/** What this secret is in this tenant; undefined for every text that is none of ours, or was and is swept. */
export async function inspectToken(
  needs: InspectionNeeds,
  tenant: Tenant,
  secret: Secret,
): Promise<InspectedToken | undefined> {
  return (
    (await inspectAccessToken(needs, tenant, secret)) ??
    (await inspectRefreshToken(needs, tenant, secret)) ??
    (await inspectCode(needs, tenant, secret)) ??
    (await inspectClientSecret(needs, tenant, secret)) ??
    (await inspectApiKey(needs, tenant, secret))
  )
}

async function inspectAccessToken(
  needs: InspectionNeeds,
  tenant: Tenant,
  secret: Secret,
): Promise<InspectedToken | undefined> {
  const row = await findToken(needs, tenant, secret)
  if (row === undefined) return undefined
  const grant = await findGrant(needs.db, tenant, row.grant_id)
  const endedBy = whyEnded(row, needs.clock.now())
  const { scope } = row // It may have fewer than its grant.
  return { kind: 'access_token', ...ended(endedBy), ...factsOf({ ...grant, scope }, row) }
}

async function inspectRefreshToken(
  needs: InspectionNeeds,
  tenant: Tenant,
  secret: Secret,
): Promise<InspectedToken | undefined> {
  const row = await needs.db
    .selectFrom('refresh_tokens')
    .select(['grant_id', 'created_at', 'expires_at', 'claimed_at'])
    .where('tenant_id', '=', tenant.id)
    .where('token_digest', 'in', needs.keyring.digests('refresh_token', secret))
    .executeTakeFirst()
  return row && inspectOnce(needs, tenant, { ...row, kind: 'refresh_token' })
}

async function inspectCode(
  needs: InspectionNeeds,
  tenant: Tenant,
  secret: Secret,
): Promise<InspectedToken | undefined> {
  const row = await findCode(needs, tenant, secret)
  return row && inspectOnce(needs, tenant, { ...row, kind: 'code' })
}

interface OfGrant {
  readonly grant_id: string
  readonly created_at: number
  readonly expires_at: number
}

interface ForOneUse extends OfGrant {
  readonly kind: 'refresh_token' | 'code'
  readonly claimed_at: number | null
}

async function inspectOnce(
  { db, clock }: InspectionNeeds,
  tenant: Tenant,
  row: ForOneUse,
): Promise<InspectedToken> {
  const grant = await findGrant(db, tenant, row.grant_id)
  const { claimed_at, expires_at } = row
  const end = endOf({ ...grant.ends, claimed_at, expires_at }, clock.now())
  return { kind: row.kind, ...end, ...factsOf(grant, row) }
}

type GrantFacts = Omit<Awaited<ReturnType<typeof findGrant>>, 'ends'>

function factsOf({ who, resource, scope, lastUsedAt }: GrantFacts, row: OfGrant) {
  return {
    ...who,
    grantId: row.grant_id,
    resource,
    scopes: parseScope(scope),
    createdAt: row.created_at,
    ...(lastUsedAt === null ? {} : { lastUsedAt }),
    expiresAt: row.expires_at,
  }
}

async function findGrant(db: Database, tenant: Tenant, id: string) {
  const row = await db
    .selectFrom('grants')
    .innerJoin('clients', (join) =>
      join
        .onRef('clients.tenant_id', '=', 'grants.tenant_id')
        .onRef('clients.id', '=', 'grants.client_id'),
    )
    .leftJoin('users', (join) =>
      join
        .onRef('users.tenant_id', '=', 'grants.tenant_id')
        .onRef('users.id', '=', 'grants.user_id'),
    )
    .select(['grants.client_id', 'grants.user_id', 'grants.resource', 'grants.scope'])
    .select(['grants.last_used_at', 'grants.revoked_at'])
    .select(['clients.name', 'clients.disabled_at as client_disabled_at'])
    .select(['users.email', 'users.disabled_at as user_disabled_at'])
    .where('grants.tenant_id', '=', tenant.id)
    .where('grants.id', '=', id)
    .executeTakeFirstOrThrow()
  return {
    resource: row.resource,
    scope: row.scope,
    lastUsedAt: row.last_used_at,
    ends: {
      grant_ended_at: row.revoked_at,
      client_disabled_at: row.client_disabled_at,
      user_disabled_at: row.user_disabled_at,
    },
    who: {
      client: { id: row.client_id, name: row.name },
      ...(row.user_id === null ? {} : { user: person(row.user_id, row.email) }),
    },
  }
}

async function inspectClientSecret(
  { db, clock, keyring }: InspectionNeeds,
  tenant: Tenant,
  secret: Secret,
): Promise<InspectedToken | undefined> {
  const row = await db
    .selectFrom('client_secrets')
    .innerJoin('clients', (join) =>
      join
        .onRef('clients.tenant_id', '=', 'client_secrets.tenant_id')
        .onRef('clients.id', '=', 'client_secrets.client_id'),
    )
    .select(['clients.id', 'clients.name', 'clients.disabled_at as client_disabled_at'])
    .select(['client_secrets.created_at', 'client_secrets.expires_at'])
    .where('client_secrets.tenant_id', '=', tenant.id)
    .where('client_secrets.secret_digest', 'in', keyring.digests('client_secret', secret))
    .executeTakeFirst()
  if (row === undefined) return undefined
  return {
    kind: 'client_secret',
    ...endOf(row, clock.now()),
    client: { id: row.id, name: row.name },
    createdAt: row.created_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
  }
}

async function inspectApiKey(
  needs: InspectionNeeds,
  tenant: Tenant,
  secret: Secret,
): Promise<InspectedToken | undefined> {
  const row = await findApiKeyRow(needs, tenant, secret)
  if (row === undefined) return undefined
  return {
    kind: 'api_key',
    ...endOf(row, needs.clock.now()),
    user: person(row.user_id, row.email),
    apiKeyId: row.id,
    scopes: JSON.parse(row.scopes) as readonly string[], // only people/api-keys writes it
    createdAt: row.created_at,
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
  }
}

function person(id: string, email: string | null) {
  return { id, ...(email === null ? {} : { email }) }
}

interface Ends {
  readonly revoked_at?: number | null
  readonly claimed_at?: number | null
  readonly grant_ended_at?: number | null
  readonly client_disabled_at?: number | null
  readonly user_disabled_at?: number | null
  readonly expires_at: number | null
}

function endOf(ends: Ends, now: number): { readonly endedBy?: EndedBy } {
  const all: readonly (readonly [EndedBy, boolean])[] = [
    ['revoked', isSet(ends.revoked_at)],
    ['grant_ended', isSet(ends.grant_ended_at)],
    ['spent', isSet(ends.claimed_at)],
    ['expired', (ends.expires_at ?? Infinity) <= now],
    ['client_disabled', isSet(ends.client_disabled_at)],
    ['user_disabled', isSet(ends.user_disabled_at)],
  ]
  return ended(all.find(([, isSo]) => isSo)?.[0])
}

function ended(endedBy: EndedBy | undefined): { readonly endedBy?: EndedBy } {
  return endedBy === undefined ? {} : { endedBy }
}

function isSet(at: number | null | undefined): boolean {
  return at !== null && at !== undefined
}
