// The doors that programs use: pushed requests, token, revocation, introspection, registration. The thinking is in issuer/.
import { isFault } from '../../base/fault.ts'
import type { FormRequest } from '../../issuer/form-request.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { Attempts } from '../../journal/attempts.ts'
import { empty, json } from '../answers.ts'
import { isJson } from '../input.ts'
import { route } from '../route.ts'
import type { Route, Visit } from '../route.ts'

/** A pushed request is kept, by clients that need no proof; it may be as large as the headers of one that is not. */
const pushedBytes = 16_384

interface Needs {
  readonly issuer: Issuer
  readonly attempts: Pick<Attempts, 'forRegistration' | 'registered' | 'redeemed'>
}

const shared = { method: 'POST', surface: 'oauth', cors: 'public', guard: 'client' } as const

/** The rows of the endpoints that take a client's own requests. */
export function tokenRoutes(needs: Needs): readonly Route[] {
  return [...grantRoutes(needs), ...aboutTokens(needs), registrationRoute(needs)]
}

function grantRoutes({ issuer, attempts }: Needs): readonly Route[] {
  return [
    route({
      ...shared,
      path: '/oauth/token',
      limits: ['token', 'token-place'],
      words: 'Exchanges a grant for tokens (RFC 6749 §3.2).',
      run: (visit) =>
        countingFailures(visit, async () => {
          const answer = await issuer.token(visit.tenant, formOf(visit))
          if (answer.attempt !== undefined) {
            attempts.redeemed(visit.visitor, answer.attempt, answer.clientId)
          }
          // RFC 9449 §8.2: the next proof need not be refused first to learn its nonce.
          const nonce = answer.dpopNonce
          return json(
            answer.body,
            answer.status,
            nonce === undefined ? {} : { 'dpop-nonce': nonce },
          )
        }),
    }),
    route({
      ...shared,
      path: '/oauth/par',
      limits: ['token', 'token-place'],
      bodyBytes: pushedBytes,
      words: 'Takes an authorization request ahead of the browser (RFC 9126).',
      run: (visit) =>
        countingFailures(visit, async () => {
          const { tenant, request } = visit
          const answer = await issuer.push(tenant, formOf(visit))
          const isProven = request.headers.has('dpop')
          const nonce = isProven ? { 'dpop-nonce': issuer.dpopNonces(tenant).current() } : {}
          return json(answer, 201, nonce)
        }),
    }),
  ]
}

function aboutTokens({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  return [
    route({
      ...shared,
      path: '/oauth/revoke',
      limits: ['token', 'token-place'],
      words: 'Ends a token (RFC 7009).',
      run: (visit) =>
        countingFailures(visit, async () => {
          await issuer.revoke(visit.tenant, formOf(visit))
          return empty(200)
        }),
    }),
    route({
      ...shared,
      path: '/oauth/introspect',
      limits: ['introspect', 'introspect-place'],
      words: 'Says what a token is worth (RFC 7662).',
      run: (visit) =>
        countingFailures(visit, async () =>
          json(await issuer.introspect(visit.tenant, formOf(visit))),
        ),
    }),
  ]
}

function registrationRoute({ issuer, attempts }: Needs): Route {
  return route({
    ...shared,
    path: '/oauth/register',
    guard: 'open',
    limits: ['register', 'register-hour', 'register-tenant'],
    words: 'Registers a client (RFC 7591).',
    run: async ({ tenant, body, request, visitor }) => {
      const description = readRegistration(request, body)
      let attempt: string | undefined
      const client = await issuer.register(tenant, description, async () => {
        attempt = await attempts.forRegistration(visitor)
        return attempt
      })
      const id = String(client['client_id'])
      if (attempt !== undefined) await attempts.registered(visitor, attempt, id)
      return json(client, 201)
    },
  })
}

/** The form of a client as the rooms read it. */
export function formOf({ request, body, meter }: Visit): FormRequest {
  return {
    contentType: request.headers.get('content-type') ?? undefined,
    authorization: request.headers.get('authorization') ?? undefined,
    dpop: request.headers.get('dpop') ?? undefined,
    body,
    count: ({ kind, id }) => meter.take(kind, id),
  }
}

/** Failed proofs weigh for the client that was named, at this place only: a stranger locks nobody else out. */
export async function countingFailures(
  { meter, namedClient = '' }: Visit & { readonly namedClient: string | undefined },
  work: () => Promise<Response>,
): Promise<Response> {
  meter.requireUnspent('client-failures', namedClient)
  try {
    return await work()
  } catch (thrown) {
    if (isFault(thrown) && thrown.code === 'invalid_client') {
      await meter.take('client-failures', namedClient)
    }
    throw thrown
  }
}

/** What a client says about itself; undefined when that is not JSON, for which the room has its one answer. */
export function readRegistration(request: Request, body: string): unknown {
  if (!isJson(request)) return undefined
  try {
    return JSON.parse(body)
  } catch {
    return undefined // RFC 7591 §3.2.2: no JSON is no metadata
  }
}
