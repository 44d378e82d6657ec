// How one person reaches one server right now: with nothing, with the server's fixed headers, or with a live token of the
// person's own connection. Shared by the gateway's credentials and by the test of a server.
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { hotQuery } from '../store/hot-query.ts'
import type { ConnectionRow } from '../store/schema.ts'
import { needsBrowser } from '../upstream/grant.ts'
import { liveAlone, ownConnection } from './alone.ts'
import type { AliveToken, AloneNeeds, Caller, Spent } from './alone.ts'
import { serverPlace } from './server-rows.ts'
import type { Server } from './server-rows.ts'

export type Reach =
  | { readonly kind: 'none' }
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, Secret>> }
  | {
      readonly kind: 'bearer'
      readonly token: Secret
      /** The key that the token is bound to, and of no use without. */
      readonly proofKey?: Secret | undefined
      readonly connectionId: string
      /** Which token it is; given back when the server refuses it. */
      readonly generation: number
      /** A person signs in for it, so one can be sent to do so again. */
      readonly isSignedIn: boolean
    }
  | {
      readonly kind: 'sign_in'
      readonly connection: ConnectionRow | undefined
      readonly reason: string
    }

export type ReachNeeds = AloneNeeds

/** How this person reaches this server. Throws Fault('provider_unreachable' | …) when that may pass. */
export async function reach(
  needs: ReachNeeds,
  caller: Caller,
  server: Server,
  spent?: Spent,
): Promise<Reach> {
  if (server.auth === 'none') return { kind: 'none' }
  if (server.auth === 'headers') {
    return { kind: 'headers', headers: await readHeaders(needs, server) }
  }
  if (!needsBrowser(server.grantType)) return reachAlone(needs, caller, server, spent)
  const connection = await findConnection(needs, caller, server.id, spent?.connectionId)
  if (connection === undefined) return { kind: 'sign_in', connection, reason: 'disconnected' }
  const token = await needs.upstream.refresh.liveToken({
    tenant: caller.tenant,
    connectionId: connection.id,
    ...(spent?.connectionId === connection.id ? { spentGeneration: spent.generation } : {}),
  })
  const isForAnother = token.kind === 'live' && token.serverUrl !== server.url
  if (isForAnother) return { kind: 'sign_in', connection, reason: 'server_changed' }
  if (token.kind === 'live') {
    return bearer(connection, token, { isSignedIn: true })
  }
  const known = token.kind === 'none' ? 'disconnected' : token.reason
  return { kind: 'sign_in', connection, reason: connection.status_reason ?? known }
}

async function reachAlone(
  needs: ReachNeeds,
  caller: Caller,
  server: Server,
  spent: Spent | undefined,
): Promise<Reach> {
  const connection = await ownConnection(needs, caller, server)
  const token = await liveAlone(needs, { ...caller, server, connection, spent })
  return bearer(connection, token, { isSignedIn: false })
}

function bearer(
  { id: connectionId }: ConnectionRow,
  { accessToken: token, generation, proofKey }: AliveToken,
  { isSignedIn }: { readonly isSignedIn: boolean },
): Reach {
  return { kind: 'bearer', token, connectionId, generation, isSignedIn, proofKey }
}

/** The connection to use of a person's several: one that works before one that does not, the one in use, then the oldest. */
export async function findConnection(
  { db }: ReachNeeds,
  { tenant, user }: Caller,
  serverId: string,
  inUseId?: string,
): Promise<ConnectionRow | undefined> {
  const rows = await findOwned(db, { tenantId: tenant.id, serverId, userId: user.id })
  const working = rows.filter(({ status }) => status === 'connected')
  return working.find(({ id }) => id === inUseId) ?? working[0] ?? rows[0]
}

type Owned = { readonly tenantId: string; readonly serverId: string; readonly userId: string }

// Asked for every call that passes through.
const findOwned = hotQuery((db, { tenantId, serverId, userId }: Owned) =>
  db
    .selectFrom('connections')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('server_id', '=', serverId)
    .where('user_id', '=', userId)
    .where('shared', '=', 0)
    .orderBy('created_at')
    .orderBy('id')
    .limit(50),
)

async function readHeaders(
  { db, keyring }: ReachNeeds,
  { tenantId, id, url }: Server,
): Promise<Readonly<Record<string, Secret>>> {
  const row = await db
    .selectFrom('servers')
    .select('headers_sealed')
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('url', '=', url) // The headers of a new address are not for the old one.
    .executeTakeFirst()
  if (row === undefined) {
    throw new Fault('not_found', { because: 'the server was changed or removed meanwhile' })
  }
  if (row.headers_sealed === null) return {}
  const text = keyring.open(row.headers_sealed, serverPlace(tenantId, id, 'headers_sealed'))
  const headers = JSON.parse(text.reveal()) as Record<string, string> // only servers.ts seals it
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, new Secret(value)]),
  )
}
