// An authorization server with a tenant, a person and a hand-turned clock, and the steps of a client against it.
// For tests only.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import type { ManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import { createKeyring } from '../base/keyring.ts'
import type { Keyring, MasterKey } from '../base/keyring.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import type { Connector, Resolve } from '../base/outbound.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { createAttempts } from '../journal/attempts.ts'
import { createJournal } from '../journal/entries.ts'
import type { ProofOrder, Prover } from '../oauth/dpop.rig.ts'
import { challengeOf } from '../oauth/pkce.ts'
import { sameResource } from '../oauth/resource.ts'
import { createIdentities } from '../people/identities.ts'
import { createPasswords } from '../people/passwords.ts'
import { createProviderGrants } from '../people/provider-grants.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import { createSessions } from '../people/sessions.ts'
import { createTenants } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'
import { createUsers } from '../people/users.ts'
import type { Database, Store } from '../store/database.ts'
import { timeOf } from '../store/time.ts'
import { createUpstream } from '../upstream/upstream.ts'
import type { AuthorizeHub, AuthorizeStep } from './authorize.ts'
import type { NewClient } from './client-registration.ts'
import type { FormRequest } from './form-request.ts'
import { createIssuer } from './issuer.ts'
import type { Issuer } from './issuer.ts'
import { tokenExchange } from './metadata.ts'
import type { Policy } from './policy.ts'
import type { Resource, Resources } from './resources.ts'
import { createScopes } from './scope-registry.ts'
import { accessTokenType } from './tokens.ts'

export interface Rig {
  readonly db: Database
  readonly clock: ManualClock
  readonly keyring: Keyring
  readonly tenant: Tenant
  readonly issuer: Issuer
  /** Signs a person in; a new one for a new name. */
  readonly signIn: (name?: string) => Promise<SessionPrincipal>
  /** The types of the journal's entries, oldest first. */
  readonly journalTypes: () => Promise<readonly string[]>
}

export interface RigOptions {
  readonly policy?: Partial<Policy>
  /** The keys; one of its own unless given, so that two rigs can share a database. */
  readonly masterKeys?: readonly MasterKey[]
  readonly resolve?: Resolve
  readonly connect?: Connector
  readonly allow?: readonly string[]
  readonly allowLoopbackDocuments?: boolean
}

/** The verifier of every request that the rig makes. */
export const verifier = new Secret('v'.repeat(64))
export const redirectUri = 'https://app.test/cb'
export const otherScopes = ['memories:read', 'memories:write']

/** Puts the server together over a migrated store. */
export async function createRig(
  t: TestContext,
  store: Store,
  options: RigOptions = {},
): Promise<Rig> {
  const { db } = store
  const clock = createManualClock()
  const random = systemRandom
  const masterKeys = options.masterKeys ?? [{ id: 'test', key: random.bytes(32) }]
  const keyring = createKeyring({ random }, masterKeys)
  const journal = createJournal({ db, clock, random, keyring })
  const attempts = createAttempts({ db, clock, random, keyring, log: silentLog })
  const ground = { db, clock, random, keyring, journal, attempts, log: silentLog }
  const { resolve = async () => [], connect, allow = [] } = options
  const outbound = createOutbound(
    { log: silentLog, clock, resolve, ...(connect === undefined ? {} : { connect }) },
    { allow },
  )
  t.after(() => outbound.close())
  const users = createUsers({ ...ground, passwords: createPasswords({ random }) })
  const sessions = createSessions(ground)
  const tenant = await createTenants(ground).ensureDefault('https://auth.test')
  const scopes = createScopes({ ...ground, isUsed: async () => false })
  const identities = createIdentities({ ...ground, users })
  const upstream = createUpstream({ ...ground, time: timeOf(clock), outbound })
  const providerGrants = createProviderGrants({
    ...ground,
    upstream,
    providerGrantEnded: (tx, of, id) => issuer.grants.endForProviderGrant(tx, of, id),
  })
  const rooms = { users, identities, providerGrants, outbound, resources, scopes }
  const issuer: Issuer = createIssuer({ ...ground, ...options, ...rooms })

  return {
    db,
    clock,
    keyring,
    tenant,
    issuer,
    signIn: async (name = 'ada') => {
      const email = `${name}@example.test`
      const known = await users.byEmail(tenant, email)
      const user = known ?? (await users.create({ tenant, email, role: 'user' }))
      const { cookie } = await sessions.begin(tenant, user)
      return (await sessions.find(tenant, cookie)) ?? assert.fail('the session was not found')
    },
    journalTypes: async () => {
      const entries = await journal.list({ tenantId: tenant.id, limit: 200 })
      return entries.map(({ type }) => type)
    },
  }
}

/** The server twice over one database, as two processes would run it. */
export async function createTwins(
  t: TestContext,
  store: Store,
  openAnother: () => Promise<Store>,
): Promise<readonly [Rig, Rig]> {
  const masterKeys = [{ id: 'shared', key: systemRandom.bytes(32) }]
  const first = await createRig(t, store, { masterKeys })
  return [first, await createRig(t, await openAnother(), { masterKeys })]
}

// Three servers with one scope each, and two with the scopes of seed 003.
const resources: Resources = {
  defaultFor: ({ issuer }) => `${issuer}/mcp`,
  find: async ({ issuer }, resource) => {
    const known: readonly Resource[] = [
      { resource: `${issuer}/mcp`, name: 'All of it', scopes: ['mcp'] },
      { resource: `${issuer}/notes/mcp`, name: 'Notes', scopes: ['mcp'] },
      { resource: `${issuer}/signed/mcp`, name: 'Signed', scopes: ['mcp'], tokenFormat: 'jwt' },
      { resource: `${issuer}/memories/mcp`, name: 'Memories', scopes: ['mcp', ...otherScopes] },
      {
        resource: `${issuer}/careful/mcp`,
        name: 'Careful',
        scopes: ['mcp', ...otherScopes],
        usual: ['mcp'],
      },
      { resource: `${issuer}/front/mcp`, name: 'Front', scopes: ['mcp', ...otherScopes] },
    ]
    return known.find((one) => sameResource(one.resource, resource))
  },
}

export interface RigClient {
  readonly id: string
  readonly secret: string | undefined
}

/** Registers a client: public and at app.test unless said otherwise. */
export async function register(
  { issuer, tenant }: Rig,
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<RigClient> {
  const answer = await issuer.register(tenant, {
    client_name: 'Tester',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    ...metadata,
  })
  const { client_id: id, client_secret: secret } = answer
  assert.ok(typeof id === 'string' && (secret === undefined || typeof secret === 'string'))
  return { id, secret }
}

/** Makes a client by an administrator's hand: a program that acts for itself unless said otherwise. */
export async function createMachine(
  { issuer, tenant }: Rig,
  changes: Partial<NewClient> = {},
): Promise<RigClient> {
  const { client, secret } = await issuer.clients.create(
    { tenant },
    {
      name: 'Machine',
      redirectUris: [],
      authMethod: 'client_secret_post',
      grantTypes: ['client_credentials'],
      ...changes,
    },
  )
  return { id: client.id, secret: secret?.reveal() }
}

/** The form by which a program asks for a token of its own. */
export function machineForm(client: RigClient, changes: Changes = {}): FormRequest {
  return form({
    grant_type: 'client_credentials',
    client_id: client.id,
    client_secret: client.secret,
    ...changes,
  })
}

/** What is said in place of the usual; undefined takes a parameter away. */
export type Changes = Readonly<Record<string, string | undefined>>

/** The query of a good authorization request with changes; undefined takes a parameter away. */
export function authorizeQuery(client: RigClient, changes: Changes = {}): URLSearchParams {
  return parameters({
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirectUri,
    state: 'state-1',
    code_challenge: challengeOf(verifier),
    code_challenge_method: 'S256',
    ...changes,
  })
}

/** A form for the token or revocation endpoint. */
export function form(fields: Changes, authorization?: string): FormRequest {
  return {
    contentType: 'application/x-www-form-urlencoded',
    authorization,
    body: parameters(fields).toString(),
  }
}

function parameters(fields: Changes): URLSearchParams {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return new URLSearchParams(given as [string, string][]) // the undefined ones are filtered out
}

/** Begins a request that the person's own click led to, in a new browser. */
export function beginByHand(
  { issuer, tenant }: Rig,
  query: URLSearchParams,
  session: SessionPrincipal,
): ReturnType<AuthorizeHub['begin']> {
  return issuer.authorize.begin(tenant, query, undefined, session, { isByHand: true })
}

/** Goes as far as the consent page and gives what is needed to answer it. */
export async function askConsent(
  { issuer, tenant }: Rig,
  session: SessionPrincipal,
  query: URLSearchParams,
): Promise<{
  readonly step: Extract<AuthorizeStep, { kind: 'consent' }>
  readonly browser: Secret
}> {
  const { step, browser } = await issuer.authorize.begin(tenant, query, undefined, session)
  assert.equal(step.kind, 'consent')
  assert.ok(step.kind === 'consent' && browser !== undefined)
  return { step, browser }
}

/** Approves on the consent page, if there is one, and gives where the browser goes. */
export async function approve(
  rig: Rig,
  session: SessionPrincipal,
  query: URLSearchParams,
  scopes?: readonly string[],
): Promise<URL> {
  const { step, browser } = await rig.issuer.authorize.begin(rig.tenant, query, undefined, session)
  if (step.kind !== 'consent') return locationOf(step)
  const { requestId, formToken } = step
  const answered = await rig.issuer.authorize.decide(rig.tenant, requestId, browser, session, {
    decision: 'approve',
    formToken,
    ...(scopes === undefined ? {} : { scopes }),
  })
  return locationOf(answered)
}

/** A code for this client, agreed to by this person. */
export async function obtainCode(
  rig: Rig,
  session: SessionPrincipal,
  client: RigClient,
  changes: Changes = {},
): Promise<string> {
  const location = await approve(rig, session, authorizeQuery(client, changes))
  return location.searchParams.get('code') ?? assert.fail('no code came back')
}

/** The form that redeems a code, with changes. */
export function codeForm(client: RigClient, code: string, changes: Changes = {}): FormRequest {
  return form({
    grant_type: 'authorization_code',
    client_id: client.id,
    client_secret: client.secret,
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier.reveal(),
    ...changes,
  })
}

/** The form that refreshes, with changes. */
export function refreshForm(client: RigClient, token: string, changes: Changes = {}): FormRequest {
  return form({
    grant_type: 'refresh_token',
    client_id: client.id,
    client_secret: client.secret,
    refresh_token: token,
    ...changes,
  })
}

/** The form that pushes a good authorization request, with changes (RFC 9126 §2.1). */
export function pushForm(client: RigClient, changes: Changes = {}): FormRequest {
  const fields = Object.fromEntries(authorizeQuery(client))
  return form({ ...fields, client_secret: client.secret, ...changes })
}

/** The form that exchanges an access token for one that is for the memories, with changes (RFC 8693 §2.1). */
export function exchangeForm(
  client: RigClient,
  subjectToken: string,
  changes: Changes = {},
): FormRequest {
  return form({
    grant_type: tokenExchange,
    client_id: client.id,
    client_secret: client.secret,
    subject_token: subjectToken,
    subject_token_type: accessTokenType,
    resource: 'https://auth.test/memories/mcp',
    ...changes,
  })
}

/** Where a proof is for, and what is odd about it. */
export type Order = Partial<ProofOrder> & { readonly path?: string }

/** A proof of this sender for an endpoint of the rig, with the nonce of the moment. */
export function prove(
  { tenant, clock, issuer }: Rig,
  prover: Prover,
  order: Order = {},
): Promise<string> {
  const { path = '/oauth/token', ...rest } = order
  return prover.prove({
    method: 'POST',
    url: tenant.issuer + path,
    now: clock.now(),
    nonce: issuer.dpopNonces(tenant).current(),
    ...rest,
  })
}

/** The form with a proof of this sender. */
export async function proven(
  rig: Rig,
  prover: Prover,
  request: FormRequest,
  order: Order = {},
): Promise<FormRequest> {
  return { ...request, dpop: await prove(rig, prover, order) }
}

export interface Tokens {
  readonly access: string
  readonly refresh: string
  readonly body: Readonly<Record<string, unknown>>
}

/** Posts to the token endpoint and gives what came back. */
export async function tokens({ issuer, tenant }: Rig, request: FormRequest): Promise<Tokens> {
  const { body } = await issuer.token(tenant, request)
  return { access: body.access_token, refresh: body.refresh_token ?? '', body }
}

/** Everything from registration to tokens. */
export async function obtainTokens(
  rig: Rig,
  session: SessionPrincipal,
  client: RigClient,
  changes: Changes = {},
): Promise<Tokens> {
  return tokens(rig, codeForm(client, await obtainCode(rig, session, client, changes)))
}

/** Is this access token good at this resource? */
export async function isGood(
  { issuer, tenant }: Rig,
  token: string,
  resource?: string,
): Promise<boolean> {
  const at = resource ?? `${tenant.issuer}/mcp`
  return (await issuer.verify(tenant, { token: new Secret(token) }, at)) !== undefined
}

/** Where a step sends the browser. */
export function locationOf(step: AuthorizeStep): URL {
  assert.equal(step.kind, 'redirect')
  return new URL(step.kind === 'redirect' ? step.location : '')
}

/** Asserts that this is refused with this code. */
export async function refused(work: Promise<unknown>, code: FaultCode): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(isFault(error), String(error))
    assert.equal(error.code, code, error.because)
    return true
  })
}
