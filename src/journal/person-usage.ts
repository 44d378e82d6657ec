// Which programs called which servers for one person, and how often: what they themselves may know.
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import { sums, toSums } from './call-usage.ts'
import type { CallSums } from './call-usage.ts'
import { namesOf } from './names.ts'
import { dayMs } from './refusal-counts.ts'

/** What one program did at one server. */
export interface ActedFor extends CallSums {
  readonly client: Named
  readonly server: Named
}

interface Named {
  readonly id: string
  /** As people know it; absent once it is gone. */
  readonly name?: string
}

/** Of how many days, today included; the most calls first, at most a hundred. */
export type AskPersonUsage = (
  tenantId: string,
  userId: string,
  days: number,
) => Promise<readonly ActedFor[]>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  /** Brings the counts of this process into the table. */
  readonly flush: () => Promise<void>
}

const rowsMax = 100

/** Makes the question over one database. */
export function createPersonUsage({ db, clock, flush }: Needs): AskPersonUsage {
  return async (tenantId, userId, days) => {
    await flush()
    const today = Math.floor(clock.now() / dayMs)
    const rows = await db
      .selectFrom('call_counts')
      .select(['client_id', 'server_id'])
      .select(sums)
      .where('tenant_id', '=', tenantId)
      // Each day by its name: so the rows of the person are found at once, and nobody else's are read.
      .where(
        'day',
        'in',
        Array.from({ length: days }, (_, back) => today - back),
      )
      .where('user_id', '=', userId)
      .groupBy(['client_id', 'server_id'])
      .orderBy('calls', 'desc')
      .orderBy('client_id')
      .orderBy('server_id')
      .limit(rowsMax)
      .execute()
    const asked = { db, tenantId }
    const clientIds = rows.map((row) => row.client_id)
    const serverIds = rows.map((row) => row.server_id)
    const clients = await namesOf(asked, 'client', clientIds)
    const servers = await namesOf(asked, 'server', serverIds)
    return rows.map((row) => {
      const client = named(row.client_id, clients.get(row.client_id))
      return actedFor(client, named(row.server_id, servers.get(row.server_id)), toSums(row))
    })
  }
}

function named(id: string, name: string | undefined): Named {
  return name === undefined ? { id } : { id, name }
}

function actedFor(client: Named, server: Named, summed: CallSums): ActedFor {
  return { client, server, ...summed }
}
