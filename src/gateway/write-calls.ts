// Writes calls that have gathered, in one transaction: the entry of each, and beside it what was said, where that is kept.
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { CallContents, KeptCall } from '../journal/call-contents.ts'
import type { Entry, EntryData, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import { unnamed } from './calls.ts'
import { createFirstCalls } from './first-calls.ts'
import type { FirstCall } from './first-calls.ts'
import type { CallContent } from './overhear.ts'

/** A call on its way. */
export interface WaitingCall {
  readonly entry: CallEntry
  readonly call: FirstCall
  readonly content: KeptContent | undefined
}

type KeptContent = CallContent & { readonly id: string }

/** An entry about a call, as the recorder writes it. */
export type CallEntry = Entry & {
  readonly type: 'call.completed' | 'call.refused'
  readonly actor: { readonly kind: 'client'; readonly id: string }
  readonly subject: { readonly kind: 'server'; readonly id: string }
  readonly data: EntryData & {
    readonly server: string
    readonly method: string
    readonly tool?: string
    readonly status: number
    readonly durationMs: number
    /** Where what was said is kept. */
    readonly contentId?: string
  }
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
  readonly journal: Pick<Journal, 'record'>
  readonly callContents: Pick<CallContents, 'keep'>
}

/** Makes what writes them; it gives the entries as the journal took them. */
export function createWriteCalls(
  needs: Needs,
): (all: readonly WaitingCall[]) => Promise<readonly CallEntry[]> {
  const { db, clock, log, journal, callContents } = needs
  const attemptOf = createFirstCalls({ clock })

  const writeTogether = async (all: readonly WaitingCall[]): Promise<readonly CallEntry[]> => {
    const recorded: CallEntry[] = []
    await db.transaction().execute(async (tx) => {
      recorded.length = 0 // A transaction may be tried again.
      for (const { entry, call, content } of all) {
        const attempt = await attemptOf(tx, call)
        const told = attempt === undefined ? entry : { ...entry, attempt }
        const written = await recordOne(journal, tx, told)
        recorded.push(written)
        if (content !== undefined) await callContents.keep(tx, keptCall(written, content))
      }
    })
    return recorded
  }
  const keepAlone = async (entry: CallEntry | undefined, content: WaitingCall['content']) => {
    if (entry === undefined || content === undefined) return
    try {
      await db.transaction().execute((tx) => callContents.keep(tx, keptCall(entry, content)))
    } catch (cause) {
      log.error({ cause }, 'the content of a call could not be kept')
    }
  }

  /** A content that cannot be kept, of a person who is removed at this moment for instance, costs no entry. */
  return async (all) => {
    if (all.every(({ content }) => content === undefined)) return writeTogether(all)
    try {
      return await writeTogether(all)
    } catch (cause) {
      log.warn({ cause }, 'contents of calls are written one by one')
      const recorded = await writeTogether(all.map((one) => ({ ...one, content: undefined })))
      for (const [index, { content }] of all.entries()) await keepAlone(recorded[index], content)
      return recorded
    }
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

function keptCall(entry: CallEntry, { id, input, output }: KeptContent): KeptCall {
  const { tenantId, userId, actor, subject, data } = entry
  const { server, method, tool, status, durationMs } = data
  return {
    id,
    tenantId,
    userId,
    clientId: actor.id,
    serverId: subject.id,
    server,
    method,
    tool,
    status,
    durationMs,
    input,
    output,
  }
}
