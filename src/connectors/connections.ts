// A person's connections to servers: made, signed in, refreshed, ended. Somebody else's id is as good as none. How tokens
// are got and kept is upstream's business.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import { pageOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { actorOf, isAdmin } from '../people/principal.ts'
import type { Principal, SessionPrincipal } from '../people/principal.ts'
import type { OfferedProvider } from '../people/providers.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { FlowOutcome, FlowView } from '../upstream/flows.ts'
import { isForEverybody } from '../upstream/grant.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { redirectUriOf } from '../upstream/client-document.ts'
import { liveAlone, ownConnection } from './alone.ts'
import { queryOf } from './app-callback.ts'
import type { BroughtAnswer } from './app-callback.ts'
import { authorizeConnection } from './authorize.ts'
import type { Authorization, AuthorizeOptions } from './authorize.ts'
import {
  accessOf,
  asksAlone,
  listOwn,
  connectUrlOf,
  ownerOf,
  providerOf,
  requireManaged,
  requireOwn,
  toPublicConnection,
  userOf,
} from './connection-rows.ts'
import type {
  JoinedConnection,
  Owner,
  PublicConnection,
  WhichConnections,
} from './connection-rows.ts'
import { serversWithShared } from './choose-connection.ts'
import { endConnection } from './end.ts'
import { makeConnection } from './new-connection.ts'
import { invalid } from './server-input.ts'
import { requireUse, requireVisible } from './server-access.ts'
import { readSignIn } from './connection-sign-in.ts'
import type { SignIn } from './connection-sign-in.ts'
import type { Servers } from './servers.ts'
import { shareConnection } from './share.ts'
import { createStatusWriter } from './status.ts'

export type { Authorization, AuthorizeOptions, PublicConnection }
export type FinishedFlow = FlowOutcome

/** A live upstream token, for the back end of an app. The only answer of this room that holds one. */
export interface GivenToken {
  readonly accessToken: string
  readonly tokenType: string
  readonly expiresAt?: number
  readonly scopes: readonly string[]
}

export interface Connections {
  /** Throws Fault('not_found') for an unknown server, Fault('conflict') for a label that the caller has there. */
  readonly create: (
    principal: Principal,
    input: { readonly serverId: string; readonly label?: string | undefined },
  ) => Promise<PublicConnection>
  readonly list: (
    principal: Principal,
    page?: PageRequest,
    which?: WhichConnections,
  ) => Promise<Page<PublicConnection>>
  readonly get: (principal: Principal, id: string) => Promise<PublicConnection>
  /** Begins a sign-in elsewhere, or carries on one that an API key began. Throws what discovery and registration throw. */
  readonly authorize: (
    principal: Principal,
    id: string,
    options?: AuthorizeOptions,
  ) => Promise<Authorization>
  /** Takes the callback. Throws Fault('state_mismatch' | 'flow_expired' | 'invalid_request') when nothing may be touched. */
  readonly finish: (callback: {
    readonly tenant: Tenant
    readonly context: string
    readonly query: URLSearchParams
    readonly browser: Secret | undefined
    readonly session: Pick<SessionPrincipal, 'user'> | undefined
  }) => Promise<FinishedFlow>
  /**
   * Takes the callback that came to a page of an app. Throws what `finish` throws, and what the sign-in failed with.
   */
  readonly exchange: (
    principal: Principal,
    id: string,
    answer: BroughtAnswer & { readonly browser?: Secret | undefined },
  ) => Promise<PublicConnection>
  readonly flow: (principal: Principal, id: string) => Promise<FlowView>
  /** The provider of the tenant at which its person signs in; undefined for one with a sign-in of its own. */
  readonly providerOf: (principal: Principal, id: string) => Promise<OfferedProvider | undefined>
  /** How it is signed in. Throws Fault('not_found') for somebody else's. */
  readonly signIn: (principal: Principal, id: string) => Promise<SignIn>
  /** Refreshes now, even a token that still lives (S1-67). */
  readonly refresh: (principal: Principal, id: string) => Promise<PublicConnection>
  /** Forgets the tokens and revokes them at the provider; the owner's or an admin's to do. */
  readonly revoke: (
    principal: Principal,
    id: string,
    options?: { readonly reason?: string | undefined },
  ) => Promise<PublicConnection>
  readonly remove: (principal: Principal, id: string) => Promise<void>
  /** For an administrator's own connection; to end it, for any administrator. Throws Fault('forbidden' | 'invalid_input'). */
  readonly share: (principal: Principal, id: string, isShared: boolean) => Promise<PublicConnection>
  /** The servers that have a shared connection which works; whose it is stays untold. */
  readonly sharedServers: (tenant: Tenant) => Promise<ReadonlySet<string>>
  /** For an API key with `connections:token` only. Throws Fault('forbidden' | 'authorization_required' | …). */
  readonly token: (principal: Principal, id: string) => Promise<GivenToken>
  /** The person's connection to this server that is to be used, made when there is none. */
  readonly ensure: (principal: Principal, serverId: string) => Promise<string>
}

export interface ConnectionNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly log: Log
  readonly upstream: Upstream
  readonly servers: Servers
}

const labelDefault = 'default'
const labelCharsMax = 80

export interface ConnectionSettings {
  /** Origins of apps to which a sign-in may return, besides the tenant's own. */
  readonly returnOrigins?: readonly string[]
}

/** Makes the connections of all tenants over one database. */
export function createConnections(
  needs: ConnectionNeeds,
  { returnOrigins = [] }: ConnectionSettings = {},
): Connections {
  const { db, upstream } = needs
  upstream.events.listen(createStatusWriter(needs))
  const show = async (owner: Owner, id: string) => shown(needs, await requireOwn(db, owner, id))

  return {
    create: async (principal, wish) => {
      const id = await createConnection(needs, principal, wish)
      return show(ownerOf(principal), id)
    },

    list: (principal, page = {}, which = {}) => listConnections(needs, principal, page, which),
    get: (principal, id) => show(ownerOf(principal), id),

    authorize: async (principal, id, options = {}) => {
      const connection = await requireOwn(db, ownerOf(principal), id)
      requireUse(accessOf(connection), principal)
      return authorizeConnection({ ...needs, returnOrigins }, principal, connection, options)
    },

    finish: ({ session, context, ...callback }) => {
      const redirectUri = redirectUriOf(callback.tenant, context)
      return upstream.flows.finish({ ...callback, redirectUri, user: session?.user })
    },

    exchange: async (principal, id, answer) => {
      const owner = ownerOf(principal)
      await requireOwn(db, owner, id)
      await exchangeAnswer({ upstream, returnOrigins }, owner, id, answer)
      return show(owner, id)
    },

    flow: (principal, id) =>
      upstream.flows.view(principal.tenant, { id: ownerOf(principal).userId }, id),

    providerOf: (principal, id) => providerOf(db, ownerOf(principal), id),

    signIn: async (principal, id) =>
      readSignIn(needs, principal.tenant, await requireOwn(db, ownerOf(principal), id)),

    refresh: async (principal, id) => {
      const owner = ownerOf(principal)
      const connection = await requireOwn(db, owner, id)
      requireUse(accessOf(connection), principal)
      requireRefreshable(connection, principal.tenant)
      await liveToken(needs, connection, principal.tenant, true)
      return show(owner, id)
    },

    revoke: async (principal, id, { reason } = {}) => {
      const connection = await requireManaged(db, principal, id)
      await endConnection(needs, principal, connection, { kind: 'revoke', reason })
      return shown(needs, await requireManaged(db, principal, id))
    },

    remove: async (principal, id) => {
      const connection = await requireOwn(db, ownerOf(principal), id)
      await endConnection(needs, principal, connection, { kind: 'remove' })
    },

    share: async (principal, id, isShared) =>
      shown(needs, await shareConnection(needs, principal, { id, isShared })),

    sharedServers: (tenant) => serversWithShared(db, tenant),

    token: (principal, id) => giveToken(needs, principal, id),

    ensure: (principal, serverId) => ensureConnection(needs, principal, serverId),
  }
}

async function createConnection(
  needs: ConnectionNeeds,
  principal: Principal,
  { serverId, label }: { readonly serverId: string; readonly label?: string | undefined },
): Promise<string> {
  const sharedId = await sharedConnection(needs, principal, serverId)
  if (sharedId !== undefined) return sharedId
  const id = await makeOwn(needs, principal, serverId, checkLabel(label))
  if (id !== undefined) return id
  throw new Fault('conflict', {
    because: 'the person has a connection with this label there',
    detail: { label: 'You have a connection with this label. Choose another one.' },
  })
}

async function ensureConnection(
  needs: ConnectionNeeds,
  principal: Principal,
  serverId: string,
): Promise<string> {
  const { tenant, userId } = ownerOf(principal)
  const made = await makeOwn(needs, principal, serverId, labelDefault)
  if (made !== undefined) return made
  const { id } = await needs.db
    .selectFrom('connections')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('server_id', '=', serverId)
    .where('user_id', '=', userId)
    .where('label', '=', labelDefault)
    .executeTakeFirstOrThrow()
  return id
}

async function exchangeAnswer(
  { upstream, returnOrigins }: Pick<ConnectionNeeds, 'upstream'> & Required<ConnectionSettings>,
  { tenant, userId }: Owner,
  connectionId: string,
  { browser, ...answer }: Parameters<Connections['exchange']>[2],
): Promise<void> {
  const finished = await upstream.flows.finish({
    tenant,
    redirectUri: answer.redirectUri,
    query: queryOf(returnOrigins, answer),
    connectionId,
    browser,
    user: { id: userId },
  })
  if (finished.kind === 'completed') return
  throw new Fault(finished.error, { because: 'the sign-in that an app brought has failed' })
}

async function listConnections(
  { db, upstream, clock }: ConnectionNeeds,
  principal: Principal,
  page: PageRequest,
  which: WhichConnections,
): Promise<Page<PublicConnection>> {
  const rows = await listOwn(db, ownerOf(principal), page, which)
  const ids = rows.map(({ id }) => id)
  const pending = await upstream.flows.pending(principal.tenant, ids)
  const now = clock.now()
  return pageOf(rows, page, (row) =>
    toPublicConnection(row, { isSigningIn: pending.has(row.id), now }),
  )
}

async function shown(
  { upstream, clock }: ConnectionNeeds,
  row: JoinedConnection,
): Promise<PublicConnection> {
  const pending = await upstream.flows.pending({ id: row.tenant_id }, [row.id])
  return toPublicConnection(row, { isSigningIn: pending.has(row.id), now: clock.now() })
}

function checkLabel(given: string | undefined): string {
  const label = (given ?? labelDefault).trim()
  const isFine = label !== '' && label.length <= labelCharsMax && !/\p{C}/u.test(label)
  if (isFine) return label
  throw new Fault('invalid_input', {
    because: 'the label cannot be used',
    detail: { label: `Enter a label of at most ${labelCharsMax} characters.` },
  })
}

/** Undefined when the person has this label at this server already. */
async function makeOwn(
  needs: ConnectionNeeds,
  principal: Principal,
  serverId: string,
  label: string,
): Promise<string | undefined> {
  const { tenant, userId } = ownerOf(principal)
  const server = await needs.servers.byId(tenant, serverId)
  if (server === undefined) {
    throw new Fault('not_found', { because: 'no such server in this tenant' })
  }
  requireVisible(server, principal)
  const actor = actorOf(principal)
  const facts = { tenantId: tenant.id, serverId, userId, label, actor }
  return makeConnection(needs, { ...facts, isForEverybody: false })
}

/** The one connection of a server that nobody signs in to; undefined for all others. */
async function sharedConnection(
  needs: ConnectionNeeds,
  principal: Principal,
  serverId: string,
): Promise<string | undefined> {
  const { tenant, userId } = ownerOf(principal)
  const server = await needs.servers.byId(tenant, serverId)
  if (server === undefined || !isForEverybody(server.grantType)) return undefined
  if (isAdmin(principal)) {
    const { id } = await ownConnection(needs, { tenant, user: { id: userId } }, server)
    return id
  }
  throw invalid('serverId', 'Nobody signs in to this server: one connection serves everybody.')
}

/** A provider that gave no refresh token cannot be asked for a newer one; only the person can get it. */
function requireRefreshable(connection: JoinedConnection, tenant: Tenant): void {
  const { id, access_token_sealed, refresh_token_sealed } = connection
  if (asksAlone(connection)) return
  if (access_token_sealed === null || refresh_token_sealed !== null) return
  const reauthUrl = connectUrlOf(tenant, id)
  const because = 'the provider gave no refresh token'
  throw new Fault('reauthorization_required', { because, reauthUrl })
}

async function liveToken(
  needs: ConnectionNeeds,
  connection: JoinedConnection,
  tenant: Tenant,
  force: boolean,
) {
  if (connection.server_auth !== 'oauth') throw invalid('serverId', 'This server needs no sign-in.')
  if (asksAlone(connection)) {
    const server = { id: connection.server_id, url: connection.server_url }
    return liveAlone(needs, { tenant, server, connection, force })
  }
  const live = await needs.upstream.refresh.liveToken({
    tenant,
    connectionId: connection.id,
    force,
  })
  if (live.kind === 'live') return live
  const reauthUrl = connectUrlOf(tenant, connection.id)
  if (live.kind === 'none') {
    throw new Fault('authorization_required', { because: 'nobody has signed in yet', reauthUrl })
  }
  const code = codes.find((known) => known === live.reason) ?? 'reauthorization_required'
  throw new Fault(code, { because: live.reason, reauthUrl })
}

/** The reasons that are told by a code of their own. */
const codes = ['refresh_token_rejected', 'client_lost'] as const

async function giveToken(
  needs: ConnectionNeeds,
  principal: Principal,
  id: string,
): Promise<GivenToken> {
  const mayAsk = principal.kind === 'key' && principal.scopes.includes('connections:token')
  if (!mayAsk) {
    throw new Fault('forbidden', {
      because: 'only an API key with connections:token is given tokens',
    })
  }
  const connection = await requireOwn(needs.db, ownerOf(principal), id)
  requireUse(accessOf(connection), principal)
  const live = await liveToken(needs, connection, principal.tenant, false)
  if (live.proofKey !== undefined) {
    // RFC 9449 §7.1: without the key it is of no use, and the key is given to nobody.
    throw new Fault('token_bound', { because: 'the token is bound to a key that stays here' })
  }
  const owner = userOf(connection)
  await needs.db.transaction().execute((tx) =>
    needs.journal.record(tx, {
      tenantId: connection.tenant_id,
      type: 'connection.token_given',
      actor: actorOf(principal),
      ...(owner === undefined ? {} : { userId: owner.id }),
      subject: { kind: 'connection', id },
    }),
  )
  return {
    accessToken: live.accessToken.reveal(), // the one place where a token leaves: it is what was asked for
    tokenType: live.tokenType,
    ...(live.expiresAt === undefined ? {} : { expiresAt: live.expiresAt }),
    scopes: live.scopes,
  }
}
