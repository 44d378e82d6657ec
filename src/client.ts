// The client half alone, for somebody else's app: its users connect to other people's MCP servers, and its back end gets
// live tokens. The app has its own users, sessions and pages; nothing of our sign-in is here.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { Fault, isFault } from './base/fault.ts'
import { createLog, silentLog } from './base/log.ts'
import type { Log } from './base/log.ts'
import { Secret } from './base/secret.ts'
import { isLoopbackOrigin } from './config.ts'
import { createAppBegin } from './connectors/app-begin.ts'
import type { BeginOptions, Begun } from './connectors/app-begin.ts'
import { toConnectorEvent } from './connectors/app-events.ts'
import type { ConnectorEvent, ConnectorEventType } from './connectors/app-events.ts'
import type { FinishedFlow, PublicConnection } from './connectors/connections.ts'
import type { Credential as AnyCredential } from './connectors/credential.ts'
import type { PublicServer, Server, ServerInput } from './connectors/servers.ts'
import { accessOver, signInOver } from './connectors/app-sign-in.ts'
import { transportTo } from './connectors/sdk.ts'
import type { SignInProvider } from './connectors/sdk-sign-in.ts'
import type { McpTransport } from './connectors/sdk.ts'
import { noteTrouble } from './connectors/trouble.ts'
import { createGround, createReachOut, opening } from './ground.ts'
import type { Ground, Surroundings } from './ground.ts'
import { startClientHousekeeping } from './housekeeping.ts'
import { createAppDoors } from './http/app-doors.ts'
import type { AppVisitor } from './http/app-doors.ts'
import { createAppPeople } from './people/app-people.ts'
import type { AppPeople } from './people/app-people.ts'
import { operatorAtTheMachine } from './people/principal.ts'
import type { AppPrincipal } from './people/principal.ts'
import type { Tenant } from './people/tenants.ts'
import type { Store } from './store/database.ts'
import { openStore } from './store/database.ts'
import { migrate } from './store/migrate.ts'

export { toolNameFor } from './connectors/tool-names.ts'
export { Fault, isFault, Secret }
export type { BeginOptions, Begun, ConnectorEvent, ConnectorEventType, FinishedFlow, PublicServer }
export type { McpTransport, ServerInput, SignInProvider }

export interface ConnectorsOptions {
  /** A SQLite file, which is made if need be, or a `postgres://` URL. A database of the client half's own. */
  readonly database: string
  /** The master key: 32 bytes in base64url; several, newest first and separated by commas, while rotating. */
  readonly key: string
  /** Where the browser reaches `handle`: the app's origin, with a path if need be. https, unless it is loopback. */
  readonly publicUrl: string
  /** The app's name, as providers show it to its users. */
  readonly clientName?: string
  /** Networks of your own that MCP servers may be in: CIDRs, or `loopback`. */
  readonly allowPrivateNetworks?: readonly string[]
  /** Gets the log, one line of JSON at a time, without secrets. */
  readonly log?: (line: string) => void
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error'
}

/** A user's connection to a server; never a token. */
export interface Connection extends PublicConnection {
  /** What names the server's tools for a model, see `toolNameFor`. */
  readonly serverSlug: string
}

/** What a call to a server carries now; or that only the user can help, by signing in. */
export type Credential =
  | Exclude<AnyCredential, { readonly kind: 'authorization_required' }>
  | {
      readonly kind: 'authorization_required'
      readonly connectionId: string
      readonly reason: string
    }

export interface Connectors {
  /** The servers that all users of the app may connect to. */
  readonly servers: {
    /** Throws Fault('invalid_input' | 'conflict') and what discovery throws. */
    readonly add: (server: ServerInput) => Promise<PublicServer>
    readonly list: () => Promise<readonly PublicServer[]>
    readonly remove: (serverId: string) => Promise<void>
  }
  /**
   * Begins to connect a user, whom the app names by its own id, to a server, named by its id or its URL. Send the user's
   * browser to `authorizeUrl`; it comes back to `handle`.
   */
  readonly begin: (user: string, server: string, options?: BeginOptions) => Promise<Begun>
  /**
   * Answers a request to a path under `publicUrl` that belongs to the client half: where a sign-in begins, its callback,
   * and the documents that providers read. undefined for any other. `user` is whom the app has signed in.
   */
  readonly handle: (request: Request, signedIn: SignedIn) => Promise<Response | undefined>
  /** Takes the callback, for an app that answers it itself. Throws Fault('state_mismatch' | 'flow_expired' | …). */
  readonly finish: (request: Request, signedIn: SignedIn) => Promise<FinishedFlow>
  readonly connections: (user: string) => Promise<readonly Connection[]>
  /**
   * What a call through this connection carries now; a token that ends soon is refreshed first. Named by a server's id it
   * is the best of the user's connections there, or what the server takes from everybody. Throws Fault('not_found') for
   * anybody else's connection, Fault('provider_unreachable' | …) when that may pass.
   */
  readonly credentialFor: (user: string, connectionOrServer: string) => Promise<Credential>
  /** What the SDK's `StreamableHTTPClientTransport` is made with to call the server so. */
  readonly transportFor: (user: string, connectionOrServer: string) => Promise<McpTransport>
  /** For the SDK's `auth()`: begins a sign-in, whose address is then `authorizeUrl()`. */
  readonly signInProvider: (user: string, connectionId: string) => Promise<SignInProvider>
  /** Forgets the tokens, here and at the provider; the connection stays and can be signed in again. */
  readonly revoke: (user: string, connectionId: string, reason?: string) => Promise<void>
  /** The same, and the connection goes. */
  readonly remove: (user: string, connectionId: string) => Promise<void>
  /** Notes why a call failed, for `connections` to tell, or with nothing that calls succeed again. */
  readonly noteError: (user: string, connectionId: string, error?: Error | string) => Promise<void>
  /** Calls the listener with what happens to connections from now on; call what it returns to stop. */
  readonly listen: (listener: (event: ConnectorEvent) => void) => () => void
  readonly close: () => Promise<void>
}

export interface SignedIn {
  readonly user: string | undefined
}

/** What tests turn by hand; each has a real default. */
interface World extends Omit<Surroundings, 'log'> {
  /** A store that is open already, instead of the one that the options name. It stays open. */
  readonly store?: Store
}

/** Opens the client half: migrates its database, and keeps tokens alive until it is closed. Throws an Error in plain words. */
export async function createConnectors(
  options: ConnectorsOptions,
  world: World = {},
): Promise<Connectors> {
  const publicUrl = checkPublicUrl(options.publicUrl)
  return opening(async ({ closers, close }) => {
    const store = world.store ?? (await openDatabase(options.database))
    if (world.store === undefined) closers.push(store.close)
    await refuseServersDatabase(store)
    await migrate(store)
    const { allowPrivateNetworks = [], key, clientName } = options
    const given = { key: new Secret(key), keyFile: '', keyName: 'The key' }
    const ground = await createGround(
      { ...given, allowPrivateNetworks },
      { ...world, log: logOf(options) },
      store,
    )
    closers.push(ground.outbound.close)
    const rooms = createReachOut(ground, {
      addressEnded: async () => {},
      knownScopes: async () => [],
      providerGrantEnded: async () => {},
    })
    const tenant = await rooms.tenants.ensureDefault(publicUrl, clientName)
    const { refresh, revocations } = rooms.upstream
    // What a provider gives while the app closes, it gives once.
    closers.push(refresh.drain)
    closers.push(startClientHousekeeping({ ...ground, refresh, revocations }).stop)
    const people = createAppPeople({ ...rooms, ...ground, tenant })
    return { ...createParts({ ...ground, ...rooms, tenant, people }), close }
  })
}

function checkPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const written = url && url.origin + url.pathname.replace(/\/$/, '')
  if (url === undefined || written === undefined || text.replace(/\/$/, '') !== written) {
    throw new Error(`publicUrl must be written as ${written ?? 'https://app.example.com'}`)
  }
  if (url.protocol === 'https:') return written
  if (url.protocol === 'http:' && isLoopbackOrigin(url.origin)) return written
  throw new Error(
    'publicUrl must be https, because tokens travel to it; http only works on loopback',
  )
}

function openDatabase(database: string): Promise<Store> {
  if (/^postgres(ql)?:\/\//.test(database)) return openStore({ kind: 'postgres', url: database })
  if (database !== ':memory:') mkdirSync(dirname(database), { recursive: true, mode: 0o700 })
  return openStore({ kind: 'sqlite', file: database })
}

function logOf({ log, logLevel = 'info' }: ConnectorsOptions): Log {
  return log === undefined ? silentLog : createLog(logLevel, log)
}

/** Before anything is changed: a server's tenant would move to the app's address, and its clients would find nobody. */
async function refuseServersDatabase(store: Store): Promise<void> {
  const { pending } = await migrate(store, { dryRun: true })
  if (pending.includes('0001-beginning')) return // It is empty.
  const operator = await store.db
    .selectFrom('users')
    .select('id')
    .where('role', '=', 'operator')
    .limit(1)
    .executeTakeFirst()
  if (operator === undefined) return
  throw new Error('This is the database of a Latchkey server. Give the client half one of its own.')
}

type Parts = Ground &
  ReturnType<typeof createReachOut> & { readonly tenant: Tenant; readonly people: AppPeople }

function createParts(parts: Parts): Omit<Connectors, 'close'> {
  const { tenant, people, connections, servers } = parts
  const operator = operatorAtTheMachine(tenant)
  const begin = createAppBegin({ ...parts, operator })
  const doors = createAppDoors(parts)
  const visitorOf = ({ user }: SignedIn): AppVisitor => ({
    isSignedIn: user !== undefined,
    person: async () => (user === undefined ? undefined : people.find(user)),
  })
  return {
    servers: {
      add: (server) => servers.create(operator, server),
      list: () => allPages((cursor) => servers.list(operator, { limit: pageSize, ...cursor })),
      remove: (serverId) => servers.remove(operator, serverId),
    },
    begin: async (user, server, options) => begin(await people.findOrCreate(user), server, options),
    handle: (request, signedIn) => doors.handle(request, visitorOf(signedIn)),
    finish: (request, signedIn) => doors.finish(request, visitorOf(signedIn)),

    connections: async (user) => {
      const person = await people.find(user)
      return person === undefined ? [] : listConnections(parts, person)
    },
    credentialFor: async (user, over) => {
      const { access } = await accessTo(parts, user, over)
      return toCredential(await access.credential())
    },

    transportFor: async (user, over) => {
      const { url, access } = await accessTo(parts, user, over)
      return transportTo(url, { ...parts, access, presenter: parts.credentials })
    },
    signInProvider: async (user, connectionId) =>
      signInOver(parts, await factsOf(parts, await requirePerson(people, user), connectionId)),

    revoke: async (user, connectionId, reason) => {
      await connections.revoke(await requirePerson(people, user), connectionId, { reason })
    },
    remove: async (user, connectionId) =>
      connections.remove(await requirePerson(people, user), connectionId),
    noteError: async (user, connectionId, error) => {
      const { id: userId } = (await requirePerson(people, user)).user
      await noteTrouble(parts, { tenant, userId, connectionId }, wordsOf(error))
    },
    listen: (listener) => listen(parts, listener),
  }
}

async function requirePerson(people: AppPeople, user: string): Promise<AppPrincipal> {
  const person = await people.find(user)
  if (person !== undefined) return person
  throw new Fault('not_found', { because: 'this user never connected to anything' })
}

function wordsOf(error: Error | string | undefined): string | undefined {
  return error instanceof Error ? error.message : error
}

const pageSize = 200
const pagesMax = 50

async function allPages<T>(
  read: (from: { readonly cursor?: string }) => Promise<{
    readonly items: readonly T[]
    readonly nextCursor?: string
  }>,
): Promise<readonly T[]> {
  const items: T[] = []
  let from: { readonly cursor?: string } = {}
  for (let pages = 0; pages < pagesMax; pages += 1) {
    const page = await read(from)
    items.push(...page.items)
    if (page.nextCursor === undefined) break
    from = { cursor: page.nextCursor }
  }
  return items
}

async function listConnections(
  { connections, servers, tenant }: Parts,
  person: AppPrincipal,
): Promise<readonly Connection[]> {
  const owned = await allPages((cursor) => connections.list(person, { limit: pageSize, ...cursor }))
  const ids = [...new Set(owned.map(({ serverId }) => serverId))]
  const found = await Promise.all(ids.map((id) => servers.byId(tenant, id)))
  const slugs = new Map(found.map((server) => [server?.id, server?.slug]))
  return owned.map((one) => withSlug(one, slugs.get(one.serverId) ?? ''))
}

function withSlug(connection: PublicConnection, serverSlug: string): Connection {
  return { ...connection, serverSlug }
}

/** A connection of this person and its server. Throws Fault('not_found') for anybody else's. */
async function factsOf(parts: Parts, person: AppPrincipal, connectionId: string) {
  const { serverId } = await parts.connections.get(person, connectionId)
  return { person, server: await requireServer(parts, serverId), connectionId }
}

async function requireServer({ servers, tenant }: Parts, serverId: string): Promise<Server> {
  const server = await servers.byId(tenant, serverId)
  if (server !== undefined) return server
  throw new Fault('not_found', { because: 'no such server' })
}

/** How a user reaches a server: over the named connection of theirs, or over the best to the named server. */
async function accessTo(parts: Parts, user: string, over: string) {
  const { people } = parts
  if (over.startsWith('srv_')) {
    const server = await requireServer(parts, over)
    const person = await people.findOrCreate(user)
    return { url: server.url, access: accessOver(parts, { person, server }) }
  }
  const facts = await factsOf(parts, await requirePerson(people, user), over)
  return { url: facts.server.url, access: accessOver(parts, facts) }
}

/** Where to go is the app's to say: it begins the sign-in. */
function toCredential(credential: AnyCredential): Credential {
  if (credential.kind !== 'authorization_required') return credential
  const { kind, connectionId, reason } = credential
  return { kind, connectionId, reason }
}

/** Tells events in their order, each with the app's own id of its user. */
function listen(
  { journal, tenant, people, log }: Parts,
  listener: (event: ConnectorEvent) => void,
): () => void {
  let told: Promise<void> = Promise.resolve()
  return journal.subscribe((entry) => {
    const { userId } = entry
    if (entry.tenantId !== tenant.id || userId === undefined) return
    told = told.then(async () => {
      try {
        const user = await people.appUserId(userId)
        const event = user === undefined ? undefined : toConnectorEvent(entry, user)
        if (event !== undefined) listener(event)
      } catch (cause) {
        log.error({ cause, type: entry.type }, 'an event could not be told')
      }
    })
  })
}
