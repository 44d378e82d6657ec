// The MCP server's side of discovery: the document that it publishes about itself (RFC 9728). Which authorization server to
// take from it is decided in discover.ts.
import { Fault, isFault } from '../base/fault.ts'
import type { Outbound, OutboundResponse } from '../base/outbound.ts'
import { bearerChallenge, tokenChallenge } from '../oauth/challenge.ts'
import { readProtectedResourceMetadata } from '../oauth/metadata.ts'
import type { ProtectedResourceMetadata } from '../oauth/metadata.ts'
import { sameResource } from '../oauth/resource.ts'
import { protectedResourceUrls } from '../oauth/well-known.ts'
import { tracedFetch } from './trace.ts'
import type { Trace } from './trace.ts'

export { bearerChallenge, sameResource, tokenChallenge }

interface Needs {
  readonly outbound: Outbound
  readonly trace: Trace
  /** Ends the whole search. */
  readonly signal: AbortSignal
}

const documentRedirects = 2

/**
 * Finds the server's document: where the challenge says, else with the path, else at the root; asks no further than
 * needed (MCP authorization, "Protected Resource Metadata Discovery"). Throws Fault('resource_mismatch').
 */
export async function findProtectedResource(
  needs: Needs,
  serverUrl: string,
  named: string | undefined,
): Promise<ProtectedResourceMetadata | undefined> {
  const wellKnown = protectedResourceUrls(serverUrl)
  const root = wellKnown.at(-1)
  for (const url of new Set(named === undefined ? wellKnown : [named, ...wellKnown])) {
    const document = await readDocument(needs, 'protected_resource_metadata', url)
    if (document === undefined) continue
    const metadata = readProtectedResourceMetadata(document)
    requireSameServer(metadata.resource, serverUrl, url === root)
    return metadata
  }
  return undefined
}

/** The JSON document at an address, or undefined when there is none. Throws a Fault when that cannot be said now. */
export async function readDocument(needs: Needs, step: string, url: string): Promise<unknown> {
  const response = await tracedFetch(needs, step, {
    url,
    headers: { accept: 'application/json' },
    purpose: 'discovery',
    limits: { redirects: documentRedirects },
  })
  if (isTrouble(response)) {
    throw new Fault('provider_unreachable', { because: `${step} is answered ${response.status}` })
  }
  return isSuccess(response) ? parsed(response) : undefined
}

/** One text for every trouble that may be behind a failed look at somebody's address, so that it tells little. */
export async function asDiscovery<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isFault(error) || !vagueCodes.has(error.code)) throw error
    throw new Fault('server_unreachable', { because: error.because, cause: error })
  }
}

const vagueCodes: ReadonlySet<string> = new Set([
  'internal',
  'network_error',
  'payload_too_large',
  'provider_unreachable',
  'timeout',
  'upstream_timeout',
])

// A document is not missing because its server is in trouble. A 502 counts as missing, as in the MCP SDK: some proxies say
// it of every path that they don't know.
function isTrouble({ status }: OutboundResponse): boolean {
  return status === 429 || (status >= 500 && status !== 502)
}

function isSuccess({ status }: OutboundResponse): boolean {
  return status >= 200 && status < 300
}

// Some servers answer every path with a page and 200: what is no JSON object is no document.
function parsed(response: OutboundResponse): unknown {
  if (!response.text.trimStart().startsWith('{')) return undefined
  return response.json()
}

/**
 * RFC 9728 §3.3: the document must be about the address it was asked for. Only the document at the root may be about a
 * whole that the server is a part of: the origin, or a path above the server's.
 */
function requireSameServer(resource: string, serverUrl: string, isAtRoot: boolean): void {
  if (sameResource(resource, serverUrl)) return
  if (isAtRoot && isAbove(resource, serverUrl)) return
  throw new Fault('resource_mismatch', {
    because: `the document is about ${resource.slice(0, 200)}, asked was about ${serverUrl}`,
  })
}

function isAbove(resource: string, serverUrl: string): boolean {
  const [upper, lower] = [new URL(resource), new URL(serverUrl)]
  const folder = upper.pathname.endsWith('/') ? upper.pathname : `${upper.pathname}/`
  return upper.origin === lower.origin && upper.search === '' && lower.pathname.startsWith(folder)
}
