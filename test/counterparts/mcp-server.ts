// Owns a real MCP server of the SDK on loopback: its tools, both protocol eras, and a record of
// every request that reached it. Who may call it is decided by the guard it is given.
import { randomUUID } from 'node:crypto'

import { getRequestListener } from '@hono/node-server'
import {
  createMcpHandler,
  isInitializeRequest,
  isLegacyRequest,
  McpServer,
  requireScopes,
  WebStandardStreamableHTTPServerTransport,
  type AuthInfo,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'

import { listenOnLoopback, type LoopbackPlace } from './loopback.ts'
import type { Guard, McpCall } from './mcp-call.ts'
import { createOlderListener } from './older-mcp-server.ts'

export type { Guard, McpCall }

/** A running MCP server. */
export interface RunningMcpServer {
  /** The endpoint, `…/mcp`. */
  readonly url: string
  readonly calls: () => readonly McpCall[]
  readonly stop: () => Promise<void>
}

export interface McpServerOptions extends LoopbackPlace {
  /** Keep 2025-era sessions (`Mcp-Session-Id`, GET stream, DELETE); stateless otherwise. */
  readonly keepsSessions?: boolean
  /** Speaks only the older HTTP+SSE transport (MCP 2024-11-05). */
  readonly isOlder?: boolean
  /** Adds a tool `write_note` that asks for this scope with a 403 challenge. */
  readonly stepUpScope?: string
}

/** Starts an MCP server whose requests all pass `guardFor(origin)` first. */
export async function startMcpServer(
  guardFor: (origin: string) => Guard,
  options: McpServerOptions = {},
): Promise<RunningMcpServer> {
  const calls: McpCall[] = []
  const endpoint = createEndpoint(options)
  const { origin, stop } = await listenOnLoopback((origin) => {
    const guard = guardFor(origin)
    if (options.isOlder === true) return createOlderListener(guard, (call) => calls.push(call))
    const serve = async (request: Request) => {
      const entering = await readCall(request)
      const response = await answer(request, guard, endpoint)
      calls.push({ ...entering, status: response.status })
      return response
    }
    return asListener(serve)
  }, options)
  return {
    url: `${origin}/mcp`,
    calls: () => [...calls],
    stop: async () => {
      await endpoint.close()
      await stop()
    },
  }
}

function asListener(serve: (request: Request) => Promise<Response>) {
  const listener = getRequestListener(serve, { overrideGlobalObjects: false })
  return (...pair: Parameters<typeof listener>) => void listener(...pair)
}

interface Endpoint {
  readonly fetch: (request: Request, authInfo: AuthInfo | undefined) => Promise<Response>
  readonly close: () => Promise<void>
}

async function answer(request: Request, guard: Guard, endpoint: Endpoint): Promise<Response> {
  const caller = await guard(request)
  if (caller instanceof Response) return caller
  if (new URL(request.url).pathname !== '/mcp') return new Response('not here', { status: 404 })
  return endpoint.fetch(request, caller)
}

async function readCall(request: Request): Promise<Omit<McpCall, 'status'>> {
  const body = request.method === 'POST' ? await request.clone().text() : ''
  const message = readMessage(body)
  return {
    httpMethod: request.method,
    path: new URL(request.url).pathname,
    method: message.method,
    tool: message.method === 'tools/call' ? message.params?.name : undefined,
    headers: Object.fromEntries(request.headers),
    body,
  }
}

const messageShape = z.object({
  method: z.string().optional(),
  params: z.object({ name: z.string().optional() }).optional(),
})

function readMessage(body: string): z.infer<typeof messageShape> {
  try {
    return messageShape.safeParse(JSON.parse(body)).data ?? {}
  } catch {
    return {} // not JSON: the SDK answers that, the record only lacks a method
  }
}

function createEndpoint(options: McpServerOptions): Endpoint {
  const make = () => createTools(options)
  if (!options.keepsSessions) {
    const handler = createMcpHandler(make, { legacy: 'stateless', keepAliveMs: 0 })
    return {
      fetch: (request, authInfo) => handler.fetch(request, { ...(authInfo && { authInfo }) }),
      close: handler.close,
    }
  }
  const modern = createMcpHandler(make, { legacy: 'reject', keepAliveMs: 0 })
  const sessions = createSessions(make)
  return {
    fetch: async (request, authInfo) => {
      const isLegacy = await isLegacyRequest(request)
      const handle = isLegacy ? sessions.fetch : modern.fetch
      return handle(request, { ...(authInfo && { authInfo }) })
    },
    close: async () => {
      await Promise.all([modern.close(), sessions.close()])
    },
  }
}

// 2025-11-25 §Session Management: an id at initialize, 404 for an unknown one, DELETE ends it.
function createSessions(make: () => McpServer) {
  const open = new Map<string, WebStandardStreamableHTTPServerTransport>()
  const begin = async () => {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void open.set(id, transport),
      onsessionclosed: (id) => void open.delete(id),
      keepAliveMs: 0,
    })
    await make().connect(transport)
    return transport
  }
  return {
    fetch: async (request: Request, caller: { authInfo?: AuthInfo }) => {
      const id = request.headers.get('mcp-session-id')
      const known = id === null ? undefined : open.get(id)
      if (known) return known.handleRequest(request, caller)
      if (id !== null) return refuse(404, 'Session not found')
      if (!(await startsSession(request))) return refuse(400, 'Mcp-Session-Id header is required')
      return (await begin()).handleRequest(request, caller)
    },
    close: async () => {
      await Promise.all([...open.values()].map((transport) => transport.close()))
    },
  }
}

function refuse(status: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null }, { status })
}

async function startsSession(request: Request): Promise<boolean> {
  if (request.method !== 'POST') return false
  return isInitializeRequest(await request.clone().json())
}

function createTools(options: McpServerOptions): McpServer {
  const server = new McpServer({ name: 'counterpart', version: '1.0.0' })
  const echo = { description: 'Says the text back', inputSchema: z.object({ text: z.string() }) }
  server.registerTool('echo', echo, ({ text }) => say(text))
  const whoami = { description: 'Says whose token came', inputSchema: z.object({}) }
  server.registerTool('whoami_upstream', whoami, (_none, context) => say(subjectOf(context)))
  const counting = z.object({
    to: z.number().int().min(1).max(1000).default(3),
    everyMs: z.number().int().min(0).max(10_000).default(10),
  })
  const slow = { description: 'Counts, and reports progress', inputSchema: counting }
  server.registerTool('slow_count', slow, countSlowly)
  if (options.stepUpScope !== undefined) {
    const scopeChallenge = requireScopes(options.stepUpScope)
    const write = { description: 'Needs one more scope', inputSchema: z.object({}), scopeChallenge }
    server.registerTool('write_note', write, () => say('written'))
  }
  return server
}

function say(text: string) {
  return { content: [{ type: 'text' as const, text }] }
}

function subjectOf(context: ServerContext): string {
  const subject = context.http?.authInfo?.extra?.['subject']
  return typeof subject === 'string' ? subject : 'anonymous'
}

async function countSlowly(wanted: { to: number; everyMs: number }, context: ServerContext) {
  const { _meta, signal, notify } = context.mcpReq
  for (let progress = 1; progress <= wanted.to && !signal.aborted; progress += 1) {
    await new Promise((resolve) => setTimeout(resolve, wanted.everyMs))
    if (_meta?.progressToken === undefined) continue
    const params = { progressToken: _meta.progressToken, progress, total: wanted.to }
    await notify({ method: 'notifications/progress', params })
  }
  return say(`counted to ${wanted.to}`)
}
