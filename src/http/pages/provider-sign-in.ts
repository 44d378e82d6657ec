// The way in through a provider of the tenant: our form sends the browser there, and it comes back to an address that is
// that provider's alone. Who the person is, and what waits for them, is decided behind.
import type { FaultCode } from '../../base/fault.ts'
import type { AuthorizeHub } from '../../issuer/authorize.ts'
import type { Connections } from '../../connectors/connections.ts'
import type { Arrive, Join } from '../../people/arrivals.ts'
import type { ProviderGrants } from '../../people/provider-grants.ts'
import type { Providers } from '../../people/providers.ts'
import type { SignInProvider } from '../../upstream/sign-in-provider.ts'
import type { SignInOutcome, SignIns } from '../../upstream/sign-ins.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { redirect } from '../answers.ts'
import { browserCookie, writeCookie } from '../cookies.ts'
import { route } from '../route.ts'
import type { Recognised, Route } from '../route.ts'
import { connectionIn, notConnected } from './connect.ts'
import { problemOf } from './problem.ts'
import { requestIn, safeNext, signedIn, signInPage } from './sign-in.ts'
import type { SignInNeeds } from './sign-in.ts'

interface Needs extends Omit<SignInNeeds, 'tries' | 'providers' | 'issuer'> {
  readonly providers: Pick<Providers, 'offered' | 'bySlug'>
  readonly providerGrants: Pick<ProviderGrants, 'begin'>
  readonly arrive: Arrive
  readonly joinIdentity: Join
  readonly connections: Pick<Connections, 'get'>
  readonly upstream: { readonly signIns: SignIns }
  readonly issuer: { readonly authorize: Pick<AuthorizeHub, 'waiting' | 'giveUp'> }
}

/** The rows of the sign-in at a provider. */
export function providerSignInRoutes(needs: Needs): readonly Route[] {
  const shared = { guard: 'visitor', surface: 'page', limits: ['authorize'] } as const
  return [
    route({
      ...shared,
      method: 'POST',
      path: '/sign-in/{provider}',
      words: 'Sends the browser to sign in at a provider of the tenant.',
      run: (visit) => goThere(needs, visit),
    }),
    route({
      ...shared,
      method: 'GET',
      path: '/sign-in/{provider}/callback',
      words: 'Takes the answer of that provider (RFC 6749 §4.1.2).',
      run: (visit) => comeBack(needs, visit),
    }),
  ]
}

async function goThere(needs: Needs, visit: Recognised): Promise<Response> {
  const fields = needs.forms.read(visit, 'sign-in')
  const { tenant, browser } = visit
  const provider = await providerOf(needs, visit)
  const next = safeNext(fields.get('next'))
  const requestId = requestIn(next)
  const waiting =
    requestId === undefined
      ? undefined
      : await needs.issuer.authorize.waiting(tenant, requestId, browser)
  if (browser === undefined) throw new Error('a form was read without its browser')
  const isFresh = waiting?.asksAgain === true
  const address = await needs.upstream.signIns.begin({ provider, browser, next, isFresh })
  return redirect(address, 303, [writeCookie(tenant, browserCookie, browser)])
}

async function comeBack(needs: Needs, visit: Recognised): Promise<Response> {
  const { query, browser } = visit
  const provider = await providerOf(needs, visit)
  const outcome = await needs.upstream.signIns.finish({ provider, query, browser })
  if (outcome.kind === 'failed') return tellFailure(needs, visit, provider, outcome)
  try {
    return await welcome(needs, visit, provider, outcome)
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    return tellFailure(needs, visit, provider, { fault: thrown, next: outcome.next })
  }
}

async function welcome(
  needs: Needs,
  visit: Recognised,
  provider: SignInProvider,
  outcome: Came,
): Promise<Response> {
  const { person, sid, tokens, next } = outcome
  const connectionId = connectionIn(next)
  if (connectionId !== undefined) return joinHere(needs, visit, provider, { outcome, connectionId })
  const user = await needs.arrive(visit.tenant, provider, person)
  const arrived = { user, subject: person.subject, sid, tokens }
  const providerGrantId = await needs.providerGrants.begin(visit.tenant, provider, arrived)
  return signedIn(needs, visit, { user, providerGrantId }, next)
}

/** Who was signed in here when they went there, and still is: they stay who they are. */
async function joinHere(
  needs: Needs,
  { tenant, session }: Recognised,
  provider: SignInProvider,
  { outcome, connectionId }: { readonly outcome: Came; readonly connectionId: string },
): Promise<Response> {
  const { person, sid, tokens, next } = outcome
  if (session === undefined) {
    throw new Fault('not_signed_in', { because: 'the session ended while they were there' })
  }
  // The connection is one person's: whoever else signed in in this browser meanwhile is not who went there.
  await needs.connections.get(session, connectionId)
  const { user } = session
  await needs.joinIdentity(tenant, provider, { person, user })
  await needs.providerGrants.begin(tenant, provider, { user, subject: person.subject, sid, tokens })
  return redirect(next, 303)
}

type Came = Extract<SignInOutcome, { kind: 'person' }>

/** To the client that waits, with its own state (A4-8); where none does, on our page. */
async function tellFailure(
  needs: Needs,
  visit: Recognised,
  provider: SignInProvider,
  { fault, next }: { readonly fault: Fault; readonly next: string },
): Promise<Response> {
  const { tenant, browser } = visit
  await needs.journal.record(needs.db, {
    tenantId: tenant.id,
    type: 'user.sign_in_failed',
    actor: { kind: 'anonymous' },
    subject: { kind: 'provider', id: provider.id },
    data: { error: fault.code },
  })
  visit.noteRefusal(fault)
  const requestId = requestIn(next)
  const waiting = requestId && (await needs.issuer.authorize.waiting(tenant, requestId, browser))
  if (requestId !== undefined && waiting !== undefined) {
    const code = errorForClient(fault.code)
    const { location } = await needs.issuer.authorize.giveUp(tenant, requestId, browser, code)
    return redirect(location, 302)
  }
  const connectionId = connectionIn(next)
  if (connectionId !== undefined && visit.session !== undefined) {
    return notConnected(visit, { connectionId, words: problemOf(fault) })
  }
  return signInPage(needs, visit, { next, problem: problemOf(fault), status: statusOf(fault) })
}

// RFC 6749 §4.1.2.1: what a client is told. Whatever else went wrong between us and the provider is no fault of its.
const toldClients: ReadonlySet<FaultCode> = new Set([
  'access_denied',
  'forbidden',
  'provider_unreachable',
  'network_error',
  'timeout',
  'temporarily_unavailable',
])

function errorForClient(code: FaultCode): FaultCode {
  return toldClients.has(code) ? code : 'server_error'
}

function statusOf({ code }: Fault): number {
  if (code === 'forbidden' || code === 'access_denied') return 403
  return code === 'provider_unreachable' || code === 'network_error' || code === 'timeout'
    ? 503
    : 401
}

function providerOf({ providers }: Needs, { tenant, params }: Recognised) {
  return providers.bySlug(tenant, params['provider'] ?? '')
}
