// The one place where parts meet: every part is made here, with its needs visible. Reads like a plan.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from './base/clock.ts'
import { systemClock } from './base/clock.ts'
import { createKeyring } from './base/keyring.ts'
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
import type { ListenPlace } from './http/listening.ts'
import { listen, stopListening } from './http/listening.ts'
import { createListener } from './http/node.ts'
import { createRoutes } from './http/routes.ts'
import { createIssuer } from './issuer/issuer.ts'
import type { Resources } from './issuer/resources.ts'
import { toolsScope } from './issuer/scopes.ts'
import { createJournal } from './journal/entries.ts'
import { readMasterKeys } from './key-file.ts'
import { createApiKeys } from './people/api-keys.ts'
import { createPasswords } from './people/passwords.ts'
import { createSessions } from './people/sessions.ts'
import { createSetup } from './people/setup.ts'
import type { Tenant } from './people/tenants.ts'
import { createTenants } from './people/tenants.ts'
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
  readonly listen: () => Promise<ListenPlace>
  /** The one-time link that makes the first operator, while nobody exists. */
  readonly setupLink: () => Promise<string | undefined>
  readonly tenant: Tenant
  readonly store: Store
  readonly close: () => Promise<void>
}

/** Makes a platform over the database and key that the settings name; migrates first. */
export async function createPlatform(config: Config, world: World = {}): Promise<Platform> {
  const store = world.store ?? (await openConfiguredStore(config))
  await migrate(store)

  const ground = createGround(config, world, store)
  const rooms = createRooms(ground, config)
  const { app, listener } = createDoors({ ...ground, ...rooms })

  const tenant = await rooms.tenants.ensureDefault(config.publicUrl)
  if (config.operator !== undefined) await rooms.setup.fromSettings(tenant, config.operator)
  const housekeeping = startHousekeeping({ ...ground, refresh: rooms.upstream.refresh })

  return {
    fetch: app,
    tenant,
    store,
    listen: () => listen(listener, config.listen),
    setupLink: async () => {
      const link = await rooms.setup.link(tenant)
      return link && `${config.publicUrl}/setup?link=${link.reveal()}`
    },
    close: async () => {
      await stopListening(listener)
      await rooms.gateway.close()
      await housekeeping.stop()
      await ground.outbound.close()
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

type Ground = ReturnType<typeof createGround>

/** What every room stands on. */
function createGround(config: Config, world: World, { db }: Store) {
  const { clock = systemClock, random = systemRandom, log = silentLog, resolve, connect } = world
  const keyring = createKeyring({ random }, readMasterKeys(config, random))
  const network = {
    ...(resolve === undefined ? {} : { resolve }),
    ...(connect === undefined ? {} : { connect }),
  }
  const outbound = createOutbound(
    { log, clock, ...network },
    { allow: config.allowPrivateNetworks },
  )
  const journal = createJournal({ db, clock, random, keyring })
  return { db, clock, random, keyring, journal, outbound, log }
}

/** The rooms, each with what it needs of the ones before it. */
function createRooms(ground: Ground, config: Config) {
  const tenants = createTenants(ground)
  const users = createUsers({ ...ground, passwords: createPasswords(ground) })
  const sessions = createSessions(ground)
  const apiKeys = createApiKeys(ground)
  const setup = createSetup({ ...ground, users })

  const upstream = createUpstream(ground, { discoveryCacheMs: config.discoveryCacheMs })
  const servers = createServers({
    ...ground,
    upstream,
    addressEnded: (tx, tenant, slug) =>
      issuer.grants.endForResource(tx, tenant, resourceOf(tenant, slug)),
  })
  const connections = createConnections({ ...ground, upstream, servers })
  const credentials = createCredentials({ ...ground, upstream, servers, connections })

  const resources = createResources(servers)
  const { codeLifetimeMs, accessTokenLifetimeMs, refreshTokenLifetimeMs } = config
  const issuer = createIssuer({
    ...ground,
    users,
    resources,
    policy: { codeLifetimeMs, accessTokenLifetimeMs, refreshTokenLifetimeMs },
    allowLoopbackDocuments: isLoopbackOrigin(config.publicUrl),
  })
  const gateway = createGateway({ ...ground, verify: issuer.verify, credentials, servers })

  const people = { tenants, users, sessions, apiKeys, setup }
  return { ...people, upstream, servers, connections, resources, issuer, gateway }
}

/** The doors: rows, guards, and the listener that hands streams to the gateway. */
function createDoors(parts: Ground & ReturnType<typeof createRooms>) {
  const app = createApp({
    ...parts,
    routes: createRoutes(parts),
    admit: createGuards(parts),
    idempotency: createIdempotency(parts),
  })
  return { app, listener: createListener({ ...parts, app }) }
}

/** What tokens can be for: each server behind the gateway, and all of them as one. */
function createResources(servers: Servers): Resources {
  const own = ({ issuer }: Tenant) => `${issuer}/mcp`
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

function resourceOf({ issuer }: Tenant, slug: string): string {
  return `${issuer}/${slug}/mcp`
}

function slugIn({ issuer }: Tenant, resource: string): string | undefined {
  if (!resource.startsWith(`${issuer}/`)) return undefined
  const path = resource.slice(issuer.length + 1)
  return /^(?<slug>[a-z0-9-]{1,36})\/mcp$/.exec(path)?.groups?.['slug']
}
