// The authorization endpoint and the consent page: doors to the hub in issuer/authorize, which alone knows the order.
import type { AuthorizeStep } from '../../issuer/authorize.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { Attempts } from '../../journal/attempts.ts'
import type { Tenant } from '../../people/tenants.ts'
import { redirect, toSignIn } from '../answers.ts'
import { browserCookie, writeCookie } from '../cookies.ts'
import { consentPage } from '../pages/consent.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

interface Needs {
  readonly issuer: Issuer
  readonly attempts: Pick<Attempts, 'forClient'>
}

const shared = { guard: 'visitor', surface: 'page' } as const

/** The rows of the authorization endpoint (RFC 6749 §3.1). */
export function authorizeRoutes(needs: Needs): readonly Route[] {
  return [beginRoute(needs), ...consentRoutes(needs)]
}

function beginRoute({ issuer, attempts }: Needs): Route {
  return route({
    ...shared,
    method: 'GET',
    path: '/oauth/authorize',
    limits: ['authorize'],
    words: 'Begins an authorization (RFC 6749 §4.1.1).',
    run: async ({ tenant, query, browser, session, request, visitor, noteRefusal }) => {
      const attempt = await attempts.forClient(visitor, query.get('client_id') ?? '')
      const arrival = { isByHand: isByHand(request), attempt }
      const begun = await issuer.authorize.begin(tenant, query, browser, session, arrival)
      const { step, browser: made, refusal } = begun
      if (refusal !== undefined) noteRefusal(refusal)
      const cookies = made === undefined ? [] : [writeCookie(tenant, browserCookie, made)]
      // The question has an address of its own, so that loading it again asks it again and begins nothing new.
      if (step.kind === 'consent') return redirect(consentPath(step.requestId), 302, cookies)
      return follow(tenant, step, 302, cookies)
    },
  })
}

function consentRoutes({ issuer }: Needs): readonly Route[] {
  return [
    route({
      ...shared,
      method: 'GET',
      path: '/oauth/consent',
      words: 'Asks a signed-in person whether a client may act for them.',
      run: async ({ tenant, query, browser, session }) => {
        const step = await issuer.authorize.resume(
          tenant,
          query.get('request') ?? '',
          browser,
          session,
        )
        return follow(tenant, step, 302)
      },
    }),
    route({
      ...shared,
      method: 'POST',
      path: '/oauth/consent',
      words: 'Takes the person’s decision.',
      run: async ({ tenant, body, browser, session }) => {
        const form = new URLSearchParams(body)
        const step = await issuer.authorize.decide(
          tenant,
          form.get('request') ?? '',
          browser,
          session,
          {
            decision: form.get('decision') ?? '',
            formToken: form.get('form_token') ?? '',
            scopes: form.getAll('scope'),
          },
        )
        return follow(tenant, step, 303)
      },
    }),
  ]
}

/** Fetch Metadata: a click or a typed address, or a page of ours. A browser that does not say is not believed (P-23). */
function isByHand({ headers }: Request): boolean {
  const site = headers.get('sec-fetch-site')
  const isOurs = site === 'same-origin' || site === 'none'
  return isOurs || (site !== null && headers.get('sec-fetch-user') === '?1')
}

async function follow(
  tenant: Tenant,
  step: AuthorizeStep,
  status: 302 | 303,
  cookies: readonly string[] = [],
): Promise<Response> {
  if (step.kind === 'redirect') return redirect(step.location, status, cookies)
  if (step.kind === 'consent') return consentPage(tenant, step)
  return toSignIn(consentPath(step.requestId), status, cookies)
}

function consentPath(requestId: string): string {
  return `/oauth/consent?request=${encodeURIComponent(requestId)}`
}
