// What this room throws away: sessions, set-up links and sign-ins elsewhere that have expired.
import type { Database } from '../store/database.ts'
import { sweepExpired } from '../store/sweep.ts'

/** How many rows went, by what they were. */
export interface PeopleSweep {
  readonly sessions: number
  readonly setupLinks: number
  readonly signInFlows: number
}

/** Deletes what is over at this time, of all tenants. */
export async function sweepPeople(db: Database, now: number): Promise<PeopleSweep> {
  return {
    sessions: await sweepExpired(db, { table: 'sessions', key: ['session_digest'] }, now),
    setupLinks: await sweepExpired(db, { table: 'setup_links', key: ['link_digest'] }, now),
    signInFlows: await sweepExpired(db, { table: 'sign_in_flows', key: ['id'] }, now),
  }
}
