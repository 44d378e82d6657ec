// What the files of the refresh engine share: its parts, and how one refresh went.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { Held } from './held.ts'
import type { Holder, HolderEvents, HolderKey, StatusReason } from './holder.ts'
import type { OwnGrants } from './own-grants.ts'
import type { Pauses } from './pauses.ts'
import type { Register } from './register.ts'
import type { TokenAnswer, TokenEndpoint } from './token-endpoint.ts'
import type { Vault } from './vault.ts'

export interface RefreshNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly log: Log
  readonly vault: Vault
  readonly register: Register
  readonly tokenEndpoint: TokenEndpoint
  readonly ownGrants: OwnGrants
  readonly events: HolderEvents
}

export interface Engine extends RefreshNeeds {
  readonly pauses: Pauses
  /** Names this process in a lease. */
  readonly owner: string
}

/** How one refresh went, for everybody who waited for it. */
export type Outcome =
  | { readonly kind: 'renewed'; readonly held: Held }
  | { readonly kind: 'lost'; readonly reason: StatusReason }
  | { readonly kind: 'unavailable'; readonly fault: Fault }
  | { readonly kind: 'gone' }

export type Refused = Extract<TokenAnswer, { kind: 'refused' }>

/** The lease outlives the deadline of a call, so that a lease that ran out means a process that died. */
export const callLeaseMs = 20_000

/** How long a refresh that failed is left alone, at least. */
export const backoffMs = 30_000
export const backoffMaxMs = 3_600_000

/** Names one generation of the tokens of one connection. */
export function nameOf({ key, generation }: Held): string {
  return JSON.stringify([key.tenantId, key.connectionId, generation])
}

export function unavailable(fault: Fault): Outcome {
  return { kind: 'unavailable', fault }
}

export function unanswered(): Fault {
  return new Fault('provider_unreachable', {
    because: 'another process refreshes this connection and had no success yet',
  })
}

export function holderOf({ key }: Held): Holder {
  return toHolder(key)
}

export function toHolder({ tenantId, connectionId }: HolderKey): Holder {
  return { tenant: { id: tenantId }, connectionId }
}
