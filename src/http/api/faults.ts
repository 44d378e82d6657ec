// Refusals that several rows of REST have in common, for the description.
import type { FaultCode } from '../../base/fault.ts'

/** Of an address that somebody gives us to call. */
export const addressFaults: readonly FaultCode[] = [
  'insecure_endpoint',
  'discovery_blocked',
  'name_unresolved',
]

/** Of finding out how to sign in elsewhere. */
export const discoveryFaults: readonly FaultCode[] = [
  ...addressFaults,
  'metadata_discovery_failed',
  'resource_mismatch',
  'issuer_mismatch',
  'pkce_unsupported',
  'provider_unreachable',
  'server_unreachable',
]

/** Of becoming a client elsewhere. */
export const registrationFaults: readonly FaultCode[] = [
  'registration_not_supported',
  'registration_failed',
  'client_configuration',
]

/** Of a token that is to be had from elsewhere without the person. */
export const refreshFaults: readonly FaultCode[] = [
  'authorization_required',
  'reauthorization_required',
  'refresh_token_rejected',
  'client_lost',
  'provider_unreachable',
]

/** Of the answer that ends a sign-in elsewhere. */
export const exchangeFaults: readonly FaultCode[] = [
  'state_mismatch',
  'flow_expired',
  'issuer_mismatch',
  'access_denied',
  'authorization_timeout',
  'client_configuration',
  'token_response_invalid',
  'provider_unreachable',
]
