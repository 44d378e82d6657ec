// Makes DPoP proofs (RFC 9449 §4.2): by each, the sender of one request shows that it holds a key. Keys and nonces are kept
// by whoever sends.
import { createHash } from 'node:crypto'
import type { Secret } from '../base/secret.ts'
import { signJwt } from './jws.ts'
import type { SigningKey } from './private-key.ts'

/** The request that a proof goes with. */
export interface RequestToProve {
  readonly method: string
  readonly url: string
  readonly now: number
  /** Names this proof among all others (`jti`). */
  readonly id: string
  /** The last nonce that the server gave (§8, §9). */
  readonly nonce?: string | undefined
  /** The access token beside it, at a resource (§7). */
  readonly accessToken?: Secret | undefined
}

/** The signature of our proofs, which a server has to list. */
export const proofAlgorithm = 'ES256'

/** A proof for one request. */
export function createProof({ key, publicJwk }: SigningKey, request: RequestToProve): Secret {
  const { method, url, now, id, nonce, accessToken } = request
  const { alg, kid: _named, use: _always, ...jwk } = publicJwk
  const { origin, pathname } = new URL(url)
  return signJwt(key, {
    header: { alg, typ: 'dpop+jwt', jwk },
    claims: {
      jti: id,
      htm: method,
      htu: origin + pathname,
      iat: Math.floor(now / 1000),
      ...(accessToken === undefined ? {} : { ath: hashOf(accessToken.reveal()) }),
      ...(nonce === undefined ? {} : { nonce }),
    },
  })
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
