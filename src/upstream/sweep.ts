// What this room throws away: sign-ins elsewhere that are long over, and findings of discovery that are too old to use.
import type { Database } from '../store/database.ts'
import { sweepExpired } from '../store/sweep.ts'

/** How many rows went, by what they were. */
export interface UpstreamSweep {
  readonly flows: number
  readonly discoveries: number
  readonly subjectTokens: number
}

/** A flow is kept for a day after its end, so that its owner can still read how it went. */
const flowKeptMs = 24 * 3_600_000

/** Deletes what is over at this time, of all tenants. */
export async function sweepUpstream(db: Database, now: number): Promise<UpstreamSweep> {
  return {
    flows: await sweepExpired(db, { table: 'flows', key: ['id'] }, now - flowKeptMs),
    subjectTokens: await sweepExpired(
      db,
      { table: 'subject_tokens', key: ['user_id', 'issuer'] },
      now,
    ),
    discoveries: await sweepExpired(db, { table: 'discoveries', key: ['resource_url'] }, now),
  }
}
