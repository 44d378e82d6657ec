// How a client proves itself with a key of its own (`private_key_jwt`, RFC 7523 §2.2 and §3): a short-lived JWT for us
// alone, good once. Whatever is wrong with it looks the same from outside.
import { decodeJwt } from 'jose'
import type { JWTPayload, JWTVerifyResult } from 'jose'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { isCompact, leewayS, verifySigned } from '../upstream/verify-signed.ts'
import type { ClientKeys } from './client-keys.ts'
import type { Client } from './clients.ts'
import { assertionAlgorithms } from './metadata.ts'
import { assertionIdOf, storeFirst } from './signed-assertions.ts'

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

/** How far ahead an assertion may end. */
const lifetimeMaxS = 300

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
      const isFirst = await storeFirst(needs.db, tenant, {
        id: assertionIdOf(client.id, jti),
        clientId: client.id,
        expiresAt: (expiresAtS + leewayS) * 1000,
      })
      if (!isFirst) throw refused('the assertion was used before')
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
  try {
    return await verifySigned(assertion, (wanted) => keys.find(tenant, client, wanted), options)
  } catch (cause) {
    if (isFault(cause)) throw cause
    // jose refuses with an error of its own for each thing that a stranger can do wrong.
    throw refused('the assertion does not verify', cause)
  }
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

function refused(because: string, cause?: unknown): Fault {
  return new Fault('invalid_client', cause === undefined ? { because } : { because, cause })
}
