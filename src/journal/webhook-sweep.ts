// What webhooks throw away: deliveries that ended long ago. The journal itself keeps everything.
import type { Database } from '../store/database.ts'
import { sweepExpired } from '../store/sweep.ts'

/** How many rows went, by what they were. */
export interface WebhookSweep {
  readonly webhookDeliveries: number
}

/** Deletes what is over at this time, of all tenants. */
export async function sweepWebhooks(db: Database, now: number): Promise<WebhookSweep> {
  return {
    webhookDeliveries: await sweepExpired(db, { table: 'webhook_deliveries', key: ['id'] }, now),
  }
}
