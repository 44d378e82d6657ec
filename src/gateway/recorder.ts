// Writes calls into the journal, many in one transaction and after the answer: the caller never waits for it. It takes a
// principal, so nothing can be recorded of a caller who was not verified (S4-2).
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { CallCounts, CountedCall } from '../journal/call-counts.ts'
import type { Entry, EntryData, Journal } from '../journal/entries.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import type { Call } from './calls.ts'
import { nameOf, unnamed } from './calls.ts'
import type { Era } from './eras.ts'
import { createFirstCalls } from './first-calls.ts'
import type { FirstCall } from './first-calls.ts'
import type { SharedUse } from './server-call.ts'

/** What became of one call. Its content is not part of it. */
export interface CallRecord {
  readonly principal: TokenPrincipal
  readonly server: { readonly id: string; readonly slug: string }
  readonly call: Call
  readonly era: Era
  readonly status: number
  readonly startedAt: number
  /** Why we refused it; absent for a call that was answered. */
  readonly reason?: string
  /** What we know of that besides. */
  readonly because?: string
  /** Another person's connection that it used. */
  readonly shared?: SharedUse
}

/** The calls on their way into the journal. */
export interface Recorder {
  readonly record: (record: CallRecord) => void
  /** Writes what is still waiting. */
  readonly close: () => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
  readonly journal: Pick<Journal, 'record'>
  readonly callCounts: Pick<CallCounts, 'add'>
}

interface Waiting {
  readonly entry: CallEntry
  readonly call: FirstCall
}

/** An entry about a call, as the recorder writes it. */
type CallEntry = Entry & {
  readonly type: 'call.completed' | 'call.refused'
  readonly actor: { readonly kind: 'client'; readonly id: string }
  readonly subject: { readonly kind: 'server'; readonly id: string }
  readonly data: EntryData & {
    readonly method: string
    readonly tool?: string
    readonly status: number
    readonly durationMs: number
  }
}

const gatherMs = 50
const waitingMax = 10_000

/** Makes the recorder. What waits for more than 50 ms is written. */
export function createRecorder({ db, clock, log, journal, callCounts }: Needs): Recorder {
  const attemptOf = createFirstCalls({ clock })
  let waiting: Waiting[] = []
  let isGathering = false
  let written: Promise<void> = Promise.resolve()

  const writeAll = async () => {
    const entries = waiting
    waiting = []
    if (entries.length === 0) return
    const recorded: CallEntry[] = []
    await db.transaction().execute(async (tx) => {
      recorded.length = 0 // A transaction may be tried again.
      for (const { entry, call } of entries) {
        const attempt = await attemptOf(tx, call)
        const told = attempt === undefined ? entry : { ...entry, attempt }
        recorded.push(await recordOne(journal, tx, told))
      }
    })
    for (const entry of recorded) callCounts.add(countedOf(entry))
  }
  const write = (): Promise<void> => {
    isGathering = false
    written = written
      .then(writeAll)
      .catch((cause: unknown) => log.error({ cause }, 'calls could not be journalled'))
    return written
  }

  return {
    record: (record) => {
      if (waiting.length >= waitingMax) {
        return log.error({ waitingMax }, 'a call was not journalled: too many are waiting')
      }
      const { principal, status, reason } = record
      waiting.push({
        entry: entryOf(record, clock.now()),
        call: { principal, status, reason },
      })
      if (isGathering) return
      isGathering = true
      void clock.sleep(gatherMs).then(write)
    },
    close: write,
  }
}

/** A name that the journal refuses (it looks like a secret) must not cost the entry, or the others'. */
async function recordOne(
  journal: Needs['journal'],
  tx: Database,
  entry: CallEntry,
): Promise<CallEntry> {
  try {
    await journal.record(tx, entry)
    return entry
  } catch (thrown) {
    const { tool, ...data } = entry.data
    if (tool === undefined && data.method === unnamed) throw thrown
    const nameless = { ...entry, data: { ...data, method: unnamed } }
    await journal.record(tx, nameless)
    return nameless
  }
}

const failedFrom = 400

/** The same as one of many: what the journal did not take is not counted by its name either. */
function countedOf({ tenantId, type, actor, userId, subject, data }: CallEntry): CountedCall {
  const { tool, status, durationMs } = data
  const answered = status < failedFrom ? 'completed' : 'failed'
  return {
    tenantId,
    userId,
    clientId: actor.id,
    serverId: subject.id,
    tool,
    outcome: type === 'call.refused' ? 'refused' : answered,
    durationMs,
  }
}

function entryOf(record: CallRecord, now: number): CallEntry {
  const { principal, server, call, era, status, startedAt, reason, because, shared } = record
  const { tenant, user, clientId } = principal
  return {
    tenantId: tenant.id,
    type: reason === undefined ? 'call.completed' : 'call.refused',
    actor: { kind: 'client', id: clientId },
    ...(user === undefined ? {} : { userId: user.id }),
    subject: { kind: 'server', id: server.id },
    data: {
      server: server.slug,
      method: nameOf(call.method),
      ...(call.tool === undefined ? {} : { tool: nameOf(call.tool) }),
      era,
      status,
      durationMs: now - startedAt,
      ...(reason === undefined ? {} : { reason }),
      ...(because === undefined ? {} : { because }),
      ...(shared === undefined ? {} : { connection: shared.id, connectionOwner: shared.ownerId }),
    },
  }
}
