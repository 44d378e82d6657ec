// How a server speaks is found out by the calls of people: without a call being done twice, without asking twice for ever,
// and without a word of the server's being lost.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import { bearer, startRig, toolsList } from './gateway.rig.ts'
import type { Rig } from './gateway.rig.ts'
import { olderServer, startEvents } from './older-server.rig.ts'

const modern = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' }

for (const status of [400, 404, 405]) {
  test(`a ${status} to the first call leads to the older transport, once and for all`, async (t) => {
    verifies(t, 'S1-13')
    const server = olderServer()
    const rig = await startRig(t, {
      transport: 'unknown',
      upstream: (request, response) => {
        if (request.url?.startsWith('/mcp') && request.method === 'POST')
          return response.writeHead(status, { 'content-type': 'text/html' }).end('<p>No</p>')
        server.listener(request, response)
      },
    })

    for (const headers of [modern, {}]) {
      const response = await rig.post(toolsList, { headers })
      const { id, result } = (await response.json()) as { id: number; result: { of: string } }
      assert.deepEqual([id, result.of], [7, 'tools/list'])
    }

    assert.deepEqual(rig.transportsNoted(), ['sse'])
    assert.equal(asked(rig, 'POST /mcp'), 1)
    assert.equal(server.said.filter(({ method }) => method === 'tools/list').length, 2)
  })
}

test('a server that answers is known, and its 404 is its own from then on', async (t) => {
  verifies(t, 'S1-13')
  let status = 200
  const rig = await startRig(t, { transport: 'unknown', upstream: json(() => status) })

  assert.equal((await rig.post(toolsList)).status, 200)
  status = 404
  assert.equal((await rig.post(toolsList)).status, 404)

  assert.deepEqual(rig.transportsNoted(), ['streamable_http'])
  assert.equal(asked(rig, 'GET'), 0)
})

test('a refusal that stays one reaches the client word for word, and is not asked about twice a minute', async (t) => {
  verifies(t, 'S1-13')
  const rig = await startRig(t, { transport: 'unknown', upstream: json(() => 400) })

  for (let calls = 0; calls < 3; calls += 1) {
    const response = await rig.post(toolsList)
    assert.equal(response.status, 400)
    assert.deepEqual(await response.json(), { of: 'POST' })
  }
  assert.equal(asked(rig, 'GET'), 1)
  await rig.clock.advance(59_999)
  await rig.post(toolsList)
  assert.equal(asked(rig, 'GET'), 1)
  await rig.clock.advance(1)
  await rig.post(toolsList)
  assert.equal(asked(rig, 'GET'), 2)
  assert.deepEqual(rig.transportsNoted(), [])
})

const streams: Readonly<Record<string, RequestListener>> = {
  'a page': (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>')
  },
  'a stream that ends without an endpoint': (_request, response) => {
    startEvents(response, 'data: {}\n\n')
    response.end()
  },
  'a redirect': (_request, response) => {
    response.writeHead(302, { location: '/elsewhere' }).end()
  },
  'an error': (_request, response) => {
    response.writeHead(500).end()
  },
  'nothing at all': (request) => request.socket.destroy(),
}

for (const [name, stream] of Object.entries(streams)) {
  test(`${name} in place of the stream is no older transport`, async (t) => {
    verifies(t, 'S1-13')
    const post = json(() => 404)
    const rig = await startRig(t, {
      transport: 'unknown',
      upstream: (request, response) =>
        request.method === 'GET' ? stream(request, response) : post(request, response),
    })

    const response = await rig.post(toolsList)

    assert.equal(response.status, 404)
    assert.deepEqual(await response.json(), { of: 'POST' })
    assert.deepEqual(rig.transportsNoted(), [])
  })
}

for (const [transport, noted] of [
  ['unknown', []],
  // What was known is known no more: the next call asks both ways.
  ['sse', [undefined]],
] as const) {
  test(`a stream is waited for 20 s until it says its endpoint (${transport})`, async (t) => {
    verifies(t, 'S1-13')
    const apis = ['AbortSignal.timeout'] as unknown as ['setTimeout'] // @types/node does not know it yet
    t.mock.timers.enable({ apis })
    const call = async (takesMs: number) => {
      const server = olderServer()
      const opened = Promise.withResolvers<() => void>()
      const rig = await startRig(t, {
        transport,
        upstream: (request, response) => {
          if (request.method !== 'GET') return server.listener(request, response)
          startEvents(response, ': still here\n\n')
          opened.resolve(() => {
            response.writeHead = () => response
            server.listener(request, response)
          })
        },
      })
      const called = rig.post(toolsList)
      const sayEndpoint = await opened.promise
      t.mock.timers.tick(takesMs)
      sayEndpoint()
      return { status: (await called).status, noted: rig.transportsNoted() }
    }

    const known = transport === 'unknown' ? ['sse'] : []
    assert.deepEqual(await call(19_999), { status: 200, noted: known })
    assert.deepEqual(await call(20_000), { status: 404, noted })
  })
}

test('a stream that wants a fresh token gets one', async (t) => {
  verifies(t, 'S1-13', 'S2-11')
  const server = olderServer()
  const renewed = { ...bearer, token: new Secret('upstream-token-2'), generation: 2 } as const
  const rig = await startRig(t, {
    transport: 'unknown',
    renewed,
    upstream: (request, response) => {
      const isStale = request.headers.authorization === 'Bearer upstream-token-1'
      if (request.method === 'GET' && isStale) return response.writeHead(401).end()
      server.listener(request, response)
    },
  })

  assert.equal((await rig.post(toolsList)).status, 200)
  assert.equal(rig.refreshes(), 1)
  assert.deepEqual(rig.transportsNoted(), ['sse'])
})

test('a server that has learnt the newer transport is found there by the same call', async (t) => {
  verifies(t, 'S1-13')
  const answers = json(() => 200)
  const rig = await startRig(t, {
    transport: 'sse',
    upstream: (request, response) => {
      if (request.method === 'GET') return response.writeHead(405, { allow: 'POST' }).end()
      answers(request, response)
    },
  })

  assert.equal((await rig.post(toolsList)).status, 200)
  assert.equal((await rig.post(toolsList)).status, 200)
  assert.deepEqual(rig.transportsNoted(), [undefined, 'streamable_http'])
  assert.equal(asked(rig, 'GET'), 1)
})

test('what belongs to something before it finds nothing out', async (t) => {
  verifies(t, 'S1-13')
  const rig = await startRig(t, { transport: 'unknown', upstream: json(() => 404) })

  const answers = [
    await rig.post({ jsonrpc: '2.0', method: 'notifications/initialized' }),
    await rig.post([toolsList]),
    await rig.send('DELETE'),
  ]

  assert.deepEqual(
    answers.map(({ status }) => status),
    [404, 404, 404],
  )
  assert.equal(asked(rig, 'GET'), 0)
})

for (const [name, type, body] of [
  ['as long as a page', 'application/json', `"${'a'.repeat(65_536)}"`],
  ['that is a page', 'text/html', '<p>Not here</p>'],
] as const) {
  test(`a refusal ${name} is answered in our words`, async (t) => {
    verifies(t, 'S1-13')
    const rig = await startRig(t, {
      transport: 'unknown',
      upstream: (_request, response) => {
        response.writeHead(404, { 'content-type': type }).end(body)
      },
    })

    const response = await rig.post(toolsList)

    assert.equal(response.status, 404)
    assert.match(await response.text(), /"reason":"upstream_refused"/)
  })
}

function json(status: () => number): RequestListener {
  return ({ method }, response) => {
    response.writeHead(status(), { 'content-type': 'application/json' })
    response.end(JSON.stringify({ of: method }))
  }
}

function asked(rig: Rig, line: string): number {
  return rig.seen.filter(({ method, url }) => `${method} ${url}`.startsWith(line)).length
}
