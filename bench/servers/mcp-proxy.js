// The npm package `mcp-proxy` between Streamable HTTP and Streamable HTTP, put together as its documentation says: one client
// towards the server, shared by everybody, and a server for each session. It knows no callers. Plain JavaScript, because its
// packages are only there when the benchmark has installed them. Says on its first line where it is.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Server } from '@modelcontextprotocol/server'
import { proxyServer, startHTTPServer } from 'mcp-proxy'

const port = Number(process.argv[2])
const { upstreamUrl, token } = JSON.parse(process.argv[3])

const client = new Client({ name: 'mcp-proxy', version: '1.0.0' })
await client.connect(
  new StreamableHTTPClientTransport(new URL(upstreamUrl), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  }),
)
const serverCapabilities = client.getServerCapabilities()
await startHTTPServer({
  host: '127.0.0.1',
  port,
  eventStore: false,
  createServer: async () => {
    const server = new Server(client.getServerVersion(), { capabilities: serverCapabilities })
    await proxyServer({ client, server, serverCapabilities })
    return server
  },
})
console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/mcp`, headers: {} }))
