// Grants as their person sees them, the apps with access: who was let in where, what they may do, and how much they do it.
import { beforeNewest, cursorOf, cutPage, limitOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest, Position } from '../base/page.ts'
import { parseScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow, GrantRow } from '../store/schema.ts'
import { toClient } from './clients.ts'
import { surelyIs } from './known-clients.ts'
import type { Resources } from './resources.ts'

/** One grant of a person. */
export interface GrantSummary {
  readonly id: string
  readonly clientId: string
  readonly clientName: string
  /** Whose program it is, where that is sure. */
  readonly verifiedAs?: { readonly name: string; readonly maker: string }
  /** Has an administrator switched the program off? */
  readonly clientDisabled: boolean
  readonly resource: string
  /** The name of the server; absent for one that is no more. */
  readonly resourceName?: string
  readonly scopes: readonly string[]
  readonly createdAt: number
  readonly firstUsedAt?: number
  /** A new token counts as well. */
  readonly lastUsedAt?: number
  /** How often its access was used; what other instances counted in the last minute is still missing. */
  readonly useCount: number
  /** The grant that it was made from by an exchange (RFC 8693). */
  readonly parentId?: string
}

interface Needs {
  readonly db: Database
  readonly resources: Pick<Resources, 'find'>
}

/** One page, newest first. Throws Fault('invalid_input') for a cursor that is not ours. */
export async function listGrants(
  { db, resources }: Needs,
  { tenant, userId }: { readonly tenant: Tenant; readonly userId: string },
  request: PageRequest,
): Promise<Page<GrantSummary>> {
  const limit = limitOf(request)
  const after = positionOf(request, beforeNewest)
  const rows = await readRows(db, { tenant, userId, after, limit: limit + 1 })
  const { shown, next } = cutPage(rows, limit, cursorOf)
  const clients = await readClients(db, tenant, shown)
  const names = await readNames(resources, tenant, shown)
  return {
    items: shown.flatMap((row) => {
      const client = clients.get(row.client_id)
      // A client that has just been removed took its grants along.
      return client === undefined ? [] : [show(row, client, names.get(row.resource))]
    }),
    ...next,
  }
}

function readRows(
  db: Database,
  facts: {
    readonly tenant: Tenant
    readonly userId: string
    readonly after: Position
    readonly limit: number
  },
): Promise<GrantRow[]> {
  const { createdAt, id } = facts.after
  return db
    .selectFrom('grants')
    .selectAll()
    .where('tenant_id', '=', facts.tenant.id)
    .where('user_id', '=', facts.userId)
    .where('revoked_at', 'is', null)
    .where((is) =>
      is.or([
        is('created_at', '<', createdAt),
        is.and([is('created_at', '=', createdAt), is('id', '>', id)]),
      ]),
    )
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .limit(facts.limit)
    .execute()
}

async function readClients(db: Database, { id: tenantId }: Tenant, rows: readonly GrantRow[]) {
  if (rows.length === 0) return new Map<string, ClientRow>()
  const clients = await db
    .selectFrom('clients')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where(
      'id',
      'in',
      rows.map(({ client_id }) => client_id),
    )
    .execute()
  return new Map(clients.map((client) => [client.id, client]))
}

async function readNames(
  resources: Needs['resources'],
  tenant: Tenant,
  rows: readonly GrantRow[],
): Promise<ReadonlyMap<string, string>> {
  const all = [...new Set(rows.map(({ resource }) => resource))]
  const found = await Promise.all(all.map((resource) => resources.find(tenant, resource)))
  return new Map(found.flatMap((one) => (one === undefined ? [] : [[one.resource, one.name]])))
}

function show(row: GrantRow, clientRow: ClientRow, resourceName?: string): GrantSummary {
  const client = toClient(clientRow)
  const known = surelyIs(client)
  return {
    id: row.id,
    clientId: row.client_id,
    clientName: client.name,
    ...(known === undefined ? {} : { verifiedAs: { name: known.name, maker: known.maker } }),
    clientDisabled: client.isDisabled,
    resource: row.resource,
    ...(resourceName === undefined ? {} : { resourceName }),
    scopes: parseScope(row.scope),
    createdAt: row.created_at,
    ...(row.first_used_at === null ? {} : { firstUsedAt: row.first_used_at }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
    useCount: row.use_count,
    ...(row.parent_grant_id === null ? {} : { parentId: row.parent_grant_id }),
  }
}
