// One sign-in of somebody whom nobody knows yet, at a provider of the tenant: begun in one browser, finished once, there.
// What becomes of the person is people's business; the only row written before is the flow's.
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Outbound } from '../base/outbound.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { readParameters, requireNoRepeats } from '../oauth/parameters.ts'
import { challengeOf, createVerifier } from '../oauth/pkce.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { SignInFlowRow } from '../store/schema.ts'
import { authorizationUrl } from './adapt.ts'
import { readAnswer } from './flow-answer.ts'
import { verifyIdToken, verifyLogoutToken } from './id-token.ts'
import type { LogoutNotice } from './id-token.ts'
import type { KeySets } from './key-sets.ts'
import { personOfIdToken, personOfUserInfo } from './person-claims.ts'
import type { ProvidedPerson } from './person-claims.ts'
import type { SignInProvider } from './sign-in-provider.ts'
import { bindingOf, readState, writeState } from './state.ts'
import type { TokenEndpoint, TokenSet } from './token-endpoint.ts'

export interface BeginSignIn {
  readonly provider: SignInProvider
  readonly browser: Secret
  /** The path of ours where the person goes on. */
  readonly next: string
  /** Has the provider ask the person again, whoever it thinks is there (OIDC Core §3.1.2.1). */
  readonly isFresh: boolean
}

export interface SignInCallback {
  readonly provider: SignInProvider
  readonly query: URLSearchParams
  readonly browser: Secret | undefined
}

export type SignInOutcome =
  | {
      readonly kind: 'person'
      readonly person: ProvidedPerson
      readonly tokens: TokenSet
      /** The provider's name for the session, if it ends sessions by that. */
      readonly sid?: string | undefined
      readonly next: string
    }
  | { readonly kind: 'failed'; readonly fault: Fault; readonly next: string }

export interface SignIns {
  /** Gives the address of the provider to which the browser goes. */
  readonly begin: (facts: BeginSignIn) => Promise<string>
  /** Takes the callback. Throws Fault('state_mismatch' | 'flow_expired' | 'invalid_request') when nothing may be touched. */
  readonly finish: (callback: SignInCallback) => Promise<SignInOutcome>
  /** What a provider says has ended there (OIDC Back-Channel Logout). Throws Fault('invalid_request'). */
  readonly loggedOut: (provider: SignInProvider, token: Secret) => Promise<LogoutNotice>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly outbound: Outbound
  readonly tokenEndpoint: Pick<TokenEndpoint, 'exchangeCode'>
  readonly keySets: KeySets
}

const lifetimeMs = 10 * 60 * 1000

/** Makes the sign-ins of all tenants over one database. */
export function createSignIns(needs: Needs): SignIns {
  return {
    begin: (facts) => begin(needs, facts),
    finish: (callback) => finish(needs, callback),
    loggedOut: (provider, token) => verifyLogoutToken(needs, provider, token),
  }
}

async function begin(
  needs: Needs,
  { provider, browser, next, isFresh }: BeginSignIn,
): Promise<string> {
  const { db, clock, random, keyring } = needs
  const { tenantId } = provider
  const id = randomId(random, 'flw_')
  const verifier = createVerifier(random)
  const now = clock.now()
  const row: SignInFlowRow = {
    tenant_id: tenantId,
    id,
    provider_id: provider.id,
    browser_digest: keyring.digest('browser', browser),
    verifier_sealed: keyring.seal(verifier, placeOf(tenantId, id)),
    next,
    created_at: now,
    expires_at: now + lifetimeMs,
    claimed_at: null,
  }
  await db.insertInto('sign_in_flows').values(row).execute()
  const state = writeState(keyring, tenantId, {
    flowId: id,
    expiresAt: row.expires_at,
    binding: bindingFor(provider.id),
  })
  return addressOf(provider, { state, verifier, isFresh })
}

function addressOf(
  { kind, issuer, endpoints, registration, scopes }: SignInProvider,
  {
    state,
    verifier,
    isFresh,
  }: { readonly state: string; readonly verifier: Secret; readonly isFresh: boolean },
): string {
  const { authorizationEndpoint } = endpoints
  const { clientId, redirectUri } = registration
  const plan = { authorizationEndpoint, clientId, redirectUri, issuer, resource: '', scopes }
  const url = new URL(authorizationUrl(plan, { state, challenge: challengeOf(verifier) }))
  if (kind === 'oidc') url.searchParams.set('nonce', nonceOf(verifier))
  if (isFresh) {
    url.searchParams.set('prompt', 'login')
    url.searchParams.set('max_age', '0')
  }
  return url.href
}

/** RFC 9700 §4.7 and §4.4, RFC 9207: nothing is spent before signature, browser and provider held. */
async function finish(needs: Needs, callback: SignInCallback): Promise<SignInOutcome> {
  const { provider, query } = callback
  const parameters = readParameters(query)
  requireNoRepeats(parameters)
  const row = await provenFlow(needs, callback, parameters.get('state'))
  const key = { tenant_id: row.tenant_id, id: row.id }
  const claimed = await claimOnce(needs.db, 'sign_in_flows', key, needs.clock.now())
  if (claimed === undefined) throw mismatch('the state was used before')
  const { next } = claimed
  const { issuer, endpoints } = provider
  const answer = readAnswer(parameters, { issuer, isIssuerExpected: endpoints.isIssuerExpected })
  if (answer.kind === 'failed') return { kind: 'failed', fault: said(answer.error), next }
  const verifier = needs.keyring.open(row.verifier_sealed, placeOf(row.tenant_id, row.id))
  try {
    return { ...(await redeem(needs, provider, { code: answer.code, verifier })), next }
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    return { kind: 'failed', fault: thrown, next }
  }
}

function said(error: FaultCode): Fault {
  return new Fault(error, { because: 'the provider said so' })
}

async function provenFlow(
  { db, clock, keyring }: Needs,
  { provider, browser }: SignInCallback,
  text: string | undefined,
): Promise<SignInFlowRow> {
  const { tenantId } = provider
  const state = text === undefined ? undefined : readState(keyring, tenantId, text)
  if (state === undefined) throw mismatch('there is no state of ours')
  if (state.expiresAt <= clock.now()) {
    throw new Fault('flow_expired', { because: 'the state is older than the flow may be' })
  }
  // RFC 9700 §4.4: each provider has an address of its own, and only its own answers count there.
  if (state.binding !== bindingFor(provider.id)) throw mismatch('the state is for another provider')
  const row = await db
    .selectFrom('sign_in_flows')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('id', '=', state.flowId)
    .where('provider_id', '=', provider.id)
    .executeTakeFirst()
  if (row === undefined) throw mismatch('the flow of the state is gone')
  const isSame = browser !== undefined && keyring.matches('browser', browser, row.browser_digest)
  if (!isSame) throw mismatch('another browser began this')
  return row
}

async function redeem(
  needs: Needs,
  provider: SignInProvider,
  { code, verifier }: { readonly code: Secret; readonly verifier: Secret },
) {
  const { registration, endpoints, kind } = provider
  const place = { tokenEndpoint: endpoints.tokenEndpoint, registration, resource: '' }
  const answer = await needs.tokenEndpoint.exchangeCode(place, { code, verifier })
  if (answer.kind === 'refused') throw answer.fault
  const { tokens } = answer
  const { accessToken, idToken } = tokens
  if (kind === 'oauth2') {
    const person = await personOfUserInfo(needs, provider, accessToken)
    return { kind: 'person', person, tokens } as const
  }
  if (idToken === undefined) {
    throw new Fault('token_response_invalid', { because: 'the provider gave no ID token' })
  }
  const arrived = { idToken, accessToken, nonce: nonceOf(verifier) }
  const claims = await verifyIdToken(needs, provider, arrived)
  const person = await personOfIdToken(needs, provider, { claims, accessToken })
  const sid = typeof claims['sid'] === 'string' ? claims['sid'] : undefined
  return { kind: 'person', person, tokens, sid } as const
}

/** OIDC Core §15.5.2: made from what only this flow knows, so that it needs no place of its own. */
function nonceOf(verifier: Secret): string {
  return createHash('sha256').update(`nonce ${verifier.reveal()}`).digest('base64url')
}

function bindingFor(providerId: string): string {
  return bindingOf('sign-in', providerId)
}

function mismatch(because: string): Fault {
  return new Fault('state_mismatch', { because })
}

function placeOf(tenant: string, row: string) {
  return { tenant, table: 'sign_in_flows', row, column: 'verifier_sealed' }
}
