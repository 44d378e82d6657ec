// What was said in calls, for tenants that want it kept for some days: sealed, and in a table of its own, so that the journal
// and its readers never hold it. Whether it is kept is the tenant's setting, which is looked at here once more.
import type { Database } from '../store/database.ts'
import { inBatches, sweepBatchRows } from '../store/sweep.ts'
import { dayMs } from './refusal-counts.ts'

/** Deletes all that is kept of a tenant. */
export async function forgetContents(db: Database, tenantId: string): Promise<number> {
  return forgetUntil(db, tenantId, Number.MAX_SAFE_INTEGER)
}

/** How many rows went. */
export interface CallContentSweep {
  readonly callContents: number
}

/** Deletes what is older than its tenant wants, and all of tenants that want none any more. */
export async function sweepContents(db: Database, now: number): Promise<CallContentSweep> {
  const tenants = await db
    .selectFrom('tenants')
    .select(['id', 'call_content_days as days'])
    .where((is) =>
      is.exists(
        is
          .selectFrom('call_contents')
          .select('call_contents.id')
          .whereRef('call_contents.tenant_id', '=', 'tenants.id'),
      ),
    )
    .execute()
  let callContents = 0
  for (const { id, days } of tenants) {
    callContents +=
      days === null ? await forgetContents(db, id) : await forgetUntil(db, id, now - days * dayMs)
  }
  return { callContents }
}

function forgetUntil(db: Database, tenantId: string, createdAt: number): Promise<number> {
  return inBatches(async () => {
    const deleted = await db
      .deleteFrom('call_contents')
      .where('tenant_id', '=', tenantId)
      .where('id', 'in', (is) =>
        is
          .selectFrom('call_contents as over')
          .select('over.id')
          .where('over.tenant_id', '=', tenantId)
          .where('over.created_at', '<=', createdAt)
          .orderBy('over.created_at')
          .limit(sweepBatchRows),
      )
      .executeTakeFirst()
    return deleted.numDeletedRows
  })
}
