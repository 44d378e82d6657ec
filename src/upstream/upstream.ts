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
import { createKeySets } from './key-sets.ts'
import type { KeySets } from './key-sets.ts'
import { createObtain } from './obtain.ts'
import type { Obtain } from './obtain.ts'
import { createOwnGrants } from './own-grants.ts'
import type { OwnGrants } from './own-grants.ts'
import { withProviderClients } from './provider-client.ts'
import { createProofs } from './proofs.ts'
import type { Proofs } from './proofs.ts'
import { createRefresh } from './refresh.ts'
import type { Refresh } from './refresh.ts'
import { createRegister } from './register.ts'
import type { Register } from './register.ts'
import { createRevocations } from './revocations.ts'
import type { Revocations } from './revocations.ts'
import { createSignIns } from './sign-ins.ts'
import type { SignIns } from './sign-ins.ts'
import { createSubjectTokens } from './subject-tokens.ts'
import type { SubjectTokens } from './subject-tokens.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import { createWorkloadTokens } from './workload-tokens.ts'
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
  /** The name that this process took over from one that is dead. */
  readonly processName?: string | undefined
  /** Where the platform of this machine keeps its tokens for us. */
  readonly workloadTokenFolder?: string | undefined
}

export interface Upstream {
  readonly discover: Discover
  readonly register: Register
  readonly proofs: Proofs
  readonly tokenEndpoint: TokenEndpoint
  readonly vault: Vault
  readonly flows: Flows
  readonly refresh: Refresh
  readonly ownGrants: OwnGrants
  /** What identity providers said of people. */
  readonly subjectTokens: SubjectTokens
  /** The first tokens where no browser is needed. */
  readonly obtain: Obtain
  readonly revocations: Revocations
  /** The public keys of others. */
  readonly keySets: KeySets
  /** People who sign in at a provider of their tenant. */
  readonly signIns: SignIns
  /** Tells what becomes of connections, inside the transaction that changes them. */
  readonly events: HolderFeed
}

/** Makes all parts of this room over one database. */
export function createUpstream(needs: UpstreamNeeds, settings: UpstreamSettings = {}): Upstream {
  const { discoveryCacheMs: cacheMs, flowLifetimeMs: lifetimeMs } = settings
  const { spoolFolder, processName } = settings
  const discover = createDiscover(needs, cacheMs === undefined ? {} : { cacheMs })
  const register = withProviderClients(needs, createRegister(needs))
  const proofs = createProofs(needs)
  const subjectTokens = createSubjectTokens(needs)
  const tokenEndpoint = createTokenEndpoint({ ...needs, proofs })
  const vault = createVault(needs)
  const events = createHolderFeed()
  const ownGrants = createOwnGrants({
    tokenEndpoint,
    proofs,
    register,
    subjectTokens,
    workloadTokens: createWorkloadTokens({ ...needs, ...settings }),
  })
  const revocations = createRevocations({ ...needs, register, tokenEndpoint })
  const keySets = createKeySets(needs)
  const made = { revocations, register, proofs, tokenEndpoint, ownGrants, vault, events }
  const parts = { ...needs, ...made, spoolFolder, processName }
  return {
    discover,
    register,
    proofs,
    tokenEndpoint,
    vault,
    flows: createFlows(parts, lifetimeMs === undefined ? {} : { lifetimeMs }),
    refresh: createRefresh(parts),
    ownGrants,
    subjectTokens,
    obtain: createObtain(parts),
    revocations,
    keySets,
    signIns: createSignIns({ ...needs, tokenEndpoint, keySets }),
    events,
  }
}
