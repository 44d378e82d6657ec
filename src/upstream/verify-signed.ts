// What everything signed by somebody else has in common, an assertion or an ID token: one spelling, and a signature by a key
// that we know or that was published since. What its claims must say is decided by those who take it.
import { createLocalJWKSet, errors, jwtVerify } from 'jose'
import type { JWK, JWTVerifyGetKey, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import type { Secret } from '../base/secret.ts'
import type { Wanted } from './key-sets.ts'

/** How much the clocks of two machines may differ. */
export const leewayS = 30

/** RFC 7515 §7.1, with the one spelling that each part has: decoders skip what they don't know. */
export function isCompact(text: string): boolean {
  const parts = text.split('.', 4)
  const isExact = (part: string) =>
    part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part
  return parts.length === 3 && parts.every(isExact)
}

/** Verifies with the signer's keys, of which one may be newer than those we know; throws as jose does. */
export async function verifySigned(
  assertion: Secret,
  find: (wanted: Wanted) => Promise<readonly JWK[]>,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const check = (getKey: JWTVerifyGetKey) => jwtVerify(assertion.reveal(), getKey, options)
  const attempt = async (isNewer: boolean) => tryEachKey(await find({ isNewer }), check)
  return (await attempt(false)) ?? (await attempt(true)) ?? noKey()
}

/** Verifies with the one key that fits or, where an assertion does not say which, with each; undefined when none fits. */
async function tryEachKey(
  keys: readonly JWK[],
  check: (getKey: JWTVerifyGetKey) => Promise<JWTVerifyResult>,
): Promise<JWTVerifyResult | undefined> {
  try {
    return await check(createLocalJWKSet({ keys: [...keys] }))
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return undefined
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    for await (const key of error) {
      const verified = await check(async () => key).catch(whenSignatureIsWrong)
      if (verified !== undefined) return verified
    }
    return undefined
  }
}

function whenSignatureIsWrong(error: unknown): undefined {
  if (error instanceof errors.JWSSignatureVerificationFailed) return undefined
  throw error
}

function noKey(): never {
  throw new Error('no key of the signer fits the assertion')
}
