// How often what was refused, per client and day: all of it, where the journal has only some. Counted in memory and added
// to the table now and then, so that a flood of refusals costs one row.
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Database } from '../store/database.ts'
import { createTally } from './tally.ts'

export interface Refused {
  readonly tenantId: string
  readonly type: string
  readonly error: string
  readonly clientId?: string | undefined
}

export interface RefusalCounts {
  readonly add: (refused: Refused) => void
  /** Adds what was counted to the table. */
  readonly flush: () => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
}

/** A day, by which refusals are counted. */
export const dayMs = 24 * 3_600_000
const keptMs = 31 * dayMs
const namesMax = 1_000

interface Counted extends Required<Refused> {
  readonly clientId: string
  readonly day: number
  readonly count: number
}

/** Makes the counts of one process. */
export function createRefusalCounts(needs: Needs): RefusalCounts {
  const { clock, log } = needs
  const tally = createTally<Counted>({
    log,
    keyOf: ({ count: _count, ...key }) => JSON.stringify(key),
    sum: (one, other) => ({ ...one, count: one.count + other.count }),
    store: (counted) => store(needs, counted),
  })
  return {
    add: ({ tenantId, type, error, clientId = '' }) => {
      // Whoever makes up client ids fills no memory: then all of them count as unknown.
      const named = tally.size() < namesMax ? clientId : ''
      const day = Math.floor(clock.now() / dayMs)
      tally.add({ tenantId, day, clientId: named, type, error, count: 1 })
    },
    flush: tally.flush,
  }
}

async function store({ db }: Needs, all: readonly Counted[]): Promise<void> {
  const counted = await withTenant(db, all)
  const known = await knownClients(db, counted)
  await db.transaction().execute(async (tx) => {
    for (const each of counted) {
      const clientId = known.has(nameOf(each)) ? each.clientId : ''
      await tx
        .insertInto('refusal_counts')
        .values({
          tenant_id: each.tenantId,
          day: each.day,
          client_id: clientId,
          type: each.type,
          error: each.error,
          count: each.count,
          expires_at: each.day * dayMs + keptMs,
        })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant_id', 'day', 'client_id', 'type', 'error'])
            .doUpdateSet((row) => ({
              count: row('refusal_counts.count', '+', row.ref('excluded.count')),
            })),
        )
        .execute()
    }
  })
}

/** Without those of tenants that were removed: one of them would keep all others from being written, for ever. */
async function withTenant(db: Database, all: readonly Counted[]): Promise<readonly Counted[]> {
  const rows = await db
    .selectFrom('tenants')
    .select('id')
    .where('id', 'in', [...new Set(all.map(({ tenantId }) => tenantId))])
    .execute()
  const there = new Set(rows.map(({ id }) => id))
  return all.filter(({ tenantId }) => there.has(tenantId))
}

const idsPerQuery = 200
const idShape = /^[\x21-\x7e]{1,2048}$/

/** Only clients that exist get a row of their own, so that made-up ids make none. */
export async function knownClients(
  db: Database,
  counted: readonly Named[],
): Promise<ReadonlySet<string>> {
  const named = counted.filter(({ clientId }) => idShape.test(clientId))
  const known = new Set<string>()
  for (let from = 0; from < named.length; from += idsPerQuery) {
    const some = named.slice(from, from + idsPerQuery)
    const rows = await db
      .selectFrom('clients')
      .select(['tenant_id', 'id'])
      .where('tenant_id', 'in', [...new Set(some.map(({ tenantId }) => tenantId))])
      .where('id', 'in', [...new Set(some.map(({ clientId }) => clientId))])
      .execute()
    for (const row of rows) known.add(nameOf({ tenantId: row.tenant_id, clientId: row.id }))
  }
  return known
}

interface Named {
  readonly tenantId: string
  readonly clientId: string
}

/** Names a client among those of all tenants. */
export function nameOf({ tenantId, clientId }: Named): string {
  return `${tenantId} ${clientId}`
}
