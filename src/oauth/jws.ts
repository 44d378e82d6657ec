// Signs the JWTs that we make (RFC 7515 §7.1). Which key, and what the claims say, is for the caller to decide.
import { constants, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { Secret } from '../base/secret.ts'

/** The signatures that we can make (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2). */
export const signingAlgorithms = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'] as const
export type SigningAlgorithm = (typeof signingAlgorithms)[number]

/** What is to be signed, and how. */
export interface UnsignedJws {
  readonly header: { readonly alg: SigningAlgorithm; readonly [member: string]: unknown }
  readonly claims: Readonly<Record<string, unknown>>
}

/** A JWT in its compact form. */
export function signJwt(key: KeyObject, { header, claims }: UnsignedJws): Secret {
  const signed = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  const signature = signatureOf(key, header.alg, Buffer.from(signed))
  return new Secret(`${signed}.${signature.toString('base64url')}`)
}

function signatureOf(key: KeyObject, alg: SigningAlgorithm, data: Buffer): Buffer {
  // RFC 7518 §3.4: r and s side by side, not DER.
  if (alg === 'ES256') return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg === 'RS256') return sign('sha256', data, key)
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, data, key)
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants
  return sign('sha256', data, { key, padding, saltLength })
}
