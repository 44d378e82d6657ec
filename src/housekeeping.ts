// What runs on a timer. The only file that starts timers; each job is a function of a room that can also be called by hand.
import type { Log } from './base/log.ts'
import type { Journal } from './journal/entries.ts'

interface Needs {
  readonly journal: Journal
  readonly log: Log
}

export interface Housekeeping {
  /** Stops the timers and waits for the job that runs. */
  readonly stop: () => Promise<void>
}

const sealEveryMs = 1000

/** Starts the timers. A job never overlaps itself; one that fails is logged and comes round again. */
export function startHousekeeping({ journal, log }: Needs): Housekeeping {
  let running = Promise.resolve()
  let isIdle = true

  const seal = async () => {
    try {
      await journal.seal()
    } catch (cause) {
      log.warn({ cause }, 'the journal could not be sealed; it will be tried again')
    } finally {
      isIdle = true
    }
  }
  const timer = setInterval(() => {
    if (!isIdle) return
    isIdle = false
    running = seal()
  }, sealEveryMs)
  timer.unref()

  return {
    stop: async () => {
      clearInterval(timer)
      await running
    },
  }
}
