// The only way out: every URL that somebody else chose is fetched here. https, vetted and pinned addresses, and limits on
// size, time, redirects and content. Failures are Faults without a header value in them.
import { lookup } from 'node:dns/promises'
import { Agent, request as send } from 'undici'
import type { Dispatcher } from 'undici'
import { createAddressRules, literalAddress } from './addresses.ts'
import type { AddressRules } from './addresses.ts'
import type { Clock } from './clock.ts'
import { Fault, isFault } from './fault.ts'
import type { Log } from './log.ts'
import { readLimited } from './outbound-body.ts'
import { blocked, createPinnedConnect, notHttps, pin, portOf } from './outbound-connect.ts'
import type { Connector, Resolve } from './outbound-connect.ts'
import { parseJson } from './outbound-json.ts'
import type { Secret } from './secret.ts'

export type { Connector, Resolve }

export interface Outbound {
  readonly fetch: (request: OutboundRequest) => Promise<OutboundResponse>
  /** For long streams: the same vetting and pinning, no redirects, no limit on the body's time. */
  readonly dispatcher: Dispatcher
  /** The parsed URL. Throws Fault('insecure_endpoint') or Fault('discovery_blocked') for one that may not be reached. */
  readonly vet: (url: string) => URL
  /**
   * The same with the name of a plain http address resolved, which only leads to the operator's own networks; for an
   * address that we hand on to a browser and never reach ourselves. Throws Fault('name_unresolved') besides.
   */
  readonly vetResolved: (url: string) => Promise<URL>
  readonly close: () => Promise<void>
}

export interface OutboundRequest {
  readonly url: string
  readonly method?: string
  readonly headers?: Headers
  readonly body?: string | Secret
  /** For the log: `discovery`, `token`, … */
  readonly purpose: string
  readonly limits?: {
    /** After decompression. */
    readonly bytes?: number
    /** For the whole call. */
    readonly timeMs?: number
    readonly redirects?: number
  }
  /** Media types that the answer may have. */
  readonly accept?: readonly string[]
  readonly signal?: AbortSignal
}

export interface OutboundResponse {
  readonly status: number
  readonly headers: { readonly get: (name: string) => string | null }
  readonly text: string
  /** Where the answer came from, after redirects. */
  readonly url: string
  /** The body as JSON. Throws Fault('metadata_discovery_failed') when it is none, or too deep. */
  readonly json: () => unknown
}

interface Needs {
  readonly log: Log
  readonly clock: Clock
  readonly resolve?: Resolve
  readonly connect?: Connector
}

interface Settings {
  /** CIDRs, `loopback`, or places such as `127.0.0.1:3000`. */
  readonly allow: readonly string[]
  /** Ports of public addresses besides 443. */
  readonly ports?: readonly number[]
}

const defaultBytes = 65_536
const defaultTimeMs = 10_000
const headersTimeoutMs = 60_000
const connectTimeoutMs = 5_000
const headerBytesMaximum = 32_768

/** Makes the outbound client. */
export function createOutbound(needs: Needs, settings: Settings): Outbound {
  const { log, clock, resolve = resolveAll, connect } = needs
  const rules = createAddressRules(settings.allow, { takesPlaces: true })
  const ports = [443, ...(settings.ports ?? [])]
  const judged = { rules, ports, resolve, timeoutMs: connectTimeoutMs }
  const vet = (url: string) => vetUrl(url, judged)
  const vetResolved = async (text: string) => {
    const url = vet(text)
    if (url.protocol === 'http:') await pin(judged, url)
    return url
  }
  const agent = new Agent({
    connect: createPinnedConnect({ ...judged, connect }),
    headersTimeout: headersTimeoutMs,
    bodyTimeout: 0,
    maxHeaderSize: headerBytesMaximum,
    allowH2: false,
  })
  const dispatcher = agent.compose((dispatch) => (options, handler) => {
    vet(String(options.origin))
    return dispatch(options, handler)
  })

  const fetch = async (request: OutboundRequest): Promise<OutboundResponse> => {
    const startedAt = clock.now()
    const { purpose, method = 'GET' } = request
    try {
      const answer = await follow({ dispatcher, vet }, request)
      const { status, url } = answer
      const ms = clock.now() - startedAt
      log.debug({ purpose, method, host: new URL(url).host, status, ms }, 'an outbound call')
      return answer
    } catch (thrown) {
      const fault = asFault(thrown)
      log.info(
        { purpose, method, fault: fault.code, because: fault.because },
        'an outbound call failed',
      )
      throw fault
    }
  }
  return { fetch, dispatcher, vet, vetResolved, close: () => agent.destroy() }
}

async function resolveAll(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true, verbatim: true })
  return found.map(({ address }) => address)
}

/** The cheap part of vetting: scheme, port, user info, and literal addresses; names are vetted when they are resolved. */
function vetUrl(
  text: string,
  { rules, ports }: { readonly rules: AddressRules; readonly ports: readonly number[] },
): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new Fault('insecure_endpoint', { because: 'the URL is not an http address' })
  }
  if (url.username !== '' || url.password !== '') {
    throw new Fault('discovery_blocked', { because: 'the URL holds credentials' })
  }
  const literal = literalAddress(url.hostname)
  if (literal !== undefined && !rules.mayReach(literal, portOf(url)))
    throw blocked(`${literal} may not be reached`)
  // A name may turn out to be in a network of the operator's own: that is seen, and judged, when it is resolved.
  const mayBeOwn = literal === undefined ? rules.hasOwn : rules.isOwn(literal, portOf(url))
  if (mayBeOwn) return url
  if (url.protocol === 'http:') {
    throw notHttps('the URL is not https')
  }
  if (!ports.includes(portOf(url))) throw blocked(`port ${url.port} may not be reached`)
  return url
}

interface Way {
  readonly dispatcher: Dispatcher
  readonly vet: (url: string) => URL
}

async function follow(way: Way, request: OutboundRequest): Promise<OutboundResponse> {
  const { limits = {}, method = 'GET', signal } = request
  const timeout = AbortSignal.timeout(limits.timeMs ?? defaultTimeMs)
  const ending = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
  let hopsLeft = method === 'GET' ? (limits.redirects ?? 0) : 0
  let url = way.vet(request.url)
  let hop: OutboundRequest = { ...request, signal: ending }
  for (;;) {
    const answer = await before(ending, () => once(way, { ...hop, url: url.href }))
    const location = answer.headers.get('location')
    const isRedirect = answer.status >= 300 && answer.status < 400 && location !== null
    if (!isRedirect || hopsLeft === 0) return answer
    hopsLeft -= 1
    const next = way.vet(new URL(location, url).href)
    if (next.protocol !== url.protocol && next.protocol === 'http:') {
      throw new Fault('insecure_endpoint', { because: 'a redirect leads from https to http' })
    }
    // Nothing that was meant for one origin is shown to another, and no hop takes a body along.
    const { body: _body, ...bodiless } = hop
    const isElsewhere = next.origin !== url.origin
    hop = isElsewhere ? { ...bodiless, headers: publicHeaders(hop.headers ?? {}) } : bodiless
    url = next
  }
}

/** undici looks at the signal only once it is connected; the limit holds before that too. */
function before<T>(ending: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    ending.throwIfAborted()
    const stop = () => reject(ending.reason)
    const done = () => ending.removeEventListener('abort', stop)
    ending.addEventListener('abort', stop, { once: true })
    work().then(resolve, reject).finally(done)
  })
}

type Headers = Readonly<Record<string, string | Secret>>

function publicHeaders(headers: Headers): Headers {
  const kept = Object.entries(headers).filter(
    ([name, value]) => typeof value === 'string' && /^(?:accept|user-agent)$/i.test(name),
  )
  return Object.fromEntries(kept)
}

async function once(way: Way, request: OutboundRequest): Promise<OutboundResponse> {
  const { url, method = 'GET', headers = {}, body, accept, limits = {}, signal } = request
  const answer = await send(url, {
    dispatcher: way.dispatcher,
    method,
    headers: {
      accept: accept?.join(', ') ?? '*/*',
      'user-agent': 'Latchkey',
      ...plainHeaders(headers),
      'accept-encoding': 'gzip, br',
    },
    body: body === undefined ? null : plain(body),
    ...(signal === undefined ? {} : { signal }),
  })
  const get = (name: string) => {
    const key = name.toLowerCase()
    const value = Object.hasOwn(answer.headers, key) ? answer.headers[key] : undefined
    return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value
  }
  const text = await readLimited(answer.body, {
    encoding: get('content-encoding'),
    bytes: limits.bytes ?? defaultBytes,
  })
  const status = answer.statusCode
  requireType({ status, accept, type: get('content-type') })
  return { status, headers: { get }, text, url, json: () => parseJson(text) }
}

function requireType(facts: {
  readonly status: number
  readonly accept: readonly string[] | undefined
  readonly type: string | null
}): void {
  const { status, accept, type } = facts
  if (accept === undefined || status >= 300) return
  const essence = (type ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (accept.includes(essence)) return
  throw new Fault('metadata_discovery_failed', {
    because: `the answer is ${essence.slice(0, 40) || 'untyped'}`,
  })
}

function plainHeaders(headers: Headers): Record<string, string> {
  const entries = Object.entries(headers)
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), plain(value)]))
}

function plain(value: string | Secret): string {
  return typeof value === 'string' ? value : value.reveal()
}

/** Names what happened by code only: the platform's own texts can hold header values. */
function asFault(thrown: unknown): Fault {
  if (isFault(thrown)) return thrown
  const error = thrown instanceof Error ? thrown : undefined
  const cause = isFault(error?.cause) ? error.cause : undefined
  if (cause !== undefined) return cause
  const code = codeOf(error)
  const isTimeout = error?.name === 'TimeoutError' || /TIMEOUT|ETIMEDOUT/.test(code)
  const because = `the call ended with ${code || error?.name || 'an unknown error'}`
  const isUnsent = unsentCodes.has(code) ? true : undefined
  const known = code === '' ? {} : { cause: { code } }
  return new Fault(isTimeout ? 'timeout' : 'network_error', { because, isUnsent, ...known })
}

// No connection was made. Whatever else ended a call may have ended it after the other side had read all of it.
const unsentCodes = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

function codeOf(error: Error | undefined): string {
  const code: unknown = error === undefined ? undefined : Reflect.get(error, 'code')
  return typeof code === 'string' ? code : ''
}
