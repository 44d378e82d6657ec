// Who may send for a webhook: one process at a time, and only while it says that it is alive. All by conditional updates.
import type { Database } from '../store/database.ts'
import type { WebhookRow } from '../store/schema.ts'
import type { WebhookKey } from './webhook-rows.ts'

/** A webhook that this process holds. */
export interface Hold extends WebhookKey {
  readonly owner: string
}

interface Term {
  readonly now: number
  readonly leaseMs: number
}

/** Takes a webhook, unless another process holds it. */
export async function takeHold(db: Database, hold: Hold, term: Term): Promise<boolean> {
  const taken = await db
    .updateTable('webhooks')
    .set({ lease_owner: hold.owner, lease_until: term.now + term.leaseMs })
    .where('tenant_id', '=', hold.tenantId)
    .where('id', '=', hold.id)
    .where((is) => is.or([is('lease_until', 'is', null), is('lease_until', '<=', term.now)]))
    .returning('id')
    .executeTakeFirst()
  return taken !== undefined
}

/** The webhook as it is now; undefined when it is switched off, gone, or held by another. Holds on when the lease ages. */
export async function keepHold(
  db: Database,
  hold: Hold,
  term: Term,
): Promise<WebhookRow | undefined> {
  const row = await db
    .selectFrom('webhooks')
    .selectAll()
    .where('tenant_id', '=', hold.tenantId)
    .where('id', '=', hold.id)
    .where('lease_owner', '=', hold.owner)
    .where('disabled_at', 'is', null)
    .executeTakeFirst()
  if (row === undefined || (row.lease_until ?? 0) - term.now > term.leaseMs / 2) return row
  return db
    .updateTable('webhooks')
    .set({ lease_until: term.now + term.leaseMs })
    .where('tenant_id', '=', hold.tenantId)
    .where('id', '=', hold.id)
    .where('lease_owner', '=', hold.owner)
    .returningAll()
    .executeTakeFirst()
}

/** Lets a webhook go. */
export async function dropHold(db: Database, hold: Hold): Promise<void> {
  await db
    .updateTable('webhooks')
    .set({ lease_owner: null, lease_until: null })
    .where('tenant_id', '=', hold.tenantId)
    .where('id', '=', hold.id)
    .where('lease_owner', '=', hold.owner)
    .execute()
}
