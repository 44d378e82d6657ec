// The bench for the tests of upstream and connectors: all parts over one store, a clock turned by hand, and people who
// are signed in. The providers are the real counterparts and the fault provider of test/.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import type { Faults } from '../../test/fakes/fault-provider.ts'
import { createManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { silentLog } from '../base/log.ts'
import type { Log } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import { randomSecret, systemRandom } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { createJournal } from '../journal/entries.ts'
import { verifiedPrincipal } from '../people/principal.ts'
import type { KeyPrincipal, SessionPrincipal } from '../people/principal.ts'
import { createProviderTokens } from '../people/provider-tokens.ts'
import { createTenants } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Role, User } from '../people/users.ts'
import type { Store } from '../store/database.ts'
import { timeOf } from '../store/time.ts'
import type { SharedTime } from '../store/time.ts'
import { createUpstream } from '../upstream/upstream.ts'
import { createConnections } from './connections.ts'
import type { FinishedFlow } from './connections.ts'
import { createCredentials } from './credential.ts'
import { createServers } from './servers.ts'

/** One person in one browser. */
export interface Person {
  readonly user: User
  readonly session: SessionPrincipal
  readonly key: KeyPrincipal
  readonly browser: Secret
}

export type Bench = Awaited<ReturnType<typeof createBench>>

/** What two benches on one database share: the key and the clock. */
export interface Shared {
  readonly masterKey: Uint8Array
  readonly clock: ReturnType<typeof createManualClock>
  /** By what leases are judged; the clock unless said. */
  readonly time?: SharedTime
  readonly spoolFolder?: string
  readonly processName?: string
  readonly log?: Log
}

/** Makes all parts over a store, as one process has them. */
export async function createBench(
  t: TestContext,
  store: Store,
  shared: Shared = { masterKey: randomBytes(32), clock: createManualClock(Date.now()) },
) {
  const { clock, masterKey, time = timeOf(clock), log = silentLog } = shared
  const { spoolFolder, processName } = shared
  const { db } = store
  const random = systemRandom
  const keyring = createKeyring({ random }, [{ id: 'test', key: masterKey }])
  const outbound = createOutbound({ log, clock }, { allow: ['loopback'] })
  t.after(() => outbound.close())
  const journal = createJournal({ db, clock, random, keyring })
  const ground = { db, clock, time, random, keyring, journal, outbound, log }
  const upstream = createUpstream(ground, { spoolFolder, processName })
  const providerTokens = createProviderTokens({ ...ground, upstream })
  const told = { addressEnded: async () => {}, knownScopes: everyScope, providerTokens }
  const servers = createServers({ ...ground, ...told, upstream })
  const connections = createConnections({ ...ground, upstream, servers })
  const credentials = createCredentials({ ...ground, ...told, upstream, servers, connections })
  const tenant = await createTenants(ground).ensureDefault('http://localhost:8787')
  const parts = { ...ground, ...told, shared, upstream, servers, connections, credentials, tenant }

  return {
    ...parts,
    person: (name: string, role: Role = 'user') => makePerson(parts, name, role),
    /** A server with sign-in and a person's connection to it. */
    connect: async (person: Person, url: string) => {
      const server = await servers.create(person.session, { url, auth: 'oauth' })
      return {
        server,
        connection: await connections.create(person.session, { serverId: server.id }),
      }
    },
  }
}

async function everyScope(_tenant: Tenant, names: readonly string[]) {
  return names
}

async function makePerson(
  {
    db,
    tenant,
    random,
    clock,
  }: { db: Store['db']; tenant: Tenant } & Pick<
    Parameters<typeof createTenants>[0],
    'random' | 'clock'
  >,
  name: string,
  role: Role,
): Promise<Person> {
  const id = `usr_${name}`
  const user: User = { id, tenantId: tenant.id, emailVerified: false, role }
  await db
    .insertInto('users')
    .values({
      tenant_id: tenant.id,
      id,
      email: `${name}@example.com`,
      email_verified: 0,
      name,
      role,
      disabled_at: null,
      created_at: clock.now(),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const session = { kind: 'session', tenant, user, sessionDigest: `session-${name}` } as const
  const key = { kind: 'key', tenant, user, keyId: 'key_1', scopes: ['connections:token'] } as const
  return {
    user,
    session: verifiedPrincipal<SessionPrincipal>(session),
    key: verifiedPrincipal<KeyPrincipal>(key),
    browser: randomSecret(random),
  }
}

/** Goes to a provider that approves by itself, and gives the callback's parameters. */
export async function approve(authorizeUrl: string): Promise<URLSearchParams> {
  const answer = await fetch(authorizeUrl, { redirect: 'manual' })
  return new URL(answer.headers.get('location') ?? '').searchParams
}

/** Begins a sign-in in the person's browser. */
export async function begin(
  { connections }: Bench,
  { session, browser }: Person,
  connectionId: string,
  options: {
    readonly additionalScopes?: string
    readonly returnTo?: string
    readonly again?: boolean
  } = {},
) {
  const begun = await connections.authorize(session, connectionId, { browser, ...options })
  if ('alreadyAuthorized' in begun) throw new Error('nothing to begin')
  return begun
}

/** Brings a callback in the person's browser. */
export function bring(
  { connections, tenant }: Bench,
  { session, browser }: Person,
  facts: { readonly context: string; readonly query: URLSearchParams },
): Promise<FinishedFlow> {
  return connections.finish({ tenant, ...facts, browser, session })
}

/** The context of a server, which only its redirect URI shows. */
export async function contextOf({ servers, tenant }: Bench, serverId: string): Promise<string> {
  const server = await servers.byId(tenant, serverId)
  if (server === undefined) throw new Error('no such server')
  return server.context
}

/** Signs a person in at a provider that approves by itself. */
export async function signIn(bench: Bench, person: Person, connectionId: string) {
  const { authorizeUrl } = await begin(bench, person, connectionId)
  const context = new URL(authorizeUrl).searchParams.get('redirect_uri')?.split('/').at(-1) ?? ''
  return bring(bench, person, { context, query: await approve(authorizeUrl) })
}

/** Turns the clock while something waits for it, until it is done. */
export async function turning<T>(
  { clock }: Pick<Bench, 'clock'>,
  work: Promise<T>,
  stepMs = 1000,
): Promise<T> {
  const turn = setInterval(() => void clock.advance(stepMs), 5)
  try {
    return await work
  } finally {
    clearInterval(turn)
  }
}

/** Ada, signed in at a provider whose tokens live an hour. */
export async function signedIn(t: TestContext, store: Store, faults: Partial<Faults> = {}) {
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  assert.equal((await signIn(bench, ada, connection.id)).kind, 'completed')
  const refreshes = () => provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  return { provider, bench, ada, server, id: connection.id, refreshes }
}

/** A provider whose token endpoint holds back the requests of one grant type until it is told to let them through. */
export async function startGate(t: TestContext, grant: 'authorization_code' | 'refresh_token') {
  const opened = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  let isOn = false
  const gate = await listenOnLoopback(() => (request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array)) // http sends bytes
      const body = Buffer.concat(chunks).toString()
      if (isOn && body.includes(`grant_type=${grant}`)) {
        isOn = false
        arrived.resolve()
        await opened.promise
      }
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const answer = await fetch(`${provider.origin}/token`, { method: 'POST', headers, body })
      response.writeHead(answer.status, { 'content-type': 'application/json' })
      response.end(await answer.text())
    })()
  })
  t.after(gate.stop)
  const provider = await startFaultProvider({
    metadataFields: { token_endpoint: `${gate.origin}/token` },
  })
  t.after(provider.stop)
  const holdNext = () => {
    isOn = true
  }
  return { provider, holdNext, open: opened.resolve, arrival: arrived.promise }
}
