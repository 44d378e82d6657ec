// Calls through the gateway to a server that speaks only the older HTTP+SSE (MCP 2024-11-05): what the person gets, and
// that no server can lead our credential away, or make us wait or read without end.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { decodeJwt } from 'jose'
import { verifies } from '../../test/requirements.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { createProofs } from '../upstream/proofs.ts'
import { bearer, listen, startRig, toolsList } from './gateway.rig.ts'
import { olderServer, startEvents } from './older-server.rig.ts'

const renewed = { ...bearer, token: new Secret('upstream-token-2'), generation: 2 } as const
const bothTypes = { accept: 'application/json, text/event-stream' }

test('a call has a session of its own at the server, and its answer is JSON', async (t) => {
  verifies(t, 'S1-13')
  const upstream = olderServer().listener
  const rig = await startRig(t, { transport: 'sse', upstream })

  const response = await rig.post(toolsList, { headers: bothTypes })

  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'application/json')
  assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 7, result: { of: 'tools/list' } })
  assert.deepEqual(
    rig.seen.map(({ method, url }) => `${method} ${url}`),
    ['GET /mcp?own=query', 'POST /say?s=1', 'POST /say?s=1', 'POST /say?s=1'],
  )
  assert.ok(rig.seen.every(({ headers }) => headers.authorization === 'Bearer upstream-token-1'))
})

test('the client’s own initialize is not said twice, and nothing of a session is given out', async (t) => {
  verifies(t, 'S1-13')
  const server = olderServer()
  const rig = await startRig(t, { transport: 'sse', upstream: server.listener })

  const hello = await rig.post({ jsonrpc: '2.0', id: 'a', method: 'initialize', params: {} })
  assert.deepEqual(await hello.json(), { jsonrpc: '2.0', id: 'a', result: { of: 'initialize' } })
  assert.equal(hello.headers.get('mcp-session-id'), null)
  assert.deepEqual(
    server.said.map(({ method }) => method),
    ['initialize'],
  )
  const noted = await rig.post({ jsonrpc: '2.0', method: 'notifications/initialized' })
  assert.equal(noted.status, 202)
  for (const method of ['GET', 'DELETE']) {
    const refused = await rig.send(method)
    assert.equal(refused.status, 405)
    assert.equal(refused.headers.get('allow'), 'POST')
  }
  assert.equal((await rig.post([toolsList])).status, 400)
  assert.equal(server.said.length, 1)
  const alive = await rig.post({ jsonrpc: '2.0', id: 1, method: 'ping' })
  assert.deepEqual(await alive.json(), { jsonrpc: '2.0', id: 1, result: { of: 'ping' } })
})

test('a session is begun in the revision that the client speaks, and clients without sessions get one too', async (t) => {
  verifies(t, 'S1-13')
  const server = olderServer()
  const rig = await startRig(t, { transport: 'sse', upstream: server.listener })
  const modern = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' }
  for (const [headers, begun] of [
    [{ 'mcp-protocol-version': '2025-06-18' }, '2025-06-18'],
    [{}, '2025-03-26'],
    [{ ...modern, 'mcp-session-id': 'left over' }, '2025-11-25'],
  ] as const) {
    const response = await rig.post(toolsList, { headers })
    assert.equal(response.status, 200)
    const hello = server.said.findLast(({ method }) => method === 'initialize')
    assert.equal(hello?.params?.protocolVersion, begun)
  }
})

test('a client without sessions is told that the result is whole, and a list nothing to keep', async (t) => {
  verifies(t, 'S1-13')
  const rig = await startRig(t, { transport: 'sse', upstream: olderServer().listener })
  const resultOf = async (method: string) => {
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method }
    const response = await rig.post({ jsonrpc: '2.0', id: 7, method }, { headers })
    return ((await response.json()) as { result: object }).result
  }

  // MCP 2026-07-28, "Result": a server of this revision says so always; only older ones may leave it out.
  const whole = { resultType: 'complete' }
  assert.deepEqual(await resultOf('prompts/get'), { of: 'prompts/get', ...whole })
  const kept = { ttlMs: 0, cacheScope: 'private' }
  assert.deepEqual(await resultOf('tools/list'), { of: 'tools/list', ...whole, ...kept })
})

for (const refusing of ['GET', 'POST']) {
  const refuses =
    (status: number, challenge: string, { always = false } = {}): RequestListener =>
    (request, response) => {
      const isRefused = always || request.headers.authorization === 'Bearer upstream-token-1'
      if (!isRefused || request.method !== refusing) return server.listener(request, response)
      response.writeHead(status, { 'www-authenticate': challenge }).end()
    }
  const server = olderServer()

  test(`a 401 to the ${refusing} is refreshed once and sent once more`, async (t) => {
    verifies(t, 'S1-13', 'S2-11')
    const rig = await startRig(t, {
      transport: 'sse',
      renewed,
      upstream: refuses(401, 'Bearer error="invalid_token"'),
    })

    const response = await rig.post(toolsList)

    assert.equal(response.status, 200)
    assert.equal(rig.refreshes(), 1)
  })

  test(`a second 401 to the ${refusing} leads the person to sign in`, async (t) => {
    verifies(t, 'S1-13')
    const upstream = refuses(401, 'Bearer', { always: true })
    const rig = await startRig(t, { transport: 'sse', renewed, upstream })

    const response = await rig.post(toolsList)

    assert.match(await response.text(), /\/connect\/con_1/)
    assert.equal(rig.refreshes(), 1)
  })

  test(`a 403 to the ${refusing} that asks for more scope leads to more consent`, async (t) => {
    verifies(t, 'S1-13')
    const upstream = refuses(403, 'Bearer error="insufficient_scope", scope="write"')
    const rig = await startRig(t, { transport: 'sse', upstream })

    const response = await rig.post(toolsList)

    assert.match(await response.text(), /scope_insufficient/)
    assert.deepEqual(rig.scopeNotes(), ['tools/list: write'])
  })

  test(`a redirect of the ${refusing} is not followed`, async (t) => {
    verifies(t, 'S1-13')
    const other = await watchedPlace(t)
    const older = olderServer()
    const rig = await startRig(t, {
      transport: 'sse',
      upstream: (request, response) => {
        if (request.method !== refusing) return older.listener(request, response)
        response.writeHead(307, { location: other.url }).end()
      },
    })

    const response = await rig.post(toolsList)

    assert.equal(response.status, 502)
    assert.equal(other.asked(), 0)
  })
}

test('an endpoint at another origin is not asked, so our token does not get there', async (t) => {
  verifies(t, 'S1-13')
  const other = await watchedPlace(t)
  const upstream = olderServer({ endpoint: other.url }).listener
  const rig = await startRig(t, { transport: 'sse', upstream })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 502)
  assert.equal(other.asked(), 0)
})

test('what the server says on the way reaches the client before the answer', async (t) => {
  verifies(t, 'S1-13')
  const step = (progress: number) => ({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: 1, progress },
  })
  const server = olderServer({ onRequest: (_request, { tell }) => tell(step(1)) })
  const rig = await startRig(t, { transport: 'sse', upstream: server.listener })

  const response = await rig.post(toolsList, { headers: bothTypes })

  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  assert.equal(response.headers.get('x-accel-buffering'), 'no')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  const first = await reader?.read()
  assert.equal(first?.value, `data: ${JSON.stringify(step(1))}\n\n`)
  server.tell({ jsonrpc: '2.0', id: 7, result: {} })
  const last = await reader?.read()
  assert.equal(last?.value, 'data: {"jsonrpc":"2.0","id":7,"result":{}}\n\n')
  assert.equal((await reader?.read())?.done, true)
})

test('a client that takes JSON only gets the answer alone', async (t) => {
  verifies(t, 'S1-13')
  const upstream = olderServer({
    onRequest: ({ id }, { tell }) => {
      tell({ jsonrpc: '2.0', method: 'notifications/message', params: {} })
      tell({ jsonrpc: '2.0', id, result: {} })
    },
  }).listener
  const rig = await startRig(t, { transport: 'sse', upstream })

  const response = await rig.post(toolsList, { headers: { accept: 'application/json' } })

  assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 7, result: {} })
})

test('a server that asks whether we are there is told so, and asks the client nothing', async (t) => {
  verifies(t, 'S1-13')
  const asked = [
    { id: 7, method: 'ping' },
    { id: 'b', method: 'sampling/createMessage' },
  ]
  const server = olderServer({
    onRequest: ({ id }, { tell }) => {
      for (const request of asked) tell({ jsonrpc: '2.0', ...request })
      tell({ jsonrpc: '2.0', id, result: {} })
    },
  })
  const rig = await startRig(t, { transport: 'sse', upstream: server.listener })

  const response = await rig.post(toolsList)

  assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 7, result: {} })
  const replies = server.said.filter(({ method }) => method === undefined)
  assert.deepEqual(
    replies.map(({ id, result, error }) => ({ id, result, code: error?.code })),
    [
      { id: 7, result: {}, code: undefined },
      { id: 'b', result: undefined, code: -32_601 },
    ],
  )
})

test('a caller is offered the tools that it may use, alone or after progress', async (t) => {
  verifies(t, 'S1-13', 'A3-8')
  const tools = ['read_note', 'write_note'].map((name) => ({ name }))
  for (const isTalking of [false, true]) {
    const upstream = olderServer({
      onRequest: ({ id }, { tell }) => {
        if (isTalking) tell({ jsonrpc: '2.0', method: 'notifications/message' })
        tell({ jsonrpc: '2.0', id, result: { tools } })
      },
    }).listener
    const toolScopes = [{ scope: 'notes:read', tools: ['read_*'] }]
    const scopes = ['notes:read']
    const rig = await startRig(t, { transport: 'sse', upstream, toolScopes, scopes })

    const said = await (await rig.post(toolsList, { headers: bothTypes })).text()

    assert.match(said, /read_note/)
    assert.doesNotMatch(said, /write_note/)
  }
})

test('each request carries a proof of its own, with the nonce of the answer before', async (t) => {
  verifies(t, 'S1-13')
  const { createKey } = createProofs({ clock: systemClock, random: systemRandom })
  const older = olderServer()
  let nonces = 0
  const rig = await startRig(t, {
    transport: 'sse',
    credentials: [{ ...bearer, proofKey: createKey() }],
    upstream: (request, response) => {
      nonces += 1
      response.setHeader('dpop-nonce', `nonce-${nonces}`)
      if (nonces > 1) return older.listener(request, response)
      response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"' }).end()
    },
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 200)
  assert.equal(rig.refreshes(), 0)
  const proofs = rig.seen.map(({ headers }) => decodeJwt(String(headers['dpop'])))
  assert.deepEqual(
    proofs.map(({ htm, htu, nonce }) => [htm, new URL(String(htu)).pathname, nonce]),
    [
      ['GET', '/mcp', undefined],
      ['GET', '/mcp', 'nonce-1'],
      ['POST', '/say', 'nonce-2'],
      ['POST', '/say', 'nonce-3'],
      ['POST', '/say', 'nonce-4'],
    ],
  )
})

test(
  'a client that leaves takes the stream at the server with it',
  { timeout: 20_000 },
  async (t) => {
    verifies(t, 'S1-13')
    const asked = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<void>()
    const server = olderServer({ onRequest: () => asked.resolve() })
    server.onClosed(() => closed.resolve())
    const rig = await startRig(t, { transport: 'sse', upstream: server.listener })
    const leaving = new AbortController()
    const call = rig.post(toolsList, { signal: leaving.signal })
    await asked.promise

    leaving.abort()

    await assert.rejects(call, { name: 'AbortError' })
    await closed.promise
    assert.match(JSON.stringify(await rig.entries()), /broken_off/)
  },
)

test('a server that answers the POST only when its work is done is understood', async (t) => {
  verifies(t, 'S1-13')
  const upstream = olderServer({ holdsPosts: true }).listener
  const rig = await startRig(t, { transport: 'sse', upstream })

  assert.equal((await rig.post(toolsList)).status, 200)
})

test('a server may think as long as any other', async (t) => {
  verifies(t, 'S1-13')
  const time = turnedTime(t)
  for (const [thinksMs, status] of [
    [4_999, 200],
    [5_000, 504],
  ] as const) {
    const asked = Promise.withResolvers<void>()
    const server = olderServer({ onRequest: () => asked.resolve() })
    const upstream = server.listener
    const rig = await startRig(t, { transport: 'sse', upstream, answerTimeMs: 5_000 })
    const call = rig.post(toolsList)
    await asked.promise

    time.tick(thinksMs)
    server.tell({ jsonrpc: '2.0', id: 7, result: {} })

    assert.equal((await call).status, status)
  }
})

test('a call whose answer has begun may take longer', async (t) => {
  verifies(t, 'S1-13')
  const time = turnedTime(t)
  const server = olderServer({
    onRequest: (_request, { tell }) => tell({ jsonrpc: '2.0', method: 'notifications/message' }),
  })
  const upstream = server.listener
  const rig = await startRig(t, { transport: 'sse', upstream, answerTimeMs: 5_000 })
  const response = await rig.post(toolsList, { headers: bothTypes })

  time.tick(60_000)
  server.tell({ jsonrpc: '2.0', id: 7, result: { late: true } })

  assert.match(await response.text(), /"late":true/)
})

test('a stream that ends before the answer is a failure, and half an answer is no whole one', async (t) => {
  verifies(t, 'S1-13')
  const silent = olderServer({ onRequest: (_request, { hangUp }) => hangUp() })
  const talking = olderServer({
    onRequest: (_request, { tell, hangUp }) => {
      tell({ jsonrpc: '2.0', method: 'notifications/message' })
      hangUp()
    },
  })
  const first = await startRig(t, { transport: 'sse', upstream: silent.listener })
  assert.equal((await first.post(toolsList)).status, 502)
  const second = await startRig(t, { transport: 'sse', upstream: talking.listener })
  await assert.rejects(async () => (await second.post(toolsList, { headers: bothTypes })).text())
  for (const rig of [first, second]) assert.equal((await rig.entries()).length, 1)
})

test('a server that refuses to begin a session is not asked for more', async (t) => {
  verifies(t, 'S1-13')
  const older = olderServer()
  const rig = await startRig(t, {
    transport: 'sse',
    upstream: (request, response) => {
      if (request.method === 'GET') return older.listener(request, response)
      response.writeHead(202).end()
      const error = { code: -32_602, message: 'Unsupported protocol version' }
      older.tell({ jsonrpc: '2.0', id: 'latchkey:initialize', error })
    },
  })

  assert.equal((await rig.post(toolsList)).status, 502)
  assert.equal(rig.seen.filter(({ method }) => method === 'POST').length, 1)
})

test('an answer is read up to 16 MiB', async (t) => {
  verifies(t, 'S1-13')
  const large = 'a'.repeat(16_777_216)
  const upstream = olderServer({
    onRequest: ({ id }, { tell }) => tell({ jsonrpc: '2.0', id, result: large }),
  }).listener
  const rig = await startRig(t, { transport: 'sse', upstream })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 502)
  assert.match(JSON.stringify(await rig.entries()), /server_unreachable/)
})

test('line ends, a byte order mark and other events before the endpoint are as the standard has them', async (t) => {
  verifies(t, 'S1-13')
  for (const end of ['\n', '\r\n', '\r']) {
    const older = olderServer()
    const beginning = ['\uFEFF: hello', '', 'event: connected', 'data: 1', '', '']
    const rig = await startRig(t, {
      transport: 'sse',
      upstream: (request, response) => {
        if (request.method === 'GET') {
          startEvents(response, beginning.join(end))
          response.writeHead = () => response
        }
        older.listener(request, response)
      },
    })
    assert.equal((await rig.post(toolsList)).status, 200)
  }
})

/** Time that passes by hand; only limits run on it. */
function turnedTime(t: TestContext) {
  const apis = ['AbortSignal.timeout'] as unknown as ['setTimeout'] // @types/node does not know it yet
  t.mock.timers.enable({ apis })
  return t.mock.timers
}

async function watchedPlace(t: TestContext) {
  let asked = 0
  const origin = await listen(t, (_request, response) => {
    asked += 1
    response.writeHead(202).end()
  })
  return { url: `${origin}/say`, asked: () => asked }
}
