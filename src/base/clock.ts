// The time, as something that is given: production reads the system's, tests turn it by hand.
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Waits, 24 days at most. Rejects with the signal's reason when it is aborted first. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
}

// A timer of Node's that is longer than this fires at once.
const sleepMaximumMs = 2 ** 31 - 1

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(Math.min(ms, sleepMaximumMs), undefined, signal === undefined ? {} : { signal })
    } catch (cause) {
      signal?.throwIfAborted()
      throw cause
    }
  },
}

export interface ManualClock extends Clock {
  /** Turns the clock on and lets everything that waited for it run. */
  readonly advance: (ms: number) => Promise<void>
  readonly set: (ms: number) => Promise<void>
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** A clock that only moves when it is turned. */
export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs
  let sleepers: readonly Sleeper[] = []

  const set = async (ms: number) => {
    now = ms
    const due = sleepers.filter(({ at }) => at <= now)
    sleepers = sleepers.filter(({ at }) => at > now)
    for (const { wake } of due) wake()
    // What was woken runs in the turns after this one.
    await new Promise<void>((resolve) => setImmediate(resolve))
  }

  return {
    now: () => now,
    set,
    advance: (ms) => set(now + ms),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason)
        if (ms <= 0) return resolve()
        const leave = () => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          reject(signal?.reason)
        }
        const wake = () => {
          signal?.removeEventListener('abort', leave)
          resolve()
        }
        const sleeper = { at: now + ms, wake }
        sleepers = [...sleepers, sleeper]
        signal?.addEventListener('abort', leave, { once: true })
      }),
  }
}
