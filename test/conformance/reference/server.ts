// Serves the reference server's features over HTTP on loopback: sessions for the revisions that have them, and requests that
// stand alone for the newest. It guards its Host as the suite asks.
import { randomUUID } from 'node:crypto'
import { getRequestListener } from '@hono/node-server'
import {
  isInitializeRequest,
  isLegacyRequest,
  localhostAllowedHostnames,
  validateHostHeader,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { listenOnLoopback } from '../../counterparts/loopback.ts'
import type { Loopback } from '../../counterparts/loopback.ts'
import { createEventStore, createMcpServer, modernHandler, transports } from './features.ts'

/** Starts it; the endpoint is `…/mcp`. */
export function startReferenceServer(): Promise<Loopback> {
  return listenOnLoopback(
    () => {
      const listener = getRequestListener(serve, { overrideGlobalObjects: false })
      return (...pair) => void listener(...pair)
    },
    { host: 'localhost' },
  )
}

async function serve(request: Request): Promise<Response> {
  const host = validateHostHeader(request.headers.get('host'), localhostAllowedHostnames())
  if (!host.ok) return refuse(403, host.message)
  if (!(await isLegacyRequest(request))) return modernHandler.fetch(request)
  const id = request.headers.get('mcp-session-id')
  if (id === null) return beginSession(request)
  const known = transports[id]
  return known === undefined ? refuse(404, 'Session not found') : known.handleRequest(request)
}

async function beginSession(request: Request): Promise<Response> {
  const isFirst = request.method === 'POST' && isInitializeRequest(await request.clone().json())
  if (!isFirst) return refuse(400, 'Bad Request: Session ID required')
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    eventStore: createEventStore(),
    retryInterval: 5000, // SEP-1699: after so long a client comes back for a stream that was closed.
    onsessioninitialized: (begun) => {
      transports[begun] = transport
    },
    onsessionclosed: (ended) => {
      delete transports[ended]
    },
  })
  await createMcpServer().connect(transport)
  return transport.handleRequest(request)
}

function refuse(status: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null }, { status })
}
