// Turns what the journal says into deliveries of one webhook. Its cursor moves in the transaction that makes them, so each
// entry is taken exactly once, whoever takes it and whatever dies meanwhile.
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { WebhookDeliveryRow, WebhookRow } from '../store/schema.ts'
import type { SealedEntry } from './entries.ts'
import { countPending } from './webhook-deliveries.ts'
import { keepHold } from './webhook-lease.ts'
import type { Hold } from './webhook-lease.ts'
import { testEvent, testEventType, toPublicEvent } from './webhook-payload.ts'
import type { PublicEvent } from './webhook-payload.ts'
import { wants } from './webhook-rows.ts'
import type { WebhookNeeds } from './webhook-rows.ts'
import type { WebhookSettings } from './webhook-settings.ts'

const batchEntries = 200
const batchesMax = 50

/** Makes deliveries of what is new, as long as there is room for them; the journal keeps the rest. */
export async function spreadNew(needs: WebhookNeeds, hold: Hold): Promise<void> {
  const { db, clock, journal, settings } = needs
  const { leaseMs, pendingMax } = settings
  for (let batch = 0; batch < batchesMax; batch += 1) {
    const webhook = await keepHold(db, hold, { now: clock.now(), leaseMs })
    if (webhook === undefined) return
    const after = webhook.cursor_seq
    const entries = await journal.list({ tenantId: hold.tenantId, after, limit: batchEntries })
    if (entries.length === 0) return
    const room = pendingMax - (await countPending(db, hold))
    if (room <= 0 || !(await take(needs, { hold, webhook }, entries.slice(0, room)))) return
  }
}

interface Taker {
  readonly hold: Hold
  readonly webhook: WebhookRow
}

/** False when another process was quicker. */
async function take(
  { db, clock, random, settings }: WebhookNeeds,
  { hold, webhook }: Taker,
  entries: readonly SealedEntry[],
): Promise<boolean> {
  const now = clock.now()
  // A webhook that was off for long does not hear of what it would have been given up for.
  const oldest = now - settings.retryForMs
  const wanted = entries.filter(({ type, at }) => at >= oldest && wants(webhook, type))
  const rows = wanted.map((entry) => deliveryOf({ random, settings, now }, webhook, entry))
  return db.transaction().execute(async (tx) => {
    const moved = await tx
      .updateTable('webhooks')
      .set({ cursor_seq: entries.at(-1)?.seq ?? webhook.cursor_seq })
      .where('tenant_id', '=', hold.tenantId)
      .where('id', '=', hold.id)
      .where('lease_owner', '=', hold.owner)
      .where('cursor_seq', '=', webhook.cursor_seq)
      .returning('id')
      .executeTakeFirst()
    if (moved === undefined) return false
    if (rows.length > 0) await tx.insertInto('webhook_deliveries').values(rows).execute()
    return true
  })
}

interface Circumstances {
  readonly random: Random
  readonly settings: WebhookSettings
  readonly now: number
}

function deliveryOf(
  circumstances: Circumstances,
  webhook: WebhookRow,
  entry: SealedEntry,
): WebhookDeliveryRow {
  const { subject, seq } = entry
  const row = newDelivery(circumstances, webhook, toPublicEvent(entry))
  return {
    ...row,
    entry_id: entry.id,
    seq,
    order_key: subject === undefined ? row.id : `${subject.kind}:${subject.id}`,
  }
}

/** A delivery that only tries a webhook out. Nobody else sends it while the caller does. */
export function testDelivery(
  circumstances: Circumstances,
  webhook: WebhookRow,
): WebhookDeliveryRow {
  const { now, settings } = circumstances
  const reservedUntil = now + settings.leaseMs
  const row = newDelivery(circumstances, webhook, testEvent(webhook.id, now))
  return { ...row, next_attempt_at: reservedUntil, give_up_at: reservedUntil }
}

/** Is this one of those? They are tried once. */
export function isTest(delivery: WebhookDeliveryRow): boolean {
  return delivery.event_type === testEventType
}

function newDelivery(
  { random, settings, now }: Circumstances,
  webhook: WebhookRow,
  event: PublicEvent,
): WebhookDeliveryRow {
  const id = randomId(random, 'msg_')
  return {
    tenant_id: webhook.tenant_id,
    id,
    webhook_id: webhook.id,
    entry_id: id,
    seq: 0,
    event_type: event.type,
    order_key: id,
    body: JSON.stringify(event),
    status: 'pending',
    attempt_count: 0,
    attempts: '[]',
    failures: 0,
    next_attempt_at: now,
    give_up_at: now + settings.retryForMs,
    created_at: now,
    finished_at: null,
    expires_at: null,
  }
}
