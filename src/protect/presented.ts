// From what stands in a request to a token that may be verified: a Bearer token as it is, a token of the DPoP scheme with
// the proof that came with it (RFC 9449 §7.1).
import type { DpopNonces, PresentedToken } from '../oauth/dpop.ts'
import type { Credentials, GuardedRequest } from './credentials.ts'

/** How proofs of a key are judged. */
export interface DpopSettings {
  readonly now: () => number
  /** The server's own nonces, which every proof must then carry; without them the clock of the caller is believed. */
  readonly nonces?: DpopNonces
}

export type Presentation =
  | { readonly kind: 'presented'; readonly presented: PresentedToken }
  | { readonly kind: 'refused'; readonly reason: 'invalid_dpop_proof' | 'use_dpop_nonce' }

/** Checks the proof, if the scheme wants one. */
export async function readPresentation(
  { resource, dpop }: { readonly resource: string; readonly dpop?: DpopSettings },
  credentials: Extract<Credentials, { kind: 'token' }>,
  { method = '' }: GuardedRequest,
): Promise<Presentation> {
  const { token } = credentials
  if (credentials.scheme === 'Bearer' || dpop === undefined) {
    return { kind: 'presented', presented: { token } }
  }
  const { now, nonces } = dpop
  // Whoever takes no proofs does not load what reads them.
  const { readProof } = await import('../oauth/dpop.ts')
  const reading = await readProof({
    fields: credentials.proofs,
    method,
    url: resource,
    now: now(),
    accessToken: token,
    ...(nonces === undefined ? {} : { nonces }),
  })
  if (reading.kind === 'refused') return { kind: 'refused', reason: reading.error }
  return { kind: 'presented', presented: { token, proof: reading.proof } }
}
