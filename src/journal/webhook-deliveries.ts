// The rows of `webhook_deliveries`: which may go next, and what people see of them. Deliveries of one subject go one after
// the other, in the order of the journal; a delivery that was asked for again stands outside of that order.
import { Fault } from '../base/fault.ts'
import { beforeNewest, limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Database } from '../store/database.ts'
import type { WebhookDeliveryRow } from '../store/schema.ts'
import type { WebhookKey } from './webhook-rows.ts'
import { finishedColumns } from './webhook-settings.ts'
import type { WebhookSettings } from './webhook-settings.ts'

/** One event on its way to one webhook, or there. */
export interface WebhookDelivery {
  /** The `webhook-id` of every attempt. */
  readonly id: string
  readonly webhookId: string
  readonly eventType: string
  readonly status: DeliveryStatus
  readonly attemptCount: number
  /** The latest attempts, the oldest of them first. */
  readonly attempts: readonly WebhookAttempt[]
  /** Of one that is pending: when it is tried next, unless an earlier one of its subject is still on its way. */
  readonly nextAttemptAt?: number
  /** Why it failed, or has not arrived yet. */
  readonly error?: string
  readonly createdAt: number
  readonly finishedAt?: number
}

/** One attempt. */
export interface WebhookAttempt {
  readonly at: number
  /** The HTTP status of the answer. */
  readonly status?: number
  readonly error?: string
  /** How an answer that was no success begins. */
  readonly excerpt?: string
}

export const deliveryStatuses = ['pending', 'delivered', 'failed'] as const
export type DeliveryStatus = (typeof deliveryStatuses)[number]

/** Which deliveries to list, the newest first. */
export interface DeliveryQuery extends PageRequest {
  readonly status?: DeliveryStatus
}

/** A delivery as people see it. */
export function toDelivery(row: WebhookDeliveryRow): WebhookDelivery {
  const attempts = attemptsOf(row)
  const error = errorOf(row, attempts.at(-1))
  return {
    id: row.id,
    webhookId: row.webhook_id,
    eventType: row.event_type,
    status: row.status as DeliveryStatus, // only this room writes it
    attemptCount: row.attempt_count,
    attempts,
    ...(row.status === 'pending' ? { nextAttemptAt: row.next_attempt_at } : {}),
    ...(error === undefined ? {} : { error }),
    createdAt: row.created_at,
    ...(row.finished_at === null ? {} : { finishedAt: row.finished_at }),
  }
}

function errorOf(
  { status }: WebhookDeliveryRow,
  last: WebhookAttempt | undefined,
): string | undefined {
  if (status === 'delivered') return undefined
  if (status === 'failed' && last === undefined) return 'Its time was over before it could be sent.'
  return last?.error
}

const attemptsKept = 20

/** The attempts that a row remembers, with one more. */
export function withAttempt(row: WebhookDeliveryRow, attempt: WebhookAttempt): string {
  return JSON.stringify([...attemptsOf(row), attempt].slice(-attemptsKept))
}

function attemptsOf(row: WebhookDeliveryRow): readonly WebhookAttempt[] {
  return JSON.parse(row.attempts) as readonly WebhookAttempt[] // only withAttempt writes it
}

/** The first pending delivery of each subject, where it is due at this time. */
export function findDueHeads(
  db: Database,
  { tenantId, id }: WebhookKey,
  { now, limit }: { readonly now: number; readonly limit: number },
): Promise<readonly WebhookDeliveryRow[]> {
  const heads = db
    .selectFrom('webhook_deliveries')
    .select(({ fn }) => ['order_key', fn.min('seq').as('seq')])
    .where('tenant_id', '=', tenantId)
    .where('webhook_id', '=', id)
    .where('status', '=', 'pending')
    .groupBy('order_key')
  return db
    .selectFrom(heads.as('head'))
    .innerJoin('webhook_deliveries as delivery', (join) =>
      join
        .onRef('delivery.order_key', '=', 'head.order_key')
        .onRef('delivery.seq', '=', 'head.seq'),
    )
    .selectAll('delivery')
    .where('delivery.tenant_id', '=', tenantId)
    .where('delivery.webhook_id', '=', id)
    .where('delivery.status', '=', 'pending')
    .where('delivery.next_attempt_at', '<=', now)
    .orderBy('delivery.next_attempt_at')
    .orderBy('delivery.seq')
    .limit(limit)
    .execute()
}

/** The next delivery of the same subject, if it is due. */
export async function findDueAfter(
  db: Database,
  before: WebhookDeliveryRow,
  now: number,
): Promise<WebhookDeliveryRow | undefined> {
  const next = await db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('tenant_id', '=', before.tenant_id)
    .where('webhook_id', '=', before.webhook_id)
    .where('status', '=', 'pending')
    .where('order_key', '=', before.order_key)
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst()
  return next !== undefined && next.next_attempt_at <= now ? next : undefined
}

/** How many deliveries of a webhook wait. */
export async function countPending(db: Database, { tenantId, id }: WebhookKey): Promise<number> {
  const { count } = await db
    .selectFrom('webhook_deliveries')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('webhook_id', '=', id)
    .where('status', '=', 'pending')
    .executeTakeFirstOrThrow()
  return count
}

/** Gives up what waited too long, so that a receiver that comes back after days is not flooded. */
export async function failOverdue(
  db: Database,
  { tenantId, id }: WebhookKey,
  { now, settings }: { readonly now: number; readonly settings: WebhookSettings },
): Promise<void> {
  await db
    .updateTable('webhook_deliveries')
    .set({ status: 'failed', ...finishedColumns(settings, now) })
    .where('tenant_id', '=', tenantId)
    .where('webhook_id', '=', id)
    .where('status', '=', 'pending')
    .where('give_up_at', '<=', now)
    .execute()
}

/** A delivery of a webhook. Throws Fault('not_found'). */
export async function requireDelivery(
  db: Database,
  { tenantId, id }: WebhookKey,
  deliveryId: string,
): Promise<WebhookDeliveryRow> {
  const row = await db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('id', '=', deliveryId)
    .where('webhook_id', '=', id)
    .executeTakeFirst()
  if (row !== undefined) return row
  throw new Fault('not_found', { because: 'no such delivery of this webhook' })
}

/** The deliveries of a webhook in pages. */
export async function listDeliveries(
  db: Database,
  { tenantId, id }: WebhookKey,
  query: DeliveryQuery,
): Promise<Page<WebhookDelivery>> {
  const { status } = query
  const after = positionOf(query, beforeNewest)
  const rows = await db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('webhook_id', '=', id)
    .$if(status !== undefined, (some) => some.where('status', '=', status ?? ''))
    .where((is) => is(is.refTuple('created_at', 'id'), '<', is.tuple(after.createdAt, after.id)))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limitOf(query) + 1)
    .execute()
  return pageOf(rows, query, toDelivery)
}
