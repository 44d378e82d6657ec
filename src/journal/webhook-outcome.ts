// Writes down what became of an attempt, and what follows: done, later, given up, or the whole webhook left alone or
// switched off. An attempt counts once, even if its process was taken for dead meanwhile.
import type { Database } from '../store/database.ts'
import type { WebhookDeliveryRow, WebhookRow } from '../store/schema.ts'
import { withAttempt } from './webhook-deliveries.ts'
import type { WebhookAttempt } from './webhook-deliveries.ts'
import type { WebhookNeeds } from './webhook-rows.ts'
import type { AttemptOutcome } from './webhook-send.ts'
import { finishedColumns, jittered, pauseMs, retryDelayMs } from './webhook-settings.ts'
import { isTest } from './webhook-spread.ts'

/** How the sender goes on: with the next of this subject, with another subject, or not at all for now. */
export type Ending = 'delivered' | 'later' | 'stop'

interface Attempted {
  readonly webhook: WebhookRow
  readonly delivery: WebhookDeliveryRow
}

/** Writes the outcome of an attempt down. */
export async function recordOutcome(
  needs: WebhookNeeds,
  attempted: Attempted,
  outcome: Exclude<AttemptOutcome, { kind: 'interrupted' }>,
): Promise<Ending> {
  const now = needs.clock.now()
  const attempt = describe(outcome, now)
  const { status } = attempt
  return needs.db.transaction().execute(async (tx) => {
    if (attempt.error === undefined) return succeeded(needs, tx, attempted, attempt)
    if (status === goneStatus) return gone(needs, tx, attempted, attempt)
    return failed(needs, tx, attempted, attempt)
  })
}

// Standard Webhooks, "Delivery": a receiver that answers 410 wants nothing more.
const goneStatus = 410

function describe(outcome: Exclude<AttemptOutcome, { kind: 'interrupted' }>, at: number) {
  if (outcome.kind === 'unanswered') return { at, error: outcome.words }
  const { status, excerpt } = outcome
  if (status >= 200 && status < 300) return { at, status }
  const attempt = { at, status, error: wordsFor(status) }
  return excerpt === '' ? attempt : { ...attempt, excerpt }
}

function wordsFor(status: number): string {
  if (status === goneStatus) return 'The receiver says that it is gone.'
  const isRedirect = status >= 300 && status < 400
  if (isRedirect) return 'The receiver redirects, and redirects are not followed.'
  return `The receiver answered ${status}.`
}

async function succeeded(
  { settings }: WebhookNeeds,
  tx: Database,
  { webhook, delivery }: Attempted,
  attempt: WebhookAttempt,
): Promise<Ending> {
  const ended = finishedColumns(settings, attempt.at)
  await update(tx, delivery, attempt, { status: 'delivered', ...ended })
  if (webhook.failures > 0) await recovered(tx, webhook, attempt.at)
  return 'delivered'
}

/** The receiver answers again: what was put off because of it goes now. */
async function recovered(tx: Database, webhook: WebhookRow, now: number): Promise<void> {
  await tx
    .updateTable('webhooks')
    .set({ failures: 0, failing_since: null, paused_until: null })
    .where('tenant_id', '=', webhook.tenant_id)
    .where('id', '=', webhook.id)
    .execute()
  if (webhook.paused_until === null) return
  await tx
    .updateTable('webhook_deliveries')
    .set({ next_attempt_at: now })
    .where('tenant_id', '=', webhook.tenant_id)
    .where('webhook_id', '=', webhook.id)
    .where('status', '=', 'pending')
    .where('next_attempt_at', '>', now)
    .execute()
}

async function gone(
  { journal, settings }: WebhookNeeds,
  tx: Database,
  { webhook, delivery }: Attempted,
  attempt: WebhookAttempt,
): Promise<Ending> {
  const ended = finishedColumns(settings, attempt.at)
  await update(tx, delivery, attempt, { status: 'failed', ...ended })
  const disabled = await tx
    .updateTable('webhooks')
    .set({ disabled_at: attempt.at, disabled_reason: 'gone' })
    .where('tenant_id', '=', webhook.tenant_id)
    .where('id', '=', webhook.id)
    .where('disabled_at', 'is', null)
    .returning('id')
    .executeTakeFirst()
  if (disabled !== undefined) {
    await journal.record(tx, {
      tenantId: webhook.tenant_id,
      type: 'webhook.disabled',
      actor: { kind: 'system' },
      subject: { kind: 'webhook', id: webhook.id },
      data: { reason: 'gone' },
    })
  }
  return 'stop'
}

async function failed(
  needs: WebhookNeeds,
  tx: Database,
  { webhook, delivery }: Attempted,
  attempt: WebhookAttempt,
): Promise<Ending> {
  const { random, settings, log } = needs
  const pausedUntil = await countFailure(needs, tx, webhook, attempt.at)
  const failures = delivery.failures + 1
  const dueAt = attempt.at + jittered(random, retryDelayMs(settings, failures))
  const nextAt = Math.min(dueAt, pausedUntil ?? dueAt)
  const isOver = isTest(delivery) || nextAt > delivery.give_up_at
  if (isOver)
    log.warn({ webhookId: webhook.id, deliveryId: delivery.id }, 'a delivery was given up')
  await update(tx, delivery, attempt, {
    failures,
    ...(isOver
      ? { status: 'failed', ...finishedColumns(settings, attempt.at) }
      : { next_attempt_at: nextAt }),
  })
  return pausedUntil === undefined ? 'later' : 'stop'
}

/** Counts a failure against the whole webhook; gives the end of the pause, if it is down. */
async function countFailure(
  { random, settings }: WebhookNeeds,
  tx: Database,
  webhook: WebhookRow,
  now: number,
): Promise<number | undefined> {
  const counted = await tx
    .updateTable('webhooks')
    .set((row) => ({
      failures: row('failures', '+', 1),
      failing_since: row.fn.coalesce('failing_since', row.val(now)),
    }))
    .where('tenant_id', '=', webhook.tenant_id)
    .where('id', '=', webhook.id)
    .returning(['failures', 'failing_since'])
    .executeTakeFirst()
  if (counted === undefined || counted.failures < settings.downAfterFailures) return undefined
  const downForMs = now - (counted.failing_since ?? now)
  const pausedUntil = now + jittered(random, pauseMs(settings, downForMs))
  await tx
    .updateTable('webhooks')
    .set({ paused_until: pausedUntil })
    .where('tenant_id', '=', webhook.tenant_id)
    .where('id', '=', webhook.id)
    .execute()
  return pausedUntil
}

interface DeliveryChange {
  readonly status?: 'delivered' | 'failed'
  readonly finished_at?: number
  readonly expires_at?: number
  readonly failures?: number
  readonly next_attempt_at?: number
}

async function update(
  tx: Database,
  delivery: WebhookDeliveryRow,
  attempt: WebhookAttempt,
  change: DeliveryChange,
): Promise<void> {
  await tx
    .updateTable('webhook_deliveries')
    .set({
      ...change,
      attempt_count: delivery.attempt_count + 1,
      attempts: withAttempt(delivery, attempt),
    })
    .where('tenant_id', '=', delivery.tenant_id)
    .where('id', '=', delivery.id)
    .where('status', '=', 'pending')
    .where('attempt_count', '=', delivery.attempt_count)
    .execute()
}
