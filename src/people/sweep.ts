// What this room throws away: sessions, set-up links and sign-ins elsewhere that have expired, and those that ended long ago.
import type { Database } from '../store/database.ts'
import { inBatches, sweepBatchRows, sweepExpired } from '../store/sweep.ts'

/** How many rows went, by what they were. */
export interface PeopleSweep {
  readonly sessions: number
  readonly setupLinks: number
  readonly signInFlows: number
  readonly providerGrants: number
}

/** Deletes what is over at this time, of all tenants. */
export async function sweepPeople(db: Database, now: number): Promise<PeopleSweep> {
  return {
    sessions: await sweepExpired(db, { table: 'sessions', key: ['session_digest'] }, now),
    setupLinks: await sweepExpired(db, { table: 'setup_links', key: ['link_digest'] }, now),
    signInFlows: await sweepExpired(db, { table: 'sign_in_flows', key: ['id'] }, now),
    providerGrants: await sweepEnded(db, now - grantKeptMs),
  }
}

/** Nothing hangs on one that ended: it is kept for whoever looks why. */
const grantKeptMs = 24 * 3_600_000

function sweepEnded(db: Database, endedAt: number): Promise<number> {
  return inBatches(async () => {
    const deleted = await db
      .deleteFrom('provider_grants')
      .where((is) =>
        is(
          is.refTuple('tenant_id', 'id'),
          'in',
          is
            .selectFrom('provider_grants as over')
            .select(['over.tenant_id', 'over.id'])
            .where('over.ended_at', '<=', endedAt)
            .orderBy('over.ended_at')
            .limit(sweepBatchRows)
            .$asTuple('tenant_id', 'id'),
        ),
      )
      .executeTakeFirst()
    return deleted.numDeletedRows
  })
}
