// What the gateway has counted by the doors: calls of a verified caller, and requests of nobody. How much is too much is
// decided there; what a refusal looks like to an MCP client is decided here.
import type { TokenPrincipal } from '../people/principal.ts'
import type { Answer } from './answers.ts'
import { batchTooLarge, slowDown } from './answers.ts'
import type { Call } from './calls.ts'
import { bodylessCall } from './calls.ts'

/** The limits as one request to the gateway meets them. */
export interface CallLimits {
  /** Counts the messages of a verified caller. */
  readonly call: (principal: TokenPrincipal, messages: number) => Promise<CountedCall>
  /** Counts a request without a token that is good. */
  readonly stranger: () => Promise<CountedCall>
}

/** What became of it. */
export interface CountedCall {
  readonly isOver: boolean
  /** Whole seconds until there is something left again. */
  readonly resetS: number
  /** How much is left, as header fields of whatever is answered. */
  readonly fields: Readonly<Record<string, string>>
  /** How many messages a batch may have, where this one has more than can ever pass at once. */
  readonly largest?: number
}

/** The answer to a call that is too much; undefined for one that may go on. */
export function tooManyCalls(counted: CountedCall, call: Call): Answer | undefined {
  if (!counted.isOver) return undefined
  const { largest, resetS } = counted
  const answer = largest === undefined ? slowDown(call, `${resetS}`) : batchTooLarge(largest)
  return withFields(answer, counted)
}

/**
 * The refusal of a request without a good token, or for a server that is not there: as it was made, until there were too
 * many from one place. It is asked after the token, which is never refused for what strangers at the same address do.
 */
export async function refuseStranger(
  limits: CallLimits,
  refusal: Answer,
  httpMethod: string,
): Promise<Answer> {
  if (refusal.status === 503) return refusal // It is we who cannot answer.
  const counted = await limits.stranger()
  return tooManyCalls(counted, bodylessCall(httpMethod)) ?? withFields(refusal, counted)
}

function withFields(answer: Answer, { fields }: CountedCall): Answer {
  return { ...answer, headers: { ...answer.headers, ...fields } }
}
