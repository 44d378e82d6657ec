// The listener: raw requests are checked before anything is derived from them, then `/{slug}/mcp` goes to the gateway as
// Node's own streams and everything else to the app as a Request. Node's parser accepts all of what is refused here
// (threats ).
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Log } from '../base/log.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { slugOf } from '../gateway/targets.ts'
import type { Address, Tenant, Tenants } from '../people/tenants.ts'
import { isStoreUnavailable } from '../store/unavailable.ts'
import { callLimitsOf } from './call-limits.ts'
import type { Arrival, CallerOf } from './callers-address.ts'
import type { MeterOf } from './meter.ts'
import type { Metrics } from './metrics.ts'
import { hasDotSegment, placeOfTarget, tenantAt } from './place.ts'

interface Needs {
  readonly app: (
    request: Request,
    extra: { readonly remoteAddress: string | undefined },
  ) => Promise<Response>
  readonly gateway: Pick<Gateway, 'serve'>
  readonly tenants: Pick<Tenants, 'at'>
  readonly callerOf: CallerOf
  readonly meterOf: MeterOf
  readonly metrics: Pick<Metrics, 'observe'>
  readonly log: Log
}

interface Limits {
  readonly headerBytes?: number
  readonly headersTimeMs?: number
  /** For the whole request with its body; an answer may take as long as it likes. */
  readonly requestTimeMs?: number
  readonly checkEveryMs?: number
}

/** Makes the HTTP server; it does not listen yet. */
export function createListener(
  { app, gateway, tenants, callerOf, meterOf, metrics, log }: Needs,
  {
    headerBytes = 16_384,
    headersTimeMs = 10_000,
    requestTimeMs = 30_000,
    checkEveryMs = 5_000,
  }: Limits = {},
): Server {
  const toApp = getRequestListener(async (request, { incoming }) =>
    app(request, { remoteAddress: incoming.socket.remoteAddress }),
  )
  const toGateway = createToGateway({ gateway, tenants, callerOf, meterOf, metrics })

  // What follows a refused request on its connection may have been smuggled in by it: it is not even looked at.
  const distrusted = new WeakSet<Socket>()
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (distrusted.has(request.socket)) return
    logWhenDone(log, request, response)
    const fault = findFault(request)
    if (fault !== undefined) {
      distrusted.add(request.socket)
      return refuse(response, { status: 400, because: fault })
    }
    const { slug: tenantSlug, path } = placeOfTarget(request.url ?? '')
    const slug = slugOf(path)
    return slug === undefined
      ? toApp(request, response)
      : toGateway(request, response, { tenantSlug, slug })
  }

  return createServer(
    {
      maxHeaderSize: headerBytes,
      headersTimeout: headersTimeMs,
      requestTimeout: requestTimeMs,
      connectionsCheckingInterval: checkEveryMs,
    },
    (request, response) => {
      serve(request, response).catch((cause: unknown) => {
        log.error({ cause }, 'a request failed outside of every door')
        response.destroy()
      })
    },
  )
}

/** The endpoint of a server, and whose it is. */
interface Endpoint {
  readonly tenantSlug: string | undefined
  readonly slug: string
}

function createToGateway({
  gateway,
  tenants,
  callerOf,
  meterOf,
  metrics,
}: Omit<Needs, 'app' | 'log'>) {
  return async (request: IncomingMessage, response: ServerResponse, endpoint: Endpoint) => {
    const host = (request.headers.host ?? '').toLowerCase()
    const tenant = await findTenant(tenants, { host, slug: endpoint.tenantSlug })
    if (typeof tenant === 'string') return refuse(response, nobodys[tenant])
    const { address, place } = callerOf(arrivalOf(request))
    const limits = callLimitsOf(meterOf(tenant, place))
    const startedMs = performance.now()
    const begun = whenBegun(response)
    response.once('close', () => {
      const { method = '' } = request
      const { statusCode: status } = response
      metrics.observe({ method, route: '/{slug}/mcp', status, ms: begun() - startedMs })
    })
    const visitor = { tenantId: tenant.id, address, agent: request.headers['user-agent'] }
    await gateway.serve(request, response, { tenant, slug: endpoint.slug, limits, visitor })
  }
}

/** When the answer began, which a stream does long before it ends; now, while it has not. */
function whenBegun(response: ServerResponse): () => number {
  let begunMs: number | undefined
  const writeHead = response.writeHead.bind(response) as (...given: unknown[]) => ServerResponse
  // Node calls it too when nobody else has.
  response.writeHead = (...given: unknown[]) => {
    begunMs ??= performance.now()
    return writeHead(...given)
  }
  return () => begunMs ?? performance.now()
}

async function findTenant(
  tenants: Needs['tenants'],
  address: Address,
): Promise<Tenant | keyof typeof nobodys> {
  try {
    return await tenantAt(tenants, address)
  } catch (thrown) {
    if (isStoreUnavailable(thrown)) return 'unavailable'
    throw thrown
  }
}

function arrivalOf({ socket, headers }: IncomingMessage): Arrival {
  const { 'x-forwarded-for': forwardedFor, forwarded } = headers
  return {
    peer: socket.remoteAddress,
    forwardedFor: Array.isArray(forwardedFor) ? forwardedFor.join(',') : forwardedFor,
    forwarded,
  }
}

const namePattern = /^[a-z0-9.-]+(?::\d{1,5})?$/i
const ipv6Pattern = /^\[[0-9a-f:.]+\](?::\d{1,5})?$/i
// RFC 9112 §3.2.1: origin-form. A second slash or a backslash at its start would name a host to a URL parser.
const originFormPattern = /^\/(?![/\\])[^\\#\x00-\x20\x7f-\uffff]*$/

/** What is wrong with a raw request, if anything. */
function findFault(request: IncomingMessage): string | undefined {
  const [host, ...moreHosts] = fieldsOf(request, 'host')
  if (host === undefined || moreHosts.length > 0) return 'not exactly one Host'
  if (!namePattern.test(host) && !ipv6Pattern.test(host)) return 'a Host that is none'
  const target = request.url ?? ''
  if (!originFormPattern.test(target)) return 'a request target that is not in origin form'
  if (hasDotSegment(pathOf(target))) return 'dot segments in the path'
  return findFramingFault(request)
}

/** RFC 9112 §6.1: framing that two parsers may read differently is refused (request smuggling). */
function findFramingFault(request: IncomingMessage): string | undefined {
  const codings = fieldsOf(request, 'transfer-encoding')
  if (codings.length === 0) return undefined
  if (request.httpVersion !== '1.1') return 'a transfer coding before HTTP/1.1'
  const isPlainlyChunked = codings.length === 1 && codings[0]?.toLowerCase() === 'chunked'
  return isPlainlyChunked ? undefined : 'a transfer coding other than chunked'
}

function fieldsOf({ rawHeaders }: IncomingMessage, name: string): readonly string[] {
  return rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name,
  )
}

function pathOf(target: string): string {
  return target.split('?', 1)[0] ?? ''
}

interface RawRefusal {
  readonly status: 400 | 404 | 421 | 503
  readonly because: string
}

const nobodys = {
  no_such_host: { status: 421, because: 'unknown host' },
  no_such_path: { status: 404, because: 'there is no such path' },
  unavailable: { status: 503, because: 'the database cannot be asked now' },
} as const satisfies Readonly<Record<string, RawRefusal>>

const retryAfterS = 5

/** A refusal in plain text; the connection ends with it. */
function refuse(response: ServerResponse, { status, because }: RawRefusal): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 503 ? { 'retry-after': `${retryAfterS}` } : {}),
  })
  response.end(`This request cannot be answered here: ${because}.\n`)
}

function logWhenDone(log: Log, request: IncomingMessage, response: ServerResponse): void {
  const startedAt = performance.now()
  response.once('close', () => {
    const { method, url = '' } = request
    const ms = Math.round(performance.now() - startedAt)
    const path =
      slugOf(placeOfTarget(url).path) === undefined ? templateOf(pathOf(url)) : '/{slug}/mcp'
    log.info({ method, path, status: response.statusCode, ms }, 'access')
  })
}

const wordPattern = /^(?:v\d|[a-z.-]{0,32})$/

/** Only the plain words of a path: an id, a key or a link in it is nobody's business in a log. */
function templateOf(path: string): string {
  return path
    .split('/')
    .map((segment) => (wordPattern.test(segment) ? segment : '{…}'))
    .join('/')
}
