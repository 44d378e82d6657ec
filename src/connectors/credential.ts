// What a call to a server carries: nothing, fixed headers, or a live token of the person's connection or a shared one; else
// where the person has to go to sign in. Asked anew for every call, so that a revoked connection ends with the next one.
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Principal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import { isSameIssuer } from '../upstream/adapt.ts'
import { needsBrowser } from '../upstream/grant.ts'
import type { Held } from '../upstream/held.ts'
import { isSignIn } from '../upstream/provider-client.ts'
import { scopesOf } from '../upstream/scopes.ts'
import { ownConnection } from './alone.ts'
import type { Spent } from './alone.ts'
import { connectUrlOf } from './connection-rows.ts'
import type { Connections } from './connections.ts'
import { chooseConnection, isOthers } from './choose-connection.ts'
import type { Caller, ConnectionWish } from './choose-connection.ts'
import { createPresenter } from './present.ts'
import type { Presenter, Shown } from './present.ts'
import { reach } from './reach.ts'
import type { Reach, ReachCaller, ReachNeeds } from './reach.ts'
import { mayUse, requireUse } from './server-access.ts'
import type { Server, Servers } from './servers.ts'
import { noteInsufficientScope, noteSufficientScope } from './step-up.ts'
import type { Refused, StepUp } from './step-up.ts'

export type { ConnectionWish, Refused, StepUp }

/** What a call carries; or, where only a sign-in helps, the page that starts it. */
export type Credential =
  | Shown
  | {
      readonly kind: 'authorization_required'
      /** Our page that starts the sign-in, for the signed-in owner only. */
      readonly connectUrl: string
      readonly connectionId: string
      readonly reason: string
      /** What is used here is a connection that an administrator shares; it is for them to mend. */
      readonly isShared: boolean
    }

export interface Credentials extends Presenter {
  /** Throws Fault('server_forbidden') before all else, Fault('provider_unreachable' | …) when there is no token now but may be one later. */
  readonly credentialFor: (
    server: Server,
    principal: Principal,
    wish?: ConnectionWish,
  ) => Promise<Credential>
  /** Does what carried a call still stand, and for this server? Nothing is refreshed for that. */
  readonly holds: (carried: Carried) => Promise<boolean>
  /**
   * After the server's 401: looks whether the server moved to another authorization server (then the old tokens are
   * dropped), else refreshes once. `refused` names the token that was refused, so that fifty refusals of one token are
   * one refresh.
   */
  readonly refreshAfterUnauthorized: (
    server: Server,
    principal: Principal,
    refused?: Credential,
    wish?: ConnectionWish,
  ) => Promise<Credential>
  /** Our page where the owner of what a call carried signs in again. */
  readonly signInUrl: (used: Bearer, principal: Principal, server: Server) => Promise<string>
  /** After the server's `insufficient_scope`: notes what it asks for, and says what helps. */
  readonly noteInsufficientScope: (
    used: Bearer,
    tenant: Tenant,
    refused: Refused,
  ) => Promise<StepUp>
  /** After an operation went through whose credential `isSteppingUp`. */
  readonly noteSufficientScope: (used: Bearer, tenant: Tenant, operation: string) => Promise<void>
}

export type Bearer = Extract<Credential, { readonly kind: 'bearer' }>

interface Needs extends ReachNeeds {
  readonly log: Log
  readonly servers: Servers
  readonly connections: Connections
}

/** Makes the credentials of all tenants over one database. */
export function createCredentials(needs: Needs): Credentials {
  return {
    ...createPresenter(needs.upstream),

    credentialFor: async (server, principal, wish = {}) => {
      requireUse(server, principal)
      const caller = callerOf(principal, server)
      const way = await reach(needs, caller, server, wish)
      return toCredential(needs, { principal, server, way })
    },

    holds: (carried) => holds(needs, carried),

    refreshAfterUnauthorized: async (server, principal, refused, wish = {}) => {
      requireUse(server, principal)
      const caller = callerOf(principal, server)
      if (server.auth === 'provider') {
        // Where the provider is, and what our client there is, are no business of this server.
        const refusedToken = refused?.kind === 'bearer' ? { spent: refused } : {}
        const way = await reach(needs, caller, server, refusedToken)
        return toCredential(needs, { principal, server, way })
      }
      const spent = await spentToken(needs, caller, server, { ...wish, refused })
      if (spent !== undefined && (await hasMoved(needs, caller, server, spent))) {
        await dropTokens(needs, caller, spent)
      }
      const way = await reach(needs, caller, server, { ...wish, spent: toSpent(spent) })
      return toCredential(needs, { principal, server, way })
    },

    signInUrl: async (used, principal, { id }) => {
      const isThere = isSignIn(used)
      const connectionId = isThere
        ? await needs.connections.ensure(principal, id)
        : used.connectionId
      return connectUrlOf(principal.tenant, connectionId)
    },
    noteInsufficientScope: async ({ connectionId }, { id: tenantId }, refused) => {
      // What a sign-in at a provider is for, an administrator says; another one would bring the same.
      const isOver = isSignIn({ connectionId })
      if (isOver) return { kind: 'over', scopes: scopesOf(refused.scope) }
      return noteInsufficientScope(needs, { tenantId, connectionId }, refused)
    },
    noteSufficientScope: ({ connectionId }, { id: tenantId }, operation) =>
      noteSufficientScope(needs, { tenantId, connectionId }, operation),
  }
}

interface Carried {
  readonly principal: Principal
  readonly server: Server
  readonly credential: Credential
}

async function holds(needs: Needs, { principal, server, credential }: Carried): Promise<boolean> {
  const { tenant } = principal
  const { id: serverId, url } = server
  const known = await needs.servers.byId(tenant, serverId)
  if (known?.url !== url || !mayUse(known, principal)) return false
  if (credential.kind !== 'bearer') return true
  const { connectionId, ownerId } = credential
  if (isSignIn(credential)) return holdsByProvider(needs, { principal, server: known, credential })
  const binding = await needs.upstream.vault.binding({ tenant, connectionId })
  if (binding?.serverUrl !== url) return false
  if (ownerId === undefined) return true
  const caller = callerOf(principal, server)
  const shared = await chooseConnection(needs.db, caller, { serverId, inUseId: connectionId })
  return shared?.id === connectionId
}

/** The sign-in it came of, and the choice of the provider, are what they were. */
async function holdsByProvider(
  { providerTokens }: Needs,
  { principal, server, credential }: Carried & { readonly credential: Bearer },
): Promise<boolean> {
  const { providerId } = server
  if (providerId === undefined) return false
  const owner = { ...callerOf(principal, server), providerId }
  return providerTokens.stands(owner, credential.connectionId)
}

function callerOf(principal: Principal, server: Server): ReachCaller {
  const { tenant, user } = principal
  const clientId = principal.kind === 'token' ? principal.clientId : undefined
  const providerGrantId = providerGrantOf(principal)
  if (server.tenantId !== tenant.id) throw new Error('a server of another tenant')
  if (user !== undefined) return { tenant, user, clientId, providerGrantId }
  throw new Fault('forbidden', { because: 'nobody stands behind this token' })
}

/** The sign-in at a provider on which the caller hangs, if any. */
function providerGrantOf(principal: Principal): string | undefined {
  const hangs = principal.kind === 'token' || principal.kind === 'session'
  return hangs ? principal.providerGrantId : undefined
}

/** The tokens that the server refused; undefined when others have taken their place already. */
async function spentToken(
  needs: Needs,
  caller: Caller,
  server: Server,
  { refused, ...wish }: { readonly refused: Credential | undefined } & ConnectionWish,
): Promise<Held | undefined> {
  if (server.auth !== 'oauth') return undefined
  const inUseId = refused?.kind === 'bearer' ? refused.connectionId : undefined
  const connection = needsBrowser(server.grantType)
    ? await chooseConnection(needs.db, caller, { ...wish, serverId: server.id, inUseId })
    : await ownConnection(needs, caller, server)
  if (connection === undefined) return undefined
  const { tenant } = caller
  const held = await needs.upstream.vault.read({ tenant, connectionId: connection.id })
  const isAnother =
    refused?.kind === 'bearer' &&
    (refused.connectionId !== connection.id || refused.generation !== held?.generation)
  return isAnother ? undefined : held
}

function toSpent(held: Held | undefined): Spent | undefined {
  if (held === undefined) return undefined
  return { connectionId: held.key.connectionId, generation: held.generation }
}

/** MCP authorization, "Authorization Server Binding": tokens are for the issuer that made them and no other. */
async function hasMoved(
  { upstream, log }: Needs,
  { tenant }: Caller,
  server: Server,
  held: Held,
): Promise<boolean> {
  try {
    const { url: serverUrl, issuer, grantType } = server
    const isForPrograms = !needsBrowser(grantType)
    const look = { tenant, serverUrl, issuer, fresh: true, isForPrograms }
    const found = await upstream.discover.discover(look)
    // Only the server's own document says that it moved; that it is missing today says nothing.
    if (found.protectedResource === undefined) return false
    // One that is still named, and only not the one that answers today, has not been left.
    const { authorization_servers: named = [] } = found.protectedResource
    const { issuer: ours, resource } = held.binding
    const isNamed = [found.issuer, ...named].some((one) => isSameIssuer(one, ours))
    return !isNamed || found.resource !== resource
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    // Whether it moved cannot be said now; the tokens stay where they belong.
    log.info({ serverId: server.id, code: thrown.code }, 'a server could not be looked at again')
    return false
  }
}

async function dropTokens(
  { db, journal, upstream }: Needs,
  { tenant }: Caller,
  held: Held,
): Promise<void> {
  const reason = 'authorization_server_changed'
  const { connectionId } = held.key
  await db.transaction().execute(async (tx) => {
    if (!(await upstream.vault.drop(tx, held))) return // Somebody signed in again while we looked.
    await upstream.revocations.add(tx, held)
    await upstream.events.changed(tx, held.key, { kind: 'lost', reason })
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'connection.reauthorization_required',
      actor: { kind: 'system' },
      userId: held.binding.userId, // of a shared one the owner, whoever called
      subject: { kind: 'connection', id: connectionId },
      data: { reason, issuer: held.binding.issuer },
    })
  })
}

async function toCredential(
  { connections }: Needs,
  facts: { readonly principal: Principal; readonly server: Server; readonly way: Reach },
): Promise<Credential> {
  const { principal, server, way } = facts
  if (way.kind !== 'sign_in') return way
  const { connection, reason } = way
  const isShared = connection !== undefined && isOthers(callerOf(principal, server), connection)
  // Nobody is led to the sign-in of another's connection, only to one of their own.
  const ownId = isShared ? undefined : connection?.id
  const connectionId = ownId ?? (await connections.ensure(principal, server.id))
  const connectUrl = connectUrlOf(principal.tenant, connectionId)
  return { kind: 'authorization_required', connectUrl, connectionId, reason, isShared }
}
