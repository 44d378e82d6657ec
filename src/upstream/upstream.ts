// The parts of this room, put together once: us as somebody else's OAuth client.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { SharedTime } from '../store/time.ts'
import { createDiscover } from './discover.ts'
import type { Discover } from './discover.ts'
import { createFlows } from './flows.ts'
import type { Flows } from './flows.ts'
import { createHolderFeed } from './holder.ts'
import type { HolderFeed } from './holder.ts'
import { createRefresh } from './refresh.ts'
import type { Refresh } from './refresh.ts'
import { createRegister } from './register.ts'
import type { Register } from './register.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import { createVault } from './vault.ts'
import type { Vault } from './vault.ts'

export interface UpstreamNeeds {
  readonly db: Database
  readonly clock: Clock
  /** By what the leases of all processes are judged. */
  readonly time: SharedTime
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly outbound: Outbound
  readonly log: Log
}

export interface UpstreamSettings {
  readonly discoveryCacheMs?: number
  readonly flowLifetimeMs?: number
  /** Where refreshed tokens wait that the database did not take. */
  readonly spoolFolder?: string | undefined
}

export interface Upstream {
  readonly discover: Discover
  readonly register: Register
  readonly tokenEndpoint: TokenEndpoint
  readonly vault: Vault
  readonly flows: Flows
  readonly refresh: Refresh
  /** Tells what becomes of connections, inside the transaction that changes them. */
  readonly events: HolderFeed
}

/** Makes all parts of this room over one database. */
export function createUpstream(needs: UpstreamNeeds, settings: UpstreamSettings = {}): Upstream {
  const { discoveryCacheMs: cacheMs, flowLifetimeMs: lifetimeMs, spoolFolder } = settings
  const discover = createDiscover(needs, cacheMs === undefined ? {} : { cacheMs })
  const register = createRegister(needs)
  const tokenEndpoint = createTokenEndpoint(needs)
  const vault = createVault(needs)
  const events = createHolderFeed()
  const parts = { ...needs, register, tokenEndpoint, vault, events, spoolFolder }
  return {
    discover,
    register,
    tokenEndpoint,
    vault,
    flows: createFlows(parts, lifetimeMs === undefined ? {} : { lifetimeMs }),
    refresh: createRefresh(parts),
    events,
  }
}
