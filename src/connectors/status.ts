// How a connection stands: the status that is stored, what is added to it at the moment of looking, and the words for every
// reason. Kept in step with the tokens by the transaction that changes them.
import type { ExpressionBuilder } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { Fault, faultCatalogue } from '../base/fault.ts'
import type { Database } from '../store/database.ts'
import type { ConnectionRow, CredentialRow, Schema } from '../store/schema.ts'
import type {
  HolderChange,
  HolderEvents,
  HolderKey,
  SignedInFor,
  StatusReason,
} from '../upstream/holder.ts'

export type ConnectionStatus =
  | 'disconnected'
  | 'authorizing'
  | 'connected'
  | 'refreshing'
  | 'reauth_required'
  | 'error'

/** Why a connection stands as it does; a failed sign-in leaves its error code here. */
export type ConnectionReason = StatusReason | 'revoked' | 'scope_insufficient' | 'server_changed'

const expired = faultCatalogue.refresh_token_rejected.words

const reasonWords: Readonly<Record<ConnectionReason, string>> = {
  authorization_server_changed: 'The server now uses another sign-in. Please connect again.',
  client_lost: faultCatalogue.client_lost.words,
  provider_unreachable: faultCatalogue.provider_unreachable.words,
  refresh_failed: expired,
  refresh_interrupted: expired,
  refresh_token_rejected: expired,
  token_expired: expired,
  token_rejected: expired,
  revoked: 'The connection was ended. Connect again when you need it.',
  scope_insufficient:
    'The server refused something that needs more permission. Sign in again and agree to what it asks for.',
  server_changed: 'The server’s address or settings changed. Please connect again.',
}

/** Words for a reason; undefined for a code that has words of its own in `lastError`. */
export function wordsOf(reason: string): string | undefined {
  return Object.hasOwn(reasonWords, reason)
    ? reasonWords[reason as ConnectionReason] // hasOwn has just said so
    : undefined
}

/**
 * Writes what became of tokens into the connection they belong to. Throws Fault('flow_expired') for a sign-in at a server
 * that is another one by now.
 */
export function createStatusWriter({ clock }: { readonly clock: Clock }): HolderEvents['changed'] {
  return async (tx, holder, change) => {
    const { tenantId, connectionId } = holder
    await tx
      .updateTable('connections')
      .set((row) => ({ ...columnsOf(change), ...countsOf(row, change), updated_at: clock.now() }))
      .where('tenant_id', '=', tenantId)
      .where('id', '=', connectionId)
      .execute()
    if (change.kind === 'connected') await requireSameServer(tx, holder, change.by)
    if (change.kind === 'flow_failed') await noteReason(tx, holder, change.error)
  }
}

/** A statement after the one that waited for the connection's row: it sees a change of the server that came first. */
async function requireSameServer(
  tx: Database,
  { tenantId, connectionId }: HolderKey,
  { serverUrl, issuer, clientId }: SignedInFor,
): Promise<void> {
  const server = await tx
    .selectFrom('servers')
    .innerJoin('connections', (join) =>
      join
        .onRef('connections.tenant_id', '=', 'servers.tenant_id')
        .onRef('connections.server_id', '=', 'servers.id'),
    )
    .select(['url', 'auth', 'issuer', 'client_id'])
    .where('connections.tenant_id', '=', tenantId)
    .where('connections.id', '=', connectionId)
    .executeTakeFirst()
  const isSame =
    server !== undefined &&
    server.url === serverUrl &&
    server.auth === 'oauth' &&
    (server.issuer ?? issuer) === issuer &&
    (server.client_id ?? clientId) === clientId
  if (isSame) return
  throw new Fault('flow_expired', { because: 'the server was changed after the sign-in began' })
}

type StatusColumns = Partial<Pick<ConnectionRow, 'status' | 'status_reason' | 'last_error'>>

function columnsOf(change: HolderChange): StatusColumns {
  if (change.kind === 'connected') {
    return { status: 'connected', status_reason: null, last_error: null }
  }
  if (change.kind === 'refreshed') return { status: 'connected', last_error: null }
  if (change.kind === 'flow_failed') return { last_error: change.words }
  const { reason } = change
  const status = change.kind === 'lost' ? 'reauth_required' : 'error'
  return { status, status_reason: reason, last_error: reasonWords[reason] }
}

/** What depends on what stands there: how often somebody signed in, and what a server asks for beyond that. */
function countsOf(row: ExpressionBuilder<Schema, 'connections'>, change: HolderChange) {
  if (change.kind === 'connected') return { sign_ins: row('sign_ins', '+', 1) }
  // A new token is one for the same scopes.
  if (change.kind === 'refreshed') return { status_reason: scopeReason(row) }
  if (change.kind !== 'flow_failed' || change.error !== 'invalid_scope') return {}
  // What the provider does not give must not keep the person from signing in at all.
  return {
    sign_ins: row('sign_ins', '+', 1),
    step_up_scope: row.case().when('step_up_scope', 'is', null).then(null).else('').end(),
    status_reason: withoutScopeReason(row),
  }
}

/** The reason, if a server wants more scope. */
function scopeReason(row: ExpressionBuilder<Schema, 'connections'>) {
  const stands = row('status_reason', '=', 'scope_insufficient')
  return row.case().when(stands).then('scope_insufficient').else(null).end()
}

/** The reason, unless it is that a server wants more scope. */
export function withoutScopeReason(row: ExpressionBuilder<Schema, 'connections'>) {
  const stands = row('status_reason', '=', 'scope_insufficient')
  return row.case().when(stands).then(null).else(row.ref('status_reason')).end()
}

// A second sign-in that fails does not end a connection that works.
async function noteReason(
  tx: Database,
  { tenantId, connectionId }: HolderKey,
  reason: string,
): Promise<void> {
  await tx
    .updateTable('connections')
    .set({ status_reason: reason })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', connectionId)
    .where('status', '!=', 'connected')
    .execute()
}

/** What is known of a connection's tokens, without the tokens. */
export type TokenFacts = {
  readonly [K in TokenColumn]: CredentialRow[K] | null
}
type TokenColumn =
  | 'access_token_sealed'
  | 'refresh_token_sealed'
  | 'expires_at'
  | 'next_refresh_at'
  | 'last_refresh_at'
  | 'refresh_count'
  | 'lease_until'
  | 'scope'

export interface Standing {
  readonly status: ConnectionStatus
  readonly reason: string | undefined
  /** Tokens are there that work, or that can be made to work without the person. */
  readonly authorized: boolean
}

/** How a connection stands now. */
export function standingOf(facts: {
  readonly connection: Pick<ConnectionRow, 'status' | 'status_reason'>
  readonly tokens: TokenFacts
  readonly needsTokens: boolean
  /** New tokens are asked for without the person, also where there is no refresh token. */
  readonly asksAlone: boolean
  readonly isSigningIn: boolean
  readonly now: number
}): Standing {
  const { connection, tokens, now } = facts
  if (!facts.needsTokens) return { status: 'connected', reason: undefined, authorized: true }
  const stored = connection.status as ConnectionStatus // only this room writes it
  const isRenewable = facts.asksAlone || tokens.refresh_token_sealed !== null
  const isAlive = isRenewable || (tokens.expires_at ?? Infinity) > now
  const hasTokens = (tokens.access_token_sealed ?? '') !== '' && isAlive
  const authorized = hasTokens && stored !== 'reauth_required' && stored !== 'disconnected'
  const reason = connection.status_reason ?? undefined
  if (authorized && (tokens.lease_until ?? 0) > now)
    return { status: 'refreshing', reason, authorized }
  if (facts.isSigningIn && !authorized) return { status: 'authorizing', reason, authorized }
  if (stored === 'connected' && !authorized) {
    return { status: 'reauth_required', reason: 'token_expired', authorized }
  }
  return { status: stored, reason, authorized }
}
