// How often a server's refusal makes us ask for a newer token, as this process remembers it: one that refuses every token is
// helped by none, and its provider must not be asked with each call.
import { createWindowCounter } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Held } from './held.ts'
import type { StatusReason } from './holder.ts'

interface Enough {
  readonly kind: 'reauthorization_required'
  readonly reason: StatusReason
}

export interface RefusedTokens {
  /** What is answered when so many new ones were refused that no other is asked for. Throws the Fault where no person can help. */
  readonly find: (held: Held) => Enough | undefined
  /** A new one was got in place of this one. */
  readonly count: (held: Held) => void
}

const refusalsMax = 5
const windowMs = 60_000
const namesMax = 10_000

/** Makes the memory of one process. */
export function createRefusedTokens(clock: Clock): RefusedTokens {
  const refusals = createWindowCounter(clock, { windowMs, namesMax })
  const nameOf = ({ key: { tenantId, connectionId } }: Held) =>
    JSON.stringify([tenantId, connectionId])
  return {
    count: (held) => refusals.add(nameOf(held)),

    find: (held) => {
      const { binding } = held
      if (refusals.count(nameOf(held)) < refusalsMax) return undefined
      if (binding.grant === undefined) {
        return { kind: 'reauthorization_required', reason: 'token_rejected' }
      }
      throw new Fault('provider_unreachable', {
        because: 'the server refuses every token',
        retryAfterS: windowMs / 1000,
      })
    },
  }
}
