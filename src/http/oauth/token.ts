// The doors that programs use: token, revocation, introspection, registration. The thinking is in issuer/.
import { Fault } from '../../base/fault.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import { empty, json } from '../answers.ts'
import { route } from '../route.ts'
import type { Route, Visit } from '../route.ts'

/** The rows of the endpoints that take a client's own requests. */
export function tokenRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  const shared = { method: 'POST', surface: 'oauth', cors: 'public' } as const
  return [
    route({
      ...shared,
      path: '/oauth/token',
      guard: 'client',
      words: 'Exchanges a grant for tokens (RFC 6749 §3.2).',
      run: async (visit) => {
        const answer = await issuer.token(visit.tenant, formOf(visit))
        // RFC 9449 §8.2: the next proof need not be refused first to learn its nonce.
        const nonce = answer.dpopNonce
        return json(answer.body, answer.status, nonce === undefined ? {} : { 'dpop-nonce': nonce })
      },
    }),
    route({
      ...shared,
      path: '/oauth/revoke',
      guard: 'client',
      words: 'Ends a token (RFC 7009).',
      run: async (visit) => {
        await issuer.revoke(visit.tenant, formOf(visit))
        return empty(200)
      },
    }),
    route({
      ...shared,
      path: '/oauth/introspect',
      guard: 'client',
      words: 'Says what a token is worth (RFC 7662).',
      run: async (visit) => json(await issuer.introspect(visit.tenant, formOf(visit))),
    }),
    route({
      ...shared,
      path: '/oauth/register',
      guard: 'open',
      words: 'Registers a client (RFC 7591).',
      run: async ({ tenant, body, request }) =>
        json(await issuer.register(tenant, parseRegistration(request, body)), 201),
    }),
  ]
}

function formOf({ request, body }: Visit) {
  return {
    contentType: request.headers.get('content-type') ?? undefined,
    authorization: request.headers.get('authorization') ?? undefined,
    dpop: request.headers.get('dpop') ?? undefined,
    body,
  }
}

function parseRegistration(request: Request, body: string): unknown {
  const isJson = /^application\/json\b/i.test(request.headers.get('content-type') ?? '')
  try {
    if (isJson) return JSON.parse(body)
  } catch {
    // Falls through to the one answer that RFC 7591 §3.2.2 has for it.
  }
  throw new Fault('invalid_client_metadata', { because: 'the registration is not JSON' })
}
