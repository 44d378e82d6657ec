// What the files of the refresh engine share: its parts, and how one refresh went.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { Held } from './held.ts'
import type { Holder, HolderEvents, HolderKey, StatusReason } from './holder.ts'
import type { Hosts } from './hosts.ts'
import type { OwnGrants } from './own-grants.ts'
import type { Pauses } from './pauses.ts'
import type { Register } from './register.ts'
import type { Revocations } from './revocations.ts'
import type { Spool } from './spool.ts'
import type { TokenAnswer, TokenEndpoint } from './token-endpoint.ts'
import type { Vault } from './vault.ts'

export interface RefreshNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Pick<Keyring, 'digest' | 'seal' | 'open'>
  readonly journal: Journal
  readonly log: Log
  readonly vault: Vault
  readonly register: Register
  readonly tokenEndpoint: TokenEndpoint
  readonly ownGrants: OwnGrants
  readonly revocations: Pick<Revocations, 'giveBack'>
  readonly events: HolderEvents
  /** Where tokens wait that the database did not take; without a folder they wait in memory alone. */
  readonly spoolFolder?: string | undefined
  /** The name that this process took over from one that is dead (store/process-name.ts); without it nothing is inherited. */
  readonly processName?: string | undefined
}

export interface Engine extends RefreshNeeds {
  readonly pauses: Pauses
  readonly hosts: Hosts
  readonly spool: Spool
  /** The process is to end: nothing is waited for any more. */
  readonly closing: AbortSignal
  /** Names this process in a lease. */
  readonly owner: string
}

/** How one refresh went, for everybody who waited for it. */
export type Outcome =
  | { readonly kind: 'renewed'; readonly held: Held }
  | { readonly kind: 'lost'; readonly reason: StatusReason }
  | { readonly kind: 'unavailable'; readonly fault: Fault }
  | { readonly kind: 'gone' }

/** What the caller knows of the tokens, besides that they are due. */
export interface Wish {
  /** There is nothing to go on with, and somebody waits. */
  readonly isUrgent: boolean
  /** The server refused the access token of this generation. */
  readonly isSpent: boolean
}

export type Refused = Extract<TokenAnswer, { kind: 'refused' }>

/** The lease outlives the deadline of a call, so that a lease that ran out means a process that died. */
export const callLeaseMs = 20_000

/** How long a refresh that failed is left alone, at least. */
export const backoffMs = 30_000
export const backoffMaxMs = 3_600_000

/** Waits, but no longer when the process is to end. */
export async function pause({ clock, closing }: Engine, ms: number): Promise<void> {
  try {
    await clock.sleep(ms, closing)
  } catch (thrown) {
    if (!closing.aborted) throw thrown
  }
}

export function unavailable(fault: Fault): Outcome {
  return { kind: 'unavailable', fault }
}

export function unanswered(): Fault {
  return new Fault('provider_unreachable', {
    because: 'another process refreshes this connection and had no success yet',
  })
}

export function ending(): Fault {
  return new Fault('temporarily_unavailable', {
    because: 'this process is about to end and begins no refresh',
    retryAfterS: 1,
  })
}

/** The provider refused once; who comes later will be told more. */
export function doubted(waitMs: number, cause?: Fault): Fault {
  return new Fault('provider_unreachable', {
    because: 'the provider refused once and is asked again in a moment',
    retryAfterS: Math.ceil(waitMs / 1000),
    ...(cause === undefined ? {} : { cause }),
  })
}

export function holderOf({ key }: Held): Holder {
  return toHolder(key)
}

export function toHolder({ tenantId, connectionId }: HolderKey): Holder {
  return { tenant: { id: tenantId }, connectionId }
}
