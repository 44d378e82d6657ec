// How long something may be silent: until it says something, or nobody waits for it any more.
import { Fault } from '../base/fault.ts'
import type { AskServer, Reply, UpstreamCall } from './upstream-call.ts'

export interface Patience {
  /** Ends with the patience, with Fault('upstream_timeout'), or with whoever waits. */
  readonly signal: AbortSignal
  /** The work, or why nobody waits for it any more. */
  readonly within: <T>(work: Promise<T>) => Promise<T>
  /** Something was said: it begins anew. */
  readonly renew: () => void
  readonly end: () => void
}

/** Makes one that lasts so long. */
export function createPatience(ms: number, waiting: AbortSignal): Patience {
  const late = new AbortController()
  const fault = new Fault('upstream_timeout', { because: `nothing was said for ${ms} ms` })
  const timer = setTimeout(() => late.abort(fault), ms)
  const signal = AbortSignal.any([waiting, late.signal])
  const over = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }) // ours, or the platform's AbortError
  })
  over.catch(() => undefined) // It may end when nobody works any more.
  return {
    signal,
    within: (work) => Promise.race([work, over]),
    renew: () => void timer.refresh(),
    end: () => clearTimeout(timer),
  }
}

/** Asks a server, which may be silent for so long at a time. */
export async function askPatiently(
  askServer: AskServer,
  ms: number,
  call: UpstreamCall,
): Promise<Reply> {
  const patience = createPatience(ms, call.signal)
  try {
    return await askServer({
      ...call,
      signal: patience.signal,
      notified: (message) => {
        patience.renew()
        call.notified?.(message)
      },
    })
  } finally {
    patience.end()
  }
}
