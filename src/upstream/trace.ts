// The trace of a sign-in: which step asked which host and how it went. It is shown to its owner, so it holds hosts,
// numbers and words of ours, and never a value.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Outbound, OutboundRequest, OutboundResponse } from '../base/outbound.ts'

/** One step. */
export interface TraceStep {
  readonly at: number
  readonly step: string
  readonly host: string
  readonly status?: number
  /** Words of ours, or an error code in safe characters. */
  readonly outcome: string
}

export interface Trace {
  readonly note: (step: {
    readonly step: string
    readonly url: string
    readonly status?: number
    readonly outcome: string
  }) => void
  readonly steps: () => readonly TraceStep[]
  /** Told each request with all that came of it, for whoever looks at the command line; the steps hold none of it. */
  readonly saw?: (exchange: Exchange) => void
}

/** One request, or one judgement, with what came of it. */
export interface Exchange {
  readonly step: string
  readonly url: string
  readonly response?: OutboundResponse
  readonly error?: unknown
}

const traceStepsMax = 100

/** Makes a trace that goes on from the steps of an earlier one. */
export function createTrace(clock: Clock, earlier: readonly TraceStep[] = []): Trace {
  const steps: TraceStep[] = [...earlier]
  return {
    note: ({ url, ...step }) => {
      if (steps.length < traceStepsMax) steps.push({ at: clock.now(), host: hostOf(url), ...step })
    },
    steps: () => [...steps],
  }
}

/** Asks the world, until the signal ends it, and notes how it went. */
export async function tracedFetch(
  { outbound, trace, signal }: TracedNeeds,
  step: string,
  request: OutboundRequest,
): Promise<OutboundResponse> {
  try {
    const response = await outbound.fetch({ ...request, signal })
    const { status } = response
    trace.note({ step, url: request.url, status, outcome: 'answered' })
    trace.saw?.({ step, url: request.url, response })
    return response
  } catch (error) {
    trace.note({ step, url: request.url, outcome: outcomeOf(error) })
    trace.saw?.({ step, url: request.url, error })
    throw error
  }
}

/** Other people's names are in a trace, so that one has no address is told as in others-addresses.ts. */
function outcomeOf(error: unknown): string {
  if (!isFault(error)) return 'failed'
  return error.code === 'name_unresolved' ? 'discovery_blocked' : error.code
}

interface TracedNeeds {
  readonly outbound: Outbound
  readonly trace: Trace
  readonly signal: AbortSignal
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : ''
}
