// How one person reaches one server right now: with nothing, with the server's fixed headers, or with a live token of the
// person's connection, or of one that is shared. Shared by the gateway's credentials and by the test of a server.
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import type { ConnectionRow } from '../store/schema.ts'
import { needsBrowser } from '../upstream/grant.ts'
import { liveAlone, ownConnection } from './alone.ts'
import type { AliveToken, AloneNeeds, Spent } from './alone.ts'
import type { ProviderTokens } from '../people/provider-tokens.ts'
import type { User } from '../people/users.ts'
import type { Introduce } from './introduce.ts'
import { chooseConnection, isOthers } from './choose-connection.ts'
import type { Caller, ConnectionWish } from './choose-connection.ts'
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
      /** The server has asked for more scope lately: what goes through now is told. */
      readonly isSteppingUp?: true
      /** Whose connection it is, where it is shared by another person. */
      readonly ownerId?: string
    }
  | {
      readonly kind: 'sign_in'
      readonly connection: ConnectionRow | undefined
      readonly reason: string
    }

export interface ReachNeeds extends AloneNeeds {
  readonly introduce?: Introduce | undefined
  readonly providerTokens: ProviderTokens
}

/** Who reaches it. */
export interface ReachCaller extends Caller {
  readonly user: User
  /** Through which client of ours. */
  readonly clientId?: string | undefined
  /** The sign-in at a provider on which their session or client hangs. */
  readonly providerGrantId?: string | undefined
}

/** How this person reaches this server. Throws Fault('provider_unreachable' | …) when that may pass. */
export async function reach(
  needs: ReachNeeds,
  caller: ReachCaller,
  server: Server,
  { spent, ...wish }: { readonly spent?: Spent | undefined } & ConnectionWish = {},
): Promise<Reach> {
  if (server.auth === 'none') return { kind: 'none' }
  if (server.auth === 'headers') {
    return { kind: 'headers', headers: await readHeaders(needs, server) }
  }
  if (server.auth === 'assertion') return reachIntroduced(needs, caller, server)
  if (server.auth === 'provider') return reachByProvider(needs, caller, server, spent)
  if (!needsBrowser(server.grantType)) return reachAlone(needs, caller, server, spent)
  const connection = await chooseConnection(needs.db, caller, {
    ...wish,
    serverId: server.id,
    inUseId: spent?.connectionId,
  })
  if (connection === undefined) return { kind: 'sign_in', connection, reason: 'disconnected' }
  const token = await needs.upstream.refresh.liveToken({
    tenant: caller.tenant,
    connectionId: connection.id,
    ...(spent?.connectionId === connection.id ? { spentGeneration: spent.generation } : {}),
  })
  const isForAnother = token.kind === 'live' && token.serverUrl !== server.url
  if (isForAnother) return { kind: 'sign_in', connection, reason: 'server_changed' }
  if (token.kind === 'live') {
    const ownerId = isOthers(caller, connection) ? connection.user_id : undefined
    return bearer(connection, token, { isSignedIn: true, ownerId })
  }
  const known = token.kind === 'none' ? 'disconnected' : token.reason
  return { kind: 'sign_in', connection, reason: connection.status_reason ?? known }
}

/** Signed anew for each call: it says when it was made, and is good for one place. */
async function reachIntroduced(
  { introduce }: ReachNeeds,
  caller: ReachCaller,
  { url: audience }: Server,
): Promise<Reach> {
  if (introduce === undefined) throw new Error('nobody signs for a server that wants it')
  const token = await introduce({ ...caller, audience })
  return { kind: 'headers', headers: { authorization: new Secret(`Bearer ${token.reveal()}`) } }
}

/** With the token of the caller's own sign-in at the provider that an administrator chose for this server. */
async function reachByProvider(
  { providerTokens }: ReachNeeds,
  { tenant, user, providerGrantId }: ReachCaller,
  { providerId }: Server,
  spent: Spent | undefined,
): Promise<Reach> {
  if (providerId === undefined)
    throw new Error('a server without the provider that it is reached by')
  const token = await providerTokens.live({ tenant, user, providerId, providerGrantId }, spent)
  if (token === undefined) return { kind: 'sign_in', connection: undefined, reason: 'disconnected' }
  const { id: connectionId, accessToken, generation, proofKey } = token
  return {
    kind: 'bearer',
    token: accessToken,
    connectionId,
    generation,
    isSignedIn: true,
    proofKey,
  }
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
  { id: connectionId, step_up_scope: wish }: ConnectionRow,
  { accessToken: token, generation, proofKey }: AliveToken,
  { isSignedIn, ownerId }: { readonly isSignedIn: boolean; readonly ownerId?: string | undefined },
): Reach {
  const facts = {
    ...(ownerId === undefined ? {} : { ownerId }),
    ...(wish === null ? {} : { isSteppingUp: true as const }),
  }
  return { kind: 'bearer', token, connectionId, generation, isSignedIn, proofKey, ...facts }
}

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
