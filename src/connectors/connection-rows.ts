// The rows of `connections` with their server and what is known of their tokens, and what of it leaves this room: never a
// token, a verifier, a secret or a header value.
import type { ExpressionBuilder } from 'kysely'
import { Fault } from '../base/fault.ts'
import { limitOf, positionOf } from '../base/page.ts'
import type { PageRequest } from '../base/page.ts'
import type { Principal } from '../people/principal.ts'
import { isAdmin } from '../people/principal.ts'
import type { OfferedProvider } from '../people/providers.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ConnectionRow, Schema } from '../store/schema.ts'
import { needsBrowser } from '../upstream/grant.ts'
import type { GrantType } from '../upstream/grant.ts'
import { scopesOf } from '../upstream/scopes.ts'
import { readAccess } from './server-access.ts'
import type { Access } from './server-access.ts'
import { standingOf, wordsOf } from './status.ts'
import type { ConnectionStatus, Standing, TokenFacts } from './status.ts'

/** A connection as people and programs see it. */
export interface PublicConnection {
  readonly id: string
  readonly serverId: string
  readonly serverName: string
  readonly serverUrl: string
  readonly label: string
  readonly status: ConnectionStatus
  readonly statusReason?: string
  /** The reason in words. */
  readonly statusWords?: string
  /** It works now, or will without the person's help. */
  readonly authorized: boolean
  readonly scopes: readonly string[]
  /** What the server asked for on top when it last refused something. */
  readonly missingScopes?: readonly string[]
  /** Everybody uses it who may use the server and has none; always so where nobody signs in. */
  readonly shared: boolean
  readonly expiresAt?: number
  readonly nextRefreshAt?: number
  readonly lastRefreshAt?: number
  readonly refreshCount: number
  readonly lastError?: string
  readonly createdAt: number
  readonly updatedAt: number
}

/** A connection with its server's public facts and the facts of its tokens. */
export type JoinedConnection = ConnectionRow &
  TokenFacts & {
    readonly server_name: string
    readonly server_url: string
    readonly server_auth: string
    readonly server_grant_type: string
    readonly server_may_use: string | null
    /** The provider at which its person signs in, for a server that takes that sign-in. */
    readonly provider_slug: string | null
    readonly provider_name: string | null
    /** Until when the person's own sign-in there is good; null: they have none. */
    readonly provider_until: number | null
  }

/** Whose connections: one person's, or anybody's for an admin. */
export interface Owner {
  readonly tenant: Tenant
  readonly userId: string
  /** What belongs to nobody alone is theirs too. */
  readonly isAdmin: boolean
}

export function ownerOf(principal: Principal): Owner {
  const { tenant, user } = principal
  if (user !== undefined) return { tenant, userId: user.id, isAdmin: isAdmin(principal) }
  throw new Fault('forbidden', {
    because: 'a connection belongs to a person; nobody stands behind this',
  })
}

/** A connection of this person. Throws Fault('not_found') for anybody else's. */
export async function requireOwn(
  db: Database,
  owner: Owner,
  id: string,
): Promise<JoinedConnection> {
  const row = await joined(db, owner.tenant).where('connections.id', '=', id).executeTakeFirst()
  if (row !== undefined && isOf(row, owner)) return row
  throw new Fault('not_found', { because: 'no such connection of this person' })
}

/** The same, where an admin of the tenant may reach everybody's. */
export async function requireManaged(
  db: Database,
  principal: Principal,
  id: string,
): Promise<JoinedConnection> {
  const owner = ownerOf(principal)
  const row = await joined(db, owner.tenant).where('connections.id', '=', id).executeTakeFirst()
  if (row !== undefined && (isOf(row, owner) || owner.isAdmin)) return row
  throw new Fault('not_found', { because: 'no such connection that the caller may end' })
}

/** The provider of the tenant at which its person signs in; undefined for one with a sign-in of its own. */
export async function providerOf(
  db: Database,
  owner: Owner,
  id: string,
): Promise<OfferedProvider | undefined> {
  const { provider_slug: slug, provider_name: name } = await requireOwn(db, owner, id)
  return slug === null || name === null ? undefined : { slug, name }
}

function isOf(row: ConnectionRow, { userId, isAdmin: ofAll }: Owner): boolean {
  return row.of_tenant === 1 ? ofAll : row.user_id === userId
}

/** Whose connection it is; undefined for one of all. */
export function userOf({
  user_id: id,
  of_tenant: ofTenant,
}: ConnectionRow): { readonly id: string } | undefined {
  return ofTenant === 1 ? undefined : { id }
}

/** Which of a person's connections are asked for: all, or those of a server or with a label. */
export interface WhichConnections {
  readonly serverId?: string | undefined
  readonly label?: string | undefined
}

/** A page of this person's connections, with one row more than the page holds. */
export function listOwn(
  db: Database,
  { tenant, userId, isAdmin: ofAll }: Owner,
  page: PageRequest,
  { serverId, label }: WhichConnections,
): Promise<readonly JoinedConnection[]> {
  const { createdAt, id } = positionOf(page)
  return joined(db, tenant)
    .where((is) => {
      const own = is.and([
        is('connections.user_id', '=', userId),
        is('connections.of_tenant', '=', 0),
      ])
      return ofAll ? is.or([own, is('connections.of_tenant', '=', 1)]) : own
    })
    .$if(serverId !== undefined, (some) => some.where('connections.server_id', '=', serverId ?? ''))
    .$if(label !== undefined, (some) => some.where('connections.label', '=', label ?? ''))
    .where((is) =>
      is(is.refTuple('connections.created_at', 'connections.id'), '>', is.tuple(createdAt, id)),
    )
    .orderBy('connections.created_at')
    .orderBy('connections.id')
    .limit(limitOf(page) + 1)
    .execute()
}

function joined(db: Database, tenant: Tenant) {
  return db
    .selectFrom('connections')
    .innerJoin('servers', (join) =>
      join
        .onRef('servers.tenant_id', '=', 'connections.tenant_id')
        .onRef('servers.id', '=', 'connections.server_id'),
    )
    .leftJoin('credentials', (join) =>
      join
        .onRef('credentials.tenant_id', '=', 'connections.tenant_id')
        .onRef('credentials.connection_id', '=', 'connections.id'),
    )
    .leftJoin('providers', (join) =>
      join
        .onRef('providers.tenant_id', '=', 'servers.tenant_id')
        .onRef('providers.id', '=', 'servers.provider_id'),
    )
    .selectAll('connections')
    .select(['providers.slug as provider_slug', 'providers.name as provider_name'])
    .select((is) => providerUntil(is).as('provider_until'))
    .select([
      'servers.name as server_name',
      'servers.url as server_url',
      'servers.auth as server_auth',
      'servers.grant_type as server_grant_type',
      'servers.may_use as server_may_use',
      'credentials.access_token_sealed',
      'credentials.refresh_token_sealed',
      'credentials.expires_at',
      'credentials.next_refresh_at',
      'credentials.last_refresh_at',
      'credentials.refresh_count',
      'credentials.lease_until',
      'credentials.scope',
    ])
    .where('connections.tenant_id', '=', tenant.id)
}

/** Until when the best of the person's own sign-ins at the provider is good, as far as that is known. */
function providerUntil(is: ExpressionBuilder<Schema, 'connections' | 'servers'>) {
  return is
    .selectFrom('provider_grants')
    .innerJoin('credentials as kept', (join) =>
      join
        .onRef('kept.tenant_id', '=', 'provider_grants.tenant_id')
        .onRef('kept.connection_id', '=', 'provider_grants.id'),
    )
    .select((of) =>
      of.fn
        .max<number | null>(
          of
            .case()
            .when('kept.refresh_token_sealed', 'is not', null)
            .then(Number.MAX_SAFE_INTEGER)
            .else(of.fn.coalesce('kept.expires_at', of.val(Number.MAX_SAFE_INTEGER)))
            .end(),
        )
        .as('until'),
    )
    .whereRef('provider_grants.tenant_id', '=', 'servers.tenant_id')
    .whereRef('provider_grants.provider_id', '=', 'servers.provider_id')
    .whereRef('provider_grants.user_id', '=', 'connections.user_id')
    .where('provider_grants.ended_at', 'is', null)
    .where('kept.access_token_sealed', '!=', '')
}

/** Who may use its server. */
export function accessOf({ server_may_use: list }: JoinedConnection): Access {
  return list === null ? {} : { mayUse: readAccess(list) }
}

/** Its server is asked without a browser. */
export function asksAlone({ server_grant_type: type }: JoinedConnection): boolean {
  return !needsBrowser(type as GrantType) // only this room writes it
}

/** Our page where its person signs in elsewhere. */
export function connectUrlOf({ issuer }: Tenant, connectionId: string): string {
  return `${issuer}/connect/${connectionId}`
}

/** What of a connection may be seen (A2-4). */
export function toPublicConnection(
  row: JoinedConnection,
  { isSigningIn, now }: { readonly isSigningIn: boolean; readonly now: number },
): PublicConnection {
  const needsTokens = row.server_auth === 'oauth'
  const facts = { needsTokens, asksAlone: asksAlone(row), isSigningIn, now }
  const standing =
    row.provider_slug === null
      ? standingOf({ connection: row, tokens: row, ...facts })
      : standingThere(row, now)
  const { status, reason, authorized } = standing
  const words = reason === undefined ? undefined : wordsOf(reason)
  return {
    id: row.id,
    serverId: row.server_id,
    serverName: row.server_name,
    serverUrl: row.server_url,
    label: row.label,
    status,
    ...(reason === undefined ? {} : { statusReason: reason }),
    ...(words === undefined ? {} : { statusWords: words }),
    authorized,
    scopes: scopesOf(row.scope ?? undefined),
    ...missingOf(row),
    shared: row.of_tenant === 1 || row.shared_at !== null,
    ...timesOf(row, authorized),
    refreshCount: row.refresh_count ?? 0,
    ...(row.last_error === null ? {} : { lastError: row.last_error }),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

/** A server that takes the person's sign-in at a provider stands as that does. */
function standingThere({ provider_until: until }: JoinedConnection, now: number): Standing {
  const authorized = (until ?? 0) > now
  const status = authorized ? 'connected' : 'disconnected'
  return { status, reason: undefined, authorized }
}

function missingOf(row: JoinedConnection) {
  const held = scopesOf(row.scope ?? undefined)
  const missing = scopesOf(row.step_up_scope ?? undefined).filter((one) => !held.includes(one))
  const isAskedFor = row.status_reason === 'scope_insufficient' && missing.length > 0
  return isAskedFor ? { missingScopes: missing } : {}
}

function timesOf(row: JoinedConnection, authorized: boolean) {
  const { expires_at: expiresAt, next_refresh_at: nextRefreshAt } = row
  const { last_refresh_at: lastRefreshAt } = row
  return {
    ...(expiresAt === null || !authorized ? {} : { expiresAt }),
    ...(nextRefreshAt === null || !authorized ? {} : { nextRefreshAt }),
    ...(lastRefreshAt === null ? {} : { lastRefreshAt }),
  }
}
