// What a JWT says whose signature is for its receiver to check, and not for us who only pass it on.
import { decodeJwt } from 'jose'
import type { JWTPayload } from 'jose'
import type { Secret } from '../base/secret.ts'

const charsMax = 16_384

/** Undefined for what is no JWT, or too long to be looked at. */
export function unverifiedClaims(token: Secret): JWTPayload | undefined {
  const text = token.reveal()
  if (text.length > charsMax) return undefined
  try {
    return decodeJwt(text)
  } catch {
    return undefined
  }
}
