// What a provider's answer at the redirect URI says (RFC 6749 §4.1.2), once it is certain who it comes from (RFC 9207).
import type { FaultCode } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import type { Parameters } from '../oauth/parameters.ts'
import type { FlowPlan } from './flow-plan.ts'

export type Answer =
  | { readonly kind: 'code'; readonly code: Secret }
  | { readonly kind: 'failed'; readonly error: FaultCode }

const codeCharsMax = 4096

/** Reads the answer; of one that fails the `iss` check not even the error is looked at (RFC 9207 §2.4). */
export function readAnswer(
  parameters: Parameters,
  plan: Pick<FlowPlan, 'issuer' | 'isIssuerExpected'>,
): Answer {
  if (!isFrom(plan, parameters.get('iss'))) return { kind: 'failed', error: 'issuer_mismatch' }
  const error = parameters.get('error')
  if (error !== undefined) return { kind: 'failed', error: knownError(error) }
  const code = parameters.get('code')
  if (code === undefined || code.length > codeCharsMax) {
    return { kind: 'failed', error: 'invalid_request' }
  }
  return { kind: 'code', code: new Secret(code) }
}

/** RFC 9207 §2.4: present and different is refused, missing though promised is refused; compared byte for byte. */
function isFrom(
  plan: Pick<FlowPlan, 'issuer' | 'isIssuerExpected'>,
  given: string | undefined,
): boolean {
  return given === undefined ? !plan.isIssuerExpected : given === plan.issuer
}

// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6, RFC 8707 §2.
const errors: readonly FaultCode[] = [
  'access_denied',
  'consent_required',
  'invalid_request',
  'invalid_scope',
  'invalid_target',
  'login_required',
  'server_error',
  'temporarily_unavailable',
  'unauthorized_client',
  'unsupported_response_type',
]

// An error that nobody standardised is somebody else's text: it is not carried on.
function knownError(error: string): FaultCode {
  return errors.find((known) => known === error) ?? 'server_error'
}
