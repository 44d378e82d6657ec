// What every assertion has in common, a client's about itself or an issuer's about a person: one spelling, a signature by
// a key that we know, and that it counts once (RFC 7523 §3). What its claims must say is decided by those who take it.
import { createHash } from 'node:crypto'
import { createLocalJWKSet, errors, jwtVerify } from 'jose'
import type { JWK, JWTVerifyGetKey, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import type { Secret } from '../base/secret.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
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

/** What an assertion is kept by: never its text, and nothing that two signers could both make. */
export function assertionIdOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

/** Says whether an assertion was used already; only `storeFirst` decides it. */
export async function isStored(db: Database, tenant: Tenant, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('client_assertions')
    .select('assertion_id')
    .where('tenant_id', '=', tenant.id)
    .where('assertion_id', '=', id)
    .executeTakeFirst()
  return row !== undefined
}

/** RFC 7523 §3: one insert decides who was first. */
export async function storeFirst(
  db: Database,
  tenant: Tenant,
  use: { readonly id: string; readonly clientId: string; readonly expiresAt: number },
): Promise<boolean> {
  const stored = await db
    .insertInto('client_assertions')
    .values({
      tenant_id: tenant.id,
      assertion_id: use.id,
      client_id: use.clientId,
      expires_at: use.expiresAt,
    })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'assertion_id']).doNothing())
    .returning('assertion_id')
    .executeTakeFirst()
  return stored !== undefined
}
