// What a JWT says whose signature is for its receiver to check, and not for us who only pass it on.
import { decodeJwt } from 'jose'
import type { JWTPayload } from 'jose'
import type { Secret } from '../base/secret.ts'

const charsMax = 16_384

/** Undefined for what is no JWT, too long to be looked at, or without a time where its end should be (RFC 7519 §4.1.4). */
export function unverifiedClaims(token: Secret): JWTPayload | undefined {
  const text = token.reveal()
  if (text.length > charsMax) return undefined
  try {
    const claims = decodeJwt(text)
    return isTimeOrAbsent(claims.exp) ? claims : undefined
  } catch {
    return undefined
  }
}

// jose says that it is a number, and looks only where it checks the signature.
function isTimeOrAbsent(end: unknown): boolean {
  return end === undefined || typeof end === 'number'
}
