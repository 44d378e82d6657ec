// How a client proves itself with a key of its own (`private_key_jwt`, RFC 7523 §2.2 and §3): a short-lived JWT for us
// alone, good once. Whatever is wrong with it looks the same from outside.
import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, errors, jwtVerify } from 'jose'
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyResult } from 'jose'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientKeys } from './client-keys.ts'
import type { Client } from './clients.ts'
import { assertionAlgorithms } from './metadata.ts'

export interface ClientAssertions {
  /** Spends an assertion of this client. Throws Fault('invalid_client') for any that does not prove it. */
  readonly spend: (tenant: Tenant, client: Client, assertion: Secret) => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keys: ClientKeys
}

/** The type of assertion that we take (RFC 7523 §2.2). */
export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** How far ahead an assertion may end, and how much two clocks may differ. */
const lifetimeMaxS = 300
const leewayS = 30

// RFC 8725 §3.11: a JWT made for another purpose says so; an assertion of older clients says nothing or `JWT`.
const types = new Set<string | undefined>([undefined, 'jwt', 'client-authentication+jwt'])

/** Makes the check of assertions over one database. */
export function createClientAssertions(needs: Needs): ClientAssertions {
  return {
    spend: async (tenant, client, assertion) => {
      const { payload, protectedHeader } = await verify(needs, { tenant, client }, assertion)
      if (!types.has(protectedHeader.typ?.toLowerCase())) {
        throw refused('the JWT was made for another purpose')
      }
      const { jti, expiresAtS } = readClaims(payload, needs.clock.now() / 1000)
      const row = {
        tenant_id: tenant.id,
        assertion_id: idOf(client, jti),
        client_id: client.id,
        expires_at: (expiresAtS + leewayS) * 1000,
      }
      if (!(await storeFirst(needs.db, row))) throw refused('the assertion was used before')
    },
  }
}

/** The client that an assertion claims to be; nothing is proven yet. Throws Fault('invalid_client'). */
export function claimedClient(assertion: Secret): string {
  try {
    const text = assertion.reveal()
    if (!isCompact(text)) throw new Error('it is not three parts in base64url')
    const { sub } = decodeJwt(text)
    if (typeof sub === 'string' && sub !== '') return sub
  } catch (cause) {
    throw refused('the assertion is not a JWT', cause)
  }
  throw refused('the assertion names no client')
}

/** RFC 7515 §7.1, with the one spelling that each part has: decoders skip what they don't know. */
function isCompact(text: string): boolean {
  const parts = text.split('.', 4)
  const isExact = (part: string) =>
    part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part
  return parts.length === 3 && parts.every(isExact)
}

interface Claimant {
  readonly tenant: Tenant
  readonly client: Client
}

/** Checks signature, issuer, subject, audience and times (RFC 7523 §3); a key may be newer than those we know. */
async function verify(
  { keys, clock }: Needs,
  { tenant, client }: Claimant,
  assertion: Secret,
): Promise<JWTVerifyResult> {
  const options = {
    algorithms: [...assertionAlgorithms],
    issuer: client.id,
    subject: client.id,
    audience: tenant.issuer,
    requiredClaims: ['exp', 'jti'],
    clockTolerance: leewayS,
    currentDate: new Date(clock.now()),
  }
  const check = (getKey: JWTVerifyGetKey) => jwtVerify(assertion.reveal(), getKey, options)
  const attempt = async (isNewer: boolean) =>
    tryEachKey(await keys.find(tenant, client, { isNewer }), check)
  try {
    return (await attempt(false)) ?? (await attempt(true)) ?? noKey()
  } catch (cause) {
    if (isFault(cause)) throw cause
    // jose refuses with an error of its own for each thing that a stranger can do wrong.
    throw refused('the assertion does not verify', cause)
  }
}

/** Verifies with the one key that fits or, where an assertion does not say which, with each; undefined when none fits. */
async function tryEachKey(
  keys: Awaited<ReturnType<ClientKeys['find']>>,
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
  throw new Error('no key of the client fits the assertion')
}

/** What jose leaves open: one audience only, the end within bounds, and a beginning that is not to come. */
function readClaims(
  { aud, exp, iat, jti }: JWTPayload,
  nowS: number,
): { readonly jti: string; readonly expiresAtS: number } {
  if (typeof aud !== 'string') throw refused('the assertion is for more than one audience')
  if (typeof jti !== 'string' || jti === '') throw refused('the assertion has no usable jti')
  if (exp === undefined || exp > nowS + lifetimeMaxS + leewayS) {
    throw refused('the assertion lives too long')
  }
  if (iat !== undefined && iat > nowS + leewayS) throw refused('the assertion is from the future')
  return { jti, expiresAtS: Math.ceil(exp) }
}

function idOf(client: Client, jti: string): string {
  return createHash('sha256')
    .update(JSON.stringify([client.id, jti]))
    .digest('base64url')
}

/** RFC 7523 §3: one insert decides who was first. */
async function storeFirst(
  db: Database,
  row: {
    readonly tenant_id: string
    readonly assertion_id: string
    readonly client_id: string
    readonly expires_at: number
  },
): Promise<boolean> {
  const stored = await db
    .insertInto('client_assertions')
    .values(row)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'assertion_id']).doNothing())
    .returning('assertion_id')
    .executeTakeFirst()
  return stored !== undefined
}

function refused(because: string, cause?: unknown): Fault {
  return new Fault('invalid_client', cause === undefined ? { because } : { because, cause })
}
