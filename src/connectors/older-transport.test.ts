// A server of the older HTTP+SSE transport (MCP 2024-11-05), a small faithful one, is found out by its test.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createBench } from './bench.rig.ts'

onEveryDatabase(
  'the test of a server finds the older transport, and keeps it',
  async (t, store) => {
    verifies(t, 'S1-13', 'S2-27')
    const url = await startOlderServer(t, 'Basic YWRhOnNlY3JldA==')
    const bench = await createBench(t, store)
    const ada = await bench.person('ada', 'admin')
    const headers = { Authorization: 'Basic YWRhOnNlY3JldA==' }
    const server = await bench.servers.create(ada.session, { url, headers })
    assert.equal(server.transport, undefined)

    const tested = await bench.servers.test(ada.session, server.id)

    assert.ok(tested.ok)
    assert.deepEqual(tested.tools, [{ name: 'add' }])
    assert.equal((await bench.servers.get(ada.session, server.id)).transport, 'sse')
    const wrong = { Authorization: 'Basic wrong' }
    const other = await bench.servers.create(ada.session, { url, headers: wrong })
    const refused = await bench.servers.test(ada.session, other.id)
    assert.ok(!refused.ok && refused.error === 'invalid_token')
  },
)

async function startOlderServer(t: TestContext, authorization: string): Promise<string> {
  const streams = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    if (request.headers.authorization !== authorization) return response.writeHead(401).end()
    if (request.method === 'GET') {
      streams.add(response)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      return response.write('event: endpoint\ndata: /messages?sessionId=1\n\n')
    }
    if (request.url === '/sse') return response.writeHead(405).end()
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      response.writeHead(202).end()
      const { id, method } = JSON.parse(body) as { id?: number; method: string }
      const result = method === 'tools/list' ? { tools: [{ name: 'add' }] } : {}
      const answer = JSON.stringify({ jsonrpc: '2.0', id, result })
      if (id !== undefined) for (const stream of streams) stream.write(`data: ${answer}\n\n`)
    })
    return undefined
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // it listens on TCP
  return `http://127.0.0.1:${port}/sse`
}
