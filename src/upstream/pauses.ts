// How long a provider asked to be left alone (RFC 9110 §10.2.3), as this process remembers it. What is due when is in the
// vault; this holds back those who would not wait for it.
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Fault } from '../base/fault.ts'

export interface Pauses {
  readonly begin: (name: string, fault: Fault, until: number) => void
  /** Why not to ask now; undefined when it may be asked. */
  readonly find: (name: string) => Fault | undefined
}

interface Pause {
  readonly fault: Fault
  readonly until: number
}

const pausesMax = 10_000

/** Makes the memory of one process. */
export function createPauses(clock: Clock): Pauses {
  const pauses = createBoundedMap<Pause>(pausesMax)
  return {
    begin: (name, fault, until) => pauses.set(name, { fault, until }),
    find: (name) => {
      const pause = pauses.get(name)
      if (pause === undefined) return undefined
      if (pause.until > clock.now()) return pause.fault
      pauses.delete(name)
      return undefined
    },
  }
}
