// The server behind the gateway: as much of an MCP server (2025-11-25, Streamable HTTP) as the benchmark asks for, as fast
// as Node's `http` gives it, behind a sign-in at a provider in the same process. Says on its first line where it is.
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'

const port = Number(process.argv[2])
const origin = `http://127.0.0.1:${port}`
const url = `${origin}/mcp`
const sessionId = 'session-of-the-benchmark'
const metadataPath = '/.well-known/oauth-protected-resource/mcp'

const provider = await startFaultProvider()
const [tokens] = provider.grant(1)
createServer((request, response) => {
  if (request.url === metadataPath) return sendJson(response, metadata)
  if (!isAllowed(request)) return refuse(response)
  if (request.method === 'GET') return void openStream(response).write(tick('open'))
  let body = ''
  request.setEncoding('utf8').on('data', (text: string) => (body += text))
  request.on('end', () => answer(response, JSON.parse(body) as Message)) // the benchmark's own
}).listen(port, '127.0.0.1', () => {
  console.log(JSON.stringify({ url, token: tokens?.accessToken }))
})

interface Message {
  readonly id?: number
  readonly method: string
  readonly params?: {
    readonly name?: string
    readonly arguments?: {
      readonly text?: string
      readonly everyMs?: number
      readonly count?: number
    }
    readonly _meta?: { readonly progressToken?: string | number }
  }
}

const metadata = {
  resource: url,
  authorization_servers: [provider.issuer],
  scopes_supported: ['mcp'],
}

function isAllowed({ headers: { authorization = '' } }: IncomingMessage): boolean {
  return provider.isLive(authorization.slice('Bearer '.length))
}

function refuse(response: ServerResponse): void {
  response.setHeader('www-authenticate', `Bearer resource_metadata="${origin}${metadataPath}"`)
  response.writeHead(401, { 'content-length': 0 }).end()
}

const tools = ['echo', 'echo_stream', 'ticks'].map((name) => ({
  name,
  inputSchema: { type: 'object' },
}))

function answer(response: ServerResponse, { id, method, params = {} }: Message): void {
  if (id === undefined) return void response.writeHead(202, { 'content-length': 0 }).end()
  const { name, arguments: given = {}, _meta: meta } = params
  if (method === 'initialize') {
    const serverInfo = { name: 'upstream', version: '1.0.0' }
    response.setHeader('mcp-session-id', sessionId)
    const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo }
    return sendJson(response, { jsonrpc: '2.0', id, result })
  }
  if (method === 'tools/list') return sendJson(response, { jsonrpc: '2.0', id, result: { tools } })
  const text = given.text ?? ''
  const said = { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } }
  if (name === 'echo') return sendJson(response, said)
  const stream = openStream(response)
  if (name === 'ticks') return sendTicks(stream, said, { ...given, token: meta?.progressToken })
  stream.end(event(said))
}

function sendJson(response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value)
  const length = Buffer.byteLength(body)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
  response.end(body)
}

function openStream(response: ServerResponse): ServerResponse {
  return response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
  })
}

interface Ticking {
  readonly everyMs?: number
  readonly count?: number
  readonly token: string | number | undefined
}

/** Events that say when they were sent, by the clock that all processes of a machine share. */
function sendTicks(
  response: ServerResponse,
  last: object,
  { everyMs = 10, count = 100, token }: Ticking,
): void {
  let sent = 0
  const timer = setInterval(() => {
    sent += 1
    if (sent > count) {
      clearInterval(timer)
      response.end(event(last))
    } else {
      response.write(tick(token, sent))
    }
  }, everyMs)
  response.once('close', () => clearInterval(timer))
}

function tick(progressToken: string | number | undefined, progress = 0): string {
  const message = `sent ${process.hrtime.bigint()}`
  const params = { progressToken, progress, message }
  return event({ jsonrpc: '2.0', method: 'notifications/progress', params })
}

function event(message: object): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`
}
