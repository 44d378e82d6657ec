// Finds out how to sign in at an MCP server, knowing nothing but its URL: 401, then RFC 9728, then RFC 8414 or OIDC
// Discovery. Owns the cached findings; registering and signing in belong to others.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import { readAuthorizationServerMetadata } from '../oauth/metadata.ts'
import type { AuthorizationServerMetadata, ProtectedResourceMetadata } from '../oauth/metadata.ts'
import { canonicalResource } from '../oauth/resource.ts'
import type { Database } from '../store/database.ts'
import { findAuthorizationServer, guessedMetadata } from './authorization-server.ts'
import type { TenantFacts } from './holder.ts'
import { atOthersAddress } from './others-addresses.ts'
import { asDiscovery, findProtectedResource, meetServer } from './protected-resource.ts'
import type { Welcome } from './protected-resource.ts'
import { createTrace } from './trace.ts'
import type { Trace, TraceStep } from './trace.ts'

/** What to look at. */
export interface DiscoverRequest {
  readonly tenant: TenantFacts
  readonly serverUrl: string
  /** The authorization server that an admin named; the server's own choice is then not asked for. */
  readonly issuer?: string | undefined
  /** Looks again even when a finding is cached. */
  readonly fresh?: boolean
  /** Nobody is sent there with a code: what protects codes is not asked for. */
  readonly isForPrograms?: boolean
}

type LookRequest = Pick<DiscoverRequest, 'serverUrl' | 'issuer' | 'isForPrograms'>

/** How to sign in at a server. */
export interface Discovery {
  readonly serverUrl: string
  /** RFC 8707: sent with every request; the server's own spelling of itself, verbatim. */
  readonly resource: string
  readonly challengeScope?: string
  readonly protectedResource?: ProtectedResourceMetadata
  readonly issuer: string
  readonly metadata: AuthorizationServerMetadata
  /** Nothing was published: these are the places that MCP 2025-03-26 prescribes. */
  readonly isGuessed: boolean
  /** The server answered without a token. */
  readonly openToAll: boolean
  readonly trace: readonly TraceStep[]
}

/** What kind of server it is. */
export type Inspection =
  | { readonly kind: 'open'; readonly trace: readonly TraceStep[] }
  /** It wants something, but says nothing about OAuth. */
  | { readonly kind: 'headers'; readonly trace: readonly TraceStep[] }
  | { readonly kind: 'oauth'; readonly discovery: Discovery }

export interface Discover {
  /** What kind of server this is. Throws the Faults of `discover` for one that is broken. */
  readonly inspect: (request: DiscoverRequest) => Promise<Inspection>
  /**
   * How to sign in. Throws Fault: discovery_blocked, name_unresolved, server_unreachable, resource_mismatch,
   * issuer_mismatch, pkce_unsupported, insecure_endpoint, metadata_discovery_failed.
   */
  readonly discover: (request: DiscoverRequest) => Promise<Discovery>
  /** Forgets what was found, for instance because it turned out not to work. */
  readonly forget: (tenant: TenantFacts, serverUrl: string) => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly outbound: Outbound
  readonly log: Log
}

const cacheDefaultMs = 24 * 60 * 60 * 1000
// For all requests of one look together: a server must not hold us, or send us to others, for longer.
const lookTimeMs = 30_000
const issuersTriedMax = 5
const refusedStep = 'authorization_server_refused'

/** Makes discovery over one database. */
export function createDiscover(
  needs: Needs,
  {
    cacheMs = cacheDefaultMs,
    timeMs = lookTimeMs,
  }: { readonly cacheMs?: number; readonly timeMs?: number } = {},
): Discover {
  const looks = new Map<string, Promise<Inspection>>()

  const lookAnew = async (request: DiscoverRequest): Promise<Inspection> => {
    const trace = createTrace(needs.clock)
    const found = await lookOnce({ outbound: needs.outbound, trace }, request, timeMs)
    if (found.kind === 'oauth') await writeCached(needs, request, found.discovery, cacheMs)
    return found
  }

  /** Whoever wants to look while somebody does, looks along: fifty refused calls are one look. */
  const joinLook = (request: DiscoverRequest): Promise<Inspection> => {
    const { tenant, serverUrl, issuer, isForPrograms } = request
    const name = JSON.stringify([tenant.id, serverUrl, issuer, isForPrograms])
    const running = looks.get(name)
    if (running) return running
    const started = lookAnew(request).finally(() => looks.delete(name))
    looks.set(name, started)
    return started
  }

  const inspect = async (request: DiscoverRequest): Promise<Inspection> => {
    const known = request.fresh === true ? undefined : await readCached(needs, request)
    return known === undefined ? joinLook(request) : { kind: 'oauth', discovery: known }
  }

  return {
    inspect,

    discover: async (request) => {
      const found = await inspect(request)
      if (found.kind === 'oauth') return found.discovery
      throw new Fault('metadata_discovery_failed', {
        because: `the server says nothing about signing in; it is ${found.kind}`,
      })
    },

    forget: async (tenant, serverUrl) => {
      await needs.db
        .deleteFrom('discoveries')
        .where('tenant_id', '=', tenant.id)
        .where('resource_url', '=', serverUrl)
        .execute()
    },
  }
}

/** Looks, and keeps nothing; what was seen is in the trace, also when the look ends in a refusal. Throws as `discover`. */
export function lookOnce(
  needs: Omit<Tools, 'signal'>,
  request: LookRequest,
  timeMs = lookTimeMs,
): Promise<Inspection> {
  return asDiscovery(() => look({ ...needs, signal: AbortSignal.timeout(timeMs) }, request))
}

async function look(given: Tools, request: LookRequest): Promise<Inspection> {
  const { serverUrl, isForPrograms = false } = request
  const tools = { ...given, isForPrograms }
  tools.outbound.vet(serverUrl)
  const welcome = await meetServer(tools, serverUrl)
  return atOthersAddress(() => lookFurther(tools, request, welcome))
}

/** Follows what the server says about itself, to wherever that leads. */
async function lookFurther(
  tools: Tools,
  request: LookRequest,
  welcome: Welcome,
): Promise<Inspection> {
  const { serverUrl } = request
  const { trace } = tools
  const challenge = welcome.kind === 'challenged' ? welcome.challenge : undefined
  const document = await findProtectedResource(tools, serverUrl, challenge?.resourceMetadata)
  const issuers = issuersOf(request, document)
  const server = issuers
    ? await firstUsable(tools, issuers)
    : await serverWithoutDocument(tools, welcome, new URL(serverUrl).origin)
  if (typeof server === 'string') return { kind: server, trace: trace.steps() }
  const discovery: Discovery = {
    serverUrl,
    resource: document?.resource ?? canonicalResource(serverUrl),
    ...(challenge?.scope === undefined ? {} : { challengeScope: challenge.scope }),
    ...(document === undefined ? {} : { protectedResource: document }),
    issuer: server.metadata.issuer,
    metadata: server.metadata,
    isGuessed: server.isGuessed,
    openToAll: welcome.kind === 'open',
    trace: trace.steps(),
  }
  return { kind: 'oauth', discovery }
}

interface Tools {
  readonly outbound: Outbound
  readonly isForPrograms?: boolean
  readonly trace: Trace
  readonly signal: AbortSignal
}

interface FoundServer {
  readonly metadata: AuthorizationServerMetadata
  readonly isGuessed: boolean
}

function issuersOf(
  { issuer, serverUrl }: LookRequest,
  document: ProtectedResourceMetadata | undefined,
): readonly string[] | undefined {
  if (issuer !== undefined) return [issuer]
  if (document === undefined) return undefined
  const listed = document.authorization_servers ?? []
  return listed.length > 0 ? listed : [new URL(serverUrl).origin]
}

/** RFC 9728 §7.6: which of several to take is ours to choose; we take the first that is in order. */
async function firstUsable(tools: Tools, issuers: readonly string[]): Promise<FoundServer> {
  let firstRefusal: unknown
  for (const issuer of issuers.slice(0, issuersTriedMax)) {
    try {
      return { metadata: await requireMetadata(tools, issuer), isGuessed: false }
    } catch (error) {
      if (!isFault(error)) throw error
      tools.trace.note({ step: refusedStep, url: issuer, outcome: error.code })
      tools.trace.saw?.({ step: refusedStep, url: issuer, error })
      firstRefusal ??= error
    }
  }
  throw firstRefusal
}

async function requireMetadata(tools: Tools, issuer: string): Promise<AuthorizationServerMetadata> {
  const metadata = await findAuthorizationServer(tools, issuer)
  if (metadata !== undefined) return metadata
  throw new Fault('metadata_discovery_failed', { because: `${issuer} publishes no metadata` })
}

/** MCP 2025-03-26: the authorization server is at the MCP server's own origin, at fixed places if need be. */
async function serverWithoutDocument(
  tools: Tools,
  welcome: Welcome,
  origin: string,
): Promise<FoundServer | 'open' | 'headers'> {
  if (welcome.kind === 'open') return 'open'
  const metadata = await findAuthorizationServer(tools, origin)
  if (metadata !== undefined) return { metadata, isGuessed: false }
  if (welcome.kind === 'unclear') {
    throw new Fault('metadata_discovery_failed', {
      because: `the server answered ${welcome.status} and publishes nothing about signing in`,
    })
  }
  if (welcome.challenge === undefined) return 'headers'
  return { metadata: guessedMetadata(origin), isGuessed: true }
}

/** What is kept of a finding. */
type Cached = Omit<Discovery, 'trace'> & { readonly askedIssuer?: string }

async function readCached(
  { db, clock }: Needs,
  { tenant, serverUrl, issuer }: DiscoverRequest,
): Promise<Discovery | undefined> {
  const row = await db
    .selectFrom('discoveries')
    .select(['document', 'fetched_at'])
    .where('tenant_id', '=', tenant.id)
    .where('resource_url', '=', serverUrl)
    .where('expires_at', '>', clock.now())
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { askedIssuer, ...cached } = JSON.parse(row.document) as Cached // only writeCached writes it
  if (askedIssuer !== issuer) return undefined
  const metadata = readAuthorizationServerMetadata(cached.metadata, cached.issuer)
  const trace = createTrace(clock)
  trace.note({ step: 'discovery', url: serverUrl, outcome: 'known from before' })
  return { ...cached, metadata, trace: trace.steps() }
}

async function writeCached(
  { db, clock }: Needs,
  { tenant, serverUrl, issuer }: DiscoverRequest,
  discovery: Discovery,
  cacheMs: number,
): Promise<void> {
  const { trace: _shownOnce, ...kept } = discovery
  const cached: Cached = { ...kept, ...(issuer === undefined ? {} : { askedIssuer: issuer }) }
  const now = clock.now()
  const facts = {
    document: JSON.stringify(cached),
    fetched_at: now,
    expires_at: now + cacheMs,
  }
  await db
    .insertInto('discoveries')
    .values({ tenant_id: tenant.id, resource_url: serverUrl, ...facts })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'resource_url']).doUpdateSet(facts))
    .execute()
}
