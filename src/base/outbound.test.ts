import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { text as readText } from 'node:stream/consumers'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { inspect } from 'node:util'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { verifies } from '../../test/requirements.ts'
import { systemClock } from './clock.ts'
import { isFault } from './fault.ts'
import type { FaultCode } from './fault.ts'
import { silentLog } from './log.ts'
import { createOutbound } from './outbound.ts'
import type { OutboundRequest } from './outbound.ts'
import { Secret } from './secret.ts'
import { createWorld, listenCanary, listenHttp, listenHttps } from './listener.rig.ts'

// The operator allows these public networks here, so plain http does; the guards are on for every other address.
const allow = ['93.184.216.0/24', '93.184.217.0/24']
const here = '93.184.216.34'
const elsewhere = '93.184.217.34'
const names = {
  'server.example': [here],
  'elsewhere.example': [elsewhere],
  'inside.example': ['10.0.0.1'],
}

const refusedWith =
  (...codes: readonly FaultCode[]) =>
  (thrown: unknown) =>
    isFault(thrown) && codes.includes(thrown.code)

/** One server, and a call of it. */
async function createServed(t: TestContext, handler: RequestListener) {
  const server = await listenHttp(t, handler)
  const world = createWorld(t, { names, allow, port: server.port })
  const call = (request: Partial<OutboundRequest> = {}) =>
    world.outbound.fetch({ url: 'http://server.example/', purpose: 'test', ...request })
  return { ...world, call }
}

const answering =
  (body: string | Uint8Array, headers: Record<string, string | string[]> = {}): RequestListener =>
  (_incoming, response) => {
    response.writeHead(200, headers).end(body)
  }

test('an answer has its status, headers, text, JSON and address', async (t) => {
  const { call } = await createServed(t, (_incoming, response) => {
    response.writeHead(404, { 'X-One': '1', 'x-two': ['a', 'b'] }).end('{"error":"x"}')
  })
  const answer = await call()
  assert.equal(answer.status, 404)
  assert.deepEqual(
    ['x-one', 'X-ONE', 'x-two', 'x-three'].map((name) => answer.headers.get(name)),
    ['1', '1', 'a, b', null],
  )
  assert.equal(answer.text, '{"error":"x"}')
  assert.deepEqual(answer.json(), { error: 'x' })
  assert.equal(answer.url, 'http://server.example/')
})

test('method, headers and body arrive, secrets revealed only on the wire', async (t) => {
  const { call, lines } = await createServed(t, (incoming, response) => {
    const { authorization, accept, 'content-type': type } = incoming.headers
    const answer = (body: string) =>
      response.end(JSON.stringify({ method: incoming.method, body, authorization, accept, type }))
    readText(incoming).then(answer, () => response.destroy())
  })
  const answer = await call({
    method: 'POST',
    headers: { Authorization: new Secret('Odd canary'), 'content-type': 'x/y' },
    body: new Secret('code=canary'),
  })
  assert.deepEqual(answer.json(), {
    method: 'POST',
    body: 'code=canary',
    authorization: 'Odd canary',
    type: 'x/y',
    accept: '*/*',
  })
  assert.doesNotMatch(lines.join(''), /canary/)
})

for (const [type, isAccepted] of [
  ['application/json', true],
  ['Application/JSON; charset=utf-8', true],
  ['text/html', false],
  ['application/json-seq', false],
  ['text/application/json', false],
] as const) {
  test(`of a good answer of type "${type}" ${isAccepted ? 'is read' : 'is refused'} where JSON is asked for`, async (t) => {
    const { call } = await createServed(t, answering('{}', { 'content-type': type }))
    const answer = call({ accept: ['application/json'] })
    if (isAccepted) assert.equal((await answer).status, 200)
    else await assert.rejects(answer, refusedWith('metadata_discovery_failed'))
  })
}

test('an error answer may have any type', async (t) => {
  const { call } = await createServed(t, (_incoming, response) =>
    response.writeHead(500).end('<p>'),
  )
  assert.equal((await call({ accept: ['application/json'] })).status, 500)
})

const encodings: Readonly<Record<string, (body: string) => Uint8Array>> = {
  gzip: (body) => gzipSync(body),
  br: (body) => brotliCompressSync(body),
  deflate: (body) => deflateSync(body),
  identity: (body) => Buffer.from(body),
  GZIP: (body) => gzipSync(body),
}

for (const [encoding, encode] of Object.entries(encodings)) {
  test(`the size of a body in ${encoding} counts after decompression: the last byte that fits, and one more`, async (t) => {
    verifies(t, 'X-15')
    const headers = { 'content-encoding': encoding }
    const { call } = await createServed(t, (incoming, response) => {
      answering(encode('x'.repeat(Number(incoming.url?.slice(1)))), headers)(incoming, response)
    })
    const sized = (bytes: number) =>
      call({ url: `http://server.example/${bytes}`, limits: { bytes: 1000 } })
    assert.equal((await sized(1000)).text.length, 1000)
    await assert.rejects(sized(1001), refusedWith('discovery_blocked'))
  })
}

test('without another limit a body may have 64 KB', async (t) => {
  verifies(t, 'X-15')
  const { call } = await createServed(t, (incoming, response) => {
    response.end('x'.repeat(Number(incoming.url?.slice(1))))
  })
  assert.equal((await call({ url: 'http://server.example/65536' })).text.length, 65_536)
  await assert.rejects(
    call({ url: 'http://server.example/65537' }),
    refusedWith('discovery_blocked'),
  )
})

const bombs: Readonly<Record<string, () => [Uint8Array, string | string[]]>> = {
  'gzip of 50 MB': () => [gzipSync(Buffer.alloc(50_000_000, ' ')), 'gzip'],
  'brotli of 50 MB': () => [brotliCompressSync(Buffer.alloc(50_000_000, ' ')), 'br'],
  'gzip in gzip': () => [gzipSync(gzipSync('{}')), 'gzip, gzip'],
  'gzip in gzip, in two headers': () => [gzipSync(gzipSync('{}')), ['gzip', 'gzip']],
  '2000 times gzip': () => [gzipSync('{}'), Array.from({ length: 2000 }, () => 'gzip').join(',')],
  'an encoding that nobody knows': () => [Buffer.from('{}'), 'constructor'],
}

for (const [name, make] of Object.entries(bombs)) {
  test(`a body that is a bomb is refused: ${name}`, async (t) => {
    verifies(t, 'X-15')
    const [body, encoding] = make()
    const { call } = await createServed(t, answering(body, { 'content-encoding': encoding }))
    const before = process.memoryUsage().rss
    await assert.rejects(call(), refusedWith('discovery_blocked'))
    assert.ok(process.memoryUsage().rss - before < 20_000_000)
  })
}

test('a body that is not what its encoding says is a failure', async (t) => {
  const headers = { 'content-encoding': 'gzip' }
  const { call } = await createServed(t, answering('no gzip', headers))
  await assert.rejects(call(), refusedWith('network_error'))
  const cut = await createServed(t, answering(gzipSync('x'.repeat(999)).subarray(0, 15), headers))
  await assert.rejects(cut.call(), refusedWith('network_error'))
})

test('a body that never ends is cut off, and the connection with it', async (t) => {
  verifies(t, 'X-15')
  const closed = Promise.withResolvers<void>()
  const { call } = await createServed(t, (_incoming, response) => {
    const chunk = Buffer.alloc(16_384, 'x')
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more).on('close', closed.resolve)
    more()
  })
  await assert.rejects(call(), refusedWith('discovery_blocked'))
  await closed.promise
})

const slow: Readonly<Record<string, RequestListener>> = {
  'no answer': () => {},
  'headers and then nothing': (_incoming, response) => response.flushHeaders(),
  'a byte now and then': (_incoming, response) => {
    const timer = setInterval(() => response.write('x'), 20)
    response.on('close', () => clearInterval(timer))
  },
  'a compressed byte now and then': (_incoming, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' })
    const body = gzipSync('x'.repeat(999))
    let at = 0
    const timer = setInterval(() => response.write(body.subarray(at, (at += 1))), 20)
    response.on('close', () => clearInterval(timer))
  },
  'redirects that each take a while': (_incoming, response) => {
    setTimeout(() => response.writeHead(302, { location: '/' }).end(), 60)
  },
}

for (const [name, handler] of Object.entries(slow)) {
  test(`the whole call has one limit of time: ${name}`, async (t) => {
    verifies(t, 'X-15')
    const { call } = await createServed(t, handler)
    await assert.rejects(call({ limits: { timeMs: 200, redirects: 99 } }), refusedWith('timeout'))
  })
}

test('the limit of time holds while a name is looked up, and nothing is sent after it', async (t) => {
  verifies(t, 'X-15')
  const server = await listenHttp(t, answering('{}'))
  const lookup = Promise.withResolvers<readonly string[]>()
  const outbound = createOutbound(
    {
      log: silentLog,
      clock: systemClock,
      resolve: () => lookup.promise,
      connect: () => ({ address: '127.0.0.1', port: server.port }),
    },
    { allow },
  )
  t.after(() => outbound.close())
  const limits = { timeMs: 50 }
  const sent = outbound.fetch({ url: 'http://server.example/', purpose: 'test', limits })
  await assert.rejects(sent, refusedWith('timeout'))
  lookup.resolve([here])
  const next = await outbound.fetch({ url: 'http://server.example/', purpose: 'test' })
  assert.equal(next.text, '{}')
  assert.equal(server.requests(), 1)
})

test('headers of a megabyte are refused', async (t) => {
  verifies(t, 'X-15')
  const { call } = await createServed(t, answering('{}', { 'x-large': 'x'.repeat(1_000_000) }))
  await assert.rejects(call(), refusedWith('network_error'))
})

test('a caller may give up', async (t) => {
  const { call, asked } = await createServed(t, () => {})
  await assert.rejects(call({ signal: AbortSignal.abort() }), refusedWith('network_error'))
  assert.equal(asked.length, 0)
  const controller = new AbortController()
  const waiting = call({ signal: controller.signal })
  controller.abort()
  await assert.rejects(waiting, refusedWith('network_error'))
})

test('JSON from an answer has its limits', async (t) => {
  verifies(t, 'X-15')
  const { call } = await createServed(t, answering('['.repeat(17) + ']'.repeat(17)))
  const answer = await call()
  assert.throws(() => answer.json(), refusedWith('metadata_discovery_failed'))
})

/** A server that sends everybody who asks for `/` somewhere else, and another server. */
async function createRedirecting(t: TestContext, location: string, status = 302) {
  const seen: IncomingMessage[] = []
  const keep = (incoming: IncomingMessage, response: ServerResponse) => {
    seen.push(incoming)
    if (incoming.url === '/') response.writeHead(status, { location })
    response.end('end')
  }
  const [server, other, canary] = await Promise.all([
    listenHttp(t, keep),
    listenHttp(t, keep),
    listenCanary(t),
  ])
  const ports = { [here]: server.port, [elsewhere]: other.port }
  const world = createWorld(t, { names, allow, ports, port: canary.port })
  const call = (request: Partial<OutboundRequest> = {}) =>
    world.outbound.fetch({ url: 'http://server.example/', purpose: 'test', ...request })
  return { ...world, call, seen, canary }
}

test('no redirect is followed unless it is asked for', async (t) => {
  verifies(t, 'X-16')
  const { call, seen } = await createRedirecting(t, '/end')
  const answer = await call()
  assert.deepEqual([answer.status, answer.headers.get('location'), seen.length], [302, '/end', 1])
})

test('an asked-for redirect is followed, and the answer says where it came from', async (t) => {
  const { call } = await createRedirecting(t, 'http://elsewhere.example/end')
  const answer = await call({ limits: { redirects: 1 } })
  assert.deepEqual([answer.status, answer.url], [200, 'http://elsewhere.example/end'])
})

test('redirects end at their number, loops too', async (t) => {
  verifies(t, 'X-16')
  const { call, seen } = await createRedirecting(t, '/')
  assert.equal((await call({ limits: { redirects: 2 } })).status, 302)
  assert.equal(seen.length, 3)
})

for (const location of [
  'http://169.254.169.254/latest/meta-data/',
  'https://169.254.169.254/',
  'http://[::ffff:7f00:1]/',
  '//127.0.0.1/',
  'https://inside.example/',
  'http://inside.example/',
  'http://1.1.1.1/',
  'https://1.1.1.1:6379/',
  'ftp://elsewhere.example/',
  'file:///etc/passwd',
  'http://user:pass@elsewhere.example/',
  'http://[',
]) {
  test(`a redirect to ${location} is judged again and not followed`, async (t) => {
    verifies(t, 'X-14', 'X-16')
    const { call, seen, asked, canary } = await createRedirecting(t, location)
    await assert.rejects(
      call({ limits: { redirects: 2 } }),
      refusedWith('discovery_blocked', 'insecure_endpoint', 'network_error'),
    )
    assert.deepEqual([seen.length, asked.length, canary.connections()], [1, 1, 0])
  })
}

for (const status of [301, 302, 303, 307, 308]) {
  test(`a POST is never repeated by a ${status}`, async (t) => {
    verifies(t, 'X-16')
    const { call, seen } = await createRedirecting(t, 'http://elsewhere.example/', status)
    const answer = await call({ method: 'POST', body: 'code=canary', limits: { redirects: 5 } })
    assert.deepEqual([answer.status, seen.length], [status, 1])
  })
}

const manyHeaders = {
  Authorization: 'Bearer canary1',
  cookie: 'canary2',
  'X-Api-Key': 'canary3',
  'x-other': new Secret('canary4'),
  accept: 'text/plain',
}

test('a redirect to another origin takes no credentials and no body along', async (t) => {
  verifies(t, 'X-16')
  const { call, seen } = await createRedirecting(t, 'http://elsewhere.example/end', 307)
  await call({ headers: manyHeaders, body: 'canary5', limits: { redirects: 1 } })
  const [, second] = seen
  assert.equal(second?.headers.host, 'elsewhere.example')
  assert.doesNotMatch(JSON.stringify(second?.rawHeaders), /canary|content-length/)
  assert.equal(second?.headers.accept, 'text/plain')
})

test('a redirect to another port is to another origin', async (t) => {
  verifies(t, 'X-16')
  const { call, seen } = await createRedirecting(t, 'http://server.example:8080/end')
  await call({ headers: manyHeaders, limits: { redirects: 1 } })
  assert.doesNotMatch(JSON.stringify(seen[1]?.rawHeaders), /canary/)
})

test('a redirect within one origin keeps the headers', async (t) => {
  const { call, seen } = await createRedirecting(t, '/end')
  await call({ headers: manyHeaders, limits: { redirects: 1 } })
  assert.equal(seen[1]?.headers.authorization, 'Bearer canary1')
})

for (const value of [
  'Bearer canary\r\nX-Evil: 1',
  'Bearer canary\n',
  'Bearer canary\0',
  'Bearer canary ключ',
]) {
  test(`a header value that no header can hold is refused without being told: ${JSON.stringify(value)}`, async (t) => {
    verifies(t, 'X-28', 'X-31')
    const { call, asked, lines } = await createServed(t, answering('{}'))
    for (const name of ['authorization', 'x-canary-free', 'host', 'content-length', 'connection']) {
      for (const held of [value, new Secret(value)]) {
        const thrown: unknown = await call({ headers: { [name]: held } }).catch(
          (error: unknown) => error,
        )
        assert.ok(refusedWith('network_error')(thrown))
        assert.doesNotMatch(inspect(thrown, { depth: 9, showHidden: true }), /canary\b(?!-free)/)
      }
    }
    assert.equal(asked.length, 0)
    assert.doesNotMatch(lines.join(''), /canary\b(?!-free)/)
  })
}

test('a header name that is none is refused too', async (t) => {
  verifies(t, 'X-28')
  const { call } = await createServed(t, answering('{}'))
  await assert.rejects(call({ headers: { 'a\r\nb': 'x' } }), refusedWith('network_error'))
})

test('a refused, a broken and an unintelligible connection are network errors with a reason and no more', async (t) => {
  verifies(t, 'X-31')
  const refused = createWorld(t, { names, allow, port: 1 })
  const broken = await createServed(t, (incoming) => incoming.socket.destroy())
  const half = await createServed(t, (_incoming, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('half', () => response.destroy())
  })
  const odd = await createServed(t, (incoming) => incoming.socket.end('canary\r\n\r\n'))
  for (const { outbound } of [refused, broken, half, odd]) {
    const url = 'http://server.example/?code=canary'
    const thrown: unknown = await outbound
      .fetch({ url, headers: { authorization: 'Odd canary' }, purpose: 'test' })
      .catch((error: unknown) => error)
    assert.ok(refusedWith('network_error')(thrown))
    assert.doesNotMatch(inspect(thrown, { depth: 9, showHidden: true }), /Odd|canary/)
  }
})

test('a certificate that nobody vouches for and a server without TLS are network errors, and get no request', async (t) => {
  const [untrusted, plain] = [
    await listenHttps(t, (_incoming, response) => response.end()),
    await listenHttp(t, (_incoming, response) => response.end()),
  ]
  for (const { port, requests } of [untrusted, plain]) {
    const { outbound } = createWorld(t, { names, port })
    const headers = { authorization: new Secret('Odd canary') }
    const sent = outbound.fetch({ url: 'https://server.example/', headers, purpose: 'test' })
    await assert.rejects(sent, refusedWith('network_error'))
    assert.equal(requests(), 0)
  }
})

test('headers that are named like parts of an object are headers or nothing', async (t) => {
  const { call } = await createServed(t, answering('{}', { ['__proto__']: 'x', constructor: 'y' }))
  const { headers } = await call()
  assert.deepEqual([headers.get('constructor'), headers.get('__proto__')], ['y', 'x'])
  const none = await createServed(t, answering('{}'))
  const answer = await none.call()
  for (const name of ['constructor', '__proto__', 'valueOf']) {
    assert.equal(answer.headers.get(name), null, name)
  }
})

test('a call is not repeated when the server breaks off', async (t) => {
  let requests = 0
  const { call } = await createServed(t, (incoming) => {
    requests += 1
    incoming.socket.destroy()
  })
  for (const method of ['GET', 'POST', 'PUT']) {
    requests = 0
    await assert.rejects(call({ method }), refusedWith('network_error'))
    assert.equal(requests, 1, method)
  }
})

test('every call leaves one line with its purpose, and no path or query', async (t) => {
  verifies(t, 'X-31')
  const { call, lines } = await createServed(t, answering('{}'))
  await call({ url: 'http://server.example/canary?code=canary', purpose: 'discovery' })
  await assert.rejects(call({ url: 'http://10.0.0.1/canary?code=canary', purpose: 'discovery' }))
  assert.equal(lines.length, 2)
  for (const line of lines) {
    assert.equal((JSON.parse(line) as { purpose: string }).purpose, 'discovery') // a line is an object
    assert.doesNotMatch(line, /canary/)
  }
})

test('an address for a browser is judged by what its name resolves to [X-14]', async (t) => {
  const addresses: Readonly<Record<string, readonly string[]>> = {
    'own.test': ['10.1.2.3'],
    'evil.test': ['93.184.216.34'],
    'mixed.test': ['10.1.2.3', '93.184.216.34'],
  }
  const resolve = async (name: string) => addresses[name] ?? []
  const needs = { log: silentLog, clock: systemClock, resolve }
  const outbound = createOutbound(needs, { allow: ['10.0.0.0/8'] })
  t.after(() => outbound.close())
  const insecure = (thrown: unknown) => isFault(thrown) && thrown.code === 'insecure_endpoint'

  assert.equal((await outbound.vetResolved('http://own.test/authorize')).host, 'own.test')
  assert.equal((await outbound.vetResolved('https://evil.test/authorize')).host, 'evil.test')
  await assert.rejects(outbound.vetResolved('http://evil.test/authorize'), insecure)
  await assert.rejects(outbound.vetResolved('http://mixed.test/authorize'), insecure)
})
