// The rooms over one database: every room is made here, with what it needs of the ones before it. Doors and timers stand in
// platform.ts, because work at the command line needs neither.
import { join } from 'node:path'
import type { Clock } from './base/clock.ts'
import type { Keyring } from './base/keyring.ts'
import type { Log } from './base/log.ts'
import type { Random } from './base/random.ts'
import { openConfiguredStore } from './configured-store.ts'
import type { Config } from './config.ts'
import { isLoopbackOrigin } from './config.ts'
import { endSignIns } from './connectors/end-sign-ins.ts'
import { isOpenTo } from './connectors/server-access.ts'
import type { EndedAddress, Server, Servers } from './connectors/servers.ts'
import { createGateway } from './gateway/gateway.ts'
import { scopesTogether } from './gateway/policy.ts'
import { resourceOf, slugOfResource } from './gateway/targets.ts'
import { createGround, createReachOut } from './ground.ts'
import type { Ending, Ground as SharedGround, Surroundings } from './ground.ts'
import { createSweep } from './housekeeping.ts'
import { createIssuer } from './issuer/issuer.ts'
import type { Resources } from './issuer/resources.ts'
import { createScopes } from './issuer/scope-registry.ts'
import type { Scopes } from './issuer/scope-registry.ts'
import { toolsScope, usualAmong } from './issuer/scopes.ts'
import { createAttemptList } from './journal/attempt-list.ts'
import { createAttempts } from './journal/attempts.ts'
import { createCallContents } from './journal/call-contents.ts'
import { createCallCounts } from './journal/call-counts.ts'
import { createCallUsage } from './journal/call-usage.ts'
import type { Journal } from './journal/entries.ts'
import { createNotes } from './journal/notes.ts'
import { createRefusalCounts } from './journal/refusal-counts.ts'
import { createJournalSearch } from './journal/search.ts'
import { createTestMarks } from './journal/test-mark.ts'
import { createUsage } from './journal/usage.ts'
import { createWebhooks } from './journal/webhooks.ts'
import { createApiKeyAdministration } from './people/api-key-administration.ts'
import { createApiKeys } from './people/api-keys.ts'
import { createSessions } from './people/sessions.ts'
import { createSetup } from './people/setup.ts'
import { createTenantAdministration } from './people/tenant-administration.ts'
import { createSupportRequests } from './people/support-requests.ts'
import type { Tenant } from './people/tenants.ts'
import { createUserAdministration } from './people/user-administration.ts'
import type { User } from './people/users.ts'
import type { Database, Store } from './store/database.ts'
import { migrate } from './store/migrate.ts'

/** What the rooms take from the world. */
export interface RoomsWorld extends Surroundings {
  /** Takes the name of the process before this one, which is dead; asked when the data folder is there. */
  readonly processName?: () => string | undefined
  /** A store that is open already, instead of the one that the settings name. It stays open. */
  readonly store?: Store
}

/** Everything that a running server and a command have in common: the rooms over the database, migrated first. */
export async function createRoomsOver(
  config: Config,
  world: RoomsWorld,
  closers: Ending['closers'],
) {
  const store = world.store ?? (await openConfiguredStore(config))
  if (world.store === undefined) closers.push(store.close)
  await migrate(store)
  const shared = await createGround(config, world, store)
  const ground: Ground = { ...shared, ...createWatch(shared) }
  closers.push(ground.outbound.close, ground.counts.flush, ground.callCounts.flush, ground.settle)
  const rooms = createRooms(ground, config, world.processName?.())
  // After the doors are closed, and before the way out is: what a provider gives now, it gives once.
  closers.push(rooms.upstream.refresh.drain)
  closers.push(rooms.issuer.writeUses, rooms.gateway.close, rooms.webhooks.close)
  return { store, ground, rooms, sweep: createSweep({ ...ground, ...rooms }) }
}

/** What every room stands on, and what is kept of the attempts and of how all is used. */
export type Ground = SharedGround & ReturnType<typeof createWatch>

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
  const callCounts = createCallCounts(ground)
  const callContents = createCallContents(ground)
  const callUsage = createCallUsage({ ...ground, flush: callCounts.flush })
  const searchJournal = createJournalSearch(ground)
  const numbers = { counts, callCounts, callContents, usage, callUsage }
  return { ...numbers, attempts, notes, testMarks, settle, attemptList, searchJournal }
}

export type Rooms = ReturnType<typeof createRooms>

/** The rooms, each with what it needs of the ones before it. */
function createRooms(ground: Ground, config: Config, processName: string | undefined) {
  const webhooks = createWebhooks(ground)
  const reachOut = createReachOut(
    ground,
    {
      addressEnded: async (tx, tenant, ended) => {
        const resource = endedResource(tenant, ended)
        if (resource !== undefined) await issuer.grants.endForResource(tx, tenant, resource)
      },
      knownScopes: (tenant, names) => scopes.known(tenant, names),
      introduce: (introduction) => issuer.introduce(introduction),
      providerGrantEnded: (tx, tenant, id) => issuer.grants.endForProviderGrant(tx, tenant, id),
    },
    { ...config, processName, spoolFolder: join(config.dataFolder, 'spool') },
  )
  const { tenants, passwords, users, identities, upstream } = reachOut
  const { servers, connections, credentials } = reachOut
  const { providers, providerGrants, arrive, joinIdentity } = reachOut
  const personEnds = async (tx: Database, tenantId: string, userId: string) => {
    await endSignIns({ upstream }, tx, { tenant_id: tenantId, user_id: userId })
    await providerGrants.end(tx, { id: tenantId }, { userId }, 'person_removed')
  }
  const administration = createUserAdministration({
    ...ground,
    passwords,
    users,
    personEnds,
    appsEnd: (tx, tenant, of) => issuer.grants.endForPerson(tx, tenant, of),
  })
  const sessions = createSessions(ground)
  const apiKeys = createApiKeys(ground)
  const apiKeyAdministration = createApiKeyAdministration(ground)
  const setup = createSetup({ ...ground, users })

  const scopes = createScopes({ ...ground, isUsed: servers.usesScope })

  const resources = createResources(servers, scopes)
  const issuer = createIssuer({
    ...ground,
    users,
    identities,
    providerGrants,
    resources,
    scopes,
    policy: policyOf(config),
    allowLoopbackDocuments: isLoopbackOrigin(config.publicUrl),
  })
  const { verify, traces, dpopNonces, grants } = issuer
  const support = createSupportRequests(ground)
  const reached = { credentials, servers, connections, support }
  const needs = { ...ground, verify, traces, dpopNonces, grants, scopes, ...reached }
  const gateway = createGateway(needs)

  const tenantAdministration = createTenantAdministration({ ...ground, setup })
  const keys = { apiKeys, apiKeyAdministration }
  const persons = { users, administration, sessions, ...keys, setup, support }
  const signedInElsewhere = { providers, providerGrants, arrive, joinIdentity }
  const people = { tenants, tenantAdministration, ...persons, ...signedInElsewhere }
  return { ...people, webhooks, upstream, servers, connections, resources, issuer, gateway }
}

/** How long what we give lasts. */
function policyOf(config: Config) {
  const { codeLifetimeMs, accessTokenLifetimeMs, refreshTokenLifetimeMs } = config
  const { signingKeyLifetimeMs } = config
  return { codeLifetimeMs, accessTokenLifetimeMs, refreshTokenLifetimeMs, signingKeyLifetimeMs }
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
        return { resource, name: tenant.name, ...(await scopesOfAll(servers, scopes, tenant)) }
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

/** All servers as one understand what each of them does; one scope opens the endpoint, and those that have none of their own. */
async function scopesOfAll(servers: Servers, scopes: Scopes, tenant: Tenant) {
  const named = await servers.scopesInUse(tenant)
  return scopesTogether(named, named.length === 0 ? [] : await scopes.all(tenant))
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
