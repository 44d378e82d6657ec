// The gateway between a real client and a real server on loopback: who gets in, what crosses, and what never does.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer as createNetServer } from 'node:net'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import type { Credential } from '../connectors/credential.ts'
import {
  aliceToken,
  bearer,
  bobToken,
  connectUrl,
  startRig,
  tenant,
  toolsList,
} from './gateway.rig.ts'

const notConnected: Credential = {
  kind: 'authorization_required',
  connectUrl,
  connectionId: 'con_1',
  reason: 'not_connected',
  isShared: false,
}
const shared: Credential = { ...bearer, connectionId: 'con_adas', ownerId: 'usr_ada' }

test('a call reaches the server with the person’s token and nothing of ours (threat X-17)', async (t) => {
  verifies(t, 'S3-30', 'S4-11', 'X-17')
  const rig = await startRig(t)

  const response = await rig.post(toolsList)

  assert.equal(response.status, 200)
  const answer = await response.text()
  assert.deepEqual(JSON.parse(answer), { jsonrpc: '2.0', id: 7, result: { tools: [] } })
  assert.ok(!`${answer}${JSON.stringify([...response.headers])}`.includes('upstream-token'))
  const [request] = rig.seen
  assert.equal(request?.headers.authorization, 'Bearer upstream-token-1')
  assert.equal(request?.url, '/mcp?own=query')
  assert.deepEqual(JSON.parse(request?.body ?? ''), toolsList)
  assert.ok(!JSON.stringify(request).includes(aliceToken))
})

test('without a token the answer is 401 with the way to sign-in, and nothing is asked or recorded', async (t) => {
  verifies(t, 'S3-31', 'S4-20', 'S4-2', 'S1-84', 'S4-20')
  const rig = await startRig(t)

  const response = await rig.post(toolsList, { token: null })

  assert.equal(response.status, 401)
  assert.equal(
    response.headers.get('www-authenticate'),
    'Bearer resource_metadata="https://hub.example/.well-known/oauth-protected-resource/notes/mcp", scope="mcp", DPoP algs="ES256 PS256 RS256 Ed25519 EdDSA"',
  )
  assert.deepEqual(await response.json(), {
    jsonrpc: '2.0',
    id: null,
    error: {
      code: -32001,
      message: 'Authentication required',
      data: { reason: 'authentication_required' },
    },
  })
  assert.equal(rig.seen.length, 0)
  assert.equal(rig.asked(), 0)
  assert.deepEqual(await rig.entries(), [])
})

for (const token of ['upstream-token-1', 'mcp_at_expired', 'eyJh.eyJz.c2ln']) {
  test(`a token that is not ours for this server (${token}) is 401 invalid_token (threat X-17)`, async (t) => {
    verifies(t, 'S1-86', 'S3-31', 'X-17')
    const rig = await startRig(t)

    const response = await rig.post(toolsList, { token })

    assert.equal(response.status, 401)
    assert.match(response.headers.get('www-authenticate') ?? '', /error="invalid_token"/)
    assert.equal(rig.seen.length, 0)
    assert.deepEqual(await rig.entries(), [])
  })
}

test('a token without the scope is 403 insufficient_scope, with the id of the request', async (t) => {
  verifies(t, 'S1-84', 'S3-32')
  const rig = await startRig(t, { scopes: ['memories:read'] })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 403)
  const challenge = response.headers.get('www-authenticate') ?? ''
  assert.match(challenge, /scope="mcp", error="insufficient_scope", error_description="/)
  assert.equal(((await response.json()) as { id: number }).id, 7)
  assert.equal(rig.seen.length, 0)
  const [entry] = await rig.entries()
  assert.equal(entry?.type, 'call.refused')
  assert.equal(entry?.data?.['reason'], 'insufficient_scope')
})

test('events pass one by one: the first is read before the second is sent', async (t) => {
  const second = Promise.withResolvers<void>()
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.setHeader('content-type', 'text/event-stream')
      response.write('data: one\n\n')
      void second.promise.then(() => response.end('data: two\n\n'))
    },
  })

  const response = await rig.post(toolsList)
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const first = await reader.read()
  assert.equal(first.value, 'data: one\n\n')
  second.resolve()
  assert.equal((await reader.read()).value, 'data: two\n\n')
  assert.equal((await reader.read()).done, true)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  // Or a proxy before us keeps the events back until it has many.
  assert.equal(response.headers.get('x-accel-buffering'), 'no')
})

test('the headers of a silent stream arrive before its first event', async (t) => {
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.setHeader('content-type', 'text/event-stream')
      response.flushHeaders()
    },
  })
  const leave = new AbortController()

  const response = await rig.send('GET', { signal: leave.signal })

  assert.equal(response.status, 200)
  leave.abort()
})

test('when the client leaves, the call to the server ends', async (t) => {
  const closed = Promise.withResolvers<void>()
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.on('close', closed.resolve)
      response.setHeader('content-type', 'text/event-stream')
      response.write('data: one\n\n')
    },
  })
  const leave = new AbortController()
  const response = await rig.post(toolsList, { signal: leave.signal })
  await response.body!.getReader().read()

  leave.abort()

  await closed.promise
})

test('an answer that breaks off at the server breaks off at the client', async (t) => {
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.write('{"jsonrpc"', () => response.destroy())
    },
  })

  const response = await rig.post(toolsList)

  await assert.rejects(response.text())
})

test('after a 401 the credential is refreshed once and the call is sent once more', async (t) => {
  const rig = await startRig(t, {
    upstream: refuseToken('upstream-token-1'),
    renewed: { ...bearer, token: new Secret('upstream-token-2'), generation: 2 },
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 200)
  assert.equal(rig.refreshes(), 1)
  assert.deepEqual(
    rig.seen.map(({ headers }) => headers.authorization),
    ['Bearer upstream-token-1', 'Bearer upstream-token-2'],
  )
  assert.equal(rig.seen[0]?.body, rig.seen[1]?.body)
})

test('a second 401 is answered with the connect link, and there is no third try', async (t) => {
  verifies(t, 'T-44')
  const rig = await startRig(t, { upstream: refuseToken('upstream-token-1') })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 200)
  assert.equal(rig.seen.length, 2)
  assert.equal(rig.refreshes(), 1)
  assert.deepEqual(await response.json(), {
    jsonrpc: '2.0',
    id: 7,
    error: {
      code: -32001,
      message: `Connect your account to use Notes. Open this link, sign in, and try again: ${connectUrl}`,
      data: { reason: 'authorization_required', connectUrl },
    },
  })
  assert.equal(response.headers.get('www-authenticate'), null)
})

test('a refresh that finds the connection dead is answered with the connect link', async (t) => {
  const rig = await startRig(t, {
    upstream: refuseToken('upstream-token-1'),
    renewed: notConnected,
  })

  const response = await rig.post(toolsList)

  assert.equal(rig.seen.length, 1)
  assert.equal(await reasonOf(response), 'authorization_required')
})

test('fixed headers that the server refuses are not tried again', async (t) => {
  const rig = await startRig(t, {
    credentials: [{ kind: 'headers', headers: { 'X-API-Key': new Secret('key-1') } }],
    upstream: (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    },
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 502)
  assert.equal(rig.refreshes(), 0)
  assert.equal(rig.seen[0]?.headers['x-api-key'], 'key-1')
  assert.equal(rig.seen[0]?.headers.authorization, undefined)
})

test('who has not connected gets the link with 200, a notification is taken, a stream is not there', async (t) => {
  const rig = await startRig(t, { credentials: [notConnected] })

  const asked = await rig.post(toolsList)
  const told = await rig.post({ jsonrpc: '2.0', method: 'notifications/initialized' })
  const stream = await rig.send('GET')

  assert.equal(asked.status, 200)
  assert.equal(await reasonOf(asked), 'authorization_required')
  assert.equal(told.status, 202)
  assert.equal(await told.text(), '')
  assert.equal(stream.status, 405)
  assert.equal(stream.headers.get('allow'), 'POST')
  assert.equal(rig.seen.length, 0)
})

test('nothing of the server’s cookies, challenges or framing crosses (threat X-29)', async (t) => {
  verifies(t, 'X-29', 'T-44')
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(200, {
        'content-type': 'application/json',
        'set-cookie': 'a=b',
        'www-authenticate': 'Bearer realm="upstream"',
        server: 'upstream/1',
        'x-powered-by': 'upstream',
        'keep-alive': 'timeout=99',
        'cache-control': 'public, max-age=60',
        'mcp-param-extra': 'kept',
      })
      response.end('{}')
    },
  })

  const response = await rig.post(toolsList)

  for (const name of ['set-cookie', 'www-authenticate', 'server', 'x-powered-by']) {
    assert.equal(response.headers.get(name), null, name)
  }
  assert.notEqual(response.headers.get('keep-alive'), 'timeout=99')
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.equal(response.headers.get('mcp-param-extra'), 'kept')
})

test('a 403 that asks for more scope becomes the connect link, without the server’s challenge', async (t) => {
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(403, {
        'www-authenticate': 'Bearer error="insufficient_scope", scope="files:write"',
      })
      response.end()
    },
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 200)
  assert.equal(response.headers.get('www-authenticate'), null)
  const { error } = (await response.json()) as { error: { data: unknown } } // a JSON-RPC error
  assert.deepEqual(error.data, {
    reason: 'scope_insufficient',
    connectUrl,
  })
  assert.deepEqual(rig.scopeNotes(), ['tools/list: files:write'])
})

test('when no sign-in helps any more, that is said plainly and with whom it lies', async (t) => {
  verifies(t, 'C21')
  const rig = await startRig(t, {
    stepUp: { kind: 'over', scopes: ['files:write'] },
    upstream: (_request, response) => {
      response.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope"' }).end()
    },
  })

  const response = await rig.post({
    jsonrpc: '2.0',
    id: 7,
    method: 'tools/call',
    params: { name: 'save', arguments: {} },
  })

  const { error } = (await response.json()) as { error: { message: string; data: unknown } } // a JSON-RPC error
  assert.equal(response.status, 403)
  assert.deepEqual(error.data, { reason: 'scope_insufficient' })
  assert.match(error.message, /Whoever gives you access there has to allow: files:write/)
  assert.equal(response.headers.get('www-authenticate'), null, 'our own token is good')
  assert.deepEqual(rig.scopeNotes(), ['tools/call save: '])
})

test('what goes through after a server asked for more is noted, and nothing otherwise', async (t) => {
  verifies(t, 'C21')
  const stepping: Credential = { ...bearer, isSteppingUp: true }
  const rig = await startRig(t, { credentials: [bearer, stepping, stepping] })
  const odd = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'two words\0' } }

  await rig.post(toolsList)
  await rig.post(toolsList)
  await rig.post(odd)

  assert.deepEqual(rig.scopeNotes(), [
    'tools/list went through',
    'tools/call (unnamed) went through',
  ])
})

test('who uses a shared connection is never led to its sign-in, but told who can mend it', async (t) => {
  verifies(t, 'S1-10')
  const console = `${tenant.issuer}/console/connections`
  const wants = 'Bearer error="insufficient_scope", scope="files:write"'
  const refusing = await startRig(t, {
    credentials: [shared],
    renewed: shared,
    upstream: (request, response) => {
      const isUnauthorized = request.headers['mcp-param-extra'] === '401'
      response.writeHead(isUnauthorized ? 401 : 403, { 'www-authenticate': wants }).end()
    },
  })
  const over = await startRig(t, { credentials: [{ ...notConnected, isShared: true }] })

  const lacking = await refusing.post(toolsList)
  const refused = await refusing.post(toolsList, { headers: { 'mcp-param-extra': '401' } })
  const ended = await over.post(toolsList)

  const answers = [
    [lacking, 'scope_insufficient', console],
    [refused, 'authorization_required', console],
    [ended, 'authorization_required', connectUrl],
  ] as const
  for (const [answer, reason, link] of answers) {
    const { error } = (await answer.json()) as { error: { message: string; data: unknown } } // a JSON-RPC error
    assert.deepEqual(error.data, { reason, connectUrl: link })
    assert.match(error.message, /Ask an administrator/)
    assert.doesNotMatch(JSON.stringify(error), /con_adas|usr_ada/)
  }
})

test('the journal says whose shared connection a call used', async (t) => {
  verifies(t, 'S4-36')
  const rig = await startRig(t, { credentials: [shared, bearer] })

  await rig.post(toolsList)
  await rig.post(toolsList)

  const [borrowed, own] = await rig.entries()
  assert.equal(borrowed?.userId, 'usr_alice')
  assert.deepEqual(
    [borrowed?.data?.['connection'], borrowed?.data?.['connectionOwner']],
    ['con_adas', 'usr_ada'],
  )
  assert.equal(own?.data?.['connectionOwner'], undefined)
})

test('an answer without content has no length, whatever the server says (RFC 9110 §8.6)', async (t) => {
  const lines = ['HTTP/1.1 204 No Content', 'content-type: application/json', 'content-length: 2']
  const upstream = createNetServer((socket) => {
    socket.once('data', () => socket.end(`${lines.join('\r\n')}\r\n\r\n{}`))
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.after(() => upstream.close())
  const { port } = upstream.address() as AddressInfo // it listens on TCP
  const rig = await startRig(t, { upstreamUrl: `http://127.0.0.1:${port}/mcp` })

  const response = await rig.send('DELETE')

  assert.equal(response.status, 204)
  assert.equal(response.headers.get('content-length'), null)
})

test('a 429 stays a 429 with its Retry-After', async (t) => {
  verifies(t, 'T-44')
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(429, { 'retry-after': '17' }).end('slow down')
    },
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 429)
  assert.equal(response.headers.get('retry-after'), '17')
  assert.equal(await reasonOf(response), 'too_many_requests')
})

test('a server that is down is 502, one that does not answer 504', async (t) => {
  verifies(t, 'T-44')
  const down = await startRig(t, { upstreamUrl: 'http://127.0.0.1:1/mcp' })
  const slow = await startRig(t, { upstream: () => undefined, answerTimeMs: 50 })

  const refused = await down.post(toolsList)
  const late = await slow.post(toolsList)

  assert.equal(refused.status, 502)
  assert.equal(await reasonOf(refused), 'server_unreachable')
  assert.equal(late.status, 504)
  assert.equal(await reasonOf(late), 'upstream_timeout')
})

test('the journal has what we know of a call that failed; the client is not told', async (t) => {
  const settings = [
    [{ upstreamUrl: 'http://127.0.0.1:1/mcp' }, /ECONNREFUSED/],
    [{ upstreamUrl: 'https://10.0.0.1/mcp' }, /LATCHKEY_ALLOW_PRIVATE_NETWORKS/],
  ] as const
  for (const [setting, because] of settings) {
    const rig = await startRig(t, setting)
    const response = await rig.post(toolsList)
    assert.doesNotMatch(await response.text(), because)
    const [entry] = await rig.entries()
    assert.match(String(entry?.data?.['because']), because)
  }
})

const strangeAnswers: readonly (readonly [string, number, RequestListener])[] = [
  ['a page', 502, (_, response) => html(response, 200)],
  ['an error page', 502, (_, response) => html(response, 500)],
  ['a page that says 404', 404, (_, response) => html(response, 404)],
  ['a redirect', 502, (_, response) => response.writeHead(307, { location: '/x' }).end()],
]
for (const [name, status, upstream] of strangeAnswers) {
  test(`${name} is not passed on: ${status} and a JSON-RPC error`, async (t) => {
    const rig = await startRig(t, { upstream })

    const response = await rig.post(toolsList)

    assert.equal(response.status, status)
    assert.equal(response.headers.get('location'), null)
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
    assert.equal(((await response.json()) as { id: number }).id, 7)
  })
}

test('a server’s own JSON-RPC error passes with its status', async (t) => {
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(404, { 'content-type': 'application/json; charset=utf-8' })
      response.end('{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}')
    },
  })

  const response = await rig.post(toolsList)

  assert.equal(response.status, 404)
  assert.equal(((await response.json()) as { error: { code: number } }).error.code, -32601)
})

test('a notification that the server takes with a word is taken with none', async (t) => {
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(202, { 'content-type': 'text/plain' }).end('Accepted')
    },
  })

  const response = await rig.post({ jsonrpc: '2.0', method: 'notifications/initialized' })

  assert.equal(response.status, 202)
  assert.equal(await response.text(), '')
})

const bodyBytesMax = 4 * 1024 * 1024
test('a body of exactly 4 MB passes, one byte more is 413', async (t) => {
  const rig = await startRig(t)
  const empty = JSON.stringify({ jsonrpc: '2.0', id: 7, method: '' })
  const fitting = { jsonrpc: '2.0', id: 7, method: 'x'.repeat(bodyBytesMax - empty.length) }

  assert.equal((await rig.post(fitting)).status, 200)
  const refused = await rig.post({ ...fitting, method: `${fitting.method}x` })

  assert.equal(refused.status, 413)
  assert.equal(await reasonOf(refused), 'payload_too_large')
  assert.equal(rig.seen.length, 1)
})

test('what is no MCP request does not reach the server', async (t) => {
  const rig = await startRig(t)
  const json = { 'content-type': 'application/json' }

  const put = await rig.send('PUT', { raw: '{}', headers: json })
  assert.equal(put.status, 405)
  assert.equal(put.headers.get('allow'), 'GET, POST, DELETE')
  const text = { raw: '{}', headers: { 'content-type': 'text/plain' } }
  assert.equal((await rig.send('POST', text)).status, 415)
  const broken = await rig.send('POST', { raw: '{"jsonrpc":', headers: json })
  assert.equal(broken.status, 400)
  assert.equal(await reasonOf(broken), 'parse_error')
  assert.equal((await rig.post('just text')).status, 400)
  assert.equal((await rig.post([])).status, 400)
  assert.equal((await rig.post(toolsList, { slug: 'nothing' })).status, 404)
  assert.equal(rig.seen.length, 0)
})

test('a page of another origin is 403, also with a good token', async (t) => {
  const rig = await startRig(t)

  const foreign = await rig.post(toolsList, { headers: { origin: 'https://evil.example' } })
  const own = await rig.post(toolsList, { headers: { origin: tenant.issuer } })

  assert.equal(foreign.status, 403)
  assert.equal(own.status, 200)
  assert.equal(rig.seen.length, 1)
})

test('only the allowed request headers cross (threat X-29)', async (t) => {
  verifies(t, 'X-29')
  const rig = await startRig(t)

  await rig.post(toolsList, {
    headers: {
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
      'mcp-param-region': 'eu',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      cookie: 'session=1',
      'x-tenant': 'evil',
      'x-forwarded-for': '10.0.0.1',
      x_forwarded_user: 'root',
      forwarded: 'for=10.0.0.1',
      'proxy-authorization': 'Basic eDp5',
      'user-agent': 'a client',
    },
  })

  const { headers } = rig.seen[0]!
  assert.deepEqual(Object.keys(headers).sort(), [
    'accept',
    'accept-encoding',
    'accept-language',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
    'mcp-param-region',
    'mcp-protocol-version',
    'traceparent',
    'user-agent',
  ])
  assert.equal(headers['user-agent'], 'latchkey')
  assert.equal(headers.connection, 'keep-alive')
})

test('a session id works for the one it was given to, on that server, and for nobody else', async (t) => {
  verifies(t, 'S4-19', 'A4-14')
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'abc.d' })
      response.end('{}')
    },
  })
  const started = await rig.post({ ...toolsList, method: 'initialize' })
  const id = started.headers.get('mcp-session-id') ?? ''
  const headers = { 'mcp-session-id': id }

  assert.match(id, /^abc\.d\.[\w-]{20,}$/)
  assert.equal((await rig.post(toolsList, { headers })).status, 200)
  assert.equal(rig.seen[1]?.headers['mcp-session-id'], 'abc.d')

  const theirs = await rig.post(toolsList, { headers, token: bobToken })
  assert.equal(theirs.status, 404)
  assert.equal(await reasonOf(theirs), 'unknown_session')
  assert.equal((await rig.post(toolsList, { headers, slug: 'other' })).status, 404)
  for (const forged of ['abc.d', `x${id}`, `${id}x`, 'abc.d.', '.']) {
    const answer = await rig.post(toolsList, { headers: { 'mcp-session-id': forged } })
    assert.equal(answer.status, 404, forged)
  }
  assert.equal(rig.seen.length, 2)
})

test('a session belongs to the connection that it was begun with', async (t) => {
  verifies(t, 'S1-10')
  const another: Credential = { ...bearer, connectionId: 'con_2' }
  const rig = await startRig(t, {
    credentials: [bearer, bearer, another, bearer],
    renewed: another,
    upstream: (request, response) => {
      if (request.headers['mcp-param-extra'] === '401') return void response.writeHead(401).end()
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'abc' })
      response.end('{}')
    },
  })
  const started = await rig.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} })
  const headers = { 'mcp-session-id': started.headers.get('mcp-session-id') ?? '' }

  const same = await rig.post(toolsList, { headers })
  const crossed = await rig.post(toolsList, { headers })
  const renewed = await rig.post(toolsList, { headers: { ...headers, 'mcp-param-extra': '401' } })

  assert.equal(same.status, 200)
  for (const answer of [crossed, renewed]) {
    assert.equal(answer.status, 404)
    assert.equal(await reasonOf(answer), 'unknown_session')
  }
  assert.equal(rig.seen.length, 3, 'the other account never saw the session')
})

test('a header or the address names the connection to use; it goes no further', async (t) => {
  verifies(t, 'S1-10')
  const rig = await startRig(t)
  const named = { headers: { 'latchkey-connection': 'work' } }

  await rig.post(toolsList)
  await rig.post(toolsList, named)
  await rig.post(toolsList, { query: '?connection=my%20home' })
  const two = await rig.post(toolsList, { ...named, query: '?connection=home' })
  const twice = await rig.post(toolsList, { query: '?connection=a&connection=b' })

  assert.deepEqual(rig.labels(), [undefined, 'work', 'my home'])
  for (const answer of [two, twice]) {
    assert.equal(answer.status, 422)
    assert.equal(await reasonOf(answer), 'connection_unknown')
  }
  for (const { url, headers } of rig.seen) {
    assert.equal(url, '/mcp?own=query')
    assert.equal(headers['latchkey-connection'], undefined)
  }
})

test('since 2026-07-28 a session id is ignored', async (t) => {
  const rig = await startRig(t)

  const response = await rig.post(toolsList, {
    headers: { 'mcp-session-id': 'forged', 'mcp-protocol-version': '2026-07-28' },
  })

  assert.equal(response.status, 200)
  assert.equal(rig.seen[0]?.headers['mcp-session-id'], undefined)
})

test('a stream is opened with GET and a session ended with DELETE, without a body', async (t) => {
  const rig = await startRig(t, {
    upstream: ({ method }, response) => {
      response.setHeader('content-type', 'text/event-stream')
      if (method === 'DELETE') response.removeHeader('content-type')
      response.end()
    },
  })

  assert.equal((await rig.send('GET', { headers: { 'last-event-id': '4' } })).status, 200)
  assert.equal((await rig.send('DELETE')).status, 200)
  assert.deepEqual(
    rig.seen.map(({ method, body }) => [method, body]),
    [
      ['GET', ''],
      ['DELETE', ''],
    ],
  )
  assert.equal(rig.seen[0]?.headers['last-event-id'], '4')
})

test('the journal gets who called which tool, how it ended, and nothing of the content', async (t) => {
  verifies(t, 'S4-36', 'S4-3', 'S4-12')
  const rig = await startRig(t, { credentials: [bearer, notConnected] })
  const call = { name: 'search', arguments: { query: 'private words' } }

  await rig.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: call })
  await rig.post({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: call })

  const entries = await rig.entries()
  const shared = { server: 'notes', method: 'tools/call', tool: 'search', era: 'legacy' }
  assert.deepEqual(entries, [
    {
      tenantId: 'ten_1',
      type: 'call.completed',
      actor: { kind: 'client', id: 'mcp_oauth_1' },
      userId: 'usr_alice',
      subject: { kind: 'server', id: 'srv_notes' },
      data: { ...shared, status: 200, durationMs: 0 },
    },
    {
      tenantId: 'ten_1',
      type: 'call.refused',
      actor: { kind: 'client', id: 'mcp_oauth_1' },
      userId: 'usr_alice',
      subject: { kind: 'server', id: 'srv_notes' },
      data: { ...shared, status: 200, durationMs: 0, reason: 'authorization_required' },
    },
  ])
})

test('a client that leaves while the server thinks ends the call there too', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  const rig = await startRig(t, {
    upstream: (request) => {
      request.socket.on('close', closed.resolve)
      arrived.resolve()
    },
  })
  const leave = new AbortController()
  const call = rig.post(toolsList, { signal: leave.signal })
  await arrived.promise

  leave.abort()

  await assert.rejects(call)
  await closed.promise
})

function refuseToken(token: string): RequestListener {
  return (request, response) => {
    if (request.headers.authorization === `Bearer ${token}`) {
      response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' })
      response.end()
      return
    }
    response.setHeader('content-type', 'application/json')
    response.end('{}')
  }
}

function html(response: Parameters<RequestListener>[1], status: number): void {
  response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>Hello</h1>')
}

async function reasonOf(response: Response): Promise<unknown> {
  const { error } = (await response.json()) as { error: { data: { reason: string } } }
  return error.data.reason
}
