// The one place where parts meet: every part is made here, with its needs visible. Reads like a plan.
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve as resolvePath } from 'node:path'
import type { Clock } from './base/clock.ts'
import { isFault } from './base/fault.ts'
import type { Keyring } from './base/keyring.ts'
import type { Log } from './base/log.ts'
import type { Random } from './base/random.ts'
import type { Secret } from './base/secret.ts'
import type { Config } from './config.ts'
import { isLoopbackOrigin } from './config.ts'
import { isOpenTo } from './connectors/server-access.ts'
import type { EndedAddress, Server, Servers } from './connectors/servers.ts'
import { createGateway } from './gateway/gateway.ts'
import { resourceOf, slugOfResource } from './gateway/targets.ts'
import { createGround, createReachOut, opening } from './ground.ts'
import type { Ending, Ground as SharedGround, Surroundings } from './ground.ts'
import { createSweep, startHousekeeping } from './housekeeping.ts'
import type { SweepCounts } from './housekeeping.ts'
import { createApp } from './http/app.ts'
import type { CallerOf } from './http/callers-address.ts'
import { createCallerOf } from './http/callers-address.ts'
import { createGuards } from './http/guards.ts'
import { createIdempotency } from './http/idempotency.ts'
import { listen, stopListening } from './http/listening.ts'
import { createSharedCounts } from './http/limit-counts.ts'
import { createLimiter } from './http/limiter.ts'
import { createMeters } from './http/meter.ts'
import type { MeterOf } from './http/meter.ts'
import { createMetricsListener } from './http/metrics-listener.ts'
import { createMetrics } from './http/metrics.ts'
import { createListener } from './http/node.ts'
import { createRoutes } from './http/routes.ts'
import { createWitness } from './http/witness.ts'
import { createIssuer } from './issuer/issuer.ts'
import type { Issuer } from './issuer/issuer.ts'
import type { Resources } from './issuer/resources.ts'
import { createScopes } from './issuer/scope-registry.ts'
import type { Scopes } from './issuer/scope-registry.ts'
import { toolsScope, usualAmong } from './issuer/scopes.ts'
import { createAttemptList } from './journal/attempt-list.ts'
import type { AttemptList } from './journal/attempt-list.ts'
import { createAttempts } from './journal/attempts.ts'
import type { Journal } from './journal/entries.ts'
import { createNotes } from './journal/notes.ts'
import { createRefusalCounts } from './journal/refusal-counts.ts'
import { createTestMarks, testMarkHeader } from './journal/test-mark.ts'
import { createUsage } from './journal/usage.ts'
import type { Usage } from './journal/usage.ts'
import { createWebhooks } from './journal/webhooks.ts'
import { listMasterKeys } from './key-file.ts'
import type { MasterKeyStatus } from './key-file.ts'
import { createApiKeyAdministration } from './people/api-key-administration.ts'
import type { ApiKeyAdministration } from './people/api-key-administration.ts'
import { createApiKeys } from './people/api-keys.ts'
import { createSessions } from './people/sessions.ts'
import type { Sessions } from './people/sessions.ts'
import type { Setup } from './people/setup.ts'
import { createSetup } from './people/setup.ts'
import type { Tenant } from './people/tenants.ts'
import { createUserAdministration } from './people/user-administration.ts'
import type { UserAdministration } from './people/user-administration.ts'
import type { User, Users } from './people/users.ts'
import type { Database, Store } from './store/database.ts'
import { openStore } from './store/database.ts'
import { migrate } from './store/migrate.ts'

/** What a platform takes from the world. */
export interface World extends Surroundings {
  /** A store that is open already, instead of the one that the settings name. It stays open. */
  readonly store?: Store
  /** Opens the port of the settings; without it only `fetch` serves. */
  readonly opensPort?: boolean
}

export interface Platform {
  /** Every door but `/{slug}/mcp`, which needs the streams of a listener. */
  readonly fetch: (
    request: Request,
    from?: { readonly remoteAddress?: string | undefined },
  ) => Promise<Response>
  /** The one-time link that makes the first operator, while nobody exists. */
  readonly setupLink: () => Promise<string | undefined>
  readonly tenant: Tenant
  /** Where the default tenant was before this start, if the setting has moved it. */
  readonly movedFrom: string | undefined
  readonly store: Store
  readonly close: () => Promise<void>
}

/** Makes a platform over the database and key that the settings name; migrates first. Leaves nothing open when it fails. */
export function createPlatform(config: Config, world: World = {}): Promise<Platform> {
  return opening((ending) => assemble(config, world, ending))
}

async function assemble(
  config: Config,
  world: World,
  { closers, close }: Ending,
): Promise<Platform> {
  const { store, ground, rooms, sweep } = await build(config, world, closers)
  const limiter = createLimiter({ ...ground, counts: createSharedCounts(ground) })
  closers.push(limiter.close)
  const callerOf = createCallerOf(config.trustedProxies)
  const meterOf = createMeters({ ...ground, limiter }, config)
  const parts = { ...ground, ...rooms, callerOf, meterOf }
  const { app, listener, metricsListener } = createDoors(parts, closers)
  // The port first: whoever finds it taken must not have moved the tenant of the one who has it.
  if (world.opensPort === true) {
    await listen(listener, config.listen, 'LATCHKEY_LISTEN and LATCHKEY_PUBLIC_URL')
    closers.push(() => stopListening(listener))
    if (config.metricsListen !== undefined) {
      await listen(metricsListener, config.metricsListen, 'LATCHKEY_METRICS_LISTEN')
      closers.push(() => stopListening(metricsListener))
    }
  }

  const before = await rooms.tenants.default()
  const tenant = await rooms.tenants.ensureDefault(config.publicUrl)
  await makeOperator(rooms.setup, tenant, config)
  const { webhooks, upstream, issuer } = rooms
  const { refresh, revocations } = upstream
  const jobs = { webhooks, issuer, refresh, revocations, sweep }
  const housekeeping = startHousekeeping({ ...ground, ...jobs })
  closers.push(housekeeping.stop)

  return {
    fetch: app,
    tenant,
    movedFrom: before?.issuer === tenant.issuer ? undefined : before?.issuer,
    store,
    setupLink: async () => {
      const link = await rooms.setup.link(tenant)
      return link && `${config.publicUrl}/setup?link=${link.reveal()}`
    },
    close,
  }
}

/** The rooms without doors and timers, for work at the command line; a server may run beside it. */
export interface Workshop {
  readonly tenant: Tenant
  readonly issuer: Issuer
  readonly servers: Servers
  readonly users: Users
  readonly people: UserAdministration
  readonly apiKeys: ApiKeyAdministration
  readonly sessions: Pick<Sessions, 'begin'>
  readonly masterKeys: () => Promise<readonly MasterKeyStatus[]>
  readonly ground: Pick<Ground, 'db' | 'clock' | 'random' | 'journal'>
  readonly attempts: Pick<AttemptList, 'list' | 'read'>
  readonly usage: Pick<Usage, 'report'>
  /** The header of a request that is a test of ours: what is refused of it counts as nobody's failure. */
  readonly testHeader: () => { readonly name: string; readonly value: Secret }
  /** Deletes what has expired and says how much of what. */
  readonly sweep: () => Promise<SweepCounts>
  readonly close: () => Promise<void>
}

/** Opens the rooms over the database and key of the settings; the tenant stays where the server has put it. */
export function openWorkshop(config: Config, world: World = {}): Promise<Workshop> {
  if (world.store === undefined) requireHome(config)
  return opening(async ({ closers, close }) => {
    const { ground, rooms, sweep } = await build(config, world, closers)
    const { attemptList: attempts, usage } = ground
    const { issuer, servers, users, sessions, administration: people, tenants } = rooms
    const masterKeys = () => listMasterKeys(ground)
    const tenant = (await tenants.default()) ?? (await tenants.ensureDefault(config.publicUrl))
    const testHeader = () => ({ name: testMarkHeader, value: ground.testMarks.make(tenant.id) })
    const apiKeys = createApiKeyAdministration(ground)
    const persons = { users, sessions, people, apiKeys }
    const watch = { masterKeys, attempts, usage, sweep }
    return { tenant, ground, issuer, servers, ...persons, ...watch, testHeader, close }
  })
}

/** A command in the wrong folder must not make a second, empty Latchkey there. */
function requireHome({ databaseUrl, dataFolder }: Config): void {
  if (databaseUrl !== undefined || existsSync(join(dataFolder, databaseFile))) return
  throw new Error(
    `There is no Latchkey in ${resolvePath(dataFolder)}. Set LATCHKEY_DATA to its folder, or run "latchkey start" first.`,
  )
}

/** Everything that a running server and a command have in common. */
async function build(config: Config, world: World, closers: Ending['closers']) {
  const store = world.store ?? (await openConfiguredStore(config))
  if (world.store === undefined) closers.push(store.close)
  await migrate(store)
  const shared = await createGround(config, world, store)
  const ground: Ground = { ...shared, ...createWatch(shared) }
  closers.push(ground.outbound.close, ground.counts.flush, ground.settle)
  const rooms = createRooms(ground, config)
  closers.push(rooms.issuer.writeUses, rooms.gateway.close, rooms.webhooks.close)
  return { store, ground, rooms, sweep: createSweep({ ...ground, ...rooms }) }
}

const databaseFile = 'latchkey.db'

/** Opens the database that the settings name, making the data folder if need be. Throws an Error in plain words. */
export async function openConfiguredStore(config: Config): Promise<Store> {
  const { databaseUrl, dataFolder } = config
  try {
    if (databaseUrl !== undefined) {
      return await openStore({ kind: 'postgres', url: databaseUrl.reveal() })
    }
    mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
    return await openStore({ kind: 'sqlite', file: join(dataFolder, 'latchkey.db') })
  } catch (cause) {
    const setting =
      databaseUrl === undefined ? `LATCHKEY_DATA (${dataFolder})` : 'LATCHKEY_DATABASE_URL'
    const words = cause instanceof Error ? cause.message : 'it does not open'
    throw new Error(`${setting}: ${words}`, { cause })
  }
}

/** Makes the operator of the settings. Throws an Error that names the setting which cannot be used. */
async function makeOperator(setup: Setup, tenant: Tenant, { operator }: Config): Promise<void> {
  if (operator === undefined) return
  try {
    await setup.fromSettings(tenant, operator)
  } catch (cause) {
    if (!isFault(cause) || cause.detail === undefined) throw cause
    const words = Object.entries(cause.detail).map(
      ([field, hint]) => `LATCHKEY_OPERATOR_${field.toUpperCase()}: ${hint}`,
    )
    throw new Error(words.join(' '), { cause })
  }
}

type Ground = SharedGround & ReturnType<typeof createWatch>

/** What is kept of the attempts of clients to connect, and of how all is used. */
function createWatch(ground: {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly log: Log
}) {
  const counts = createRefusalCounts(ground)
  const attempts = createAttempts(ground)
  const testMarks = createTestMarks(ground)
  const notes = createNotes({ ...ground, attempts, counts, testMarks })
  const settle = async () => {
    await notes.settle()
    await attempts.settle()
  }
  const attemptList = createAttemptList({ ...ground, settle })
  const usage = createUsage({ ...ground, flush: counts.flush })
  return { counts, attempts, notes, testMarks, settle, attemptList, usage }
}

/** The rooms, each with what it needs of the ones before it. */
function createRooms(ground: Ground, config: Config) {
  const webhooks = createWebhooks(ground)
  const reachOut = createReachOut(
    ground,
    {
      addressEnded: async (tx, tenant, ended) => {
        const resource = endedResource(tenant, ended)
        if (resource !== undefined) await issuer.grants.endForResource(tx, tenant, resource)
      },
      knownScopes: (tenant, names) => scopes.known(tenant, names),
    },
    config,
  )
  const { tenants, passwords, users, identities, upstream } = reachOut
  const { servers, connections, credentials } = reachOut
  const administration = createUserAdministration({ ...ground, passwords, users })
  const sessions = createSessions(ground)
  const apiKeys = createApiKeys(ground)
  const setup = createSetup({ ...ground, users })

  const scopes = createScopes({ ...ground, isUsed: servers.usesScope })

  const resources = createResources(servers, scopes)
  const { codeLifetimeMs, accessTokenLifetimeMs, refreshTokenLifetimeMs } = config
  const { signingKeyLifetimeMs } = config
  const issuer = createIssuer({
    ...ground,
    users,
    identities,
    resources,
    scopes,
    policy: {
      codeLifetimeMs,
      accessTokenLifetimeMs,
      refreshTokenLifetimeMs,
      signingKeyLifetimeMs,
    },
    allowLoopbackDocuments: isLoopbackOrigin(config.publicUrl),
  })
  const { verify, traces, dpopNonces, grants } = issuer
  const needs = { ...ground, verify, traces, dpopNonces, grants, scopes, credentials, servers }
  const gateway = createGateway(needs)

  const people = { tenants, users, administration, sessions, apiKeys, setup }
  return { ...people, webhooks, upstream, servers, connections, resources, issuer, gateway }
}

/** The doors: rows, guards, and the listener that hands streams to the gateway. */
function createDoors(
  parts: Ground &
    ReturnType<typeof createRooms> & { readonly callerOf: CallerOf; readonly meterOf: MeterOf },
  closers: Ending['closers'],
) {
  const metrics = createMetrics()
  closers.push(async () => metrics.close())
  const { usage, notes } = parts
  const measurements = async () =>
    metrics.text({ tableRows: await usage.tableRows(), notesDropped: notes.dropped() })
  const app = createApp({
    ...parts,
    routes: createRoutes({ ...parts, measurements }),
    witness: createWitness({ ...parts, metrics }),
    admit: createGuards(parts),
    idempotency: createIdempotency(parts),
  })
  return {
    app,
    listener: createListener({ ...parts, app, metrics }),
    metricsListener: createMetricsListener(parts, measurements),
  }
}

/**
 * What tokens can be for: each server behind the gateway, and all of them as one; and a server's own URL, if an
 * administrator said that we are its authorization server.
 */
function createResources(servers: Servers, scopes: Scopes): Resources {
  const serverFor = (tenant: Tenant, resource: string) => {
    const slug = slugOfResource(tenant, resource)
    if (slug !== undefined) return servers.bySlug(tenant, slug)
    return servers.byUrl(tenant, resource, tenant.issuer)
  }
  return {
    defaultFor: (tenant) => resourceOf(tenant),
    find: async (tenant, resource) => {
      if (resource === resourceOf(tenant)) {
        return { resource, name: tenant.name, scopes: [toolsScope] }
      }
      const server = await serverFor(tenant, resource)
      if (server === undefined) return undefined
      const { name, tokenFormat } = server
      const isOpen = (user: User) => isOpenTo(server, user)
      const facts = { resource, name, tokenFormat, isOpenTo: isOpen }
      return { ...facts, ...(await scopesOf(scopes, tenant, server)) }
    },
  }
}

/** The scopes that a server understands, and which of them a client gets that names none. */
async function scopesOf(registry: Scopes, tenant: Tenant, { toolScopes }: Server) {
  if (toolScopes === undefined) return { scopes: [toolsScope] }
  const names = toolScopes.map(({ scope }) => scope)
  return { scopes: names, usual: usualAmong(await registry.all(tenant), names) }
}

/** What ends with a server; our own endpoints stay, whoever named one of them as a server. */
function endedResource(tenant: Tenant, ended: EndedAddress): string | undefined {
  if ('slug' in ended) return resourceOf(tenant, ended.slug)
  const isOurs = ended.url === resourceOf(tenant) || slugOfResource(tenant, ended.url) !== undefined
  return isOurs ? undefined : ended.url
}
