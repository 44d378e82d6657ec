// Authorization requests that a client sends to us itself, ahead of the browser (RFC 9126). Owns pushing one and finding it
// again by its `request_uri`; what may stand in it is read by authorization-request.ts, and using it belongs to authorize.ts.
import type { Clock } from '../base/clock.ts'
import { Fault, callersFault, isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomId, randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { DpopProof } from '../oauth/dpop.ts'
import type { Parameters } from '../oauth/parameters.ts'
import type { Tenant } from '../people/tenants.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { PushedRequestRow } from '../store/schema.ts'
import { readAuthorizationRequest } from './authorization-request.ts'
import type { CheckedRequest } from './authorization-request.ts'
import type { ClientAssertions } from './client-assertion.ts'
import { authenticateClient, meetClient } from './client-authentication.ts'
import type { ClientDocuments } from './client-documents.ts'
import type { Client } from './clients.ts'
import { optionalProof, spendProof } from './dpop-proofs.ts'
import { readForm } from './form-request.ts'
import type { FormRequest } from './form-request.ts'
import type { Policy } from './policy.ts'
import type { Resources } from './resources.ts'

/** What a client gets for its request (RFC 9126 §2.2). */
export interface PushedAnswer {
  readonly request_uri: string
  readonly expires_in: number
}

/** Takes a client's request. Throws a Fault that the client is told (RFC 9126 §2.3); nobody is ever redirected. */
export type PushRequest = (tenant: Tenant, request: FormRequest) => Promise<PushedAnswer>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly resources: Resources
  readonly policy: Policy
  readonly assertions: ClientAssertions
  readonly documents: ClientDocuments
}

// RFC 9126 §2.2 gives the form as an example; every other `request_uri` is somebody else's.
const uriPrefix = 'urn:ietf:params:oauth:request_uri:'
const uriShape = /^urn:ietf:params:oauth:request_uri:[\w-]{43}$/

/** Makes the endpoint for pushed requests. */
export function createPushRequest(needs: Needs): PushRequest {
  return async (tenant, form) => {
    const { parameters } = readForm(form)
    if (parameters.has('request_uri')) {
      // RFC 9126 §2.1: the one parameter of the authorization endpoint that must not be here.
      throw callersFault('invalid_request', 'a pushed request names another request')
    }
    const { authorization, dpop, count } = form
    // Before the client proves itself, whose assertion would be spent by an attempt that fails for its nonce.
    const proof = await optionalProof(needs, tenant, { method: 'POST', path: '/oauth/par', dpop })
    requireNamedKey(parameters, proof)
    await meetClient(needs.documents.find, tenant, form)
    const client = await authenticateClient(needs, tenant, { authorization, parameters, count })
    const query = withoutProof(new URLSearchParams(form.body))
    // RFC 9449 §10.1: a proof beside the request says which key the code is for, as `dpop_jkt` does.
    if (proof !== undefined) query.set('dpop_jkt', proof.jkt)
    const request = await check(needs, { tenant, client, query })
    return store(needs, { tenant, query, proof }, request)
  }
}

/** RFC 9449 §10.1: where a request both names a key and comes with a proof, they are of one key. */
function requireNamedKey(parameters: Parameters, proof: DpopProof | undefined): void {
  const named = parameters.get('dpop_jkt')
  if (named === undefined || proof === undefined || named === proof.jkt) return
  throw callersFault('invalid_request', 'dpop_jkt and the proof are of two keys')
}

const proofs = ['client_secret', 'client_assertion', 'client_assertion_type']

/** What proves the client is for this request alone and is not kept. */
function withoutProof(form: URLSearchParams): URLSearchParams {
  const query = new URLSearchParams(form)
  for (const name of proofs) query.delete(name)
  return query
}

interface Pushed {
  readonly tenant: Tenant
  readonly client: Client
  readonly query: URLSearchParams
}

/** RFC 9126 §2.1: a pushed request is checked as it would be at the authorization endpoint. */
async function check(
  { resources }: Needs,
  { tenant, client, query }: Pushed,
): Promise<CheckedRequest> {
  const reading = await readAuthorizationRequest(
    { resources, clientFor: async () => client },
    tenant,
    { query, isPushed: true },
  ).catch(asPushError)
  if (reading.kind === 'refused') throw reading.fault
  return reading.request
}

/** RFC 9126 §2.3: an address that is not registered is an invalid request here. */
function asPushError(error: unknown): never {
  if (!isFault(error) || error.code !== 'invalid_redirect_uri') throw error
  const { because, isForCaller } = error
  throw new Fault('invalid_request', { because, isForCaller, cause: error })
}

async function store(
  { db, clock, random, keyring, journal, policy }: Needs,
  { tenant, query, proof }: Omit<Pushed, 'client'> & { readonly proof: DpopProof | undefined },
  { client, resource, scopes }: CheckedRequest,
): Promise<PushedAnswer> {
  const requestUri = new Secret(uriPrefix + randomSecret(random).reveal())
  const now = clock.now()
  const row: PushedRequestRow = {
    tenant_id: tenant.id,
    request_digest: keyring.digest('request_uri', requestUri),
    // The authorization request that it becomes has the same id, so the journal tells both as one attempt.
    id: newRequestId(random),
    client_id: client.id,
    parameters: query.toString(),
    created_at: now,
    expires_at: now + policy.pushedRequestLifetimeMs,
    claimed_at: null,
  }
  await db.transaction().execute(async (tx) => {
    if (proof !== undefined) await spendProof(tx, tenant, proof)
    await tx.insertInto('pushed_requests').values(row).execute()
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'authorization.pushed',
      actor: { kind: 'client', id: client.id },
      subject: { kind: 'client', id: client.id },
      attempt: row.id,
      data: { resource: resource.resource, scopes },
    })
  })
  const expiresInS = Math.floor(policy.pushedRequestLifetimeMs / 1000)
  return { request_uri: requestUri.reveal(), expires_in: expiresInS }
}

/** The id of an authorization request that is yet to be stored. */
export function newRequestId(random: Random): string {
  return randomId(random, 'req_')
}

/** A pushed request that is not over yet, used or not. */
export interface FoundPushed {
  readonly row: PushedRequestRow
  readonly query: URLSearchParams
  readonly isUsed: boolean
}

/**
 * The pushed request that the query of the authorization endpoint names; undefined when it names none of ours. All else
 * in that query is ignored (RFC 9126 §4, RFC 9101 §6.3). Throws Fault('invalid_request') when it is not this client's, is
 * over or never was: no address is proven then.
 */
export async function findPushed(
  { db, clock, keyring }: Pick<Needs, 'db' | 'clock' | 'keyring'>,
  tenant: Tenant,
  query: URLSearchParams,
): Promise<FoundPushed | undefined> {
  const uris = query.getAll('request_uri')
  if (!uris.some((uri) => uri.startsWith(uriPrefix))) return undefined
  const [requestUri, ...moreUris] = uris
  const [clientId, ...moreClients] = query.getAll('client_id')
  const isOnce = moreUris.length === 0 && moreClients.length === 0
  if (!isOnce || requestUri === undefined || !uriShape.test(requestUri))
    throw notUsable('malformed')
  const row = await db
    .selectFrom('pushed_requests')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('request_digest', 'in', keyring.digests('request_uri', new Secret(requestUri)))
    .executeTakeFirst()
  if (row === undefined) throw notUsable('unknown')
  if (row.client_id !== clientId) throw notUsable('of another client')
  if (row.expires_at <= clock.now()) throw notUsable('expired')
  return { row, query: new URLSearchParams(row.parameters), isUsed: row.claimed_at !== null }
}

/** Uses it up, inside the caller's transaction; false for all but the first (RFC 9126 §4). */
export async function spendPushed(
  { tx, clock }: { readonly tx: Database; readonly clock: Clock },
  { tenant_id, request_digest }: PushedRequestRow,
): Promise<boolean> {
  const key = { tenant_id, request_digest }
  return (await claimOnce(tx, 'pushed_requests', key, clock.now())) !== undefined
}

/** The one refusal for every pushed request that cannot be used, so that it tells nothing about others. */
export function notUsable(what: string): Fault {
  return new Fault('invalid_request', {
    because: `the pushed request is ${what}`,
    detail: {
      request: 'Its link was used already or is too old. Go back to the app and connect again.',
    },
  })
}
