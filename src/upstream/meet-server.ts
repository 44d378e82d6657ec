// How an MCP server meets a caller without a token: asked as a client of each era asks, over each of the transports.
import type { IncomingHttpHeaders } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Outbound, OutboundResponse } from '../base/outbound.ts'
import { tokenChallenge } from '../oauth/challenge.ts'
import type { TokenChallenge } from '../oauth/challenge.ts'
import { initializeRequest, statelessRequest } from './mcp.ts'
import type { Transport } from './mcp.ts'
import { openSseStream } from './sse-stream.ts'
import type { SseOpening } from './sse-stream.ts'
import { tracedFetch } from './trace.ts'
import type { Trace } from './trace.ts'

/** How it met us, and how it speaks where that showed. */
export type Welcome = (
  | { readonly kind: 'open' }
  | { readonly kind: 'challenged'; readonly challenge: TokenChallenge | undefined }
  | { readonly kind: 'unclear'; readonly status: number }
) & { readonly transport?: Transport }

interface Needs {
  readonly outbound: Outbound
  readonly trace: Trace
  /** Ends the whole search. */
  readonly signal: AbortSignal
}

const probeBytes = 1_048_576
const step = 'mcp_request_without_token'

/**
 * Asks without a token, first as a client of 2026-07-28 does, then as an earlier one. `tools/list` goes first because
 * many servers let anybody `initialize` and only then ask for a token.
 */
export async function meetServer(needs: Needs, serverUrl: string): Promise<Welcome> {
  let status = 0
  for (const request of [statelessRequest('tools/list'), initializeRequest()]) {
    const response = await tracedFetch(needs, step, {
      url: serverUrl,
      ...request,
      purpose: 'discovery',
      limits: { bytes: probeBytes },
    })
    status = response.status
    if (status === 401) return challengedBy(response)
    if (status >= 200 && status < 300) {
      return { kind: 'open', ...(isMcp(response) ? { transport: 'streamable_http' } : {}) }
    }
  }
  const unclear = { kind: 'unclear', status } as const
  return mayBeOlder.has(status) ? ((await meetOlder(needs, serverUrl)) ?? unclear) : unclear
}

/** MCP 2025-11-25, "Backwards Compatibility". */
const mayBeOlder = new Set([400, 404, 405])

/** The same over the transport of 2024-11-05; undefined when it has no such stream. */
async function meetOlder(needs: Needs, serverUrl: string): Promise<Welcome | undefined> {
  const stream = await openTraced(needs, serverUrl)
  if (stream.kind === 'other_transport') return undefined
  if (stream.kind === 'refused') {
    return stream.status === 401 ? challengedBy(asResponse(serverUrl, stream)) : undefined
  }
  try {
    // The stream may be open to all, and what is said over it not.
    const response = await tracedFetch(needs, step, {
      url: stream.endpoint,
      ...initializeRequest(),
      purpose: 'discovery',
      limits: { bytes: probeBytes },
    })
    const transport = 'sse'
    if (response.status === 401) return { ...challengedBy(response), transport }
    const isOpen = response.status >= 200 && response.status < 300
    if (isOpen) return { kind: 'open', transport }
    return { kind: 'unclear', status: response.status, transport }
  } finally {
    stream.close()
  }
}

async function openTraced({ outbound, trace, signal }: Needs, url: string): Promise<SseOpening> {
  try {
    const stream = await openSseStream({ outbound, signal }, { url, headers: {} })
    const status = stream.kind === 'refused' ? { status: stream.status } : {}
    trace.note({ step: streamStep, url, ...status, outcome: outcomes[stream.kind] })
    if (stream.kind === 'refused') trace.saw?.({ step, url, response: asResponse(url, stream) })
    return stream
  } catch (error) {
    trace.note({ step: streamStep, url, outcome: 'failed' })
    // What the newer transport said stands; this was only a further try.
    if (signal.aborted) throw error
    return { kind: 'other_transport' }
  }
}

const streamStep = 'mcp_stream_without_token'
const outcomes = { open: 'opened', refused: 'answered', other_transport: 'no_such_stream' }

function challengedBy({ headers }: Pick<OutboundResponse, 'headers'>) {
  const challenge = tokenChallenge(headers.get('www-authenticate'))
  return { kind: 'challenged', challenge } as const
}

/** A page may be answered to anything; that says nothing of how MCP is spoken there. */
function isMcp({ headers }: OutboundResponse): boolean {
  const [type] = (headers.get('content-type') ?? '').split(';')
  return ['application/json', 'text/event-stream'].includes(type?.trim().toLowerCase() ?? '')
}

/** The head of a refused stream, as other answers are looked at. */
function asResponse(
  url: string,
  { status, headers }: { readonly status: number; readonly headers: IncomingHttpHeaders },
): OutboundResponse {
  const get = (name: string) => {
    const value = headers[name.toLowerCase()]
    return value === undefined ? null : String(value)
  }
  const json = () => {
    throw new Fault('metadata_discovery_failed', { because: 'only its head was read' })
  }
  return { status, headers: { get }, text: '', url, json }
}
