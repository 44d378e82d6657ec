// A memory server: each person's memories and entities, kept apart. What is its own: the tools and the data. What is Latchkey's:
// who calls, and what they may do.
import { serve } from '@hono/node-server'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { Hono } from 'hono'
import { forHono, introspection, protectMcpServer } from 'latchkey/protect'
import { createTools, toolScopes } from './tools.ts'

const port = Number(process.env['PORT'] ?? 3002)
const issuer = process.env['ISSUER'] ?? 'http://localhost:8787'

const protection = protectMcpServer({
  resource: `http://localhost:${port}/mcp`,
  issuer,
  name: 'Memories',
  scopes: ['memories:read', 'memories:write', 'entities:read', 'entities:write'],
  verify: introspection({
    issuer,
    clientId: process.env['CLIENT_ID'] ?? '',
    clientSecret: process.env['CLIENT_SECRET'] ?? '',
  }),
})

const mcp = createMcpHandler(createTools, { legacy: 'stateless' })

const app = new Hono()
  .use(forHono(protection, { toolScopes }))
  .all('/mcp', (context) => mcp.fetch(context.req.raw, { authInfo: context.get('auth') }))

const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, () => {
  console.log(`The memory server is on http://localhost:${port}/mcp`)
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close()
    void mcp.close()
  })
}
