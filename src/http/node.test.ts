// The listener, asked over raw sockets: what Node's parser lets through and we do not, and what goes where.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Log } from '../base/log.ts'
import { createLog, silentLog } from '../base/log.ts'
import { verifies } from '../../test/requirements.ts'
import { aliceToken, listen, startRig, tenant } from '../gateway/gateway.rig.ts'
import type { Rig, RigSettings } from '../gateway/gateway.rig.ts'
import type { Tenants } from '../people/tenants.ts'
import { createCallerOf } from './callers-address.ts'
import { unlimited } from './meter.ts'
import { createListener } from './node.ts'

const host = 'hub.example'
const ok = 'HTTP/1.1 200 OK'
const bad = 'HTTP/1.1 400 Bad Request'

const refusedTargets = [
  '//evil.com/admin',
  'http://evil/admin',
  '/\\evil.com/x',
  '/x\\y',
  '*',
  'admin',
  '/a/../admin',
  '/a/%2e%2E/admin',
  '/a/.',
  '/a#b',
]
for (const target of refusedTargets) {
  test(`the request target ${target} is 400 (threat X-26)`, async (t) => {
    const { ask, reached } = await startListener(t)

    const method = target === '*' ? 'OPTIONS' : 'GET'
    const answer = await ask(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)

    assert.equal(statusLine(answer), bad)
    assert.deepEqual(reached, [])
  })
}

const refusedHosts = ['x/public?', 'a b', 'a@b', 'a,b', '[::1', 'a:b', 'a:1:2', '', 'ü', 'a%41']
for (const name of refusedHosts) {
  test(`the host "${name}" is 400 (threat X-26)`, async (t) => {
    const { ask, reached } = await startListener(t)

    const answer = await ask(`GET /admin HTTP/1.1\r\nHost: ${name}\r\n\r\n`)

    assert.equal(statusLine(answer), bad)
    assert.deepEqual(reached, [])
  })
}

test('two Host fields, or none, are 400 (threat X-26)', async (t) => {
  const { ask, reached } = await startListener(t)

  const two = await ask(`GET / HTTP/1.1\r\nHost: ${host}\r\nhost: evil.example\r\n\r\n`)
  const none = await ask('GET / HTTP/1.1\r\n\r\n')
  const old = await ask('GET / HTTP/1.0\r\n\r\n')

  assert.deepEqual([two, none, old].map(statusLine), [bad, bad, bad])
  assert.deepEqual(reached, [])
})

test('a name in any case, with a port, and an IPv6 address are hosts', async (t) => {
  const { ask, reached } = await startListener(t)

  for (const name of ['hub.example', 'HUB.Example:8787', '[::1]:8787', '127.0.0.1:1']) {
    const answer = await ask(`GET /x?q=//y HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`)
    assert.equal(statusLine(answer), ok, name)
  }
  assert.equal(reached.length, 4)
})

const smuggled: readonly (readonly [string, string])[] = [
  ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked'],
  ['two lengths', 'Content-Length: 5\r\nContent-Length: 6'],
  ['an unknown coding', 'Transfer-Encoding: xchunked'],
  ['chunked and another coding', 'Transfer-Encoding: chunked, identity'],
  ['another coding and chunked', 'Transfer-Encoding: gzip, chunked'],
  ['two coding fields', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
  ['a space before the colon', 'Transfer-Encoding : chunked'],
  ['a folded field', 'X: a\r\n b\r\nTransfer-Encoding:\r\n chunked'],
]
for (const [name, fields] of smuggled) {
  test(`${name}: 400 and the connection ends (threat X-27)`, async (t) => {
    const { ask, reached, rig } = await startListener(t)
    const second = `GET /second HTTP/1.1\r\nHost: ${host}\r\n\r\n`

    const start = `POST /notes/mcp HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${aliceToken}`
    const answer = await ask(`${start}\r\n${fields}\r\n\r\n0\r\n\r\n${second}`)

    assert.equal(statusLine(answer), bad)
    assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1)
    assert.deepEqual(reached, [])
    assert.equal(rig.seen.length, 0)
  })
}

test('a transfer coding in HTTP/1.0 and bare line feeds are 400 (threat X-27)', async (t) => {
  const { ask, reached } = await startListener(t)
  const chunked = `Host: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`

  const old = await ask(`POST /x HTTP/1.0\r\n${chunked}`)
  const bare = await ask(`GET /x HTTP/1.1\nHost: ${host}\n\n`)

  assert.deepEqual([old, bare].map(statusLine), [bad, bad])
  assert.deepEqual(reached, [])
})

test('chunks come out re-framed by us, and client fields do not cross (threats X-27, X-29)', async (t) => {
  const { ask, rig } = await startListener(t)
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

  const answer = await ask(
    [
      'POST /notes/mcp HTTP/1.1',
      `Host: ${host}`,
      `Authorization: Bearer ${aliceToken}`,
      'Content-Type: application/json',
      'Connection: close, authorization, x-tenant',
      'X-Tenant: evil',
      'X-Real-IP: 10.0.0.1',
      'X_Forwarded_User: root',
      'Forwarded: for=10.0.0.1',
      'Proxy-Authorization: Basic eDp5',
      'TE: trailers',
      'Upgrade: h2c',
      'Transfer-Encoding: Chunked',
      'Trailer: x-evil',
      '',
      `${body.length.toString(16)};ext=1`,
      body,
      '0',
      'X-Evil: 1',
      '',
      '',
    ].join('\r\n'),
  )

  assert.equal(statusLine(answer), ok)
  const [seen] = rig.seen
  assert.equal(seen?.body, body)
  assert.deepEqual(Object.keys(seen?.headers ?? {}).sort(), [
    'accept-encoding',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
  ])
  assert.equal(seen?.headers['content-length'], `${body.length}`)
  assert.equal(seen?.headers.authorization, 'Bearer upstream-token-1')
})

test('a body over 4 MB in chunks is 413 while it is still coming, and the connection ends', async (t) => {
  const { open } = await startListener(t)
  const socket = open()
  socket.write(
    `POST /notes/mcp HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${aliceToken}\r\n` +
      'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
  )
  socket.write(`${(4 * 1024 * 1024 + 1).toString(16)}\r\n${' '.repeat(4 * 1024 * 1024 + 1)}\r\n`)

  const answer = await readAll(socket)

  assert.equal(statusLine(answer), 'HTTP/1.1 413 Payload Too Large')
  assert.match(answer, /"reason":"payload_too_large"/)
})

test('header fields over 16 KB are 431', async (t) => {
  const { ask, reached } = await startListener(t)

  const answer = await ask(`GET / HTTP/1.1\r\nHost: ${host}\r\nX: ${'a'.repeat(16_384)}\r\n\r\n`)

  assert.equal(statusLine(answer), 'HTTP/1.1 431 Request Header Fields Too Large')
  assert.deepEqual(reached, [])
})

test('an MCP path on a host that is nobody’s is 421, before the token is looked at', async (t) => {
  const { ask, rig } = await startListener(t)

  const answer = await ask(
    `GET /notes/mcp HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer ${aliceToken}\r\n\r\n`,
  )

  assert.equal(statusLine(answer), 'HTTP/1.1 421 Misdirected Request')
  assert.equal(rig.asked(), 0)
})

test('a body that does not end in time is 408; an answer may take longer than that', async (t) => {
  const late = Promise.withResolvers<void>()
  const upstream: RigSettings['upstream'] = (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.write('data: one\n\n')
    void late.promise.then(() => response.end('data: two\n\n'))
  }
  const { open } = await startListener(t, { upstream, requestTimeMs: 100 })
  const head = `POST /notes/mcp HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${aliceToken}\r\n`
  const json = 'Content-Type: application/json\r\nConnection: close\r\n'
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
  const streaming = open()
  streaming.write(`${head}${json}Content-Length: ${body.length}\r\n\r\n${body}`)
  const unfinished = open()
  unfinished.write(`${head}${json}Content-Length: 10\r\n\r\n{`)

  // The unfinished request is cut off while the stream, begun before it, is still open.
  assert.equal(statusLine(await readAll(unfinished)), 'HTTP/1.1 408 Request Timeout')
  late.resolve()
  assert.match(await readAll(streaming), /data: one[^]*data: two/)
})

test('the access log has method, path words, status and time, and no query, id or token', async (t) => {
  const lines: string[] = []
  const written = Promise.withResolvers<void>()
  const log = createLog('info', (line) => {
    lines.push(line)
    if (lines.length === 3) written.resolve()
  })
  const { ask } = await startListener(t, { log })
  const fields = `Host: ${host}\r\nConnection: close\r\n\r\n`

  await ask(`GET /notes/mcp?access_token=${aliceToken} HTTP/1.1\r\n${fields}`)
  await ask(`GET /api/v1/connections/con_4711?x=y HTTP/1.1\r\n${fields}`)
  await ask(`GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\n${fields}`)
  await written.promise

  const seen = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    seen.map(({ method, path, status }) => [method, path, status]),
    [
      ['GET', '/{slug}/mcp', 401],
      ['GET', '/api/v1/connections/{…}', 200],
      ['GET', '/.well-known/oauth-protected-resource/mcp', 200],
    ],
  )
  assert.ok(seen.every(({ ms }) => typeof ms === 'number'))
  assert.doesNotMatch(lines.join(''), /mcp_at_|con_4711|x=y/)
})

test('a call while the database is away is answered, with the time to come back (row 31)', async (t) => {
  verifies(t, 'T-31')
  const away = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  const { ask } = await startListener(t, {
    at: async () => {
      throw away
    },
  })

  const answer = await ask(`POST /notes/mcp HTTP/1.1\r\nHost: ${host}\r\n\r\n`)

  assert.equal(statusLine(answer), 'HTTP/1.1 503 Service Unavailable')
  assert.match(answer, /^retry-after: 5\r$/im)
})

test('a stream is measured until it begins, however long it lasts', async (t) => {
  const measured = Promise.withResolvers<number>()
  const { ask } = await startListener(t, {
    measured: measured.resolve,
    upstream: (_request, response) => {
      response.setHeader('content-type', 'text/event-stream')
      response.write('data: one\n\n')
      // Longer than all that came before it took.
      setTimeout(() => response.end(), performance.now() - startedMs + 1)
    },
  })
  const startedMs = performance.now()
  const head = `GET /notes/mcp HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${aliceToken}\r\n`
  const answer = await ask(`${head}Accept: text/event-stream\r\nConnection: close\r\n\r\n`)
  const lastedMs = performance.now() - startedMs
  assert.match(answer, /data: one/)
  assert.ok((await measured.promise) < lastedMs / 2)
})

test('the app is told where a request comes from', async (t) => {
  const { ask, reached } = await startListener(t)

  await ask(
    `GET /x HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: close\r\n\r\n`,
  )

  assert.deepEqual(reached, [`http://${host}/x from 127.0.0.1`])
})

interface ListenerSettings extends RigSettings {
  readonly at?: Tenants['at']
  readonly log?: Log
  readonly requestTimeMs?: number
  readonly measured?: (ms: number) => void
}

interface Started {
  readonly rig: Rig
  /** What the app got. */
  readonly reached: readonly string[]
  readonly open: () => Socket
  /** Sends raw bytes and reads until the connection ends. */
  readonly ask: (raw: string) => Promise<string>
}

async function startListener(t: TestContext, settings: ListenerSettings = {}): Promise<Started> {
  const { log = silentLog, requestTimeMs = 30_000, at = ofOurHost } = settings
  const rig = await startRig(t, settings)
  const reached: string[] = []
  const listener = createListener(
    {
      app: async (request, { remoteAddress }) => {
        reached.push(`${request.url} from ${remoteAddress}`)
        return new Response('from the app')
      },
      gateway: rig.gateway,
      tenants: { at },
      meterOf: () => unlimited,
      callerOf: createCallerOf([]),
      metrics: { observe: ({ ms }) => settings.measured?.(ms) },
      log,
    },
    { requestTimeMs, checkEveryMs: 50, headersTimeMs: Math.min(requestTimeMs, 10_000) },
  )
  const { port } = new URL(await listen(t, listener))
  const open = () => connect(Number(port), '127.0.0.1')
  const ask = (raw: string) => {
    const socket = open()
    socket.write(raw)
    return readAll(socket)
  }
  return { rig, reached, open, ask }
}

const ofOurHost: Tenants['at'] = async ({ host: name, slug }) =>
  name === host && slug === undefined ? tenant : undefined

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  } catch {
    // A reset after the answer is an end too.
  }
  return Buffer.concat(chunks).toString()
}

function statusLine(answer: string): string {
  return answer.split('\r\n', 1)[0] ?? ''
}
