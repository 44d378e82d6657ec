// The one place where parts meet: every part is made here, with its needs visible. Reads like a plan.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import { dirname, join } from 'node:path'
import type { Clock } from './base/clock.ts'
import { systemClock } from './base/clock.ts'
import { createKeyring, parseMasterKeys } from './base/keyring.ts'
import type { Log } from './base/log.ts'
import { silentLog } from './base/log.ts'
import type { Connector, Resolve } from './base/outbound.ts'
import { createOutbound } from './base/outbound.ts'
import type { Random } from './base/random.ts'
import { systemRandom } from './base/random.ts'
import type { Config } from './config.ts'
import { isLoopbackOrigin } from './config.ts'
import { createConnections } from './connectors/connections.ts'
import { createCredentials } from './connectors/credential.ts'
import type { Servers } from './connectors/servers.ts'
import { createServers } from './connectors/servers.ts'
import { createGateway } from './gateway/gateway.ts'
import { startHousekeeping } from './housekeeping.ts'
import { createApp } from './http/app.ts'
import { createGuards } from './http/guards.ts'
import { createIdempotency } from './http/idempotency.ts'
import { createListener } from './http/node.ts'
import { createRoutes } from './http/routes.ts'
import { createIssuer } from './issuer/issuer.ts'
import type { Resources } from './issuer/resources.ts'
import { toolsScope } from './issuer/scopes.ts'
import { createJournal } from './journal/entries.ts'
import { createApiKeys } from './people/api-keys.ts'
import { createPasswords } from './people/passwords.ts'
import { createSessions } from './people/sessions.ts'
import { createSetup } from './people/setup.ts'
import { createTenants } from './people/tenants.ts'
import type { Tenant } from './people/tenants.ts'
import { createUsers } from './people/users.ts'
import type { Store } from './store/database.ts'
import { openStore } from './store/database.ts'
import { migrate } from './store/migrate.ts'
import { createUpstream } from './upstream/upstream.ts'

/** What a platform takes from the world; each has a real default. */
export interface World {
  readonly clock?: Clock
  readonly random?: Random
  readonly log?: Log
  readonly resolve?: Resolve
  readonly connect?: Connector
  /** A store that is open already, instead of the one that the settings name. It stays open. */
  readonly store?: Store
}

export interface Platform {
  /** Every door but `/{slug}/mcp`, which needs the streams of a listener. */
  readonly fetch: (request: Request) => Promise<Response>
  /** Opens the port of the settings; port 0 takes a free one, which the answer names. */
  readonly listen: () => Promise<{ readonly port: number }>
  /** The one-time link that makes the first operator, while nobody exists. */
  readonly setupLink: () => Promise<string | undefined>
  readonly tenant: Tenant
  readonly store: Store
  readonly close: () => Promise<void>
}

/** Makes a platform over the database and key that the settings name; migrates first. */
export async function createPlatform(config: Config, world: World = {}): Promise<Platform> {
  const { clock = systemClock, random = systemRandom, log = silentLog } = world
  const store = world.store ?? (await openConfiguredStore(config))
  await migrate(store)
  const { db } = store

  const keyring = createKeyring({ random }, parseMasterKeys(readMasterKey(config, random)))
  const outbound = createOutbound(
    { log, clock, ...pick(world, ['resolve', 'connect']) },
    { allow: config.allowPrivateNetworks },
  )
  const journal = createJournal({ db, clock, random, keyring })
  const ground = { db, clock, random, keyring, journal, outbound, log }

  const tenants = createTenants(ground)
  const users = createUsers({ ...ground, passwords: createPasswords(ground) })
  const sessions = createSessions(ground)
  const apiKeys = createApiKeys(ground)
  const setup = createSetup({ ...ground, users })

  const upstream = createUpstream(ground, { discoveryCacheMs: config.discoveryCacheMs })
  const servers = createServers({ ...ground, upstream })
  const connections = createConnections({ ...ground, upstream, servers })
  const credentials = createCredentials({ ...ground, upstream, servers, connections })

  const resources = createResources(servers)
  const issuer = createIssuer({
    ...ground,
    users,
    resources,
    policy: pick(config, ['codeLifetimeMs', 'accessTokenLifetimeMs', 'refreshTokenLifetimeMs']),
    allowLoopbackDocuments: isLoopbackOrigin(config.publicUrl),
  })
  const gateway = createGateway({ ...ground, verify: issuer.verify, credentials, servers })

  const routes = createRoutes({
    ...ground,
    users,
    sessions,
    apiKeys,
    setup,
    issuer,
    resources,
    servers,
    connections,
    gateway,
  })
  const admit = createGuards({ sessions, apiKeys })
  const app = createApp({
    tenants,
    admit,
    idempotency: createIdempotency(ground),
    routes,
    log,
  })
  const listener = createListener({ app, gateway, tenants, log })

  const tenant = await tenants.ensureDefault(config.publicUrl)
  if (config.operator !== undefined) await setup.fromSettings(tenant, config.operator)
  const housekeeping = startHousekeeping({ journal, log })

  return {
    fetch: app,
    tenant,
    store,
    listen: () => listen(listener, config.listen),
    setupLink: async () => {
      const link = await setup.link(tenant)
      return link && `${config.publicUrl}/setup?link=${link.reveal()}`
    },
    close: async () => {
      await stopListening(listener)
      await gateway.close()
      await housekeeping.stop()
      await outbound.close()
      if (world.store === undefined) await store.close()
    },
  }
}

/** Opens the database that the settings name, making the data folder if need be. */
export function openConfiguredStore(config: Config): Promise<Store> {
  if (config.databaseUrl !== undefined) {
    return openStore({ kind: 'postgres', url: config.databaseUrl.reveal() })
  }
  mkdirSync(config.dataFolder, { recursive: true, mode: 0o700 })
  return openStore({ kind: 'sqlite', file: join(config.dataFolder, 'latchkey.db') })
}

/** The master key: from the settings, else from the key file, which is made at first start. */
function readMasterKey(config: Config, random: Random): string {
  if (config.key !== undefined) return config.key.reveal()
  if (!existsSync(config.keyFile)) {
    mkdirSync(dirname(config.keyFile), { recursive: true, mode: 0o700 })
    const key = Buffer.from(random.secretBytes(masterKeyBytes)).toString('base64url')
    // `wx` refuses to overwrite: of two first starts at once one writes and the other reads it.
    writeFirst(config.keyFile, `${key}\n`)
  }
  return readFileSync(config.keyFile, 'utf8')
}

const masterKeyBytes = 32

function writeFirst(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if (!existsSync(file)) throw new Error(`the key file ${file} cannot be written`, { cause })
  }
}

/** What tokens can be for: each server behind the gateway, and all of them as one. */
function createResources(servers: Servers): Resources {
  const own = (tenant: Tenant) => `${tenant.issuer}/mcp`
  return {
    defaultFor: own,
    find: async (tenant, resource) => {
      if (resource === own(tenant)) return { resource, name: tenant.name, scopes: [toolsScope] }
      const slug = slugIn(tenant, resource)
      const server = slug === undefined ? undefined : await servers.bySlug(tenant, slug)
      return server && { resource, name: server.name, scopes: [toolsScope] }
    },
  }
}

function slugIn(tenant: Tenant, resource: string): string | undefined {
  if (!resource.startsWith(`${tenant.issuer}/`)) return undefined
  return /^(?<slug>[a-z0-9-]{1,36})\/mcp$/.exec(resource.slice(tenant.issuer.length + 1))?.groups?.[
    'slug'
  ]
}

function listen(
  listener: HttpServer,
  { host, port }: Config['listen'],
): Promise<{ readonly port: number }> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(port, host, () => {
      listener.off('error', reject)
      const address = listener.address()
      resolve({ port: typeof address === 'object' && address !== null ? address.port : port })
    })
  })
}

/** Lets what runs finish for a moment, then closes what is left, such as open streams. */
async function stopListening(listener: HttpServer): Promise<void> {
  if (!listener.listening) return
  const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
  listener.closeIdleConnections()
  const force = setTimeout(() => listener.closeAllConnections(), drainMs)
  await closed
  clearTimeout(force)
}

const drainMs = 2000

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  const entries = keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])
  return Object.fromEntries(entries) as Pick<T, K> // only keys of T that are there
}
