// A sender of DPoP proofs with a key of its own, whose every part can be made wrong. For tests only.
import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey, JWK } from 'jose'

export interface Prover {
  readonly jkt: string
  readonly publicJwk: JWK
  readonly privateKey: CryptoKey
  /** A proof for this request; an undefined claim or header is left out. */
  readonly prove: (request: ProofOrder) => Promise<string>
}

export interface ProofOrder {
  readonly method: string
  readonly url: string
  readonly now: number
  readonly nonce?: string
  readonly token?: string
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
}

/** Makes a sender with a new key. */
export async function createProver(alg = 'ES256'): Promise<Prover> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const publicJwk = await exportJWK(publicKey)
  return {
    jkt: await calculateJwkThumbprint(publicJwk),
    publicJwk,
    privateKey,
    prove: ({ method, url, now, nonce, token, claims, header }) =>
      new SignJWT({
        jti: crypto.randomUUID(),
        htm: method,
        htu: url,
        iat: Math.floor(now / 1000),
        ...(nonce === undefined ? {} : { nonce }),
        ...(token === undefined ? {} : { ath: hashOf(token) }),
        ...claims,
      })
        .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk: publicJwk, ...header })
        .sign(privateKey),
  }
}

/** The hash by which a proof names its access token (RFC 9449 §4.2). */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
