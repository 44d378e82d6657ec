// What this room is told about the ones it works for. It knows no servers and no connections: a holder is an id, and
// whoever owns the holder is told inside the same transaction what became of it.
import type { Database } from '../store/database.ts'

/** The tenant, as far as this room needs it. */
export interface TenantFacts {
  readonly id: string
  /** Its origin, byte for byte. */
  readonly issuer: string
  /** As whom we introduce ourselves there; `Latchkey` unless said. */
  readonly name?: string
}

/** The holder of tokens: one connection of one tenant. */
export interface Holder {
  readonly tenant: { readonly id: string }
  readonly connectionId: string
}

/** Why a connection is not, or no longer, connected. */
export type StatusReason =
  | 'authorization_server_changed'
  | 'client_lost'
  | 'provider_unreachable'
  | 'refresh_failed'
  | 'refresh_interrupted'
  | 'refresh_token_rejected'
  | 'token_expired'
  | 'token_rejected'

/** What became of a holder. */
export type HolderChange =
  /** `by` says what was signed in for; a listener that finds that it is no more so throws. */
  | { readonly kind: 'connected'; readonly by: SignedInFor }
  | { readonly kind: 'refreshed' }
  /** A person has to sign in again. */
  | { readonly kind: 'lost'; readonly reason: StatusReason }
  /** It does not work now; no person can help, and it may pass. */
  | { readonly kind: 'troubled'; readonly reason: StatusReason }
  | { readonly kind: 'flow_failed'; readonly error: string; readonly words: string }

/** What a sign-in was for. */
export interface SignedInFor {
  readonly serverUrl: string
  readonly issuer: string
  readonly clientId: string
}

/** Told about every change, inside the transaction that makes it. */
export interface HolderEvents {
  readonly changed: (tx: Database, holder: HolderKey, change: HolderChange) => Promise<void>
}

export interface HolderKey {
  readonly tenantId: string
  readonly connectionId: string
}

/** A place where the owner of the holders can listen. */
export interface HolderFeed extends HolderEvents {
  readonly listen: (listener: HolderEvents['changed']) => void
}

/** Makes the feed; a listener that throws undoes the change it was told about. */
export function createHolderFeed(): HolderFeed {
  let listeners: readonly HolderEvents['changed'][] = []
  return {
    listen: (listener) => {
      listeners = [...listeners, listener]
    },
    changed: async (tx, holder, change) => {
      for (const listener of listeners) await listener(tx, holder, change)
    },
  }
}
