// Writes calls into the journal, many in one transaction and after the answer: the caller never waits for it. It takes a
// principal, so nothing can be recorded of a caller who was not verified (S4-2). What was said, where a tenant keeps that, is
// written beside the entry and never in it.
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { CallContents } from '../journal/call-contents.ts'
import type { CallCounts, CountedCall } from '../journal/call-counts.ts'
import type { Journal } from '../journal/entries.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import type { Call } from './calls.ts'
import { nameOf } from './calls.ts'
import type { Era } from './eras.ts'
import type { CallContent } from './overhear.ts'
import type { SharedUse } from './server-call.ts'
import { createWriteCalls } from './write-calls.ts'
import type { CallEntry, WaitingCall } from './write-calls.ts'

/** What became of one call. */
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
  /** What was said; absent where the tenant does not keep it. */
  readonly content?: CallContent | undefined
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
  readonly callContents: Pick<CallContents, 'newId' | 'keep'>
}

const gatherMs = 50
const waitingMax = 10_000
/** Of all contents that wait. */
const contentCharsMax = 64 * 1024 * 1024

/** Makes the recorder. What waits for more than 50 ms is written. */
export function createRecorder(needs: Needs): Recorder {
  const { clock, log, callCounts } = needs
  const writeCalls = createWriteCalls(needs)
  const admission = createAdmission(needs)
  let waiting: WaitingCall[] = []
  let isGathering = false
  let written: Promise<void> = Promise.resolve()

  const writeAll = async () => {
    const all = waiting
    waiting = []
    admission.renew()
    if (all.length === 0) return
    for (const entry of await writeCalls(all)) callCounts.add(countedOf(entry))
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
      const content = admission.admit(record)
      waiting.push({
        entry: entryOf(record, clock.now(), content?.id),
        call: { principal, status, reason },
        content,
      })
      if (isGathering) return
      isGathering = true
      void clock.sleep(gatherMs).then(write)
    },
    close: write,
  }
}

/** Whoever says much in a moment must not take the memory of all. */
function createAdmission({ log, callContents }: Pick<Needs, 'log' | 'callContents'>) {
  let chars = 0
  return {
    /** Nothing waits any more. */
    renew: () => void (chars = 0),
    admit: ({ content }: CallRecord): WaitingCall['content'] => {
      if (content === undefined) return undefined
      const wanted = content.input.text.length + (content.output?.text.length ?? 0)
      if (chars + wanted > contentCharsMax) {
        log.error({ contentCharsMax }, 'the content of a call was not kept: too much is waiting')
        return undefined
      }
      chars += wanted
      return { ...content, id: callContents.newId() }
    },
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

function entryOf(record: CallRecord, now: number, contentId: string | undefined): CallEntry {
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
      ...(contentId === undefined ? {} : { contentId }),
      ...(shared === undefined ? {} : { connection: shared.id, connectionOwner: shared.ownerId }),
    },
  }
}
