// Owns a real MCP server of the older HTTP+SSE transport (MCP 2024-11-05), with the transport of the SDK's first major
// version, the last that has it: a stream at `/mcp`, messages at `/messages`, and nothing for a POST to `/mcp`.
import type { IncomingMessage, RequestListener } from 'node:http'

import type { AuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { z } from 'zod'

import type { Guard, McpCall } from './mcp-call.ts'

/** Serves it behind the guard, and notes every request. */
export function createOlderListener(guard: Guard, note: (call: McpCall) => void): RequestListener {
  const transports = new Map<string, SSEServerTransport>()
  return (request, response) => {
    void (async () => {
      const body = await bodyOf(request)
      response.once('finish', () => note(asCall(request, body, response.statusCode)))
      const caller = await guard(asRequest(request))
      if (caller instanceof Response) {
        response.writeHead(caller.status, Object.fromEntries(caller.headers))
        return response.end(await caller.text())
      }
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
      if (request.method === 'GET' && pathname === '/mcp') {
        const transport = new SSEServerTransport('/messages', response)
        transports.set(transport.sessionId, transport)
        response.once('close', () => transports.delete(transport.sessionId))
        return createTools().connect(transport)
      }
      if (pathname !== '/messages') return response.writeHead(404).end('Cannot POST /mcp')
      const transport = transports.get(searchParams.get('sessionId') ?? '')
      if (transport === undefined) return response.writeHead(400).end('No such session')
      const known = caller === undefined ? request : withCaller(request, caller)
      return transport.handlePostMessage(known, response, JSON.parse(body))
    })()
  }
}

function withCaller(request: IncomingMessage, { token, clientId, scopes, extra = {} }: AuthInfo) {
  return Object.assign(request, { auth: { token, clientId, scopes, extra } })
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer) // a request without an encoding
  return Buffer.concat(chunks).toString()
}

function asRequest({ method = '', url = '', headers }: IncomingMessage): Request {
  const fields = Object.entries(headers).map(
    ([name, value]) => [name, String(value)] as [string, string],
  )
  return new Request(`http://${headers.host}${url}`, { method, headers: fields })
}

function asCall(
  { method = '', url = '', headers }: IncomingMessage,
  body: string,
  status: number,
): McpCall {
  const message =
    body === '' ? {} : (JSON.parse(body) as { method?: string; params?: { name?: string } })
  return {
    httpMethod: method,
    path: new URL(url, 'http://localhost').pathname,
    method: message.method,
    tool: message.method === 'tools/call' ? message.params?.name : undefined,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, String(value)]),
    ),
    body,
    status,
  }
}

function createTools(): McpServer {
  const server = new McpServer({ name: 'older counterpart', version: '1.0.0' })
  const echo = { description: 'Says the text back', inputSchema: { text: z.string() } }
  server.registerTool('echo', echo, ({ text }) => say(text))
  const whoami = { description: 'Says whose token came', inputSchema: {} }
  server.registerTool('whoami_upstream', whoami, (_none, { authInfo }) =>
    say(JSON.stringify(authInfo?.extra?.['subject'] ?? 'anonymous')),
  )
  const count = { description: 'Counts, and reports progress', inputSchema: { to: z.number() } }
  server.registerTool('count', count, async ({ to }, { _meta, sendNotification }) => {
    const { progressToken } = _meta ?? {}
    if (progressToken === undefined) return say(`counted to ${to}`)
    for (let progress = 1; progress <= to; progress += 1) {
      const params = { progressToken, progress, total: to }
      await sendNotification({ method: 'notifications/progress', params })
    }
    return say(`counted to ${to}`)
  })
  return server
}

function say(text: string) {
  return { content: [{ type: 'text' as const, text }] }
}
