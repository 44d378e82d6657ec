// The end of a flow: tokens kept or a reason noted, the row closed, the holder told, the journal written, all in one
// transaction.
import type { Clock } from '../base/clock.ts'
import type { FaultCode } from '../base/fault.ts'
import type { EntryData, Journal } from '../journal/entries.ts'
import type { FlowRow } from '../store/schema.ts'
import type { Database } from '../store/database.ts'
import { doubtFinding } from './findings.ts'
import { bindingOfPlan, readPlan } from './flow-plan.ts'
import type { FlowPlan } from './flow-plan.ts'
import type { HolderEvents } from './holder.ts'
import { messageOf } from './messages.ts'
import type { Revocations } from './revocations.ts'
import { scopesOf, toldScopes } from './scopes.ts'
import type { TokenSet } from './token-endpoint.ts'
import { createTrace } from './trace.ts'
import type { Trace } from './trace.ts'
import type { Vault } from './vault.ts'

/** What the page after the callback is made from. */
export type FlowOutcome = CompletedFlow | FailedFlow

export interface CompletedFlow {
  readonly kind: 'completed'
  readonly flowId: string
  readonly connectionId: string
  readonly userId: string
  readonly returnTo?: string
}

export interface FailedFlow {
  readonly kind: 'failed'
  readonly flowId: string
  readonly connectionId: string
  readonly error: FaultCode
  readonly words: string
  readonly retryable: boolean
  readonly returnTo?: string
}

/** What the end of a flow needs. */
export interface OutcomeNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
  readonly vault: Vault
  readonly events: HolderEvents
  readonly revocations: Pick<Revocations, 'cancel' | 'giveBack'>
}

/** Keeps the tokens and closes the flow; undefined, and nothing kept, when the flow was ended meanwhile. */
export async function completeFlow(
  needs: OutcomeNeeds,
  facts: {
    readonly row: FlowRow
    readonly plan: FlowPlan
    readonly trace: Trace
    readonly tokens: TokenSet
  },
): Promise<CompletedFlow | undefined> {
  const { row, plan } = facts
  const trace = createTrace(needs.clock, facts.trace.steps())
  trace.note({ step: 'tokens', url: row.issuer, outcome: 'kept' })
  // RFC 6749 §5.1: a scope that is not named is the one that was asked for.
  const scope = facts.tokens.scope ?? plan.scopes.join(' ')
  const tokens: TokenSet = scope === '' ? facts.tokens : { ...facts.tokens, scope }
  const holder = { tenant: { id: row.tenant_id }, connectionId: row.connection_id }
  const isKept = await needs.db.transaction().execute(async (tx) => {
    // First the flow: whoever ends it takes the tokens away after it, and so finds what was kept here.
    if (!(await close(needs, tx, row, { status: 'completed', trace }))) return false
    await needs.revocations.cancel(tx, keyOf(row))
    await needs.vault.keep(tx, holder, bindingOfPlan(plan), tokens)
    await needs.events.changed(tx, keyOf(row), { kind: 'connected', by: plan })
    const told = { issuer: row.issuer, scopes: toldScopes(scopesOf(scope)) }
    await note(needs, tx, row, 'connection.connected', told)
    return true
  })
  return isKept ? { kind: 'completed', ...factsOf(row), userId: row.user_id } : undefined
}

/** Notes why it failed and closes the flow. */
export async function failFlow(
  needs: OutcomeNeeds,
  row: FlowRow,
  trace: Trace,
  error: FaultCode,
): Promise<FailedFlow> {
  const { words, retryable, reauthorize } = messageOf(error)
  await needs.db.transaction().execute(async (tx) => {
    const end = { status: 'failed', trace, error, retryable: retryable ? 1 : 0 } as const
    if (!(await close(needs, tx, row, end))) return
    if (!saidByPerson.has(error))
      await doubtFinding(tx, { id: row.tenant_id }, readPlan(row).serverUrl)
    await needs.events.changed(tx, keyOf(row), { kind: 'flow_failed', error, words })
    const told = { error, words, retryable, requiresReauthorization: reauthorize }
    await note(needs, tx, row, 'flow.failed', { issuer: row.issuer, ...told })
  })
  return { kind: 'failed', ...factsOf(row), error, words, retryable }
}

// Whoever did not want to, or came too late, shows nothing about where they were sent.
const saidByPerson: ReadonlySet<FaultCode> = new Set(['access_denied', 'authorization_timeout'])

/** Ends what is under way for these connections, so that no late answer brings tokens back. */
export async function endFlows(
  tx: Database,
  now: number,
  holders: { readonly tenantId: string; readonly connectionIds: readonly string[] },
): Promise<void> {
  if (holders.connectionIds.length === 0) return
  const error: FaultCode = 'flow_expired'
  await tx
    .updateTable('flows')
    .set({ status: 'failed', error, retryable: 1, claimed_at: now, completed_at: now })
    .where('tenant_id', '=', holders.tenantId)
    .where('connection_id', 'in', holders.connectionIds)
    .where('status', '=', 'pending')
    .execute()
}

/** Closes a flow that is still open; false when it was ended, or is gone with its connection. */
async function close(
  { clock }: OutcomeNeeds,
  tx: Database,
  row: FlowRow,
  end: {
    readonly status: 'completed' | 'failed'
    readonly trace: Trace
    readonly error?: string
    readonly retryable?: number
  },
): Promise<boolean> {
  const { trace, ...facts } = end
  const closed = await tx
    .updateTable('flows')
    .set({ ...facts, trace: JSON.stringify(trace.steps()), completed_at: clock.now() })
    .where('tenant_id', '=', row.tenant_id)
    .where('id', '=', row.id)
    .where('status', '=', 'pending')
    .returning('id')
    .executeTakeFirst()
  return closed !== undefined
}

function note(
  { journal }: OutcomeNeeds,
  tx: Database,
  row: FlowRow,
  type: 'connection.connected' | 'flow.failed',
  data: EntryData,
): Promise<void> {
  return journal.record(tx, {
    tenantId: row.tenant_id,
    type,
    actor: { kind: 'user', id: row.user_id },
    userId: row.user_id,
    subject: { kind: 'connection', id: row.connection_id },
    attempt: row.id,
    data,
  })
}

export function keyOf({ tenant_id: tenantId, connection_id: connectionId }: FlowRow) {
  return { tenantId, connectionId }
}

function factsOf(row: FlowRow) {
  return {
    flowId: row.id,
    connectionId: row.connection_id,
    ...(row.return_to === null ? {} : { returnTo: row.return_to }),
  }
}
