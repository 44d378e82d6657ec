// DPoP at our own endpoints (RFC 9449 §5, §7 and §11.1): the proof that came with a request, the key that something is
// bound to, and that a proof counts once. How a proof is read is in oauth/dpop.ts.
import type { Clock } from '../base/clock.ts'
import { Fault, callersFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import { readProof } from '../oauth/dpop.ts'
import type { DpopProof, ProofReading } from '../oauth/dpop.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import type { Client } from './clients.ts'
import { dpopNonces } from './dpop-nonces.ts'

interface Needs {
  readonly clock: Clock
  readonly keyring: Keyring
}

/** A request to one of our endpoints. */
export interface EndpointRequest {
  readonly method: string
  /** Where the endpoint is on the tenant's origin; the Host field is never asked. */
  readonly path: string
  /** The DPoP field as received; several come as one text, which is then no proof. */
  readonly dpop: string | undefined
  readonly accessToken?: Secret
}

/** Reads the proof of a request; a missing one is refused too. */
export function readEndpointProof(
  { clock, keyring }: Needs,
  tenant: Tenant,
  { method, path, dpop, ...rest }: EndpointRequest,
): Promise<ProofReading> {
  return readProof({
    ...rest,
    fields: dpop === undefined ? [] : [dpop],
    method,
    url: tenant.issuer + path,
    now: clock.now(),
    nonces: dpopNonces({ clock, keyring }, tenant),
  })
}

/** The proof of a request that may come without one. Throws Fault('invalid_dpop_proof') or Fault('use_dpop_nonce'). */
export async function optionalProof(
  needs: Needs,
  tenant: Tenant,
  request: EndpointRequest,
): Promise<DpopProof | undefined> {
  if (request.dpop === undefined) return undefined
  const reading = await readEndpointProof(needs, tenant, request)
  if (reading.kind === 'proof') return reading.proof
  const { error, because, cause } = reading
  const dpopNonce = dpopNonces(needs, tenant).current()
  throw new Fault(error, { because, isForCaller: true, dpopNonce, cause })
}

/** RFC 9449 §5.2: who registered for bound tokens gets no others. */
export function requireRegisteredProof({ metadata }: Client, proof: DpopProof | undefined): void {
  if (metadata.dpop_bound_access_tokens !== true || proof !== undefined) return
  throw callersFault('invalid_dpop_proof', 'the client registered for proofs only')
}

/** What is bound to a key is for who holds that key; nothing is bound when `bound` is null. */
export function requireKey(bound: string | null, jkt: string | undefined): void {
  if (bound === null || bound === jkt) return
  if (jkt === undefined) {
    throw new Fault('invalid_dpop_proof', { because: 'this is bound to a key and came without it' })
  }
  throw new Fault('invalid_grant', { because: 'this is bound to another key' })
}

/** How much longer a proof is remembered than it is good: the clocks of two instances differ. */
const clocksDifferMs = 30_000

/** Spends a proof by one insert. Throws Fault('invalid_dpop_proof') for one that was seen before (RFC 9449 §11.1). */
export async function spendProof(db: Database, tenant: Tenant, proof: DpopProof): Promise<void> {
  const expiresAt = proof.goodUntil + clocksDifferMs
  const stored = await storeFirst(db, { tenantId: tenant.id, proofId: proof.id, expiresAt })
  if (stored.length === 1) return
  throw new Fault('invalid_dpop_proof', { because: 'the proof was used before' })
}

const storeFirst = hotQuery((db, { tenantId, proofId, expiresAt }: ProofPlace) =>
  db
    .insertInto('dpop_proofs')
    .values({ tenant_id: tenantId, proof_id: proofId, expires_at: expiresAt })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'proof_id']).doNothing())
    .returning('proof_id'),
)

type ProofPlace = {
  readonly tenantId: string
  readonly proofId: string
  readonly expiresAt: number
}
