// Request parameters as RFC 6749 reads them: an empty one is absent, a repeated one is an error.
// Which parameters an endpoint needs is the endpoint's business.

import { callersFault } from '../base/fault.ts'

/** The parameters of one request (RFC 6749 §3.1). */
export interface Parameters {
  /** The first value of a name; undefined when it is missing or empty. */
  readonly get: (name: string) => string | undefined
  readonly has: (name: string) => boolean
  readonly names: readonly string[]
  /** Names that appear more than once, with or without a value. */
  readonly repeated: readonly string[]
}

/** Reads a query or form body; an empty value counts as absent (RFC 6749 §3.1). */
export function readParameters(raw: URLSearchParams): Parameters {
  const values = new Map<string, string>()
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const [name, value] of raw) {
    if (seen.has(name)) repeated.add(name)
    seen.add(name)
    if (value !== '' && !values.has(name)) values.set(name, value)
  }
  return Object.freeze({
    get: (name: string) => values.get(name),
    has: (name: string) => values.has(name),
    names: [...values.keys()],
    repeated: [...repeated],
  })
}

/** Refuses a request that says one thing twice (RFC 6749 §3.1 and §3.2). */
export function requireNoRepeats(parameters: Parameters): void {
  const [name] = parameters.repeated
  if (name === undefined) return
  throw callersFault(
    'invalid_request',
    `the parameter ${JSON.stringify(name.slice(0, 64))} is there more than once`,
  )
}
