// How often and when the access of a grant is used. Every use is counted in memory; what was counted is written at most
// once a minute per grant, by housekeeping, and at the end of the process, so that no call waits for a write of its own.
// A process that dies at once loses what it had counted since then.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'

/** The counting of uses. */
export interface UseNotes {
  /** Counts one use; never stands in the way of the call. */
  readonly note: (tenant: Tenant, grant: UsedGrant) => Promise<void>
  /** Writes what was counted and is not written yet. */
  readonly write: () => Promise<void>
}

/** A grant as the read has it that verified its token. */
export interface UsedGrant {
  readonly grant_id: string
  readonly first_used_at: number | null
  readonly last_used_at: number | null
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
}

interface Counted {
  readonly tenantId: string
  readonly grantId: string
  readonly count: number
  readonly firstAt: number
  readonly lastAt: number
}

const writtenEveryMs = 60_000
/** The most grants that are counted before some are written. */
const grantsMax = 10_000

/** Makes the counting; verification and introspection share one. */
export function createUseNotes({ db, clock, log }: Needs): UseNotes {
  const counted = new Map<string, Counted>()
  const underway = new Set<string>()

  const add = (uses: Counted) => {
    const before = counted.get(uses.grantId)
    counted.set(uses.grantId, before === undefined ? uses : sum(before, uses))
  }

  const writeOne = async (grantId: string): Promise<void> => {
    const uses = counted.get(grantId)
    if (uses === undefined || underway.has(grantId)) return
    underway.add(grantId)
    counted.delete(grantId)
    try {
      await store(db, uses)
    } catch (error) {
      // The token was verified; a store that cannot write now must not turn that into a refusal.
      log.warn({ error: String(error), grantId }, 'the use of a grant was not noted')
      if (counted.size < grantsMax) add(uses)
    } finally {
      underway.delete(grantId)
    }
  }

  return {
    note: async ({ id: tenantId }, { grant_id: grantId, first_used_at, last_used_at }) => {
      const now = clock.now()
      add({ tenantId, grantId, count: 1, firstAt: now, lastAt: now })
      const isFirst = first_used_at === null
      const isDue = isFirst || (last_used_at ?? 0) <= now - writtenEveryMs
      if (isDue || counted.size > grantsMax) await writeOne(grantId)
    },
    write: async () => {
      await Promise.all([...counted.keys()].map(writeOne))
    },
  }
}

function sum(before: Counted, after: Counted): Counted {
  return {
    ...before,
    count: before.count + after.count,
    firstAt: Math.min(before.firstAt, after.firstAt),
    lastAt: Math.max(before.lastAt, after.lastAt),
  }
}

/** Every instance adds what it counted, so none needs to know of the others. */
async function store(db: Database, uses: Counted): Promise<void> {
  const { tenantId, grantId, count, firstAt, lastAt } = uses
  await db
    .updateTable('grants')
    .set((columns) => ({
      use_count: columns('use_count', '+', count),
      first_used_at: sql<number>`coalesce(first_used_at, ${firstAt})`,
      last_used_at: sql<number>`case when last_used_at > ${lastAt} then last_used_at else ${lastAt} end`,
    }))
    .where('tenant_id', '=', tenantId)
    .where('id', '=', grantId)
    .execute()
}
