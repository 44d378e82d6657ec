// A form that a client posts to the token or revocation endpoint, read by the rules that both share.
import { callersFault } from '../base/fault.ts'
import { readParameters, requireNoRepeats } from '../oauth/parameters.ts'
import type { Parameters } from '../oauth/parameters.ts'

/** What the door hands over: the raw headers and body of a POST. */
export interface FormRequest {
  readonly contentType: string | undefined
  readonly authorization: string | undefined
  readonly body: string
  /** Counts what a proven client, or a person's grant, does. Throws Fault('too_many_requests'). */
  readonly count?: (who: {
    readonly kind: 'client' | 'grant'
    readonly id: string
  }) => Promise<void>
  /** The DPoP field (RFC 9449 §4.1). */
  readonly dpop?: string | undefined
}

export interface Form {
  readonly parameters: Parameters
  /** The values of `resource`, the one parameter that may be repeated (RFC 8707 §2). */
  readonly resources: readonly string[]
}

const formType = /^application\/x-www-form-urlencoded(?:\s*;\s*charset="?utf-8"?)?$/i

/** Reads the form. Throws Fault('invalid_request') for another media type or a repeated parameter (RFC 6749 §3.2). */
export function readForm({ contentType, body }: FormRequest): Form {
  if (!formType.test(contentType?.trim() ?? '')) {
    throw callersFault('invalid_request', 'the body must be application/x-www-form-urlencoded')
  }
  return separateResources(new URLSearchParams(body))
}

/** Takes `resource` out of parameters and refuses whatever else is there twice. */
export function separateResources(raw: URLSearchParams): Form {
  const resources = raw.getAll('resource')
  const others = new URLSearchParams(raw)
  others.delete('resource')
  const parameters = readParameters(others)
  requireNoRepeats(parameters)
  return { parameters, resources }
}

/** The value of a parameter that must be there. Throws Fault('invalid_request') (RFC 6749 §5.2). */
export function requireParameter(parameters: Parameters, name: string): string {
  const value = parameters.get(name)
  if (value === undefined) throw callersFault('invalid_request', `${name} is missing`)
  return value
}
