// What runs on a timer. The only file that starts timers; each job is a function of a room that can also be called by hand.
import type { Log } from './base/log.ts'
import type { Journal } from './journal/entries.ts'
import type { Refresh } from './upstream/refresh.ts'

interface Needs {
  readonly journal: Journal
  readonly refresh: Refresh
  readonly log: Log
}

export interface Housekeeping {
  /** Stops the timers and waits for the jobs that run. */
  readonly stop: () => Promise<void>
}

interface Job {
  readonly name: string
  readonly everyMs: number
  readonly run: () => Promise<unknown>
}

/** Starts the timers. A job never overlaps itself; one that fails is logged and comes round again. */
export function startHousekeeping({ journal, refresh, log }: Needs): Housekeeping {
  const jobs = [
    { name: 'seal the journal', everyMs: 1_000, run: journal.seal },
    // The first round takes up what a process left behind when it died in the middle of a refresh.
    { name: 'refresh ahead', everyMs: 30_000, run: () => refresh.refreshDue() },
  ].map((job) => startJob(job, log))
  return {
    stop: async () => {
      await Promise.all(jobs.map((stop) => stop()))
    },
  }
}

/** Runs a job now and then again and again; the result stops it. */
function startJob({ name, everyMs, run }: Job, log: Log): () => Promise<void> {
  let running: Promise<void> | undefined
  const once = async () => {
    try {
      await run()
    } catch (cause) {
      log.warn({ job: name, cause }, 'a job of the housekeeping failed; it will come round again')
    } finally {
      running = undefined
    }
  }
  const begin = () => {
    running ??= once()
  }
  begin()
  const timer = setInterval(begin, everyMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await running
  }
}
