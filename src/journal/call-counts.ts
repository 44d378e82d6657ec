// Who called what through which client, how often, with what result and how long it took, per day. The journal has each call;
// this has their sums, for charts and for whoever asks what is used at all.
import type { Clock } from '../base/clock.ts'
import { createBoundedMap } from '../base/bounded.ts'
import type { Log } from '../base/log.ts'
import type { Database } from '../store/database.ts'
import { dayMs, knownClients, nameOf } from './refusal-counts.ts'
import { createTally } from './tally.ts'

/** How a call ended: with an answer, with an error of the server or the way to it, or with a no of ours. */
export type CallOutcome = 'completed' | 'failed' | 'refused'

/** One call of a verified caller. */
export interface CountedCall {
  readonly tenantId: string
  /** Absent for a client that acts for itself. */
  readonly userId?: string | undefined
  readonly clientId: string
  readonly serverId: string
  /** Absent for what is no call of a tool. */
  readonly tool?: string | undefined
  readonly outcome: CallOutcome
  readonly durationMs: number
}

export interface CallCounts {
  readonly add: (call: CountedCall) => void
  /** Adds what was counted to the table. */
  readonly flush: () => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
}

/** How long a day is kept: a quarter, and a day for who looks at its end. */
export const callDaysKept = 93
const keptMs = callDaysKept * dayMs
/** Whoever makes up names of tools fills no table: beyond so many of one server a day they count as one. */
const toolsMax = 300
export const otherTools = '(others)'
const serversMax = 10_000

type Counted = Required<Omit<CountedCall, 'durationMs'>> & {
  readonly userId: string
  readonly tool: string
  readonly day: number
  readonly count: number
  readonly durationMs: number
}

/** Makes the counts of one process. */
export function createCallCounts({ db, clock, log }: Needs): CallCounts {
  const toolsOf = createBoundedMap<Set<string>>(serversMax)
  const named = (day: number, { tenantId, serverId, tool }: CountedCall): string => {
    if (tool === undefined) return ''
    const key = JSON.stringify([day, tenantId, serverId])
    const known = toolsOf.get(key) ?? new Set<string>()
    if (known.size === 0) toolsOf.set(key, known)
    if (known.has(tool)) return tool
    if (known.size >= toolsMax) return otherTools
    known.add(tool)
    return tool
  }
  const tally = createTally<Counted>({
    log,
    keyOf: ({ count: _count, durationMs: _duration, ...key }) => JSON.stringify(key),
    sum: (one, other) => ({
      ...one,
      count: one.count + other.count,
      durationMs: one.durationMs + other.durationMs,
    }),
    store: (counted) => store(db, counted),
  })
  return {
    add: (call) => {
      const day = Math.floor(clock.now() / dayMs)
      const { tenantId, clientId, serverId, outcome, userId = '', durationMs } = call
      const tool = named(day, call)
      tally.add({ tenantId, day, userId, clientId, serverId, tool, outcome, count: 1, durationMs })
    },
    flush: tally.flush,
  }
}

/** What was removed meanwhile, a client or a tenant, is not counted any more. */
async function store(db: Database, all: readonly Counted[]): Promise<void> {
  const known = await knownClients(db, all)
  const counted = all.filter((each) => known.has(nameOf(each)))
  await db.transaction().execute(async (tx) => {
    for (const each of counted) {
      await tx
        .insertInto('call_counts')
        .values({
          tenant_id: each.tenantId,
          day: each.day,
          user_id: each.userId,
          client_id: each.clientId,
          server_id: each.serverId,
          tool: each.tool,
          outcome: each.outcome,
          count: each.count,
          duration_ms: each.durationMs,
          expires_at: each.day * dayMs + keptMs,
        })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant_id', 'day', 'user_id', 'client_id', 'server_id', 'tool', 'outcome'])
            .doUpdateSet((row) => ({
              count: row('call_counts.count', '+', row.ref('excluded.count')),
              duration_ms: row('call_counts.duration_ms', '+', row.ref('excluded.duration_ms')),
            })),
        )
        .execute()
    }
  })
}
