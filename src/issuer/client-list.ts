// Clients as administrators see them: what they are, whether they are on, and how much they are used. Never a secret.
import { beforeOldest, cutPage, foreignCursor, limitOf } from '../base/page.ts'
import type { Page, PageRequest, Position } from '../base/page.ts'
import { parseScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow } from '../store/schema.ts'
import { toClient } from './clients.ts'
import type { Client } from './clients.ts'
import type { ClientAuthMethod } from './metadata.ts'

/** A client as people and programs see it. */
export interface PublicClient {
  readonly id: string
  readonly kind: Client['kind']
  readonly name: string
  readonly redirectUris: readonly string[]
  /** Empty: all that a resource has. */
  readonly scopes: readonly string[]
  readonly authMethod: ClientAuthMethod
  readonly grantTypes: readonly string[]
  /** The resource that it serves, if an administrator said so. */
  readonly resource?: string
  /** Does it get only tokens that are bound to a key of its own (RFC 9449 §5.2)? */
  readonly dpopBoundAccessTokens: boolean
  /** The resources that it may exchange a token for. */
  readonly mayReach?: readonly string[]
  readonly disabled: boolean
  readonly createdAt: number
  readonly createdBy?: string
  /** How many secrets work now: two while one is being replaced. */
  readonly secretsAlive: number
  /** How many have let it in and not taken that back. */
  readonly activeGrants: number
  readonly lastUsedAt?: number
}

/** One page, oldest first. Throws Fault('invalid_input') for a cursor that is not ours. */
export async function listClients(
  db: Database,
  tenant: Tenant,
  request: PageRequest,
  now: number,
): Promise<Page<PublicClient>> {
  const after = readCursor(request)
  const limit = limitOf(request)
  const rows = await db
    .selectFrom('clients')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(after.createdAt, after.id)))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit + 1)
    .execute()
  const { shown, next } = cutPage(rows, limit, writeCursor)
  return { items: await show(db, tenant.id, shown, now), ...next }
}

/** One client as others see it. */
export async function showClient(db: Database, row: ClientRow, now: number): Promise<PublicClient> {
  const [shown] = await show(db, row.tenant_id, [row], now)
  if (shown === undefined) throw new Error('one row was asked for')
  return shown
}

// A client's id may be a URL, so it is written in letters that every cursor has.
function writeCursor({ created_at, id }: ClientRow): string {
  return `${created_at}.${Buffer.from(id).toString('base64url')}`
}

function readCursor({ cursor }: PageRequest): Position {
  if (cursor === undefined) return beforeOldest
  const [, time, id] = /^(\d{1,15})\.([\w-]{1,2800})$/.exec(cursor) ?? []
  const text = id === undefined ? '' : Buffer.from(id, 'base64url').toString('latin1')
  if (time !== undefined && /^[\x20-\x7E]+$/.test(text))
    return { createdAt: Number(time), id: text }
  throw foreignCursor()
}

async function show(
  db: Database,
  tenantId: string,
  rows: readonly ClientRow[],
  now: number,
): Promise<readonly PublicClient[]> {
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const usage = await readUsage(db, tenantId, ids)
  const secrets = await countSecrets(db, tenantId, ids, now)
  return rows.map((row) => {
    const { grants = 0, lastUsedAt = null } = usage.get(row.id) ?? {}
    return {
      ...describe(row),
      secretsAlive: secrets.get(row.id) ?? 0,
      activeGrants: grants,
      ...(lastUsedAt === null ? {} : { lastUsedAt }),
    }
  })
}

function describe(row: ClientRow) {
  const { id, kind, name, metadata, isDisabled } = toClient(row)
  return {
    id,
    kind,
    name,
    redirectUris: metadata.redirect_uris,
    scopes: parseScope(metadata.scope),
    authMethod: metadata.token_endpoint_auth_method,
    grantTypes: metadata.grant_types,
    ...(metadata.resource === undefined ? {} : { resource: metadata.resource }),
    dpopBoundAccessTokens: metadata.dpop_bound_access_tokens === true,
    ...(metadata.may_reach === undefined ? {} : { mayReach: metadata.may_reach }),
    disabled: isDisabled,
    createdAt: row.created_at,
    ...(row.created_by === null ? {} : { createdBy: row.created_by }),
  }
}

async function readUsage(db: Database, tenantId: string, ids: readonly string[]) {
  const rows = await db
    .selectFrom('grants')
    .select('client_id')
    .select(({ fn }) => [
      fn.count<number>('id').as('grants'),
      fn.max('last_used_at').as('last_used_at'),
    ])
    .where('tenant_id', '=', tenantId)
    .where('client_id', 'in', ids)
    .where('revoked_at', 'is', null)
    .groupBy('client_id')
    .execute()
  return new Map(
    rows.map((row) => [row.client_id, { grants: row.grants, lastUsedAt: row.last_used_at }]),
  )
}

async function countSecrets(db: Database, tenantId: string, ids: readonly string[], now: number) {
  const rows = await db
    .selectFrom('client_secrets')
    .select('client_id')
    .select(({ fn }) => fn.countAll<number>().as('secrets'))
    .where('tenant_id', '=', tenantId)
    .where('client_id', 'in', ids)
    .where((is) => is.or([is('expires_at', 'is', null), is('expires_at', '>', now)]))
    .groupBy('client_id')
    .execute()
  return new Map(rows.map((row) => [row.client_id, row.secrets]))
}
