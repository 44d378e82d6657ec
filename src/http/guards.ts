// Who is calling, and from where: turns cookies and API keys into a principal, or refuses. Cross-site requests that carry
// a cookie are refused here, before any handler (RFC 9700 §4.7).
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import type { ApiKeys } from '../people/api-keys.ts'
import { requireAdmin, requireOperator } from '../people/principal.ts'
import type { KeyPrincipal, SessionPrincipal } from '../people/principal.ts'
import type { Sessions } from '../people/sessions.ts'
import { originOf } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'
import { readCookie, sessionCookie } from './cookies.ts'
import type { Guard, Route } from './route.ts'

interface Needs {
  readonly sessions: Sessions
  readonly apiKeys: ApiKeys
}

/** What the guard of a route found out about the caller. */
export interface Admitted {
  readonly principal?: SessionPrincipal | KeyPrincipal
  readonly session?: SessionPrincipal | undefined
}

/** Makes the guards. The result admits a request to a route or throws a Fault. */
export function createGuards({ sessions, apiKeys }: Needs) {
  const sessionOf = async (tenant: Tenant, request: Request) => {
    const cookie = readCookie(tenant, request, sessionCookie)
    return cookie && sessions.find(tenant, cookie)
  }

  const callerOf = async (tenant: Tenant, request: Request) => {
    const authorization = request.headers.get('authorization')
    if (authorization === null) return sessionOf(tenant, request)
    const key = /^Bearer (?<key>lk_[A-Za-z0-9_-]+)$/i.exec(authorization)?.groups?.['key']
    return key === undefined ? undefined : apiKeys.find(tenant, new Secret(key))
  }

  return async (route: Route, tenant: Tenant, request: Request): Promise<Admitted> => {
    if (isForTheRoom(route)) return {}
    if (!isRead(route) && !isByKey(route, request)) requireSameOrigin(tenant, request)
    if (route.guard === 'visitor') return { session: await sessionOf(tenant, request) }
    if (route.guard === 'session') return { principal: signedIn(await sessionOf(tenant, request)) }

    const principal = signedIn(await callerOf(tenant, request))
    requireKeyScope(route, principal)
    if (route.guard === 'admin') requireAdmin(principal)
    // Before any row is read, so that nobody learns which tenants there are.
    if (route.guard === 'operator') requireOperator(principal)
    return { principal }
  }
}

/** Nobody is let in by these: whoever comes is judged by the room behind, or is nobody. */
function isForTheRoom({ guard }: Route): boolean {
  return guard === 'open' || guard === 'bearer' || guard === 'client'
}

function isRead(route: Route): boolean {
  return route.method === 'GET'
}

/** Where a key may come in a header, no cookie is looked at beside it; elsewhere such a header proves nothing. */
function isByKey({ guard }: Route, request: Request): boolean {
  return takesKeys.has(guard) && request.headers.has('authorization')
}

const takesKeys: ReadonlySet<Guard> = new Set(['api', 'admin', 'operator'])

function signedIn<P>(principal: P | undefined): P {
  if (principal !== undefined) return principal
  throw new Fault('not_signed_in', {
    because: 'no session or API key that is alive came with this',
  })
}

function requireKeyScope(route: Route, principal: SessionPrincipal | KeyPrincipal): void {
  if (principal.kind !== 'key') return
  const needed = route.keyScope ?? 'api'
  if (principal.scopes.includes(needed)) return
  throw new Fault('forbidden', { because: `the API key lacks the scope ${needed}` })
}

/**
 * Refuses a write that another site made the browser send. A page of ours with `Referrer-Policy: no-referrer` posts with
 * `Origin: null`, so Sec-Fetch-Site decides there; programs send neither, and the form token protects those forms.
 */
function requireSameOrigin(tenant: Tenant, request: Request): void {
  const site = request.headers.get('sec-fetch-site')
  const origin = request.headers.get('origin')
  if (site === 'same-origin' || site === 'none') return
  if (site === null && (origin === null || origin === originOf(tenant))) return
  throw new Fault('forbidden', { because: 'another site sent this request' })
}
