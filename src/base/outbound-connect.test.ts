import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { request } from 'undici'
import { verifies } from '../../test/requirements.ts'
import { faultCatalogue, isFault } from './fault.ts'
import type { FaultCode } from './fault.ts'
import {
  createWorld,
  listenCanary,
  listenHttp,
  listenHttps,
  testCertificate,
} from './listener.rig.ts'
import type { WorldSettings } from './listener.rig.ts'

// Only this process trusts it: with --test each file has one of its own.
setDefaultCACertificates([testCertificate])

const publicAddress = '93.184.216.34'
const refusedWith =
  (...codes: readonly FaultCode[]) =>
  (thrown: unknown) =>
    isFault(thrown) && codes.includes(thrown.code)

/** A world whose every address leads to a canary that must stay untouched. */
async function createGuarded(t: TestContext, settings: Omit<WorldSettings, 'port'> = {}) {
  const canary = await listenCanary(t)
  const world = createWorld(t, { ...settings, port: canary.port })
  const staysUntouched = async (url: string, ...codes: readonly FaultCode[]) => {
    const isRefused = refusedWith(...codes)
    await assert.rejects(world.outbound.fetch({ url, purpose: 'test' }), isRefused, url)
    const bySame = request(url, { dispatcher: world.outbound.dispatcher })
    await assert.rejects(bySame, isRefused, `${url} by the dispatcher`)
    assert.deepEqual(world.asked, [], url)
    assert.equal(canary.connections(), 0, url)
  }
  return { ...world, staysUntouched }
}

const words = (text: string) => text.split(' ')
const literalHosts = [
  ...words('127.0.0.1 127.1 0x7f.1 2130706433 0177.0.0.1 0 ①②⑦.0.0.1 [::] [::1]'),
  ...words('[::ffff:7f00:1] [::ffff:127.0.0.1] [64:ff9b::a9fe:a9fe] [2002:7f00:1::]'),
  ...words('[::127.0.0.1] [::8.8.8.8] [fd00:ec2::254] 169.254.169.254 0xa9fea9fe'),
  ...words('100.100.100.200 168.63.129.16 10.0.0.1 172.16.0.1 192.168.1.1 198.18.0.1'),
  ...words('192.0.0.1 224.0.0.1 240.0.0.1 255.255.255.255 [fe80::1] [fc00::1] [ff02::1]'),
]

for (const host of literalHosts) {
  test(`the literal host ${host} is never connected to`, async (t) => {
    verifies(t, 'X-14')
    const { staysUntouched, outbound, lookups } = await createGuarded(t)
    await staysUntouched(`https://${host}/`, 'discovery_blocked')
    await staysUntouched(`https://${host}:8443/x?y`, 'discovery_blocked')
    await staysUntouched(`http://${host}/`, 'discovery_blocked', 'insecure_endpoint')
    assert.throws(() => outbound.vet(`https://${host}/`), refusedWith('discovery_blocked'))
    assert.deepEqual(lookups, [])
  })
}

const answers: Readonly<Record<string, readonly string[]>> = {
  localhost: ['127.0.0.1', '::1'],
  'localhost.': ['127.0.0.1'],
  'metadata.google.internal': ['169.254.169.254'],
  'private.example': ['10.0.0.1'],
  'mapped.example': ['::ffff:10.0.0.1'],
  'nat64.example': ['64:ff9b::a9fe:a9fe'],
  'public-then-private.example': [publicAddress, '10.0.0.1'],
  'private-then-public.example': ['192.168.0.1', publicAddress],
  'late.example': [...Array.from({ length: 20 }, () => publicAddress), '127.0.0.1'],
  'mixed-families.example': [publicAddress, 'fd00::1'],
  'odd.example': ['127.1'],
  'names.example': ['localhost'],
  'nothing.example': [],
}

for (const name of [...Object.keys(answers), 'missing.example']) {
  test(`a name that leads astray is never connected to: ${name}`, async (t) => {
    verifies(t, 'X-14')
    const { staysUntouched } = await createGuarded(t, { names: answers })
    const hasAddress = (answers[name] ?? []).length > 0
    await staysUntouched(`https://${name}/`, hasAddress ? 'discovery_blocked' : 'name_unresolved')
    await staysUntouched(`http://${name}/`, 'insecure_endpoint')
  })
}

test('whatever may not be reached is told in the same words, with the setting that lets it be reached', async (t) => {
  verifies(t, 'X-14')
  const { outbound } = await createGuarded(t, { names: answers })
  const setting = /LATCHKEY_ALLOW_PRIVATE_NETWORKS/
  const details = new Set<string>()
  for (const host of ['private.example', 'localhost', '10.0.0.1', `${publicAddress}:22`]) {
    const refused = outbound.fetch({ url: `https://${host}/`, purpose: 'test' })
    await assert.rejects(refused, (error) => {
      assert.ok(isFault(error))
      assert.equal(error.code, 'discovery_blocked')
      assert.match(error.because, setting)
      details.add(error.detail?.['url'] ?? '')
      return true
    })
  }
  assert.equal(details.size, 1)
  assert.match([...details].join(''), setting)
  assert.equal(faultCatalogue.discovery_blocked.retryable, false)
  assert.equal(faultCatalogue.name_unresolved.retryable, true)
  const plain = outbound.fetch({ url: 'http://localhost:3000/mcp', purpose: 'test' })
  await assert.rejects(plain, (error) => {
    assert.ok(isFault(error) && error.code === 'insecure_endpoint')
    assert.match(error.detail?.['url'] ?? '', setting)
    return true
  })
})

for (const port of [22, 25, 80, 6379, 5432, 8443]) {
  test(`port ${port} of a public address is never connected to`, async (t) => {
    verifies(t, 'X-14')
    const { staysUntouched } = await createGuarded(t, {
      names: { 'server.example': [publicAddress] },
    })
    await staysUntouched(`https://server.example:${port}/`, 'discovery_blocked')
    await staysUntouched(`https://${publicAddress}:${port}/`, 'discovery_blocked')
  })
}

test('with a network of our own allowed, public addresses keep their rules', async (t) => {
  verifies(t, 'X-14')
  const names = { 'server.example': [publicAddress], 'both.example': [publicAddress, '10.0.0.1'] }
  const { staysUntouched } = await createGuarded(t, { names, allow: ['10.0.0.0/8'] })
  await staysUntouched('http://server.example/', 'insecure_endpoint')
  await staysUntouched('http://both.example/', 'insecure_endpoint')
  await staysUntouched('https://server.example:8443/', 'discovery_blocked')
  await staysUntouched('https://both.example:8443/', 'discovery_blocked')
  await staysUntouched('https://127.0.0.1/', 'discovery_blocked')
})

test('other schemes, credentials in the URL and what is no URL are refused', async (t) => {
  verifies(t, 'X-14')
  const { outbound, asked } = await createGuarded(t)
  for (const url of [
    'ftp://server.example/',
    'file:///etc/passwd',
    'data:,x',
    'x',
    '',
    '//server.example',
  ]) {
    assert.throws(() => outbound.vet(url), refusedWith('insecure_endpoint'), url)
    await assert.rejects(outbound.fetch({ url, purpose: 'test' }), refusedWith('insecure_endpoint'))
  }
  for (const url of ['https://canary@server.example/', 'https://a:canary@server.example/']) {
    assert.throws(
      () => outbound.vet(url),
      (thrown) => isFault(thrown) && !thrown.because.includes('canary'),
    )
  }
  assert.deepEqual(asked, [])
})

test('a vetted URL is given back parsed', async (t) => {
  const { outbound } = await createGuarded(t)
  assert.equal(outbound.vet('https://Server.Example:443/a?b').href, 'https://server.example/a?b')
})

test('a public name is reached by https at the vetted address, under its own name', async (t) => {
  verifies(t, 'X-14')
  const seen: unknown[] = []
  const server = await listenHttps(t, (incoming, response) => {
    seen.push((incoming.socket as TLSSocket & { servername: string }).servername) // it is an https server
    seen.push(incoming.headers.host)
    response.end('hello')
  })
  const names = { 'server.example': [publicAddress] }
  const { outbound, asked, lookups } = createWorld(t, { names, port: server.port })
  const answer = await outbound.fetch({ url: 'https://server.example/', purpose: 'test' })
  assert.equal(answer.text, 'hello')
  assert.deepEqual(asked, [{ address: publicAddress, port: 443, hostname: 'server.example' }])
  assert.deepEqual(lookups, ['server.example'])
  assert.deepEqual(seen, ['server.example', 'server.example'])
})

test('a Host header of the caller does not change whose certificate is asked for', async (t) => {
  const server = await listenHttps(t, (_incoming, response) => response.end('hello'))
  const names = { 'server.example': [publicAddress] }
  const { outbound } = createWorld(t, { names, port: server.port })
  const headers = { host: 'other.example' }
  const answer = await outbound.fetch({ url: 'https://server.example/', headers, purpose: 'test' })
  assert.equal(answer.status, 200)
})

test('a public literal address is reached by https', async (t) => {
  const server = await listenHttps(t, (_incoming, response) => response.end('hello'))
  const { outbound, asked } = createWorld(t, { port: server.port })
  await outbound.fetch({ url: `https://${publicAddress}/`, purpose: 'test' })
  await outbound.fetch({ url: 'https://[2606:4700::1111]/', purpose: 'test' })
  assert.deepEqual(
    asked.map(({ address }) => address),
    [publicAddress, '2606:4700::1111'],
  )
})

test('a certificate of another name is refused before anything is sent', async (t) => {
  verifies(t, 'C28')
  let requests = 0
  const server = await listenHttps(t, () => (requests += 1))
  const names = { 'other.example': [publicAddress] }
  const { outbound } = createWorld(t, { names, port: server.port })
  const sent = outbound.fetch({ url: 'https://other.example/', purpose: 'test' })
  await assert.rejects(sent, refusedWith('network_error'))
  assert.equal(requests, 0)
})

test('a redirect from https to http is not followed, not even into a network of our own', async (t) => {
  verifies(t, 'X-16')
  const server = await listenHttps(t, (_incoming, response) =>
    response.writeHead(302, { location: 'http://inside.example/' }).end(),
  )
  const canary = await listenCanary(t)
  const names = { 'server.example': [publicAddress], 'inside.example': ['10.0.0.1'] }
  const ports = { [publicAddress]: server.port }
  const allow = ['10.0.0.0/8']
  const { outbound, asked } = createWorld(t, { names, ports, allow, port: canary.port })
  const url = 'https://server.example/'
  const sent = outbound.fetch({ url, purpose: 'test', limits: { redirects: 2 } })
  await assert.rejects(sent, refusedWith('insecure_endpoint'))
  assert.deepEqual([asked.length, canary.connections()], [1, 0])
})

test('a name that changes its address between two calls is judged again (rebinding)', async (t) => {
  verifies(t, 'X-14')
  const server = await listenHttps(t, (_incoming, response) => {
    response.setHeader('connection', 'close')
    response.end('hello')
  })
  for (const second of ['127.0.0.1', '169.254.169.254']) {
    let asks = 0
    const names = { 'server.example': () => ((asks += 1) === 1 ? [publicAddress] : [second]) }
    const { outbound, asked } = createWorld(t, { names, port: server.port })
    const url = 'https://server.example/'
    await outbound.fetch({ url, purpose: 'test' })
    assert.equal(asks, 1, 'one connection asks once')
    await assert.rejects(outbound.fetch({ url, purpose: 'test' }), refusedWith('discovery_blocked'))
    assert.equal(asked.length, 1)
  }
})

test('a further port of public addresses may be opened', async (t) => {
  const server = await listenHttps(t, (_incoming, response) => response.end('hello'))
  const { outbound, asked } = createWorld(t, { port: server.port, openPorts: [8443] })
  await outbound.fetch({ url: `https://${publicAddress}:8443/`, purpose: 'test' })
  assert.equal(asked[0]?.port, 8443)
})

test('in a network of our own http and any port are fine', async (t) => {
  const server = await listenHttp(t, (_incoming, response) => response.end('hello'))
  const names = { 'inside.example': ['10.0.0.1'] }
  const { outbound, asked } = createWorld(t, { names, port: server.port, allow: ['10.0.0.0/8'] })
  await outbound.fetch({ url: 'http://inside.example:8080/', purpose: 'test' })
  await outbound.fetch({ url: 'http://10.9.9.9/', purpose: 'test' })
  assert.deepEqual(asked, [
    { address: '10.0.0.1', port: 8080, hostname: 'inside.example' },
    { address: '10.9.9.9', port: 80, hostname: '10.9.9.9' },
  ])
})

test('when one address does not answer the next is tried, the families by turns', async (t) => {
  const server = await listenHttps(t, (_incoming, response) => response.end('hello'))
  const six = ['2606:4700::1', '2606:4700::2', '2606:4700::3', '2606:4700::4', '2606:4700::5']
  const names = { 'server.example': [...six, publicAddress] }
  const ports = Object.fromEntries(six.map((address) => [address, 1]))
  const { outbound, asked } = createWorld(t, { names, ports, port: server.port })
  const answer = await outbound.fetch({ url: 'https://server.example/', purpose: 'test' })
  assert.equal(answer.text, 'hello')
  assert.deepEqual(
    asked.map(({ address }) => address),
    ['2606:4700::1', publicAddress],
  )
})

test('when no address answers, no more than four are tried', async (t) => {
  const found = Array.from({ length: 30 }, (_, index) => `93.184.216.${index + 1}`)
  const names = { 'server.example': found }
  const { outbound, asked } = createWorld(t, { names, port: 1 })
  const sent = outbound.fetch({ url: 'https://server.example/', purpose: 'test' })
  await assert.rejects(sent, refusedWith('network_error'))
  assert.equal(asked.length, 4)
})

test('the dispatcher streams, and follows no redirect', async (t) => {
  verifies(t, 'X-16')
  const server = await listenHttps(t, (incoming, response) => {
    if (incoming.url !== '/stream') {
      response.writeHead(302, { location: 'https://server.example/stream' }).end()
      return
    }
    response.write('one ')
    setTimeout(() => response.end('two'), 50)
  })
  const names = { 'server.example': [publicAddress] }
  const { outbound } = createWorld(t, { names, port: server.port })
  const { dispatcher } = outbound
  const moved = await request('https://server.example/', { dispatcher })
  assert.equal(moved.statusCode, 302)
  await moved.body.dump()
  const stream = await request('https://server.example/stream', { dispatcher })
  assert.equal(await stream.body.text(), 'one two')
})

test('after closing nothing goes out', async (t) => {
  const { outbound, asked } = await createGuarded(t, {
    names: { 'server.example': [publicAddress] },
  })
  await outbound.close()
  const sent = outbound.fetch({ url: 'https://server.example/', purpose: 'test' })
  await assert.rejects(sent, refusedWith('network_error'))
  assert.deepEqual(asked, [])
})
