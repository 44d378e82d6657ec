// Calls through the gateway to a server that speaks only the older HTTP+SSE (MCP 2024-11-05): what the person gets, and
// that no server can lead our credential away, or make us wait or read without end.
import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import { bearer, bodyOf, listen, startRig, toolsList } from './gateway.rig.ts'

const renewed = { ...bearer, token: new Secret('upstream-token-2'), generation: 2 } as const

test('a call reaches a server of HTTP+SSE in a session of its own, and its answer is JSON', async (t) => {
  verifies(t, 'S1-13')
  const rig = await startRig(t, { transport: 'sse', upstream: sseServer() })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'application/json')
  assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 7, result: { of: 'tools/list' } })
  assert.deepEqual(
    rig.seen.map(({ method, url }) => `${method} ${url}`),
    ['GET /mcp?own=query', 'POST /say?s=1', 'POST /say?s=1', 'POST /say?s=1'],
  )
  assert.ok(rig.seen.every(({ headers }) => headers.authorization === 'Bearer upstream-token-1'))
})

test('the client’s own initialize is not said twice, and its notifications are taken', async (t) => {
  verifies(t, 'S1-13')
  const rig = await startRig(t, { transport: 'sse', upstream: sseServer() })

  const hello = await rig.post({ jsonrpc: '2.0', id: 'a', method: 'initialize', params: {} })
  assert.deepEqual(await hello.json(), { jsonrpc: '2.0', id: 'a', result: { of: 'initialize' } })
  assert.equal(rig.seen.length, 2)
  const noted = await rig.post({ jsonrpc: '2.0', method: 'notifications/initialized' })
  assert.equal(noted.status, 202)
  assert.equal((await rig.send('GET')).status, 405)
  assert.equal((await rig.send('DELETE')).status, 405)
  assert.equal((await rig.post([toolsList])).status, 400)
  assert.equal(rig.seen.length, 2)
})

for (const refusing of ['GET', 'POST']) {
  test(`a 401 to the ${refusing} is refreshed once and sent once more`, async (t) => {
    verifies(t, 'S1-13')
    const serve = sseServer()
    const rig = await startRig(t, {
      transport: 'sse',
      renewed,
      upstream: (request, response) => {
        const isStale = request.headers.authorization === 'Bearer upstream-token-1'
        if (!isStale || request.method !== refusing) return serve(request, response)
        response.writeHead(401).end()
      },
    })

    const response = await rig.post(toolsList)

    assert.equal(response.status, 200)
    assert.equal(rig.refreshes(), 1)
  })
}

test('an endpoint at another origin is not asked, so our token does not get there', async (t) => {
  verifies(t, 'S1-13')
  let asked = 0
  const other = await listen(t, (_request, response) => {
    asked += 1
    response.writeHead(202).end()
  })
  const rig = await startRig(t, {
    transport: 'sse',
    upstream: (_request, response) =>
      startEvents(response, `event: endpoint\ndata: ${other}/say\n\n`),
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 502)
  assert.equal(asked, 0)
})

test('a stream that never says its endpoint, and an answer that never comes, end in time', async (t) => {
  verifies(t, 'S1-13')
  for (const upstream of [
    (_request, response) => startEvents(response, ': hello\n\n'),
    sseServer({ answers: false }),
  ] satisfies RequestListener[]) {
    const rig = await startRig(t, { transport: 'sse', upstream, answerTimeMs: 100 })
    assert.equal((await rig.post(toolsList)).status, 504)
  }
})

test('an answer without end is read up to the limit', async (t) => {
  verifies(t, 'S1-13')
  const rig = await startRig(t, {
    transport: 'sse',
    upstream: (_request, response) => startEvents(response, `data: ${'a'.repeat(4_194_304)}`),
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 502)
  assert.match(JSON.stringify(await rig.entries()), /server_unreachable/)
})

/** Answers each request with the name of its method, over the stream that was opened last. */
function sseServer({ answers = true } = {}): RequestListener {
  let stream: ServerResponse | undefined
  return (request, response) => {
    if (request.method === 'GET') {
      stream = response
      return startEvents(response, 'event: endpoint\ndata: /say?s=1\n\n')
    }
    response.writeHead(202).end('Accepted')
    const { id, method } = JSON.parse(bodyOf(request)) as { id?: unknown; method: string }
    if (!answers || id === undefined) return
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: { of: method } })
    stream?.write(`event: message\ndata: ${answer}\n\n`)
  }
}

function startEvents(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text)
}
