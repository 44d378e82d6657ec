// An Identity Assertion JWT Authorization Grant (ID-JAG): what an identity provider that the tenant trusts says about a
// person, for one client at one resource, once (MCP extension Enterprise-Managed Authorization; the IETF draft -04).
// Whatever is wrong with it looks the same from outside.
import { decodeJwt } from 'jose'
import type { JWTVerifyResult } from 'jose'
import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import { parseResource, sameResource } from '../oauth/resource.ts'
import { isScope, parseScope } from '../oauth/scope.ts'
import { isSubject } from '../people/identities.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { isCompact, leewayS, verifySigned } from '../upstream/verify-signed.ts'
import type { Client } from './clients.ts'
import type { KeySets } from '../upstream/key-sets.ts'
import { assertionAlgorithms } from './metadata.ts'
import type { Resource, Resources } from './resources.ts'
import { assertionIdOf } from './signed-assertions.ts'
import { findTrustedIssuer, holdTrustedIssuer, keysOf } from './trusted-issuers.ts'
import type { TrustedIssuer } from './trusted-issuers.ts'

/** What a good assertion says. */
export interface IdJag {
  readonly issuer: TrustedIssuer
  readonly subject: string
  readonly resource: Resource
  /** What the provider allows; undefined where it leaves that to us. */
  readonly scopes: readonly string[] | undefined
  readonly verifiedEmail: string | undefined
  /** What it is kept by, so that it counts once. */
  readonly id: string
  /** From then on it would be refused anyway. */
  readonly keptUntil: number
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keySets: KeySets
  readonly resources: Resources
}

/** Who presents an assertion. */
export interface Bearer {
  readonly tenant: Tenant
  readonly client: Client
}

/** The longest that an assertion may live: it is made for one request that follows at once. */
const lifetimeMaxS = 600
/** EMA §5: exactly this, as a JWT for another purpose says another (RFC 8725 §3.11). */
const type = 'oauth-id-jag+jwt'

/** Reads and checks an assertion; spends nothing. Throws Fault('invalid_grant') for any that is not good here. */
export async function readIdJag(needs: Needs, bearer: Bearer, assertion: Secret): Promise<IdJag> {
  const { tenant, client } = bearer
  const issuer = await requireIssuer(needs.db, tenant, claimedIssuer(assertion))
  requireSpeaksFor(issuer, client)
  const { payload, protectedHeader } = await verify(needs, { tenant, issuer }, assertion)
  if (protectedHeader.typ !== type) throw refused('the JWT was made for another purpose')
  const claims = readClaims(payload)
  requireTimes(claims, needs.clock.now() / 1000)
  if (claims.client_id !== client.id) throw refused('the assertion is for another client')
  return {
    issuer,
    subject: claims.sub,
    resource: await requireResource(needs.resources, { tenant, issuer }, claims.resource),
    scopes: claims.scope === undefined ? undefined : parseScope(claims.scope),
    verifiedEmail: claims.email_verified === true ? claims.email : undefined,
    id: assertionIdOf('id-jag', issuer.issuer, claims.jti),
    keptUntil: (Math.ceil(claims.exp) + leewayS) * 1000,
  }
}

/**
 * Looks again inside the transaction that makes a grant of the assertion: what an administrator takes from the issuer at
 * the same moment waits for that and ends the grant, or came first. Throws Fault('invalid_grant').
 */
export async function requireStillTrusted(
  tx: Database,
  { tenant, client }: Bearer,
  { issuer, resource }: IdJag,
): Promise<void> {
  const still = await holdTrustedIssuer(tx, tenant, issuer.id)
  if (still === undefined) throw refused('the issuer is not trusted here any more')
  requireSpeaksFor(still, client)
  requirePaired(still, resource)
}

function requireSpeaksFor({ clientIds }: TrustedIssuer, client: Client): void {
  if (clientIds.length === 0 || clientIds.includes(client.id)) return
  throw refused('the issuer may not speak for this client')
}

/** Who the assertion says it is of; nothing is proven yet. */
function claimedIssuer(assertion: Secret): string {
  try {
    const text = assertion.reveal()
    if (!isCompact(text)) throw new Error('it is not three parts in base64url')
    const { iss } = decodeJwt(text)
    if (typeof iss === 'string') return iss
  } catch (cause) {
    throw refused('the assertion is not a JWT', cause)
  }
  throw refused('the assertion names no issuer')
}

/** Only the keys of an issuer that an administrator named are ever fetched. */
async function requireIssuer(db: Database, tenant: Tenant, iss: string): Promise<TrustedIssuer> {
  const issuer = await findTrustedIssuer(db, tenant, iss)
  if (issuer === undefined) throw refused('the issuer is not trusted here')
  return issuer
}

interface Speaker {
  readonly tenant: Tenant
  readonly issuer: TrustedIssuer
}

/** Signature, issuer, audience, end and beginning (RFC 7523 §3). */
async function verify(
  { clock, keySets }: Needs,
  { tenant, issuer }: Speaker,
  assertion: Secret,
): Promise<JWTVerifyResult> {
  const options = {
    algorithms: [...assertionAlgorithms],
    issuer: issuer.issuer,
    audience: tenant.issuer,
    clockTolerance: leewayS,
    currentDate: new Date(clock.now()),
  }
  try {
    return await verifySigned(
      assertion,
      (wanted) => keysOf(keySets, tenant, issuer, wanted),
      options,
    )
  } catch (cause) {
    if (isFault(cause)) throw cause
    // jose refuses with an error of its own for each thing that can be wrong.
    throw refused('the assertion does not verify', cause)
  }
}

const claimsShape = z.object({
  /** One audience only: the draft would take a list of one, EMA §5 does not (P-87, X-22). */
  aud: z.string(),
  sub: z.string().refine(isSubject),
  client_id: z.string(),
  resource: z.string(),
  jti: z.string().min(1),
  exp: z.number(),
  iat: z.number(),
  scope: z.string().refine(isScope).optional(),
  email: z.string().optional(),
  email_verified: z.unknown().optional(),
  // What would narrow the grant or name the person in a way that we don't know must not be passed over: a key that the
  // client has to prove (§9.8), RFC 9396 details, and the tenant without which a subject is not unique (§3.1).
  cnf: z.undefined().optional(),
  authorization_details: z.undefined().optional(),
  tenant: z.undefined().optional(),
})

function readClaims(payload: unknown): z.output<typeof claimsShape> {
  const read = claimsShape.safeParse(payload)
  if (read.success) return read.data
  const [name] = read.error.issues.map(({ path }) => path.join('.'))
  throw refused(`a claim is missing, malformed or not supported: ${name ?? ''}`)
}

/** Made just now, for a short while. */
function requireTimes(
  { exp, iat }: { readonly exp: number; readonly iat: number },
  nowS: number,
): void {
  if (iat > nowS + leewayS) throw refused('the assertion is from the future')
  if (exp - iat > lifetimeMaxS) throw refused('the assertion lives too long')
}

/** A resource of this tenant that the issuer may speak for. */
async function requireResource(
  resources: Resources,
  { tenant, issuer }: Speaker,
  named: string,
): Promise<Resource> {
  const identifier = parseResource(named)
  const found = identifier === undefined ? undefined : await resources.find(tenant, identifier)
  if (found === undefined) throw refused('the assertion is for no resource of ours')
  requirePaired(issuer, found)
  return found
}

function requirePaired({ resources }: TrustedIssuer, { resource }: Resource): void {
  if (resources.length === 0 || resources.some((one) => sameResource(one, resource))) return
  throw refused('the issuer may not speak for this resource')
}

function refused(because: string, cause?: unknown): Fault {
  return new Fault('invalid_grant', cause === undefined ? { because } : { because, cause })
}
