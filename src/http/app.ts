// The router: finds the tenant by host and base path and the row by the path within it, lets the row's guard decide, runs it, and renders whatever
// was thrown. The only place of the doors that catches.
import { TrieRouter } from 'hono/router/trie-router'
import { collectUpTo } from '../base/collect.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import { namedClient } from '../issuer/client-authentication.ts'
import type { Tenant, Tenants } from '../people/tenants.ts'
import { empty } from './answers.ts'
import type { Arrival, CallerOf } from './callers-address.ts'
import { browserCookie, readCookie } from './cookies.ts'
import { asFault, renderError } from './errors.ts'
import type { Admitted } from './guards.ts'
import type { Idempotency } from './idempotency.ts'
import { readInput } from './input.ts'
import type { Meter, MeterOf } from './meter.ts'
import { pathIn, placeOf, tenantAt } from './place.ts'
import { queryFor } from './query.ts'
import type { Route, Surface, Visit } from './route.ts'
import { countingStrangers, takeAsClient, takeAsPrincipal, takeAtTheDoor } from './row-limits.ts'
import type { Passage, Witness } from './witness.ts'

interface Needs {
  readonly tenants: Tenants
  readonly admit: (route: Route, tenant: Tenant, request: Request) => Promise<Admitted>
  readonly idempotency: Idempotency
  readonly callerOf: CallerOf
  readonly meterOf: MeterOf
  readonly routes: readonly Route[]
  readonly witness: Witness
  readonly log: Log
}

interface Match {
  readonly row: Route
  readonly params: Readonly<Record<string, string>>
}

/** A row with the request on its way; what it sent is kept in case that it is refused. */
interface Matched extends Match {
  readonly passage: Passage
  readonly sent: { body: string }
}

const defaultBodyBytes = 65_536

/** What the listener knows about a request besides. */
interface Extra {
  /** The other end of the connection; without one nobody is singled out by address. */
  readonly remoteAddress?: string | undefined
}

interface Asked {
  readonly tenant: Tenant
  readonly request: Request
  readonly url: URL
  /** Within the tenant. */
  readonly path: string
  readonly meter: Meter
}

/** Makes the app: a Request goes in, a Response comes out; it never throws. */
export function createApp(needs: Needs) {
  const { tenants, callerOf, meterOf, routes, witness, log } = needs
  const find = createFinder(routes)
  const answer = createAnswer(needs)

  return async (request: Request, { remoteAddress }: Extra = {}): Promise<Response> => {
    const url = new URL(request.url)
    const target = placeOf(url.pathname)
    const matches = find(target.path)
    const match = matches.find(({ row }) => row.method === methodOf(request))
    const surface = (match ?? matches[0])?.row.surface ?? surfaceOf(target.path)
    const path = matches[0]?.row.path
    const { address, place } = callerOf(arrivalOf(request, remoteAddress))
    const passage = witness.begin(request, { url, address, route: path })
    const sent = { body: '' }
    let tenant: Tenant | undefined
    let meter: Meter | undefined
    const respond = async () => {
      const host = hostOf(request, url)
      const asked = await tenantAt(tenants, { host, slug: target.slug })
      if (asked === 'no_such_host') throw await misdirected(tenants, url)
      if (asked === 'no_such_path') throw noSuchPath()
      tenant = asked
      if (match === undefined) return otherwise(request, matches)
      meter = meterOf(tenant, place)
      return answer({ tenant, request, url, path: target.path, meter }, { ...match, passage, sent })
    }
    try {
      const response = await respond()
      passage.answered(tenant, response.status)
      return withHeaders(response, { matches, tenant, meter })
    } catch (thrown) {
      const rendered = await renderError(log, thrown, { surface, tenant, request, path })
      passage.answered(tenant, rendered.status)
      passage.refused(tenant, asFault(thrown), sent.body)
      return withHeaders(withAllow(thrown, matches, rendered), { matches, tenant, meter })
    }
  }
}

/** Makes what answers a request whose row is known: limits, guard, body, input, and then the row itself. */
function createAnswer({ admit, idempotency }: Pick<Needs, 'admit' | 'idempotency'>) {
  return async (asked: Asked, matched: Matched): Promise<Response> => {
    const { tenant, request, url, path, meter } = asked
    const { row, params, passage, sent } = matched
    await takeAtTheDoor(meter, row)
    const admitted = await countingStrangers(meter, () => admit(row, tenant, request))
    await takeAsPrincipal(meter, row, admitted.principal)
    const body = await readBody(request, row.bodyBytes ?? defaultBodyBytes)
    sent.body = body
    const named = row.guard === 'client' ? { namedClient: clientIn(request, body) } : undefined
    if (named !== undefined) await takeAsClient(meter, row, named.namedClient)
    const visit: Visit = {
      tenant,
      request,
      path: path + url.search,
      query: queryFor(row, url.searchParams),
      params,
      browser: readCookie(tenant, request, browserCookie),
      body,
      meter,
      visitor: passage.visitorOf(tenant),
      noteRefusal: (fault) => passage.refused(tenant, fault, body),
    }
    const input = readInput(row, request, body)
    // The guard of this row has just made what its context promises.
    const run = () => row.run({ ...visit, ...admitted, ...named, input })
    const { principal } = admitted
    if (row.surface !== 'api' || row.isNeverReplayed || principal === undefined) return run()
    return idempotency.once(visit, { row, principal }, run)
  }
}

/** As it was sent: a URL leaves out `:80`, with which it is not the host of any issuer. */
function hostOf({ headers }: Request, url: URL): string {
  return headers.get('host')?.toLowerCase() ?? url.host
}

function arrivalOf({ headers }: Request, peer: string | undefined): Arrival {
  const forwardedFor = headers.get('x-forwarded-for') ?? undefined
  return { peer, forwardedFor, forwarded: headers.get('forwarded') ?? undefined }
}

function clientIn({ headers }: Request, body: string): string | undefined {
  return namedClient({ authorization: headers.get('authorization') ?? undefined, body })
}

function createFinder(routes: readonly Route[]): (path: string) => readonly Match[] {
  const router = new TrieRouter<Route>()
  for (const row of routes) router.add('ALL', row.path.replaceAll(/\{(\w+)\}/g, ':$1'), row)
  return (path) => {
    const [found] = router.match('ALL', path)
    const matches = found.map(([row, params]) => ({
      row,
      params: params as Record<string, string>, // no stash: the trie router returns plain params
    }))
    // A path that is written out is nobody's `{name}`, for no method.
    const exact = matches.filter(({ params }) => Object.keys(params).length === 0)
    return exact.length > 0 ? exact : matches
  }
}

function methodOf(request: Request): string {
  return request.method === 'HEAD' ? 'GET' : request.method
}

/** No row for this method: a preflight, a wrong method, or no such path at all. */
function otherwise(request: Request, matches: readonly Match[]): Response {
  if (matches.length === 0) throw noSuchPath()
  if (request.method === 'OPTIONS' && isPublic(matches)) {
    const response = empty(204)
    response.headers.set('access-control-allow-methods', allowed(matches))
    response.headers.set(
      'access-control-allow-headers',
      'authorization, content-type, dpop, mcp-protocol-version',
    )
    response.headers.set('access-control-max-age', '86400')
    return response
  }
  throw new Fault('method_not_allowed', { because: `${request.method} is not for this path` })
}

function withAllow(thrown: unknown, matches: readonly Match[], response: Response): Response {
  const isWrongMethod = thrown instanceof Fault && thrown.code === 'method_not_allowed'
  if (isWrongMethod) response.headers.set('allow', allowed(matches))
  return response
}

function allowed(matches: readonly Match[]): string {
  const methods = matches.map(({ row }) => row.method as string)
  return [...new Set([...methods, ...(methods.includes('GET') ? ['HEAD'] : [])])].join(', ')
}

function isPublic(matches: readonly Match[]): boolean {
  return matches.some(({ row }) => row.cors === 'public')
}

interface Answered {
  readonly matches: readonly Match[]
  readonly tenant: Tenant | undefined
  readonly meter: Meter | undefined
}

const yearS = 31_536_000

const exposed = 'WWW-Authenticate, DPoP-Nonce, Retry-After, RateLimit, RateLimit-Policy'

/**
 * What every answer has in common: who may read it, how much is left, that https stays https (RFC 6797), and that a redirect
 * to a path stays in its tenant.
 */
function withHeaders(response: Response, { matches, tenant, meter }: Answered): Response {
  const location = response.headers.get('location')
  if (location?.startsWith('/') === true) response.headers.set('location', pathIn(tenant, location))
  for (const [name, value] of Object.entries(meter?.fields() ?? {})) {
    response.headers.set(name, value)
  }
  if (tenant?.issuer.startsWith('https:') === true) {
    response.headers.set('strict-transport-security', `max-age=${yearS}`)
  }
  // Any origin may read public documents and token answers, but never with the person's cookies.
  if (isPublic(matches)) {
    response.headers.set('access-control-allow-origin', '*')
    response.headers.set('access-control-expose-headers', exposed)
  }
  return response
}

async function readBody(request: Request, limitBytes: number): Promise<string> {
  const announced = announcedBytes(request)
  if (announced === undefined) return readUnannounced(request, limitBytes)
  if (announced > limitBytes) throw tooLarge(limitBytes)
  // The listener lets no more through than was announced, and reading it whole needs no stream.
  const bytes = await request.arrayBuffer()
  if (bytes.byteLength > limitBytes) throw tooLarge(limitBytes)
  return Buffer.from(bytes).toString('utf8')
}

function announcedBytes({ headers }: Request): number | undefined {
  const length = headers.get('content-length')
  return length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined
}

async function readUnannounced(request: Request, limitBytes: number): Promise<string> {
  if (request.body === null) return ''
  const chunks = request.body as AsyncIterable<Uint8Array>
  const body = await collectUpTo(chunks, limitBytes)
  if (body === undefined) throw tooLarge(limitBytes)
  return body.toString('utf8')
}

function tooLarge(limitBytes: number): Fault {
  return new Fault('payload_too_large', { because: `the body is over ${limitBytes} bytes` })
}

function noSuchPath(): Fault {
  return new Fault('not_found', { because: 'there is no such path' })
}

/** Who types 127.0.0.1 where localhost is served is told so; to anybody else no name is given away. */
async function misdirected(tenants: Tenants, asked: URL): Promise<Fault> {
  const served = await tenants.default()
  const isNear = isLoopbackName(asked.hostname)
  const isHint = isNear && served !== undefined && isLoopbackName(new URL(served.issuer).hostname)
  return new Fault('misdirected_request', {
    because: 'this host is nobody’s here',
    ...(isHint ? { detail: { host: `Use ${served.issuer} instead.` } } : {}),
  })
}

function isLoopbackName(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

function surfaceOf(path: string): Surface {
  if (path.startsWith('/api/')) return 'api'
  if (path.startsWith('/oauth/') || path.startsWith('/.well-known/')) return 'oauth'
  return 'page'
}
