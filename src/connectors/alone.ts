// Servers that are reached without a browser: which connection holds their tokens, and a token that works now. One with
// our own credential has one connection, shared by everybody who may use the server, made when it is first needed.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { steadyQuery } from '../store/hot-query.ts'
import type { ConnectionRow } from '../store/schema.ts'
import { isForEverybody } from '../upstream/grant.ts'
import type { LiveToken } from '../upstream/refresh.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { findOwned } from './choose-connection.ts'
import type { Caller } from './choose-connection.ts'
import { userOf } from './connection-rows.ts'
import { makeConnection } from './new-connection.ts'
import { ownGrantOf } from './server-grant.ts'
import { prepare, readServer } from './prepare.ts'
import type { Server } from './server-rows.ts'

export interface AloneNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly upstream: Upstream
}

/** A token that the server refused; nothing is said about those of other connections. */
export interface Spent {
  readonly connectionId: string
  readonly generation: number
}

export interface AloneRequest {
  readonly tenant: Tenant
  readonly server: Pick<Server, 'id' | 'url'>
  readonly connection: ConnectionRow
  readonly spent?: Spent | undefined
  /** Asks for new tokens in any case. */
  readonly force?: boolean
}

export type AliveToken = Extract<LiveToken, { kind: 'live' }>

/** The connection of a server without sign-in, made when there is none. */
export async function ownConnection(
  needs: AloneNeeds,
  caller: Caller,
  server: Pick<Server, 'id' | 'grantType'>,
): Promise<ConnectionRow> {
  if (!isForEverybody(server.grantType)) return personsConnection(needs, caller, server)
  const key = { tenantId: caller.tenant.id, serverId: server.id }
  const [known] = await findShared(needs.db, key)
  if (known !== undefined) return known
  await make(needs, caller, server, { label: sharedLabel, isForEverybody: true })
  const [made] = await findShared(needs.db, key)
  if (made !== undefined) return made
  throw new Fault('not_found', { because: 'the server was removed meanwhile' })
}

// Asked for every call that passes through.
const findShared = steadyQuery(
  (db, { tenantId, serverId }: { readonly tenantId: string; readonly serverId: string }) =>
    db
      .selectFrom('connections')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where('server_id', '=', serverId)
      .where('of_tenant', '=', sql.lit(1)),
)

// No person can give this label, so that it is nobody's already.
const sharedLabel = ''

/** What a person's identity provider says is for that person alone: what others share is not looked at. */
async function personsConnection(
  needs: AloneNeeds,
  caller: Caller,
  server: Pick<Server, 'id'>,
): Promise<ConnectionRow> {
  const key = { tenantId: caller.tenant.id, serverId: server.id, userId: caller.user.id }
  const [known] = await findOwned(needs.db, key)
  if (known !== undefined) return known
  await make(needs, caller, server, { label: 'default', isForEverybody: false })
  const [made] = await findOwned(needs.db, key)
  if (made !== undefined) return made
  throw new Fault('not_found', { because: 'the server was removed meanwhile' })
}

/** Somebody else may need it at the same time, and make it. */
async function make(
  needs: AloneNeeds,
  { tenant, user }: Caller,
  server: Pick<Server, 'id'>,
  kind: { readonly label: string; readonly isForEverybody: boolean },
): Promise<void> {
  await makeConnection(needs, {
    tenantId: tenant.id,
    serverId: server.id,
    userId: user.id,
    actor: { kind: 'system' },
    ...kind,
  })
}

/** A token that works now, asked for if need be. Throws the Fault that keeps it away. */
export async function liveAlone(needs: AloneNeeds, request: AloneRequest): Promise<AliveToken> {
  const { tenant, connection, server } = request
  // Who ended it wants it to stay so; `authorize` begins anew.
  if (connection.status_reason === 'revoked') {
    throw new Fault('authorization_required', { because: 'the connection was ended' })
  }
  const token = await tokenOf(needs, request)
  if (token.kind === 'live' && token.serverUrl === server.url) return token
  await obtainAlone(needs, { tenant, connection })
  const obtained = await tokenOf(needs, { tenant, server, connection })
  if (obtained.kind === 'live' && obtained.serverUrl === server.url) return obtained
  throw new Fault('authorization_required', { because: 'the server was changed meanwhile' })
}

function tokenOf(
  { upstream }: AloneNeeds,
  { tenant, connection, spent, force = false }: AloneRequest,
): Promise<LiveToken> {
  return upstream.refresh.liveToken({
    tenant,
    connectionId: connection.id,
    force,
    ...(spent?.connectionId === connection.id ? { spentGeneration: spent.generation } : {}),
  })
}

/** Asks for the first tokens, or for others in place of those that were lost. */
export async function obtainAlone(
  needs: AloneNeeds,
  facts: {
    readonly tenant: Tenant
    readonly connection: ConnectionRow
    /** Somebody asks for it now, whatever came of it before. */
    readonly isWished?: boolean
  },
): Promise<void> {
  const { tenant, connection, isWished } = facts
  const server = await readServer(needs, connection)
  const grant = ownGrantOf(server)
  await needs.upstream.obtain({
    holder: { tenant, connectionId: connection.id },
    serverId: server.id,
    userId: userOf(connection)?.id,
    stamp: server.updated_at,
    isWished,
    prepare: async () => {
      const prepared = await prepare(needs, { tenant, server, connection, additional: [] })
      return { ...prepared, grant }
    },
    mayKeep: (tx) => isUnchanged(tx, connection),
  })
}

/** One statement waits for whoever ends the connection, and then finds it ended. */
async function isUnchanged(tx: Database, connection: ConnectionRow): Promise<boolean> {
  const { tenant_id: tenantId, id, status_reason: reason, updated_at: updatedAt } = connection
  const found = await tx
    .updateTable('connections')
    .set((row) => ({ updated_at: row.ref('updated_at') }))
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where((is) =>
      is.or([
        is('status_reason', 'is', null),
        is('status_reason', '!=', 'revoked'),
        is.and([is('status_reason', '=', reason), is('updated_at', '=', updatedAt)]),
      ]),
    )
    .returning('id')
    .executeTakeFirst()
  return found !== undefined
}
