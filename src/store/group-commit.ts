// The one writer of a SQLite file: what is to be written in one turn of the event loop runs unit after unit, each in its
// own savepoint, and is one commit. A unit that throws leaves the others alone. Whoever asked is told once the commit is
// on disk; that is waited for beside the event loop, so a slow disk holds up nobody who does not write.
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

const unitsPerGroupMax = 64
const unitsWaitingMax = 10_000
const busyLimitMs = 5_000
const busyPauseMaxMs = 20
const sqliteBusy = 5

/** Told whenever units have become durable how many they are. */
export type OnDurable = (units: number) => void

/** Puts on disk what was committed before it was called. */
export type Sync = () => Promise<void>

/** Collects units of work and commits them in groups. */
export interface GroupCommit {
  /** Does the work inside the next group: resolves once it is on disk, rejects once it is undone. */
  readonly write: <T>(work: () => T | Promise<T>) => Promise<T>
  /** Waits for what was asked for and takes nothing more. */
  readonly close: () => Promise<void>
}

interface Unit {
  /** Does the work and gives the function that tells its caller. */
  readonly run: () => Promise<() => void>
  readonly reject: (reason: unknown) => void
}

/** A unit whose work is committed, with what tells its caller. */
interface Done {
  readonly unit: Unit
  readonly tell: () => void
}

interface GroupCommitNeeds {
  readonly sync: Sync
  readonly onDurable?: OnDurable | undefined
  /** Told at once when a group is committed or undone. */
  readonly onGroupEnd: () => void
}

/** Makes the group commit of one writing connection. */
export function createGroupCommit(
  writer: DatabaseSync,
  { sync, onDurable, onGroupEnd }: GroupCommitNeeds,
): GroupCommit {
  const waiting: Unit[] = []
  const durable = createDurable(sync, onDurable)
  const runGroup = createGroupRunner(writer, waiting, { expectDurable: durable.expect, onGroupEnd })
  let running: Promise<void> | undefined
  let isClosed = false

  const drain = async () => {
    do {
      await nextTurn()
      await runGroup()
    } while (waiting.length > 0)
    running = undefined
  }

  return {
    write: async (work) => {
      if (isClosed) throw new Error('the store is closed')
      durable.requireKept()
      if (waiting.length + durable.count() >= unitsWaitingMax) {
        throw new Error('too many writes are waiting')
      }
      return new Promise((resolve, reject) => {
        const run = async () => {
          const value = await work()
          return () => resolve(value)
        }
        waiting.push({ run, reject })
        running ??= drain()
      })
    },
    close: async () => {
      isClosed = true
      await running
      await durable.settled()
    },
  }
}

/** Makes what tells callers of their units once these are on disk: one sync at a time, for all that came before it. */
function createDurable(sync: Sync, onDurable?: OnDurable) {
  let expected: readonly Done[] = []
  let syncing: readonly Done[] = []
  let running: Promise<void> | undefined
  let failure: { readonly cause: unknown } | undefined

  const requireKept = () => {
    if (failure !== undefined) throw new DiskFailure(failure)
  }
  const keep = async () => {
    syncing = expected
    expected = []
    try {
      requireKept()
      await sync()
      onDurable?.(syncing.length)
      for (const { tell } of syncing) tell()
    } catch (cause) {
      // What the disk did not keep once it may forget for good and then say that all is well: only a new start reads
      // what is really there.
      failure ??= { cause }
      for (const { unit } of syncing) unit.reject(new DiskFailure(failure))
    }
    syncing = []
  }
  const run = async () => {
    while (expected.length > 0) await keep()
    running = undefined
  }

  return {
    expect: (done: readonly Done[]) => {
      if (done.length === 0) return
      expected = [...expected, ...done]
      running ??= run()
    },
    count: () => expected.length + syncing.length,
    requireKept,
    settled: async () => running,
  }
}

/** The disk did not keep what was committed. */
export class DiskFailure extends Error {
  constructor(options: { readonly cause: unknown }) {
    super('the disk did not keep a write: nothing more is written until a new start', options)
  }
}

/** Tries again, without blocking this process, while another one holds the lock of the file. */
export async function whenFree<T>(work: () => T): Promise<T> {
  const deadline = performance.now() + busyLimitMs
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, busyPauseMaxMs)) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw error
    }
    await sleep(pauseMs)
  }
}

/** Does another process hold the lock of the file? */
export function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error)) return false
  return typeof error.errcode === 'number' && (error.errcode & 0xff) === sqliteBusy
}

interface GroupOutcome {
  readonly expectDurable: (done: readonly Done[]) => void
  readonly onGroupEnd: () => void
}

function createGroupRunner(
  writer: DatabaseSync,
  waiting: Unit[],
  { expectDurable, onGroupEnd }: GroupOutcome,
) {
  const begin = writer.prepare('begin immediate')
  const commit = writer.prepare('commit')
  const runUnit = createUnitRunner(writer)

  return async () => {
    try {
      await whenFree(() => begin.run())
    } catch (error) {
      for (const unit of waiting.splice(0)) unit.reject(error)
      return
    }
    const done: Done[] = []
    try {
      for (let taken = 0; taken < unitsPerGroupMax; taken += 1) {
        const unit = waiting.shift()
        if (unit === undefined) break
        const tell = await runUnit(unit)
        if (tell !== undefined) done.push({ unit, tell })
      }
      commit.run()
    } catch (error) {
      for (const { unit } of done) unit.reject(error)
      undo(writer)
      return
    } finally {
      onGroupEnd()
    }
    expectDurable(done)
  }
}

// A full disk or a failing one ends the whole transaction, not just the savepoint; then the group is lost and this throws.
function createUnitRunner(writer: DatabaseSync) {
  const savepoint = writer.prepare('savepoint unit')
  const release = writer.prepare('release unit')
  const back = writer.prepare('rollback to unit')

  return async (unit: Unit): Promise<(() => void) | undefined> => {
    savepoint.run()
    try {
      const tell = await unit.run()
      release.run()
      return tell
    } catch (error) {
      unit.reject(error)
      if (!writer.isTransaction) {
        throw new Error('the database undid a whole group of writes', { cause: error })
      }
      back.run()
      release.run()
      return undefined
    }
  }
}

function undo(writer: DatabaseSync): void {
  try {
    if (writer.isTransaction) writer.exec('rollback')
  } catch {
    // The callers know already that nothing was written; if the connection is broken, the next `begin` says so.
  }
}
