// What `latchkey doctor` sees of a server: the look that every sign-in begins with, and each answer of it in full.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import { lookOnce } from '../upstream/discover.ts'
import type { Inspection } from '../upstream/discover.ts'
import { createTrace } from '../upstream/trace.ts'
import type { Exchange, TraceStep } from '../upstream/trace.ts'

/** What to look at. */
export interface Question {
  readonly url: string
  /** The authorization server that whoever asks names. */
  readonly issuer?: string | undefined
  readonly timeMs: number
}

export interface Look {
  readonly url: string
  readonly issuer?: string | undefined
  readonly exchanges: readonly Exchange[]
  readonly steps: readonly TraceStep[]
  readonly outcome:
    | { readonly kind: 'seen'; readonly inspection: Inspection }
    | { readonly kind: 'refused'; readonly fault: Fault }
}

/** Looks as a sign-in would. What is wrong with the server is in the look; throws only what nobody foresaw. */
export async function lookAt(
  { outbound, clock }: { readonly outbound: Outbound; readonly clock: Clock },
  { url, issuer, timeMs }: Question,
): Promise<Look> {
  const exchanges: Exchange[] = []
  const trace = {
    ...createTrace(clock),
    saw: (exchange: Exchange) => void exchanges.push(exchange),
  }
  const request = { serverUrl: url, ...(issuer === undefined ? {} : { issuer }) }
  const seen = (outcome: Look['outcome']) => ({
    url,
    issuer,
    exchanges,
    outcome,
    steps: trace.steps(),
  })
  try {
    const inspection = await lookOnce({ outbound, trace }, request, timeMs)
    return seen({ kind: 'seen', inspection })
  } catch (error) {
    if (!isFault(error)) throw error
    return seen({ kind: 'refused', fault: error })
  }
}

/** The exchanges of one kind, in order. */
export function exchangesOf({ exchanges }: Look, step: string): readonly Exchange[] {
  return exchanges.filter((exchange) => exchange.step === step)
}

/** The JSON object that an exchange brought; undefined for anything else. */
export function documentOf({ response }: Exchange): Readonly<Record<string, unknown>> | undefined {
  if (response === undefined || !isSuccess(response.status)) return undefined
  try {
    const json = response.json()
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
    return isObject ? (json as Record<string, unknown>) : undefined // an object is a record of unknowns
  } catch {
    return undefined // What is no JSON is no document; the look says so itself where it matters.
  }
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}

/** A member of a document that is a list of texts; undefined where it is missing or something else. */
export function textsIn(
  document: Readonly<Record<string, unknown>>,
  name: string,
): readonly string[] | undefined {
  const value = document[name]
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined
}
