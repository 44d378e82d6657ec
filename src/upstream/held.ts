// The tokens of one connection as they are held, and the one way in which their row is changed: only where it still holds
// the generation that the change was made for.
import type { Secret } from '../base/secret.ts'
import type { Database } from '../store/database.ts'
import type { CredentialRow } from '../store/schema.ts'
import type { OwnGrant } from './grant.ts'
import type { HolderKey } from './holder.ts'

/** Where the tokens came from and may go back to; no secret in it. */
export interface Binding {
  /** The MCP server's address that was signed in for; the tokens go to no other. */
  readonly serverUrl: string
  readonly issuer: string
  readonly serverId: string
  /** Absent for a connection that belongs to nobody alone. */
  readonly userId?: string
  readonly tokenEndpoint: string
  readonly revocationEndpoint?: string
  readonly clientId: string
  readonly redirectUri: string
  readonly resource: string
  /** What was asked for, which a step-up asks for again. */
  readonly requestedScopes: readonly string[]
  /** How new tokens are asked for without a refresh token and a browser. */
  readonly grant?: OwnGrant
  /** The tokens are bound to a key of ours where that is to be had (RFC 9449). */
  readonly proofs?: 'required' | 'offered'
}

/** The tokens of one connection at one moment. */
export interface Held {
  readonly key: HolderKey
  readonly binding: Binding
  readonly generation: number
  /** Absent when the tokens are known to be dead; the binding stays for the next sign-in. */
  readonly accessToken: Secret | undefined
  readonly tokenType: string
  readonly refreshToken: Secret | undefined
  /** The key that the tokens are bound to. */
  readonly proofKey: Secret | undefined
  readonly scope: string | undefined
  readonly expiresAt: number | undefined
  /** When it is refreshed though nobody uses it; after a failure not sooner for those who do. */
  readonly refreshAt: number | undefined
  /** How long before its end whoever uses it refreshes it first. */
  readonly aheadAtUseMs: number
  /** The generation that was last sent out, and whose answer nobody has seen. */
  readonly intentGeneration: number | undefined
  /** What the provider refused once and was not asked again about yet (doubts.ts). */
  readonly doubt: string | undefined
}

export function readBinding({ binding }: Pick<CredentialRow, 'binding'>): Binding {
  return JSON.parse(binding) as Binding // only the vault writes it
}

/** Names one generation of the tokens of one connection. The spool's files hang on it, across versions. */
export function nameOf({ key, generation }: Pick<Held, 'key' | 'generation'>): string {
  return JSON.stringify([key.tenantId, key.connectionId, generation])
}

/** Whom a refresh asks. */
export function hostOf({ tokenEndpoint }: Binding): string {
  return new URL(tokenEndpoint).host
}

/** A change that only fits the generation it was made for; it gives a row when it did. */
export function change(db: Database, { key, generation }: Held, set: Partial<CredentialRow>) {
  return db
    .updateTable('credentials')
    .set(set)
    .where('tenant_id', '=', key.tenantId)
    .where('connection_id', '=', key.connectionId)
    .where('generation', '=', generation)
    .returning('generation')
}

/** No process works on the row, and nothing that was sent waits for its outcome. */
export const noLease = {
  lease_owner: null,
  lease_until: null,
  intent_generation: null,
  intent_at: null,
}

/** The tokens are dead. */
export const noTokens = {
  access_token_sealed: '',
  refresh_token_sealed: null,
  proof_key_sealed: null,
  next_refresh_at: null,
}

/** Nothing was refused. */
export const noDoubt = { doubt: null, doubt_until: null }
