// The few MCP messages that we send for ourselves, in the words of both eras: since 2026-07-28 every request stands alone
// and carries its version; before that a session begins with `initialize`.
import type { Secret } from '../base/secret.ts'

/** One request to an MCP server over HTTP. */
export interface McpRequest {
  readonly method: 'POST'
  readonly headers: Record<string, string | Secret>
  readonly body: string
}

/** MCP's transports over HTTP: the one of every revision since 2025-03-26, and that of 2024-11-05. */
export const transports = ['streamable_http', 'sse'] as const
export type Transport = (typeof transports)[number]

/** The newest revision, without sessions. */
export const statelessVersion = '2026-07-28'
/** The newest revision with sessions. */
export const sessionVersion = '2025-11-25'

const clientInfo = { name: 'latchkey', version: '0.1.0' }

/** A request that stands alone (MCP 2026-07-28, "Streamable HTTP"). */
export function statelessRequest(
  method: string,
  params: Readonly<Record<string, unknown>> = {},
  capabilities: Readonly<Record<string, unknown>> = {},
): McpRequest {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': statelessVersion,
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  }
  return post(
    { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } },
    { 'mcp-protocol-version': statelessVersion, 'mcp-method': method },
  )
}

/** The first request of a session (MCP 2025-11-25, "Lifecycle"). */
export function initializeRequest({
  id = 1,
  version = sessionVersion,
}: {
  readonly id?: number | string
  readonly version?: string
} = {}): McpRequest {
  const params = { protocolVersion: version, capabilities: {}, clientInfo }
  return post({ jsonrpc: '2.0', id, method: 'initialize', params }, {})
}

/** A later message of a session; without `id` it is a notification. */
export function sessionMessage(
  message: { readonly id?: number; readonly method: string; readonly params?: unknown },
  session: { readonly id: string | undefined; readonly version: string },
): McpRequest {
  return post(
    { jsonrpc: '2.0', ...message },
    {
      'mcp-protocol-version': session.version,
      ...(session.id === undefined ? {} : { 'mcp-session-id': session.id }),
    },
  )
}

function post(message: unknown, headers: Readonly<Record<string, string>>): McpRequest {
  return {
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(message),
  }
}
