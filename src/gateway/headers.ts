// Which header fields cross the gateway. Both directions have an allow-list; what is not on it does not exist
// (threats X-29; RFC 9110 §7.6.1 for what Connection names).
import type { IncomingHttpHeaders } from 'node:http'
import type { Secret } from '../base/secret.ts'

const requestNames = new Set([
  'accept',
  'accept-language',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'traceparent',
  'tracestate',
])
const responseNames = new Set([
  'allow',
  'content-encoding',
  'content-length',
  'content-type',
  'retry-after',
])

/** Each tool has its own (MCP 2026-07-28, "Custom Headers from Tool Parameters"). */
const paramPrefix = 'mcp-param-'

/** What we say about ourselves; compressed answers would only cost the event streams their pace. */
const ownFields = { 'accept-encoding': 'identity', 'user-agent': 'latchkey' }

/** Beside an answer of events: or a proxy before us keeps them back until it has many. */
export const streamFields = { 'x-accel-buffering': 'no' }

/** The header that carries a server's session id (MCP 2025-11-25, Streamable HTTP). */
export const sessionHeader = 'mcp-session-id'

interface RequestParts {
  readonly incoming: IncomingHttpHeaders
  /** The server's own session id, when the request belongs to a session. */
  readonly sessionId: string | undefined
  /** What we say for the person: the upstream token or the server's fixed headers. */
  readonly credential: Readonly<Record<string, Secret>>
}

/** The fields of the upstream request; what we add stands above what came. */
export function requestHeaders({ incoming, sessionId, credential }: RequestParts) {
  const dropped = new Set([...listOf(incoming.connection), sessionHeader])
  const forwarded = Object.entries(incoming).filter(
    ([name]) => (requestNames.has(name) || name.startsWith(paramPrefix)) && !dropped.has(name),
  )
  const shown = Object.entries(credential).map(([name, value]) => [lower(name), value.reveal()])
  const headers: Record<string, string> = {
    ...Object.fromEntries(forwarded.map(([name, value]) => [name, textOf(value)])),
    ...ownFields,
    ...(sessionId === undefined ? {} : { [sessionHeader]: sessionId }),
    ...Object.fromEntries(shown),
  }
  return headers
}

/** The fields of our answer, out of those of the server's. */
export function responseHeaders(
  upstream: IncomingHttpHeaders,
  bindSession: (id: string) => string,
): Record<string, string> {
  const kept = Object.entries(upstream).filter(
    ([name]) => responseNames.has(name) || (name.startsWith('mcp-') && name !== sessionHeader),
  )
  const sessionId = upstream[sessionHeader]
  const isStream = /^text\/event-stream\b/i.test(upstream['content-type'] ?? '')
  return {
    ...Object.fromEntries(kept.map(([name, value]) => [name, textOf(value)])),
    'cache-control': cacheControl(upstream['cache-control']),
    'x-content-type-options': 'nosniff',
    ...(isStream ? streamFields : {}),
    ...(typeof sessionId === 'string' ? { [sessionHeader]: bindSession(sessionId) } : {}),
  }
}

/** What one person got must not be kept for another (RFC 9111 §3.5): a server may only make this stricter. */
function cacheControl(upstream: string | undefined): string {
  return upstream === undefined || /public|s-maxage/i.test(upstream) ? 'no-store' : upstream
}

function listOf(field = ''): string[] {
  return field.split(',').map((name) => lower(name.trim()))
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value ?? []).join(', ')
}

function lower(text: string): string {
  return text.toLowerCase()
}
