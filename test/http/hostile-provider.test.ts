// What a server and its provider publish about themselves is chosen by strangers: every address in every document is
// judged before anything goes there, and tokens go back only to where they came from (threats 1a and 1b).
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { healthy, startFaultProvider } from '../fakes/fault-provider.ts'
import type { BadAnswer, Faults } from '../fakes/fault-provider.ts'
import { signIn } from '../harness.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { assertAnswer, callAs, openDoors } from './doors.ts'

const hourMs = 3_600_000

/** A listener at an address that nobody allowed; it counts who connects. */
async function startCanary(t: TestContext) {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo // a TCP listener has one
  return { origin: `http://127.0.0.2:${port}`, connections: () => connections }
}

async function start(t: TestContext, faults: Partial<Faults> = {}) {
  const canary = await startCanary(t)
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  const clock = createManualClock(Date.now())
  const settings = { LATCHKEY_ALLOW_PRIVATE_NETWORKS: '127.0.0.1/32' }
  const doors = await openDoors(t, { clock, settings })
  const browser = await signIn(doors.origin)
  return { canary, provider, clock, doors, browser, ada: callAs(doors, browser) }
}

type Setting = Awaited<ReturnType<typeof start>>

async function connect({ ada, browser, provider }: Setting) {
  const { json: server } = await ada('POST', '/servers', { url: provider.mcpUrl, auth: 'oauth' })
  const { json: connection } = await ada('POST', '/connections', { serverId: server.id })
  const begun = await ada('POST', `/connections/${connection.id}/authorize`, {})
  const landed = await browser.open(begun.json.authorizeUrl)
  assert.match(landed.html, /Connected/)
  return connection.id as string
}

/** The same address as a private one, in the two forms that strangers try. */
function astray(origin: string): readonly string[] {
  return [origin, origin.replace('http:', 'https:')]
}

test('no address in a document of a stranger is reached unless it may be', async (t) => {
  const setting = await start(t)
  const { canary, provider, ada } = setting
  const fields = (at: string): readonly (readonly [string, Partial<Faults>])[] => [
    ['authorization_servers', { resourceMetadataFields: { authorization_servers: [at] } }],
    ['authorization_endpoint', { metadataFields: { authorization_endpoint: `${at}/authorize` } }],
    ['token_endpoint', { metadataFields: { token_endpoint: `${at}/token` } }],
    ['registration_endpoint', { metadataFields: { registration_endpoint: `${at}/register` } }],
    ['revocation_endpoint', { metadataFields: { revocation_endpoint: `${at}/revoke` } }],
    [
      'resource_metadata',
      {
        answers: {
          mcp: {
            kind: 'status',
            status: 401,
            headers: { 'www-authenticate': `Bearer resource_metadata="${at}/prm"` },
          },
        },
      },
    ],
    ...(['resource-metadata', 'metadata'] as const).map(
      (endpoint): readonly [string, Partial<Faults>] => [
        `a redirect of the ${endpoint}`,
        {
          answers: {
            [endpoint]: { kind: 'status', status: 302, headers: { location: `${at}/x` } },
          },
        },
      ],
    ),
  ]
  for (const at of astray(canary.origin)) {
    for (const [name, faults] of fields(at)) {
      const title = `${name} at ${new URL(at).protocol} [P-68] [X-14] [X-16]`
      await t.test(title, async (t) => {
        verifies(t, ...rowsIn(title), 'A2-11', 'C26')
        provider.set({ ...healthy, ...faults })
        const answer = await ada('POST', '/servers', { url: provider.mcpUrl, auth: 'oauth' })
        assertAnswer(answer, { status: 422, neverSays: ['127.0.0.2'] })
        assert.match(answer.json.code, /^(?:discovery_blocked|insecure_endpoint)$/)
        assert.equal(canary.connections(), 0)
      })
    }
  }
})

test('another issuer’s name earns nobody its tokens, its registration or a verifier [P-67]', async (t) => {
  verifies(t, 'P-67', 'A1-12')
  const setting = await start(t)
  const { provider: good, ada } = setting
  await connect(setting)
  const evil = await startFaultProvider({ metadataIssuer: good.issuer })
  t.after(evil.stop)
  for (const faults of [
    { metadataIssuer: good.issuer },
    {
      metadataIssuer: undefined,
      resourceMetadataFields: { authorization_servers: [`${good.issuer}/`] },
    },
    { resourceMetadataFields: { authorization_servers: [good.issuer], resource: good.mcpUrl } },
  ]) {
    evil.set({ ...healthy, ...faults })
    const answer = await ada('POST', '/servers', { url: evil.mcpUrl, auth: 'oauth' })
    assertAnswer(answer, { status: 422 })
    assert.match(answer.json.code, /^(?:issuer_mismatch|resource_mismatch)$/)
  }
  const posts = evil.requests().filter(({ method, path }) => method === 'POST' && path !== '/mcp')
  assert.deepEqual(posts, [])
  assertNothingOf(good, evil)
})

test('tokens are refreshed and ended where they came from, whatever the documents say later [P-67]', async (t) => {
  verifies(t, 'P-67')
  const setting = await start(t)
  const { provider: good, doors, clock } = setting
  const id = await connect(setting)
  const evil = await startFaultProvider()
  t.after(evil.stop)
  const { origin } = evil
  good.set({
    metadataFields: {
      token_endpoint: `${origin}/token`,
      registration_endpoint: `${origin}/register`,
      revocation_endpoint: `${origin}/revoke`,
    },
  })
  await clock.advance(25 * hourMs)
  const ada = callAs(doors, await signIn(doors.origin))
  assertAnswer(await ada('POST', `/servers/${await serverOf(ada, id)}/test`, {}), {
    status: 200,
  })
  assertAnswer(await ada('POST', `/connections/${id}/refresh`, {}), { status: 200 })
  assertAnswer(await ada('POST', `/connections/${id}/revoke`, {}), { status: 200 })
  assert.equal(good.tokenRequests().at(-1)?.outcome, 'issued')
  assert.ok(good.requests().some(({ path }) => path === '/revoke'))
  assertNothingOf(good, evil)
})

async function serverOf(ada: Setting['ada'], id: string): Promise<string> {
  return (await ada('GET', `/connections/${id}`)).json.serverId
}

/** Nothing that one provider handed out reached the other one. */
function assertNothingOf(good: Setting['provider'], evil: Setting['provider']): void {
  const seen = JSON.stringify(evil.requests())
  for (const secret of good.issued()) assert.ok(!seen.includes(secret))
  assert.ok(!seen.includes('code_verifier'))
}

const deep = JSON.parse(`${'['.repeat(10_000)}${']'.repeat(10_000)}`) as unknown
const manyKeys = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`k${at}`, at]))
const bombs: readonly (readonly [string, BadAnswer])[] = [
  ['a gzip bomb', { kind: 'gzip-bomb' }],
  ['a megabyte', { kind: 'oversize', bytes: 1_100_000 }],
  ['ten thousand levels', { kind: 'json', body: { deep } }],
  ['twenty thousand keys', { kind: 'json', body: manyKeys }],
]

test('an answer that is a bomb is a failed attempt with words, and no more', async (t) => {
  const setting = await start(t)
  const { provider, ada } = setting
  for (const endpoint of ['resource-metadata', 'metadata'] as const) {
    for (const [name, bad] of bombs) {
      const title = `${name} as the ${endpoint} [X-15]`
      await t.test(title, async (t) => {
        verifies(t, ...rowsIn(title))
        provider.set({ ...healthy, answers: { [endpoint]: bad } })
        const answer = await ada('POST', '/servers', { url: provider.mcpUrl, auth: 'oauth' })
        assertAnswer(answer, { status: 422 })
        assert.ok(answer.json.title.length > 10)
      })
    }
  }
  for (const endpoint of ['register', 'token'] as const) {
    for (const [name, bad] of bombs) {
      const title = `${name} as the answer of ${endpoint} [X-15]`
      await t.test(title, async (t) => {
        verifies(t, ...rowsIn(title))
        provider.set(healthy)
        const { json: server } = await ada('POST', '/servers', {
          url: provider.mcpUrl,
          auth: 'oauth',
        })
        provider.set({ answers: { [endpoint]: bad } })
        const { json: made } = await ada('POST', '/connections', { serverId: server.id })
        const begun = await ada('POST', `/connections/${made.id}/authorize`, {})
        if (endpoint === 'token') {
          await setting.browser.open(begun.json.authorizeUrl)
          const { json: flow } = await ada('GET', `/flows/${begun.json.flowId}`)
          assert.equal(flow.status, 'failed')
        } else {
          assert.ok(begun.status >= 400 && begun.status < 600, `${begun.status}`)
          assert.ok(begun.json.title.length > 10)
        }
        assert.equal((await ada('DELETE', `/servers/${server.id}`)).status, 204)
      })
    }
  }
})

test('names of prototypes and values of odd kinds in what a provider says change nothing of ours', async (t) => {
  const setting = await start(t)
  const { provider, ada, browser } = setting
  const odd = JSON.parse(
    '{"__proto__": {"admin": true}, "constructor": {"prototype": {"admin": true}}}',
  ) as Record<string, unknown>
  const title = '[X-33]'
  await t.test(`prototypes ${title}`, async (t) => {
    verifies(t, ...rowsIn(title))
    provider.set({
      metadataFields: odd,
      resourceMetadataFields: odd,
      registrationFields: odd,
      tokenFields: odd,
    })
    await connect(setting)
    assert.equal(({} as Record<string, unknown>)['admin'], undefined)
  })
  for (const [name, tokenFields] of [
    ['a line end in a token [X-28]', { access_token: 'abc\r\nX-Evil: 1' }],
    ['a line end in a refresh token [X-28]', { refresh_token: 'abc\r\nX-Evil: 1' }],
    ['a letter that no header takes [X-28]', { access_token: 'abc\u0100def' }],
    ['a token that is a number [X-33]', { access_token: 12_345 }],
    ['a token type that is a list [X-33]', { token_type: ['Bearer'] }],
    ['no token at all [X-33]', { access_token: undefined }],
  ] as const) {
    await t.test(name, async (t) => {
      verifies(t, ...rowsIn(name))
      provider.set({ ...healthy, tokenFields })
      const { json: server } = await ada('POST', '/servers', { url: provider.mcpUrl })
      const { json: made } = await ada('POST', '/connections', { serverId: server.id })
      const begun = await ada('POST', `/connections/${made.id}/authorize`, {})
      const page = await browser.open(begun.json.authorizeUrl)
      assert.doesNotMatch(page.html, /X-Evil|12345/)
      const { json: flow } = await ada('GET', `/flows/${begun.json.flowId}`)
      assert.deepEqual([flow.status, flow.error], ['failed', 'token_response_invalid'])
      const { json: connection } = await ada('GET', `/connections/${made.id}`)
      assert.equal(connection.authorized, false)
      assert.equal((await ada('DELETE', `/servers/${server.id}`)).status, 204)
    })
  }
})
