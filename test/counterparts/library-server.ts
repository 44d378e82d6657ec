// Owns a real MCP server with all that can be listed: tools that read, write and say nothing of it, prompts, resources and
// templates. Made with the SDK's first major version (sessions, until 2025-11-25) or with its second (both eras).
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import * as second from '@modelcontextprotocol/server'
import * as first from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { z } from 'zod'
import { listenOnLoopback } from './loopback.ts'

export interface LibraryServer {
  /** The endpoint, `…/mcp`. */
  readonly url: string
  /** Each message that came: its method, and the tool. */
  readonly heard: () => readonly string[]
  /** How many calls of `wait` were told that they are cancelled. */
  readonly cancelled: () => number
  readonly stop: () => Promise<void>
}

export interface LibraryOptions {
  readonly sdk: 1 | 2
  /** Without sessions of the older era: only the newest. */
  readonly isModernOnly?: boolean
}

/** Starts one on a free port. */
export async function startLibraryServer(options: LibraryOptions): Promise<LibraryServer> {
  const heard: string[] = []
  const seen = { cancelled: 0 }
  const make = () => fill(options.sdk, seen)
  const serve =
    options.sdk === 1 ? listenerOfFirst(make, heard) : listenerOfSecond(make, heard, options)
  const { origin, stop } = await listenOnLoopback(() => serve, { host: '127.0.0.1' })
  return {
    url: `${origin}/mcp`,
    heard: () => [...heard],
    cancelled: () => seen.cancelled,
    stop,
  }
}

type AnyServer = InstanceType<typeof second.McpServer>

/** Both versions are filled with the same words. */
function fill(sdk: 1 | 2, seen: { cancelled: number }): AnyServer {
  const made =
    sdk === 1
      ? new first.McpServer({ name: 'library', version: '1.0.0' })
      : new second.McpServer({ name: 'library', version: '2.0.0' })
  const server = made as AnyServer // what is registered below is registered alike
  const shape = (fields: Record<string, z.ZodType>) =>
    (sdk === 1 ? fields : z.object(fields)) as unknown as z.ZodObject // the first version takes bare fields
  fillTools(server, shape, seen)
  if (sdk === 2) addNewerTools(server)
  server.registerPrompt(
    'greet',
    { description: 'Greets', argsSchema: shape({ name: z.string() }) },
    (({ name }: { name: string }) => ({
      messages: [{ role: 'user', content: { type: 'text', text: `Greet ${name}` } }],
    })) as never, // typed by the other version's shape
  )
  const contents = (uri: URL) => ({ contents: [{ uri: uri.href, text: `text of ${uri.href}` }] })
  server.registerResource('shelf', 'book://shelf', { mimeType: 'text/plain' }, contents)
  const { ResourceTemplate } = sdk === 1 ? (first as unknown as typeof second) : second
  const template = new ResourceTemplate('book://title/{title}', {
    list: undefined,
    complete: { title: (start: string) => ['dune', 'emma'].filter((t) => t.startsWith(start)) },
  })
  server.registerResource('title', template, {}, contents)
  return server
}

function fillTools(
  server: AnyServer,
  shape: (fields: Record<string, z.ZodType>) => z.ZodObject,
  seen: { cancelled: number },
): void {
  const reading = { annotations: { readOnlyHint: true } }
  const title = { inputSchema: shape({ title: z.string() }) }
  server.registerTool('find', { ...title, ...reading }, (({ title }: { title: string }) => ({
    content: [
      { type: 'text', text: `found ${title}` },
      { type: 'resource_link', uri: `book://title/${title}`, name: title },
    ],
  })) as never) // likewise
  server.registerTool('lend', { ...title, annotations: { readOnlyHint: false } }, (() =>
    say('lent')) as never) // likewise
  // A name that has to be changed for the APIs of models.
  server.registerTool('shelf.count', { inputSchema: shape({}) }, (() =>
    say('two shelves')) as never) // likewise
  server.registerTool('fail', { inputSchema: shape({}), ...reading }, (() => ({
    ...say('the shelf is empty'),
    isError: true,
  })) as never) // likewise
  server.registerTool('wait', { inputSchema: shape({}) }, (async (
    _none: unknown,
    context: Waiting,
  ) => {
    const { signal, notify, token } = waitingOf(context)
    for (const progress of token === undefined ? [] : [1, 2]) {
      await notify({
        method: 'notifications/progress',
        params: { progressToken: token, progress, total: 2 },
      })
    }
    await new Promise<void>((resolve) => {
      if (signal.aborted) return resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    seen.cancelled += 1
    return say('nobody waits')
  }) as never) // likewise
}

/** What only MCP 2026-07-28 has: a tool that asks the person before it answers, and one with an argument in the header. */
function addNewerTools(server: AnyServer): void {
  const inHeader = z.object({ title: z.string().meta({ 'x-mcp-header': 'Title' }) })
  server.registerTool('reserve', { inputSchema: inHeader }, ({ title }) => say(`kept ${title}`))
  const requestedSchema = { type: 'object', properties: { title: { type: 'string' } } } as const
  const question = second.inputRequired.elicit({ message: 'Which book?', requestedSchema })
  server.registerTool('ask', { inputSchema: z.object({}) }, (_none, { mcpReq }) => {
    const answer = second.inputResponse(mcpReq.inputResponses, 'book')
    if (answer.kind === 'missing') {
      return second.inputRequired({ inputRequests: { book: question }, requestState: 'page 1' })
    }
    return say(`${String(mcpReq.requestState())}: ${JSON.stringify(answer)}`)
  })
}

/** What a handler of either version is given. */
interface Waiting {
  readonly signal?: AbortSignal
  readonly sendNotification?: (notification: unknown) => Promise<void>
  readonly _meta?: { readonly progressToken?: unknown }
  readonly mcpReq?: {
    readonly signal: AbortSignal
    readonly notify: (notification: unknown) => Promise<void>
    readonly _meta?: { readonly progressToken?: unknown }
  }
}

function waitingOf(context: Waiting) {
  const { mcpReq, signal = new AbortController().signal, _meta: meta } = context
  const { sendNotification = async () => {} } = context
  if (mcpReq === undefined) return { signal, notify: sendNotification, token: meta?.progressToken }
  return { signal: mcpReq.signal, notify: mcpReq.notify, token: mcpReq._meta?.progressToken }
}

function say(text: string) {
  return { content: [{ type: 'text' as const, text }] }
}

function note(heard: string[], body: unknown): void {
  const { method, params } = body as { method?: string; params?: { name?: string } } // JSON-RPC
  heard.push([method, params?.name].filter((part) => part !== undefined).join(' '))
}

/** With sessions, as its examples have them. */
function listenerOfFirst(make: () => AnyServer, heard: string[]): RequestListener {
  const open = new Map<string, StreamableHTTPServerTransport>()
  return (request, response) => {
    void (async () => {
      const body = request.method === 'POST' ? await jsonOf(request) : undefined
      if (body !== undefined) note(heard, body)
      const id = request.headers['mcp-session-id']
      const known = typeof id === 'string' ? open.get(id) : undefined
      if (known !== undefined) return known.handleRequest(request, response, body)
      if ((body as { method?: string } | undefined)?.method !== 'initialize') {
        return response
          .writeHead(400)
          .end('{"jsonrpc":"2.0","error":{"code":-32000,"message":"No session"},"id":null}')
      }
      const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: (given) => void open.set(given, transport),
      })
      const server = make() as unknown as InstanceType<typeof first.McpServer> // made by the first version
      await server.connect(transport)
      await transport.handleRequest(request, response, body)
    })()
  }
}

function listenerOfSecond(
  make: () => AnyServer,
  heard: string[],
  { isModernOnly = false }: LibraryOptions,
): RequestListener {
  const handler = second.createMcpHandler(make, {
    legacy: isModernOnly ? 'reject' : 'stateless',
    keepAliveMs: 0,
  })
  const serve = async (request: Request) => {
    if (request.method === 'POST') note(heard, await request.clone().json())
    return handler.fetch(request)
  }
  const listener = getRequestListener(serve, { overrideGlobalObjects: false })
  return (...pair) => void listener(...pair)
}

async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer) // a request without an encoding
  return JSON.parse(Buffer.concat(chunks).toString())
}
