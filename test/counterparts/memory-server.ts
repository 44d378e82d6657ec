// Owns a memory server as somebody would build it behind Latchkey: a real MCP server of the SDK that guards itself with
// our own `protect`, asks our introspection who calls, and keeps people's memories apart by that.
import { randomUUID } from 'node:crypto'
import { getRequestListener } from '@hono/node-server'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import type { ServerContext } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { protectMcpServer } from '../../src/protect/index.ts'
import type { Protection } from '../../src/protect/index.ts'
import { listenOnLoopback } from './loopback.ts'

export interface MemoryServerOptions {
  /** The authorization server whose tokens it takes. */
  readonly issuer: string
  /** As whom it asks about tokens; undefined while nobody made it a client yet. */
  readonly credentials: () => { readonly id: string; readonly secret: string } | undefined
}

export interface RunningMemoryServer {
  readonly url: string
  /** Every token that came, in order. */
  readonly tokens: () => readonly string[]
  readonly stop: () => Promise<void>
}

const memoryScopes = ['memories:read', 'memories:write'] as const

interface Caller {
  readonly subject: string
  readonly scopes: readonly string[]
}

/** Starts the server on a free port. */
export async function startMemoryServer(
  options: MemoryServerOptions,
): Promise<RunningMemoryServer> {
  const memories = new Map<string, Map<string, string>>()
  const tokens: string[] = []
  const handler = createMcpHandler(() => createTools(memories), {
    legacy: 'stateless',
    keepAliveMs: 0,
  })
  const running = await listenOnLoopback(
    (origin) => {
      const protection = protectMcpServer<Caller>({
        resource: `${origin}/mcp`,
        issuer: options.issuer,
        scopes: memoryScopes,
        verify: ({ token }) => {
          tokens.push(token.reveal())
          return introspect(options, token.reveal(), `${origin}/mcp`)
        },
      })
      const serve = (request: Request) => answer(request, protection, handler)
      const listener = getRequestListener(serve, { overrideGlobalObjects: false })
      return (...pair) => void listener(...pair)
    },
    { host: '127.0.0.1' },
  )
  return {
    url: `${running.origin}/mcp`,
    tokens: () => [...tokens],
    stop: async () => {
      await handler.close()
      await running.stop()
    },
  }
}

async function answer(
  request: Request,
  protection: Protection<Caller>,
  handler: ReturnType<typeof createMcpHandler>,
): Promise<Response> {
  const { pathname } = new URL(request.url)
  if (pathname === '/.well-known/oauth-protected-resource/mcp') {
    return Response.json(protection.metadata())
  }
  if (pathname !== '/mcp') return new Response('not here', { status: 404 })
  const verdict = await protection.guard(request)
  if (verdict.kind === 'refused') {
    return new Response(verdict.body, { status: verdict.status, headers: verdict.headers })
  }
  const { subject, scopes } = verdict.principal
  const authInfo = { token: '', clientId: '', scopes: [...scopes], extra: { subject } }
  return handler.fetch(request, { authInfo })
}

/** RFC 7662 §2.1, and §4: a token for somebody else is none. */
async function introspect(
  { issuer, credentials }: MemoryServerOptions,
  token: string,
  resource: string,
): Promise<Caller | undefined> {
  const client = credentials()
  if (client === undefined) return undefined
  const basic = Buffer.from(`${client.id}:${client.secret}`).toString('base64')
  const response = await fetch(`${issuer}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ token }),
  })
  const said = (await response.json()) as Readonly<Record<string, unknown>> // RFC 7662 §2.2
  const { active, sub, scope, aud } = said
  if (active !== true || aud !== resource || typeof sub !== 'string') return undefined
  return { subject: sub, scopes: typeof scope === 'string' ? scope.split(' ') : [] }
}

function createTools(memories: Map<string, Map<string, string>>): McpServer {
  const server = new McpServer({ name: 'memories', version: '1.0.0' })
  const ownOf = (context: ServerContext): Map<string, string> => {
    const subject = context.http?.authInfo?.extra?.['subject']
    if (typeof subject !== 'string') throw new Error('nobody calls')
    const own = memories.get(subject) ?? new Map<string, string>()
    memories.set(subject, own)
    return own
  }
  const nothing = z.object({})
  const one = z.object({ id: z.string() })

  const words = z.object({ text: z.string() })
  server.registerTool('store_memory', { inputSchema: words }, ({ text }, context) => {
    const id = randomUUID()
    ownOf(context).set(id, text)
    return say({ id })
  })
  const query = z.object({ query: z.string() })
  server.registerTool('recall_memories', { inputSchema: query }, ({ query }, context) =>
    say([...ownOf(context)].filter(([, text]) => text.includes(query)).map(([id]) => id)),
  )
  server.registerTool('get_memory', { inputSchema: one }, ({ id }, context) => {
    const text = ownOf(context).get(id)
    return text === undefined ? notFound() : say({ id, text })
  })
  const update = z.object({ id: z.string(), text: z.string() })
  server.registerTool('update_memory', { inputSchema: update }, ({ id, text }, context) => {
    const own = ownOf(context)
    if (!own.has(id)) return notFound()
    own.set(id, text)
    return say({ id })
  })
  server.registerTool('delete_memory', { inputSchema: one }, ({ id }, context) =>
    ownOf(context).delete(id) ? say({ id }) : notFound(),
  )
  server.registerTool('get_memory_stats', { inputSchema: nothing }, (_none, context) =>
    say({ memories: ownOf(context).size }),
  )
  server.registerTool('update_missing_embeddings', { inputSchema: nothing }, () =>
    say({ updated: 0 }),
  )
  server.registerTool('get_daily_costs', { inputSchema: nothing }, () => say({ costs: [] }))
  return server
}

function say(value: unknown) {
  return { content: [{ type: 'text' as const, text: JSON.stringify(value) }] }
}

function notFound() {
  return { isError: true, content: [{ type: 'text' as const, text: 'There is no such memory.' }] }
}
