// The limits of MCP calls: the meter of a request as the gateway asks it, with the older X-RateLimit fields beside the
// drafted ones (S3-35).
import type { CallLimits, CountedCall } from '../gateway/call-limits.ts'
import type { Counted, Meter } from './meter.ts'

/** Makes the limits of one request to the gateway. */
export function callLimitsOf(meter: Meter): CallLimits {
  const answer = ({ isOver, resetS, ...counted }: Counted): CountedCall => ({
    isOver,
    resetS,
    fields: { ...meter.fields(), ...olderFields(counted) },
  })
  return {
    call: async ({ user, clientId }, messages) => {
      const counted = await meter.count('calls', user?.id ?? clientId, messages)
      const isTooLarge = counted.isOver && messages > counted.quota
      return { ...answer(counted), ...(isTooLarge ? { largest: counted.quota } : {}) }
    },
    stranger: async () => answer(await meter.count('strangers')),
  }
}

/** Reset is the time at which the window ends, in seconds since 1970. */
function olderFields({
  quota,
  remaining,
  endsAt,
}: Pick<Counted, 'quota' | 'remaining' | 'endsAt'>) {
  if (quota === 0) return {} // Nobody counts.
  return {
    'x-ratelimit-limit': `${quota}`,
    'x-ratelimit-remaining': `${remaining}`,
    'x-ratelimit-reset': `${Math.ceil(endsAt / 1000)}`,
  }
}
