// Finds out how to sign in at an MCP server, knowing nothing but its URL: 401, then RFC 9728, then RFC 8414 or OIDC
// Discovery. What was found before is kept by findings.ts; registering and signing in belong to others.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { TokenChallenge } from '../oauth/challenge.ts'
import { proofAlgorithm } from '../oauth/dpop-proof.ts'
import type { AuthorizationServerMetadata, ProtectedResourceMetadata } from '../oauth/metadata.ts'
import { canonicalResource } from '../oauth/resource.ts'
import type { Database } from '../store/database.ts'
import { firstUsable, inOrder } from './choose-issuer.ts'
import type { FoundServer } from './choose-issuer.ts'
import { findAuthorizationServer, guessedMetadata } from './authorization-server.ts'
import { forgetFinding, readCached, rememberedIssuer, writeCached } from './findings.ts'
import type { Discovery } from './findings.ts'
import type { TenantFacts } from './holder.ts'
import { atOthersAddress } from './others-addresses.ts'
import type { Transport } from './mcp.ts'
import { meetServer } from './meet-server.ts'
import type { Welcome } from './meet-server.ts'
import { asDiscovery, findProtectedResource } from './protected-resource.ts'
import { createTrace } from './trace.ts'
import type { Trace, TraceStep } from './trace.ts'

export type { Discovery }

/** What to look at. */
export interface DiscoverRequest {
  readonly tenant: TenantFacts
  readonly serverUrl: string
  /** The authorization server that an admin named; the server's own choice is then not asked for. */
  readonly issuer?: string | undefined
  /** Looks again even when a finding is cached. */
  readonly fresh?: boolean
  /** How old a finding may be; otherwise as old as the installation says. */
  readonly cacheMs?: number | undefined
  /** Nobody is sent there with a code: what protects codes is not asked for. */
  readonly isForPrograms?: boolean
}

interface LookRequest extends Pick<DiscoverRequest, 'serverUrl' | 'issuer' | 'isForPrograms'> {
  /** The authorization server that was taken before; it stays while the server names it and it is in order. */
  readonly before?: string | undefined
}

/** What kind of server it is, and how it speaks where that shows to a caller without a token. */
export type Inspection = (
  | { readonly kind: 'open'; readonly trace: readonly TraceStep[] }
  /** It wants something, but says nothing about OAuth. */
  | { readonly kind: 'headers'; readonly trace: readonly TraceStep[] }
  | { readonly kind: 'oauth'; readonly discovery: Discovery }
) & { readonly transport?: Transport }

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
    const before = await rememberedIssuer(needs, request)
    const tools = { outbound: needs.outbound, trace }
    const found = await lookOnce(tools, { ...request, before }, timeMs)
    if (found.kind === 'oauth') await writeCached(needs, request, found.discovery)
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
    const youngMs = request.cacheMs ?? cacheMs
    const known = request.fresh === true ? undefined : await readCached(needs, request, youngMs)
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

    forget: (tenant, serverUrl) => forgetFinding(needs, tenant, serverUrl),
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
    ? await firstUsable(tools, inOrder(issuers, request.before))
    : await serverWithoutDocument(tools, welcome, new URL(serverUrl).origin)
  const spoken = welcome.transport === undefined ? {} : { transport: welcome.transport }
  if (typeof server === 'string') return { kind: server, ...spoken, trace: trace.steps() }
  const proofs = proofsOf(server.metadata, document, challenge)
  const discovery: Discovery = {
    serverUrl,
    resource: document?.resource ?? canonicalResource(serverUrl),
    ...(challenge?.scope === undefined ? {} : { challengeScope: challenge.scope }),
    ...(document === undefined ? {} : { protectedResource: document }),
    issuer: server.metadata.issuer,
    metadata: server.metadata,
    isGuessed: server.isGuessed,
    openToAll: welcome.kind === 'open',
    ...(proofs === undefined ? {} : { proofs }),
    trace: trace.steps(),
  }
  return { kind: 'oauth', discovery, ...spoken }
}

interface Tools {
  readonly outbound: Outbound
  readonly isForPrograms?: boolean
  readonly trace: Trace
  readonly signal: AbortSignal
}

/**
 * A token is bound to a key where both sides are known to take that: a server that does not know the scheme would refuse
 * such a token, and an authorization server that does not know proofs makes none.
 */
function proofsOf(
  { dpop_signing_alg_values_supported: made }: AuthorizationServerMetadata,
  document: ProtectedResourceMetadata | undefined,
  challenge: TokenChallenge | undefined,
): Discovery['proofs'] {
  if (made?.includes(proofAlgorithm) !== true) return undefined
  if (document?.dpop_bound_access_tokens_required === true) return 'required'
  if (challenge?.proofs !== undefined) return challenge.proofs
  const taken = document?.dpop_signing_alg_values_supported
  return taken?.includes(proofAlgorithm) === true ? 'offered' : undefined
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
