// The hub of the authorize endpoint. A checked request is stored once; sign-in and consent each come back here, and this
// file alone decides from stored state what comes next: sign in, agree, or go back to the client.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { FaultCode } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Attempts } from '../journal/attempts.ts'
import type { Entry, Journal } from '../journal/entries.ts'
import { matchRedirectUri, redirectHost } from '../oauth/redirect-uri.ts'
import { formatScope, parseScope } from '../oauth/scope.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { AuthorizationRequestRow } from '../store/schema.ts'
import { readAuthorizationRequest } from './authorization-request.ts'
import type { CheckedRequest } from './authorization-request.ts'
import { findClient } from './clients.ts'
import type { Client } from './clients.ts'
import { storeCode } from './codes.ts'
import {
  consentView,
  createFormToken,
  isFormToken,
  isRemembered,
  mustAlwaysAsk,
  rememberConsent,
  tickedScopes,
} from './consent.ts'
import type { ConsentQuestion, ConsentView } from './consent.ts'
import { storeGrant } from './grants.ts'
import type { Policy } from './policy.ts'
import { findPushed, newRequestId, notUsable, spendPushed } from './pushed-requests.ts'
import type { FoundPushed } from './pushed-requests.ts'
import type { Resources } from './resources.ts'
import { returnCode, returnError, storedReturnAddress } from './return-address.ts'
import type { RedirectStep } from './return-address.ts'
import type { Scopes } from './scope-registry.ts'

/** What the browser does next. */
export type AuthorizeStep =
  | { readonly kind: 'sign_in'; readonly requestId: string }
  | {
      readonly kind: 'consent'
      readonly requestId: string
      readonly view: ConsentView
      readonly formToken: string
      /** What was wrong with the answer before, if there was one. */
      readonly problem?: 'nothing_ticked'
    }
  | RedirectStep

export interface AuthorizeHub {
  /** Takes a client's request (RFC 6749 §4.1.1). Throws a Fault while no redirect is safe; `browser` is new when set. */
  readonly begin: (
    tenant: Tenant,
    query: URLSearchParams,
    browser: Secret | undefined,
    session?: SessionPrincipal,
    arrival?: Arrival,
  ) => Promise<Beginning>
  /** Decides anew, after a sign-in or when a page is loaded again; changes nothing unless an answer goes back. */
  readonly resume: (
    tenant: Tenant,
    requestId: string,
    browser: Secret | undefined,
    session: SessionPrincipal | undefined,
  ) => Promise<AuthorizeStep>
  /** What waits for somebody to sign in in this browser; undefined when nothing does. */
  readonly waiting: (
    tenant: Tenant,
    requestId: string,
    browser: Secret | undefined,
  ) => Promise<WaitingRequest | undefined>
  /** Sends back to the client that nobody could be signed in, and why (A4-8). Throws as `resume`. */
  readonly giveUp: (
    tenant: Tenant,
    requestId: string,
    browser: Secret | undefined,
    code: FaultCode,
  ) => Promise<RedirectStep>
  /** Takes the person's answer. Throws Fault('bad_form') for a form that is not ours, and then changes nothing. */
  readonly decide: (
    tenant: Tenant,
    requestId: string,
    browser: Secret | undefined,
    session: SessionPrincipal | undefined,
    form: ConsentForm,
  ) => Promise<AuthorizeStep>
}

/** What became of a request that has just come. */
export interface Beginning {
  readonly step: AuthorizeStep
  readonly browser?: Secret
  /** Why the step sends an error back, when the request itself was refused. */
  readonly refusal?: Fault
}

/** A request that waits for somebody to sign in: whom they would let in, and where the answer goes. */
export interface WaitingRequest {
  readonly clientName: string
  readonly redirectHost: string
  /** The client wants the person asked again, whoever is signed in (`prompt=login`). */
  readonly asksAgain: boolean
}

/** How the browser came to us. */
export interface Arrival {
  /** The attempt to connect that it goes on with, as far as that is known. */
  readonly attempt?: string | undefined
  /** Did the person's own click lead here? Otherwise another site may have sent them, without their seeing it (P-23). */
  readonly isByHand: boolean
}

/** The fields of the consent form; all else is taken from the stored request (P-04). */
export interface ConsentForm {
  /** `approve` or `deny`. */
  readonly decision: string
  readonly formToken: string
  /** The scopes left ticked; all when absent. */
  readonly scopes?: readonly string[]
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly attempts: Pick<Attempts, 'authorized'>
  readonly resources: Resources
  readonly scopes: Pick<Scopes, 'show'>
  readonly policy: Policy
  readonly clientFor: (tenant: Tenant, id: string) => Promise<Client>
}

/** Makes the hub. */
export function createAuthorizeHub(needs: Needs): AuthorizeHub {
  return {
    begin: async (tenant, query, browser, session, arrival = { isByHand: false }) => {
      const pushed = await findPushed(needs, tenant, query)
      if (pushed?.isUsed) return { step: await goOn(needs, { tenant, pushed }, browser, session) }
      const isPushed = pushed !== undefined
      const given = { query: pushed?.query ?? query, isPushed }
      const reading = await readAuthorizationRequest(needs, tenant, given)
      if (reading.kind === 'refused') {
        const { returnTo, fault } = reading
        return { step: returnError(returnTo, fault), refusal: fault }
      }
      const key = browser ?? randomSecret(needs.random)
      const request = withConsentAsked(reading.request, arrival)
      const { attempt } = arrival
      const row = await storeRequest(needs, { tenant, browser: key, pushed, attempt }, request)
      if (row === undefined)
        return { step: await goOn(needs, { tenant, pushed }, browser, session) }
      const step = await nextStep(needs, { tenant, row }, session)
      return browser === undefined ? { step, browser: key } : { step }
    },

    resume: async (tenant, requestId, browser, session) => {
      const row = await openOwnRequest(needs, tenant, requestId, browser)
      return nextStep(needs, { tenant, row }, session)
    },

    waiting: (tenant, requestId, browser) => findWaiting(needs, tenant, requestId, browser),

    giveUp: async (tenant, requestId, browser, code) => {
      const row = await openOwnRequest(needs, tenant, requestId, browser)
      return sendError(needs, { tenant, row }, code)
    },

    decide: async (tenant, requestId, browser, session, form) => {
      const row = await openRequest(needs, tenant, requestId)
      if (!isSameBrowser(needs, row, browser)) throw badForm('another browser began this request')
      if (session === undefined) return { kind: 'sign_in', requestId: row.id }
      const question = await readQuestion(needs, { tenant, row })
      if (question.kind === 'refused') return sendError(needs, { tenant, row }, question.code)
      if (isClosedTo(session, question)) {
        return sendError(needs, { tenant, row }, 'server_forbidden', session)
      }
      if (!isFormToken(needs.keyring, { question, session }, form.formToken)) {
        throw badForm('the form was made for another request, session or state of the client')
      }
      return takeAnswer(needs, { tenant, row }, session, { question, form })
    },
  }
}

/**
 * Anybody can begin a request in the name of a public client, and whoever holds its verifier redeems the code; so what
 * the person did not begin themself is asked about, remembered or not (P-23). The request remembers it, as a `prompt`.
 */
function withConsentAsked(request: CheckedRequest, { isByHand }: Arrival): CheckedRequest {
  const isPublic = request.client.metadata.token_endpoint_auth_method === 'none'
  if (isByHand || !isPublic || request.prompts.includes('consent')) return request
  return { ...request, prompts: [...request.prompts, 'consent'] }
}

interface Begun {
  readonly tenant: Tenant
  readonly pushed: FoundPushed | undefined
}

/**
 * A pushed request was used before: the browser that used it loads the page again and is led on to what it began there;
 * to any other the request is as good as unknown (RFC 9126 §4).
 */
async function goOn(
  needs: Needs,
  { tenant, pushed }: Begun,
  browser: Secret | undefined,
  session: SessionPrincipal | undefined,
): Promise<AuthorizeStep> {
  const row = pushed && (await findRequest(needs.db, tenant, pushed.row.id))
  if (row === undefined || !isSameBrowser(needs, row, browser)) throw notUsable('used')
  requireWaiting(needs.clock, row)
  return nextStep(needs, { tenant, row }, session)
}

interface Pending {
  readonly tenant: Tenant
  readonly row: AuthorizationRequestRow
}

/** The order of the questions: is the client allowed, who is it, may they? */
async function nextStep(
  needs: Needs,
  pending: Pending,
  session: SessionPrincipal | undefined,
): Promise<AuthorizeStep> {
  const { row } = pending
  const prompts = (row.prompt ?? '').split(' ')
  const question = await readQuestion(needs, pending)
  if (question.kind === 'refused') return sendError(needs, pending, question.code)
  if (session === undefined || !(await isRecentEnough(needs.db, row, session))) {
    if (prompts.includes('none')) return sendError(needs, pending, 'login_required')
    return { kind: 'sign_in', requestId: row.id }
  }
  if (isClosedTo(session, question)) {
    return sendError(needs, pending, 'server_forbidden', session)
  }
  const mayPass = !prompts.includes('consent') && !mustAlwaysAsk(question)
  if (mayPass && (await isRemembered(needs.db, session, question))) {
    return sendCode(needs, pending, session, question)
  }
  if (prompts.includes('none')) return sendError(needs, pending, 'consent_required')
  return askPerson(needs, session, question)
}

async function takeAnswer(
  needs: Needs,
  pending: Pending,
  session: SessionPrincipal,
  { question, form }: { readonly question: ConsentQuestion; readonly form: ConsentForm },
): Promise<AuthorizeStep> {
  if (form.decision === 'deny') return sendError(needs, pending, 'access_denied', session)
  if (form.decision !== 'approve') throw badForm('the decision is neither approve nor deny')
  if (!(await isRecentEnough(needs.db, pending.row, session))) {
    return { kind: 'sign_in', requestId: pending.row.id }
  }
  const scopes = tickedScopes(question, form.scopes)
  if (scopes.length === 0) {
    return { ...(await askPerson(needs, session, question)), problem: 'nothing_ticked' }
  }
  const asked = question.scopes
  return sendCode(needs, pending, session, { ...question, scopes, answered: { asked } })
}

async function askPerson(
  { scopes, keyring }: Needs,
  session: SessionPrincipal,
  question: ConsentQuestion,
): Promise<Extract<AuthorizeStep, { kind: 'consent' }>> {
  return {
    kind: 'consent',
    requestId: question.requestId,
    view: await consentView(scopes, question, session),
    formToken: createFormToken(keyring, { question, session }),
  }
}

type Question =
  | (ConsentQuestion & { readonly kind: 'question' })
  | { readonly kind: 'refused'; readonly code: FaultCode }

/** What the stored request asks, if client and resource are still there: both may go while a person thinks (P-109). */
async function readQuestion({ db, resources }: Needs, { tenant, row }: Pending): Promise<Question> {
  const client = await findClient(db, tenant, row.client_id)
  if (client === undefined || client.isDisabled)
    return { kind: 'refused', code: 'unauthorized_client' }
  // A document may have dropped the address meanwhile; then nothing may go there any more.
  if (matchRedirectUri(client.metadata.redirect_uris, row.redirect_uri) === undefined) {
    throw new Fault('invalid_redirect_uri', { because: 'the client gave it up meanwhile' })
  }
  const resource = await resources.find(tenant, row.resource)
  if (resource === undefined) return { kind: 'refused', code: 'invalid_target' }
  const scopes = parseScope(row.scope)
  const redirectUri = row.redirect_uri
  const requestId = row.id
  const attempt = attemptOf(row)
  return { kind: 'question', client, redirectUri, scopes, resource, requestId, attempt }
}

/** May this person use what the tokens are for? */
function isClosedTo({ user }: SessionPrincipal, { resource }: ConsentQuestion): boolean {
  return resource.isOpenTo?.(user) === false
}

function asksAgain({ prompt }: AuthorizationRequestRow): boolean {
  return /\b(?:login|select_account)\b/.test(prompt ?? '')
}

/** prompt=login is answered by a sign-in that is younger than the request (OIDC Core §3.1.2.1). */
async function isRecentEnough(
  db: Database,
  row: AuthorizationRequestRow,
  { tenant, sessionDigest }: SessionPrincipal,
): Promise<boolean> {
  if (!asksAgain(row)) return true
  const session = await db
    .selectFrom('sessions')
    .select('created_at')
    .where('tenant_id', '=', tenant.id)
    .where('session_digest', '=', sessionDigest)
    .executeTakeFirst()
  return session !== undefined && session.created_at > row.created_at
}

/** A request that nothing is known to have come before is its own attempt. */
function attemptOf({ attempt, id }: AuthorizationRequestRow): string {
  return attempt ?? id
}

interface Beginner extends Begun {
  readonly browser: Secret
  readonly attempt: string | undefined
}

/** Stores the request; undefined when it was pushed, and somebody used it at the same moment. */
async function storeRequest(
  { db, clock, random, keyring, journal, attempts, policy }: Needs,
  { tenant, browser, pushed, attempt }: Beginner,
  request: CheckedRequest,
): Promise<AuthorizationRequestRow | undefined> {
  const now = clock.now()
  const id = pushed?.row.id ?? newRequestId(random)
  const row: AuthorizationRequestRow = {
    tenant_id: tenant.id,
    id,
    // What was pushed stands in the journal under its own id already.
    attempt: pushed?.row.id ?? attempt ?? id,
    browser_digest: keyring.digest('browser', browser),
    client_id: request.client.id,
    redirect_uri: request.returnTo.redirectUri,
    state: request.returnTo.state ?? null,
    scope: formatScope(request.scopes),
    resource: request.resource.resource,
    code_challenge: request.codeChallenge,
    nonce: request.nonce ?? null,
    dpop_jkt: request.dpopJkt ?? null,
    prompt: request.prompts.length === 0 ? null : request.prompts.join(' '),
    created_at: now,
    expires_at: now + policy.authorizationRequestLifetimeMs,
    claimed_at: null,
  }
  return db.transaction().execute(async (tx) => {
    if (pushed !== undefined && !(await spendPushed({ tx, clock }, pushed.row))) return undefined
    await tx.insertInto('authorization_requests').values(row).execute()
    const joined = { tenantId: tenant.id, attempt: attemptOf(row), clientId: row.client_id }
    await attempts.authorized(tx, joined)
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'authorization.started',
      actor: { kind: 'anonymous' },
      subject: { kind: 'client', id: row.client_id },
      attempt: attemptOf(row),
      data: { resource: row.resource, scopes: request.scopes },
    })
    return row
  })
}

/** Whom somebody would let in who signs in now, if this browser began that. */
async function findWaiting(
  needs: Needs,
  tenant: Tenant,
  requestId: string,
  browser: Secret | undefined,
): Promise<WaitingRequest | undefined> {
  const row = await findRequest(needs.db, tenant, requestId)
  const isWaiting =
    row !== undefined && row.claimed_at === null && row.expires_at > needs.clock.now()
  if (!isWaiting || !isSameBrowser(needs, row, browser)) return undefined
  const client = await findClient(needs.db, tenant, row.client_id)
  if (client === undefined) return undefined
  const host = redirectHost(row.redirect_uri)
  return { clientName: client.name, redirectHost: host, asksAgain: asksAgain(row) }
}

/** The waiting request that this browser began. */
async function openOwnRequest(
  needs: Needs,
  tenant: Tenant,
  requestId: string,
  browser: Secret | undefined,
): Promise<AuthorizationRequestRow> {
  const row = await openRequest(needs, tenant, requestId)
  if (isSameBrowser(needs, row, browser)) return row
  throw new Fault('forbidden', { because: 'another browser began this request' })
}

/** The stored request while it is still waiting for an answer. */
async function openRequest(
  { db, clock }: Needs,
  tenant: Tenant,
  requestId: string,
): Promise<AuthorizationRequestRow> {
  const row = await findRequest(db, tenant, requestId)
  if (row === undefined) throw notWaiting('there is no such request')
  requireWaiting(clock, row)
  return row
}

async function findRequest(
  db: Database,
  tenant: Tenant,
  requestId: string,
): Promise<AuthorizationRequestRow | undefined> {
  if (!/^req_\w{1,64}$/.test(requestId)) return undefined
  return db
    .selectFrom('authorization_requests')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', requestId)
    .executeTakeFirst()
}

function requireWaiting(clock: Clock, row: AuthorizationRequestRow): void {
  if (row.claimed_at !== null) throw notWaiting('the request was answered before')
  if (row.expires_at <= clock.now()) {
    throw new Fault('authorization_timeout', { because: 'the request has expired' })
  }
}

function isSameBrowser(
  { keyring }: Needs,
  { browser_digest }: AuthorizationRequestRow,
  browser: Secret | undefined,
): boolean {
  if (browser === undefined) return false
  return keyring.matches('browser', browser, browser_digest)
}

async function sendCode(
  needs: Needs,
  { tenant, row }: Pending,
  session: SessionPrincipal,
  question: ConsentQuestion & { readonly answered?: { readonly asked: readonly string[] } },
): Promise<AuthorizeStep> {
  const { db, clock, random, keyring, journal, policy } = needs
  const code = randomSecret(random, 'auth_')
  await db.transaction().execute(async (tx) => {
    await spendRequest(tx, clock, row)
    if (question.answered !== undefined) {
      await rememberConsent({ tx, clock, journal }, session, { ...question, ...question.answered })
    }
    const grantId = await storeGrant({ tx, clock, random, journal }, tenant, {
      userId: session.user.id,
      clientId: row.client_id,
      resource: row.resource,
      scopes: question.scopes,
      attempt: attemptOf(row),
      providerGrantId: session.providerGrantId,
    })
    await storeCode({ tx, clock, keyring, policy }, code, { request: row, grantId })
  })
  return returnCode(storedReturnAddress(tenant, row), code.reveal())
}

async function sendError(
  { db, clock, journal }: Needs,
  { tenant, row }: Pending,
  code: FaultCode,
  session?: SessionPrincipal,
): Promise<RedirectStep> {
  const actor: Entry['actor'] =
    session === undefined ? { kind: 'anonymous' } : { kind: 'user', id: session.user.id }
  await db.transaction().execute(async (tx) => {
    await spendRequest(tx, clock, row)
    await journal.record(tx, {
      tenantId: tenant.id,
      type:
        code === 'access_denied' && session !== undefined
          ? 'consent.denied'
          : 'authorization.failed',
      actor,
      ...(session === undefined ? {} : { userId: session.user.id }),
      subject: { kind: 'client', id: row.client_id },
      attempt: attemptOf(row),
      data: { error: code, resource: row.resource },
    })
  })
  const fault = new Fault(code, { because: 'it ended so after it had begun' })
  return returnError(storedReturnAddress(tenant, row), fault)
}

/** One answer goes back for one request, however often the form is posted. */
async function spendRequest(
  tx: Database,
  clock: Clock,
  { tenant_id, id }: AuthorizationRequestRow,
): Promise<void> {
  const spent = await claimOnce(tx, 'authorization_requests', { tenant_id, id }, clock.now())
  if (spent === undefined) throw notWaiting('the request was answered at the same moment')
}

function notWaiting(because: string): Fault {
  return new Fault('gone', {
    because,
    detail: { request: 'Go back to the app. If it still waits for you, connect again from there.' },
  })
}

function badForm(because: string): Fault {
  return new Fault('bad_form', { because })
}
