// The reference server's features over the older HTTP+SSE transport (MCP 2024-11-05), with the transport of the SDK's first
// major version: a stream at `/mcp`, messages at `/messages`, and nothing for a POST to `/mcp`.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { listenOnLoopback } from '../../counterparts/loopback.ts'
import type { Loopback } from '../../counterparts/loopback.ts'
import { createReferenceServer } from './features.ts'

/** Starts it; the endpoint is `…/mcp`. */
export function startOlderServer(): Promise<Loopback> {
  const transports = new Map<string, SSEServerTransport>()
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    if (request.method === 'GET' && pathname === '/mcp') {
      const transport = new SSEServerTransport('/messages', response)
      transports.set(transport.sessionId, transport)
      response.once('close', () => transports.delete(transport.sessionId))
      return createReferenceServer().connect(transport)
    }
    const transport = transports.get(searchParams.get('sessionId') ?? '')
    if (transport === undefined) return response.writeHead(404).end()
    return transport.handlePostMessage(request, response)
  }
  return listenOnLoopback(
    () =>
      (...pair) =>
        void serve(...pair),
    { host: 'localhost' },
  )
}
