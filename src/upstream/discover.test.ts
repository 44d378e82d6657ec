// Discovery against servers that put their documents in every place the standards allow, with a note of every address
// that was asked for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import {
  startHeaderMcpServer,
  startOpenMcpServer,
} from '../../test/counterparts/protected-mcp-server.ts'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { code } from '../base/fault.rig.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import { createBench } from '../connectors/bench.rig.ts'
import { lookOnce } from './discover.ts'
import { createTrace } from './trace.ts'

type Answer = {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly json?: unknown
}
type Site = (origin: string) => Readonly<Record<string, Answer>>

/** A site with these answers; an address that is not in it is 404, `POST /mcp` is 401 unless it says otherwise. */
async function startSite(t: TestContext, site: Site) {
  const asked: string[] = []
  const running = await listenOnLoopback((origin) => (request, response) => {
    const key = `${request.method} ${request.url}`
    if (request.method === 'GET') asked.push(request.url ?? '')
    const bearer = { status: 401, headers: { 'www-authenticate': 'Bearer' } }
    const answers: Readonly<Record<string, Answer>> = { 'POST /mcp': bearer, ...site(origin) }
    const { status = 200, headers = {}, json } = answers[key] ?? { status: 404 }
    request.resume()
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(json === undefined ? '' : JSON.stringify(json))
  })
  t.after(running.stop)
  return { ...running, url: `${running.origin}/mcp`, asked }
}

const prm = '/.well-known/oauth-protected-resource'
const asPath = '/.well-known/oauth-authorization-server'
const oidcPath = '/.well-known/openid-configuration'

const metadataOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  response_types_supported: ['code'],
  code_challenge_methods_supported: ['S256'],
})
const resourceOf = (resource: string, ...issuers: readonly string[]) => ({
  json: { resource, authorization_servers: issuers },
})

onEveryDatabase(
  'documents are found in every place, and no place is asked in vain',
  async (t, store) => {
    verifies(t, 'C1', 'C2', 'C3', 'C4', 'S1-15', 'S1-16')
    const bench = await createBench(t, store)
    const cases: readonly (readonly [Site, readonly string[]])[] = [
      [
        (o) => ({
          [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp`, o),
          [`GET ${asPath}`]: { json: metadataOf(o) },
        }),
        [`${prm}/mcp`, asPath],
      ],
      [
        (o) => ({
          [`GET ${prm}`]: resourceOf(o, `${o}/tenant`),
          [`GET ${asPath}/tenant`]: { json: metadataOf(`${o}/tenant`) },
        }),
        [`${prm}/mcp`, prm, `${asPath}/tenant`],
      ],
      [
        (o) => ({
          'POST /mcp': {
            status: 401,
            headers: {
              'www-authenticate': `Bearer resource_metadata="${o}/custom.json", scope="a b"`,
            },
          },
          'GET /custom.json': resourceOf(`${o}/mcp`, `${o}/t`),
          [`GET /t${oidcPath}`]: { json: metadataOf(`${o}/t`) },
        }),
        ['/custom.json', `${asPath}/t`, `${oidcPath}/t`, `/t${oidcPath}`],
      ],
      [
        (o) => ({ [`GET ${oidcPath}`]: { json: metadataOf(o) } }),
        [`${prm}/mcp`, prm, asPath, oidcPath],
      ],
    ]
    for (const [site, expected] of cases) {
      const { url, origin, asked } = await startSite(t, site)
      const found = await bench.upstream.discover.discover({ tenant: bench.tenant, serverUrl: url })
      assert.deepEqual(asked, expected)
      assert.ok(found.issuer.startsWith(origin))
    }
  },
)

onEveryDatabase('a document must be about the server that was asked', async (t, store) => {
  verifies(t, 'C14', 'C15', '§5-49')
  const bench = await createBench(t, store)
  const discover = (serverUrl: string) =>
    bench.upstream.discover.discover({ tenant: bench.tenant, serverUrl })
  const as = (o: string) => ({ [`GET ${asPath}`]: { json: metadataOf(o) } })
  const wrong: readonly Site[] = [
    (o) => ({ ...as(o), [`GET ${prm}/mcp`]: resourceOf(o, o) }),
    (o) => ({ ...as(o), [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp/`, o) }),
    (o) => ({ ...as(o), [`GET ${prm}/mcp`]: resourceOf('https://evil.example/mcp', o) }),
    (o) => ({ ...as(o), [`GET ${prm}`]: resourceOf('https://evil.example', o) }),
    (o) => ({ ...as(o), [`GET ${prm}`]: resourceOf(`${o}/mc`, o) }),
  ]
  for (const site of wrong) {
    const { url } = await startSite(t, site)
    await assert.rejects(discover(url), code('resource_mismatch'))
  }
  const { url, origin } = await startSite(t, (o) => ({
    ...as(o),
    [`GET ${prm}`]: resourceOf(o, o),
  }))
  assert.equal((await discover(url)).resource, origin)
})

onEveryDatabase('a slash more at the end of an issuer is another issuer', async (t, store) => {
  verifies(t, 'S1-23', 'C5')
  const bench = await createBench(t, store)
  const discover = (serverUrl: string, issuer?: string) =>
    bench.upstream.discover.discover({ tenant: bench.tenant, serverUrl, issuer })
  const site =
    (named: string, says: string): Site =>
    (o) => ({
      [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp`, `${o}${named}`),
      [`GET ${asPath}`]: { json: { ...metadataOf(o), issuer: `${o}${says}` } },
    })
  for (const [named, says] of [
    ['/', ''],
    ['', '/'],
  ] as const) {
    const { url, origin } = await startSite(t, site(named, says))
    await assert.rejects(discover(url), code('issuer_mismatch'))
    await assert.rejects(discover(url, `${origin}${named}`), code('issuer_mismatch'))
  }
  for (const same of ['', '/']) {
    const { url, origin } = await startSite(t, site(same, same))
    assert.equal((await discover(url)).issuer, `${origin}${same}`)
  }
})

test('a look takes half a minute, and one request of it ten seconds', async (t) => {
  verifies(t, 'S1-12')
  const apis = ['AbortSignal.timeout'] as unknown as ['setTimeout'] // @types/node does not know it yet
  t.mock.timers.enable({ apis })
  let arrivals = 0
  let arrived = Promise.withResolvers<void>()
  const slow = await listenOnLoopback(() => (request) => {
    request.resume()
    arrivals += 1
    arrived.resolve()
  })
  t.after(slow.stop)
  const { url, asked } = await startSite(t, (o) => {
    const issuers = Array.from({ length: 5 }, (_, index) => `${slow.origin}/${index}`)
    return { [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp`, ...issuers) }
  })
  const clock = createManualClock(Date.now())
  const outbound = createOutbound({ log: silentLog, clock }, { allow: ['loopback'] })
  t.after(outbound.close)
  const trace = createTrace(clock)
  let isOver = false
  const looking = lookOnce({ outbound, trace }, { serverUrl: url }).finally(() => {
    isOver = true
  })
  looking.catch(() => {}) // it is asserted below
  for (let waited = 0; waited < 3; waited += 1) {
    await arrived.promise
    assert.equal(isOver, false)
    t.mock.timers.tick(9_999)
    arrived = Promise.withResolvers<void>()
    t.mock.timers.tick(1)
  }
  await assert.rejects(looking, code('server_unreachable'))
  assert.equal(arrivals, 3, 'two more were named, and the time was over')
  assert.deepEqual(asked, [`${prm}/mcp`])
})

onEveryDatabase(
  'of several authorization servers the first that is in order is taken',
  async (t, store) => {
    verifies(t, 'C6', 'C13')
    const bench = await createBench(t, store)
    const { url, origin } = await startSite(t, (o) => ({
      [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp`, `${o}/none`, `${o}/plain`, `${o}/good`),
      [`GET ${asPath}/plain`]: {
        json: { ...metadataOf(`${o}/plain`), code_challenge_methods_supported: ['plain'] },
      },
      [`GET ${asPath}/good`]: { json: metadataOf(`${o}/good`) },
    }))
    const found = await bench.upstream.discover.discover({ tenant: bench.tenant, serverUrl: url })
    assert.equal(found.issuer, `${origin}/good`)
    assert.ok(found.trace.some(({ outcome }) => outcome === 'pkce_unsupported'))
  },
)

onEveryDatabase('a server of 2025-03-26 has its places at its own origin', async (t, store) => {
  verifies(t, 'C4')
  const bench = await createBench(t, store)
  const discover = (serverUrl: string) =>
    bench.upstream.discover.discover({ tenant: bench.tenant, serverUrl })
  const bare = await startSite(t, () => ({}))
  const found = await discover(bare.url)
  assert.equal(found.isGuessed, true)
  assert.equal(found.metadata.authorization_endpoint, `${bare.origin}/authorize`)
  assert.equal(found.metadata.token_endpoint, `${bare.origin}/token`)
  assert.equal(found.metadata.registration_endpoint, `${bare.origin}/register`)
  assert.equal(found.resource, bare.url)
})

onEveryDatabase('what a server wants is found out when nobody says it', async (t, store) => {
  verifies(t, 'S2-5', 'A2-12')
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const open = await startOpenMcpServer()
  t.after(open.stop)
  const withHeader = await startHeaderMcpServer({ headerName: 'x-api-key', value: 'k' })
  t.after(withHeader.stop)
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const lets = (origin: string) => ({
    // Many servers let anybody initialize and ask for a token only then.
    'POST /mcp': {
      status: 401,
      headers: { 'www-authenticate': `Basic realm="x", Bearer scope="s"` },
    },
    [`GET ${prm}/mcp`]: resourceOf(`${origin}/mcp`, origin),
    [`GET ${asPath}`]: { json: metadataOf(origin) },
  })
  const mixed = await startSite(t, lets)
  const authOf = async (url: string) => (await bench.servers.create(ada.session, { url })).auth
  assert.equal(await authOf(open.url), 'none')
  assert.equal(await authOf(withHeader.url), 'headers')
  assert.equal(await authOf(provider.mcpUrl), 'oauth')
  assert.equal(await authOf(mixed.url), 'oauth')
  const closed = await startSite(t, () => ({ 'POST /mcp': { status: 404 } }))
  await assert.rejects(authOf(closed.url), code('metadata_discovery_failed'))
})

onEveryDatabase('a finding is used for a day and forgotten on demand', async (t, store) => {
  verifies(t, 'A1-14', 'S1-19', 'S1-21', 'S1-22')
  const bench = await createBench(t, store)
  const { tenant, upstream, clock } = bench
  const { url, asked } = await startSite(t, (o) => ({
    [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp`, o),
    [`GET ${asPath}`]: { json: metadataOf(o) },
  }))
  const look = (more = {}) => upstream.discover.discover({ tenant, serverUrl: url, ...more })
  const first = await look()
  assert.equal(asked.length, 2)
  await clock.advance(24 * 60 * 60_000 - 1)
  const { trace: _one, ...again } = await look()
  const { trace: _other, ...expected } = first
  assert.deepEqual(again, expected)
  assert.equal(asked.length, 2)
  await clock.advance(1)
  await look()
  assert.equal(asked.length, 4)
  await look({ fresh: true })
  assert.equal(asked.length, 6)
  await upstream.discover.forget(tenant, url)
  await look()
  assert.equal(asked.length, 8)
})

onEveryDatabase(
  'a finding for programs, who need no S256, is none for people',
  async (t, store) => {
    verifies(t, 'C13')
    const bench = await createBench(t, store)
    const { tenant, upstream } = bench
    const { url } = await startSite(t, (o) => ({
      [`GET ${prm}/mcp`]: resourceOf(`${o}/mcp`, o),
      [`GET ${asPath}`]: { json: { ...metadataOf(o), code_challenge_methods_supported: [] } },
    }))
    const forPrograms = { tenant, serverUrl: url, isForPrograms: true }
    assert.equal((await upstream.discover.discover(forPrograms)).serverUrl, url)
    const forPeople = upstream.discover.discover({ tenant, serverUrl: url })
    await assert.rejects(forPeople, code('pkce_unsupported'))
  },
)

onEveryDatabase('a page instead of a document is no document', async (t, store) => {
  verifies(t, 'C2')
  const bench = await createBench(t, store)
  const { url, origin } = await startSite(t, (o) => ({
    [`GET ${prm}/mcp`]: { headers: { 'content-type': 'text/html' }, json: '<h1>Welcome</h1>' },
    [`GET ${prm}`]: resourceOf(o, o),
    [`GET ${asPath}`]: { json: metadataOf(o) },
  }))
  const found = await bench.upstream.discover.discover({ tenant: bench.tenant, serverUrl: url })
  assert.equal(found.resource, origin)
})

onEveryDatabase(
  'an address that may not be reached is refused without a request',
  async (t, store) => {
    verifies(t, 'A2-11', 'X-14', '§5-50')
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const create = (url: string) => bench.servers.create(ada.session, { url, auth: 'oauth' })
    for (const url of [
      'https://10.0.0.1/mcp',
      'https://169.254.169.254/latest',
      'https://[fd00::1]/mcp',
    ]) {
      await assert.rejects(create(url), code('discovery_blocked'))
    }
    await assert.rejects(create('http://8.8.8.8/mcp'), code('insecure_endpoint'))
    const { url } = await startSite(t, () => ({
      'POST /mcp': {
        status: 401,
        headers: { 'www-authenticate': 'Bearer resource_metadata="https://10.0.0.1/prm"' },
      },
    }))
    await assert.rejects(create(url), code('discovery_blocked'))
  },
)
