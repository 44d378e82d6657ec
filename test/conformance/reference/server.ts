// Serves the reference server's features over HTTP on loopback: sessions for the revisions that have them, and requests that
// stand alone for the newest. It guards its Host as the suite asks.
import { randomUUID } from 'node:crypto'
import { getRequestListener } from '@hono/node-server'
import {
  createMcpHandler,
  isInitializeRequest,
  isLegacyRequest,
  localhostAllowedHostnames,
  validateHostHeader,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { listenOnLoopback } from '../../counterparts/loopback.ts'
import type { Loopback } from '../../counterparts/loopback.ts'
import { changes } from './changes.ts'
import { createEventStore } from './event-store.ts'
import { createReferenceServer } from './features.ts'
import { createTaskServer, isOfTasks } from './tasks.ts'

/** The transport of each session. */
const transports = new Map<string, WebStandardStreamableHTTPServerTransport>()

/** Requests that stand alone. */
const modern = createMcpHandler(createReferenceServer, { legacy: 'reject', bus: changes })
const ofTasks = createMcpHandler(createTaskServer, { legacy: 'reject' })

const retryMs = 200

/** Starts it; the endpoint is `…/mcp`. Without sessions it is of the newest revision alone. */
export function startReferenceServer({ hasSessions = true } = {}): Promise<Loopback> {
  return listenOnLoopback(
    () => {
      const answer = hasSessions ? serve : serveGuarded
      const listener = getRequestListener(answer, { overrideGlobalObjects: false })
      return (...pair) => void listener(...pair)
    },
    { host: 'localhost' },
  )
}

function serveGuarded(request: Request): Response | Promise<Response> {
  const host = validateHostHeader(request.headers.get('host'), localhostAllowedHostnames())
  return host.ok ? serveAlone(request) : refuse(403, host.message)
}

async function serve(request: Request): Promise<Response> {
  const host = validateHostHeader(request.headers.get('host'), localhostAllowedHostnames())
  if (!host.ok) return refuse(403, host.message)
  if (!(await isLegacyRequest(request))) return serveAlone(request)
  const id = request.headers.get('mcp-session-id')
  if (id === null) return beginSession(request)
  const known = transports.get(id)
  return known === undefined ? refuse(404, 'Session not found') : known.handleRequest(request)
}

async function serveAlone(request: Request): Promise<Response> {
  // What is no JSON is refused by the server that most requests are for.
  const body: unknown = await request
    .clone()
    .json()
    .catch(() => undefined)
  const server = isOfTasks(body) ? ofTasks : modern
  return server.fetch(request)
}

async function beginSession(request: Request): Promise<Response> {
  const isFirst = request.method === 'POST' && isInitializeRequest(await request.clone().json())
  if (!isFirst) return refuse(400, 'Bad Request: Session ID required')
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    eventStore: createEventStore(),
    retryInterval: retryMs,
    onsessioninitialized: (begun) => {
      transports.set(begun, transport)
    },
    onsessionclosed: (ended) => {
      transports.delete(ended)
    },
  })
  await createReferenceServer().connect(transport)
  return transport.handleRequest(request)
}

function refuse(status: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null }, { status })
}
