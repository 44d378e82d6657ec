// Which connection a call uses: one of the caller's own; else, for whoever has none, one that an administrator shares.
import { sql } from 'kysely'
import { Fault } from '../base/fault.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { steadyQuery } from '../store/hot-query.ts'
import type { ConnectionRow } from '../store/schema.ts'

/** Whose call it is. */
export interface Caller {
  readonly tenant: Tenant
  readonly user: { readonly id: string }
}

/** Which of the person's own connections a call names. */
export interface ConnectionWish {
  readonly label?: string | undefined
  readonly connectionId?: string | undefined
}

/** What else is known about which connection is meant. */
interface Wish extends ConnectionWish {
  readonly serverId: string
  /** The one that the call used before. */
  readonly inUseId?: string | undefined
}

/**
 * The connection to use: the one that is named by label or id and no other; without a name, of several one that works
 * before one that does not, the one in use, then the oldest. Who has signed in themselves is never somebody else unasked,
 * also when that is over. Throws Fault('connection_unknown').
 */
export async function chooseConnection(
  db: Database,
  { tenant, user }: Caller,
  { serverId, inUseId, label, connectionId }: Wish,
): Promise<ConnectionRow | undefined> {
  const own = await findOwned(db, { tenantId: tenant.id, serverId, userId: user.id })
  if (connectionId !== undefined) return own.find(({ id }) => id === connectionId)
  if (label !== undefined) return requireLabelled(own, label)
  const begun = own.filter(isBegun)
  if (begun.length > 0) return best(begun, inUseId)
  const shared = await findShared(db, { tenantId: tenant.id, serverId })
  return best(shared.filter(isBegun), inUseId) ?? own[0]
}

function requireLabelled(own: readonly ConnectionRow[], label: string): ConnectionRow {
  const named = own.find((connection) => connection.label === label)
  if (named !== undefined) return named
  throw new Fault('connection_unknown', { because: 'the person has no connection with this label' })
}

/** Is this connection another person's, who shares it? */
export function isOthers({ user }: Caller, connection: Pick<ConnectionRow, 'user_id'>): boolean {
  return connection.user_id !== user.id
}

/** Somebody has signed in, and has not ended it. */
function isBegun({ status }: ConnectionRow): boolean {
  return status !== 'disconnected'
}

function best(rows: readonly ConnectionRow[], inUseId: string | undefined) {
  const working = rows.filter(({ status }) => status === 'connected')
  return working.find(({ id }) => id === inUseId) ?? working[0] ?? rows[0]
}

const rowsMax = sql.lit(50)
const isOfPerson = sql.lit(0)

type Owned = { readonly tenantId: string; readonly serverId: string; readonly userId: string }

/** A person's own connections to a server, the oldest first. Asked for every call that passes through. */
export const findOwned = steadyQuery((db, { tenantId, serverId, userId }: Owned) =>
  db
    .selectFrom('connections')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('server_id', '=', serverId)
    .where('user_id', '=', userId)
    .where('of_tenant', '=', isOfPerson)
    .orderBy('created_at')
    .orderBy('id')
    .limit(rowsMax),
)

// Asked for every call of whoever has none. What is shared counts only while its owner is an administrator.
const findShared = steadyQuery((db, { tenantId, serverId }: Omit<Owned, 'userId'>) =>
  sharedConnections(db, tenantId)
    .selectAll('connections')
    .where('connections.server_id', '=', serverId)
    .orderBy('connections.shared_at')
    .orderBy('connections.id')
    .limit(rowsMax),
)

/** The servers of a tenant that have a shared connection which works. */
export async function serversWithShared(
  db: Database,
  { id }: Pick<Tenant, 'id'>,
): Promise<ReadonlySet<string>> {
  const rows = await sharedConnections(db, id)
    .select('connections.server_id')
    .distinct()
    .where('connections.status', '=', 'connected')
    .execute()
  return new Set(rows.map(({ server_id }) => server_id))
}

function sharedConnections(db: Database, tenantId: string) {
  return db
    .selectFrom('connections')
    .innerJoin('users', (join) =>
      join
        .onRef('users.tenant_id', '=', 'connections.tenant_id')
        .onRef('users.id', '=', 'connections.user_id'),
    )
    .where('connections.tenant_id', '=', tenantId)
    .where('connections.of_tenant', '=', isOfPerson)
    .where('connections.shared_at', 'is not', null)
    .where('users.disabled_at', 'is', null)
    .where('users.role', '!=', 'user')
}
