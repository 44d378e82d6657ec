// What every room stands on, and the rooms that reach out: made here once, for the whole platform and for the client half
// alone.
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
import { createConnections } from './connectors/connections.ts'
import { createCredentials } from './connectors/credential.ts'
import type { ServerNeeds } from './connectors/server-rows.ts'
import { createServers } from './connectors/servers.ts'
import { createJournal } from './journal/entries.ts'
import { openMasterKeys } from './key-file.ts'
import type { KeySource } from './key-file.ts'
import { createArrive, createJoin } from './people/arrivals.ts'
import { createIdentities } from './people/identities.ts'
import { createPasswords } from './people/passwords.ts'
import { createProviderGrants } from './people/provider-grants.ts'
import { createProviderTokens } from './people/provider-tokens.ts'
import { createProviders } from './people/providers.ts'
import { createTenants } from './people/tenants.ts'
import type { Tenant } from './people/tenants.ts'
import { createUsers } from './people/users.ts'
import type { Database, Store } from './store/database.ts'
import { serverTime, timeOf } from './store/time.ts'
import { createUpstream } from './upstream/upstream.ts'

/** What is taken from the world; each has a real default. */
export interface Surroundings {
  readonly clock?: Clock
  readonly random?: Random
  readonly log?: Log
  readonly resolve?: Resolve
  readonly connect?: Connector
}

export type Ground = Awaited<ReturnType<typeof createGround>>

/** What every room stands on. Throws an Error in plain words when the key is not this database's. */
export async function createGround(
  config: KeySource & Pick<Config, 'allowPrivateNetworks'>,
  surroundings: Surroundings,
  { db, engine }: Store,
) {
  const { clock = systemClock, random = systemRandom, log = silentLog } = surroundings
  const { resolve, connect } = surroundings
  // Processes on several machines have one database server in common; a clock that was given rules over all.
  const isShared = engine === 'postgres' && surroundings.clock === undefined
  const time = isShared ? serverTime : timeOf(clock)
  const keyring = createKeyring({ random }, await openMasterKeys({ db, clock, random }, config))
  const network = {
    ...(resolve === undefined ? {} : { resolve }),
    ...(connect === undefined ? {} : { connect }),
  }
  const outbound = createOutbound(
    { log, clock, ...network },
    { allow: config.allowPrivateNetworks },
  )
  const journal = createJournal({ db, clock, random, keyring })
  return { db, clock, time, random, keyring, journal, outbound, log }
}

/** What the rooms that reach out are told by those that they do not know. */
export interface Neighbours extends Pick<
  ServerNeeds,
  'addressEnded' | 'knownScopes' | 'introduce'
> {
  /** A person's sign-in at a provider of the tenant has ended: what was granted on its strength ends with it. */
  readonly providerGrantEnded: (
    tx: Database,
    tenant: Pick<Tenant, 'id'>,
    id: string,
  ) => Promise<void>
}

export interface ReachOutSettings {
  readonly discoveryCacheMs?: number
  readonly workloadTokenFolder?: string | undefined
  /** Where a sign-in elsewhere may return to, beside the tenant's own origin. */
  readonly returnOrigins?: readonly string[]
  /** Where refreshed tokens wait that the database did not take. */
  readonly spoolFolder?: string
  /** The name that this process took over from one that is dead. */
  readonly processName?: string | undefined
}

/** The rooms that reach out, and the people for whom they do. */
export function createReachOut(
  ground: Ground,
  neighbours: Neighbours,
  settings: ReachOutSettings = {},
) {
  const { discoveryCacheMs, returnOrigins, workloadTokenFolder, spoolFolder, processName } =
    settings
  const tenants = createTenants(ground)
  const passwords = createPasswords(ground)
  const users = createUsers({ ...ground, passwords })
  const identities = createIdentities({ ...ground, users })

  const upstream = createUpstream(ground, {
    spoolFolder,
    processName,
    workloadTokenFolder,
    ...(discoveryCacheMs === undefined ? {} : { discoveryCacheMs }),
  })
  const providerGrants = createProviderGrants({ ...ground, ...neighbours, upstream })
  const providerTokens = createProviderTokens({ ...ground, upstream })
  const providers = createProviders({
    ...ground,
    isUsed: (tx, tenant, providerId) => servers.usesProvider(tx, tenant, providerId),
    providerEnds: async (tx, tenant, providerId) => {
      await providerGrants.end(tx, tenant, { providerId }, 'provider_ended')
    },
  })
  const arrive = createArrive({ ...ground, users, identities })
  const joinIdentity = createJoin({ ...ground, identities })
  const servers = createServers({ ...ground, ...neighbours, upstream, providerTokens })
  const connections = createConnections(
    { ...ground, upstream, servers },
    returnOrigins === undefined ? {} : { returnOrigins },
  )
  const { introduce } = neighbours
  const reached = { upstream, servers, connections, providerTokens }
  const credentials = createCredentials({ ...ground, introduce, ...reached })
  const elsewhere = { providers, providerGrants, arrive, joinIdentity }
  const people = { tenants, passwords, users, identities, ...elsewhere }
  return { ...people, upstream, servers, connections, credentials }
}

export interface Ending {
  /** What is to be closed, in the order in which it was opened. */
  readonly closers: (() => Promise<void>)[]
  readonly close: () => Promise<void>
}

/** Does work that opens things; closes them again when it fails. */
export async function opening<T>(work: (ending: Ending) => Promise<T>): Promise<T> {
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    return await work({ closers, close })
  } catch (thrown) {
    await close()
    throw thrown
  }
}
