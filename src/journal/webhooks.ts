// Webhooks: the journal, told to other programs as Standard Webhooks. At least once, in order per subject, for three days.
// This file is what the doors see; how each step is done stands in the files beside it.
import { Fault } from '../base/fault.ts'
import type { Page } from '../base/page.ts'
import type { Database } from '../store/database.ts'
import type { EntryType } from './entries.ts'
import { listDeliveries, requireDelivery, toDelivery } from './webhook-deliveries.ts'
import type { DeliveryQuery, WebhookDelivery } from './webhook-deliveries.ts'
import {
  createWebhook,
  listWebhooks,
  removeWebhook,
  rotateWebhookSecret,
  updateWebhook,
} from './webhook-endpoints.ts'
import type { WebhookWithSecret } from './webhook-endpoints.ts'
import type { WebhookChange, WebhookInput } from './webhook-input.ts'
import { requireWebhook, toWebhook } from './webhook-rows.ts'
import type { Webhook, WebhookKey, WebhookManager, WebhookNeeds } from './webhook-rows.ts'
import { createWebhookSender } from './webhook-sender.ts'
import type { WebhookSender } from './webhook-sender.ts'
import { webhookDefaults } from './webhook-settings.ts'
import type { WebhookSettings } from './webhook-settings.ts'
import { testDelivery } from './webhook-spread.ts'

export type { Webhook, WebhookDelivery, WebhookManager, WebhookWithSecret }

/** The webhooks of all tenants. Whoever calls has checked that the person may manage their tenant. */
export interface Webhooks {
  /** Throws Fault('invalid_input' | 'insecure_endpoint' | 'discovery_blocked' | 'conflict'). */
  readonly create: (manager: WebhookManager, input: WebhookInput) => Promise<WebhookWithSecret>
  readonly list: (tenantId: string) => Promise<readonly Webhook[]>
  readonly get: (key: WebhookKey) => Promise<Webhook>
  readonly update: (manager: WebhookManager, id: string, change: WebhookChange) => Promise<Webhook>
  readonly remove: (manager: WebhookManager, id: string) => Promise<void>
  /** The secret before the new one signs too, for a day. Throws Fault('conflict') for one of two at once. */
  readonly rotateSecret: (manager: WebhookManager, id: string) => Promise<WebhookWithSecret>
  /** Sends a `webhook.test` event now, once, and says how that went. */
  readonly test: (manager: WebhookManager, id: string) => Promise<WebhookDelivery>
  readonly deliveries: (key: WebhookKey, query?: DeliveryQuery) => Promise<Page<WebhookDelivery>>
  /** Sends a delivery again, under the same id. */
  readonly redeliver: (
    manager: WebhookManager,
    id: string,
    deliveryId: string,
  ) => Promise<WebhookDelivery>
  /** Begins to send what is due and does not wait for any receiver. */
  readonly begin: WebhookSender['begin']
  /** Waits for what was begun. */
  readonly settle: WebhookSender['settle']
  readonly close: WebhookSender['close']
}

/** Makes the webhooks over one database. */
export function createWebhooks(
  given: Omit<WebhookNeeds, 'settings'>,
  settings: Partial<WebhookSettings> = {},
): Webhooks {
  const needs: WebhookNeeds = { ...given, settings: { ...webhookDefaults, ...settings } }
  const { db, clock } = needs
  const { sendNow, ...sender } = createWebhookSender(needs)
  return {
    ...sender,
    create: (manager, input) => createWebhook(needs, manager, input),
    list: (tenantId) => listWebhooks(needs, tenantId),
    get: async (key) => toWebhook(await requireWebhook(db, key), clock.now()),
    update: (manager, id, change) => updateWebhook(needs, { manager, id }, change),
    remove: (manager, id) => removeWebhook(needs, manager, id),
    rotateSecret: (manager, id) => rotateWebhookSecret(needs, manager, id),
    test: (manager, id) => testWebhook({ ...needs, sendNow }, manager, id),
    deliveries: async (key, query = {}) => {
      await requireWebhook(db, key)
      return listDeliveries(db, key, query)
    },
    redeliver: (manager, id, deliveryId) => redeliver(needs, { manager, id }, deliveryId),
  }
}

async function testWebhook(
  needs: WebhookNeeds & Pick<WebhookSender, 'sendNow'>,
  manager: WebhookManager,
  id: string,
): Promise<WebhookDelivery> {
  const { db, clock } = needs
  const key = { tenantId: manager.tenantId, id }
  const webhook = await requireWebhook(db, key)
  const delivery = testDelivery({ ...needs, now: clock.now() }, webhook)
  await db.transaction().execute(async (tx) => {
    await requireSwitchedOn(tx, key)
    await tx.insertInto('webhook_deliveries').values(delivery).execute()
    await noteDelivery(needs, tx, manager, { id, type: 'webhook.tested', deliveryId: delivery.id })
  })
  await needs.sendNow(webhook, delivery)
  return toDelivery(await requireDelivery(db, key, delivery.id))
}

async function requireSwitchedOn(tx: Database, key: WebhookKey): Promise<void> {
  const { disabled_at: disabledAt } = await requireWebhook(tx, key)
  if (disabledAt === null) return
  throw new Fault('conflict', {
    because: 'the webhook is switched off',
    detail: { disabled: 'This webhook is switched off. Switch it on first.' },
  })
}

interface Noted {
  readonly id: string
  readonly type: EntryType
  readonly deliveryId: string
}

function noteDelivery(
  { journal }: WebhookNeeds,
  tx: Database,
  manager: WebhookManager,
  { id, type, deliveryId }: Noted,
): Promise<void> {
  return journal.record(tx, {
    ...manager,
    type,
    subject: { kind: 'webhook', id },
    data: { deliveryId },
  })
}

async function redeliver(
  needs: WebhookNeeds,
  { manager, id }: { readonly manager: WebhookManager; readonly id: string },
  deliveryId: string,
): Promise<WebhookDelivery> {
  const { db, clock, settings } = needs
  const key = { tenantId: manager.tenantId, id }
  const now = clock.now()
  return db.transaction().execute(async (tx) => {
    await requireSwitchedOn(tx, key)
    const before = await requireDelivery(tx, key, deliveryId)
    // What is still on its way keeps its place; what ended goes on its own and holds nothing up.
    const anew = {
      status: 'pending',
      order_key: before.id,
      failures: 0,
      give_up_at: now + settings.retryForMs,
      finished_at: null,
      expires_at: null,
    }
    const row = await tx
      .updateTable('webhook_deliveries')
      .set({ ...(before.status === 'pending' ? {} : anew), next_attempt_at: now })
      .where('tenant_id', '=', key.tenantId)
      .where('id', '=', deliveryId)
      .where('status', '=', before.status)
      .returningAll()
      .executeTakeFirst()
    if (row === undefined)
      throw new Fault('conflict', { because: 'the delivery ended at the same time' })
    const type = 'webhook.redelivery_requested'
    await noteDelivery(needs, tx, manager, { id, type, deliveryId })
    return toDelivery(row)
  })
}
