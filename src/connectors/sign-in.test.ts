// A sign-in elsewhere from the server's URL to a live token, against a real oidc-provider and against providers that
// misbehave.
import assert from 'node:assert/strict'
import { createCookieBrowser } from '../../test/counterparts/cookie-browser.ts'
import { startForeignAuthorizationServer } from '../../test/counterparts/foreign-authorization-server.ts'
import { startProtectedMcpServer } from '../../test/counterparts/protected-mcp-server.ts'
import { healthy, startFaultProvider } from '../../test/fakes/fault-provider.ts'
import type { Faults } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { code } from '../base/fault.rig.ts'
import { approve, begin, bring, contextOf, createBench, signIn } from './bench.rig.ts'

onEveryDatabase('a person signs in at a real provider and gets a live token', async (t, store) => {
  verifies(t, 'A1-1', 'A1-2', 'A1-3', 'A2-4', 'A2-13', 'S1-15', 'S1-17', 'S1-18', 'S1-28', 'S1-29')
  const foreign = await startForeignAuthorizationServer()
  t.after(foreign.stop)
  const mcp = await startProtectedMcpServer({
    issuer: foreign.issuer,
    introspect: foreign.introspect,
    scopes: ['mcp:read'],
  })
  t.after(mcp.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')

  const { server, connection } = await bench.connect(ada, mcp.url)
  assert.equal(server.discovered?.issuer, foreign.issuer)
  assert.equal(server.discovered?.resource, mcp.resource)
  assert.equal(server.discovered?.registration, 'dcr')
  assert.equal(connection.status, 'disconnected')

  const begun = await begin(bench, ada, connection.id)
  assert.equal(begun.usedRegistration, 'dcr')
  const asked = new URL(begun.authorizeUrl).searchParams
  assert.equal(asked.get('code_challenge_method'), 'S256')
  assert.equal(asked.get('resource'), mcp.resource)
  assert.equal(asked.get('scope'), 'mcp:read offline_access')
  const state = asked.get('state') ?? ''
  assert.ok(state.length >= 32 && state.length <= 100, `the state has ${state.length} characters`)
  assert.equal((await bench.connections.get(ada.session, connection.id)).status, 'authorizing')

  const browser = createCookieBrowser(undefined, { stopAt: ({ port }) => port === '8787' })
  const callback = new URL((await browser.open(begun.authorizeUrl)).url)
  const finished = await bring(bench, ada, {
    context: callback.pathname.split('/').at(-1) ?? '',
    query: callback.searchParams,
  })
  assert.equal(finished.kind, 'completed')

  const after = await bench.connections.get(ada.session, connection.id)
  assert.equal(after.status, 'connected')
  assert.equal(after.authorized, true)
  const given = await bench.connections.token(ada.key, connection.id)
  assert.equal((await foreign.introspect(given.accessToken)).active, true)
  assert.deepEqual(
    await bench.connections.authorize(ada.session, connection.id, { browser: ada.browser }),
    { alreadyAuthorized: true },
  )

  const tested = await bench.servers.test(ada.session, server.id)
  assert.ok(tested.ok && tested.toolCount > 0)

  const refreshed = await bench.connections.refresh(ada.session, connection.id)
  assert.equal(refreshed.refreshCount, 1)
  const next = await bench.connections.token(ada.key, connection.id)
  assert.notEqual(next.accessToken, given.accessToken)
  assert.deepEqual(
    foreign.tokenRequests().map(({ grant, resource }) => [grant, resource]),
    [
      ['authorization_code', mcp.resource],
      ['refresh_token', mcp.resource],
    ],
  )

  const shown = JSON.stringify([
    server,
    connection,
    after,
    refreshed,
    tested,
    finished,
    await bench.connections.list(ada.session),
    await bench.servers.list(ada.session),
    await bench.connections.flow(ada.session, begun.flowId),
    await bench.journal.list({ tenantId: bench.tenant.id }),
    await store.db.selectFrom('flows').selectAll().execute(),
    await store.db.selectFrom('credentials').selectAll().execute(),
    await store.db.selectFrom('registrations').selectAll().execute(),
  ])
  for (const secret of foreign.tokensIssued()) assert.ok(!shown.includes(secret))
})

async function start(t: Parameters<typeof createBench>[0], faults: Partial<Faults> = {}) {
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  return provider
}

onEveryDatabase(
  'a state that is missing, altered, old, spent or foreign touches nothing',
  async (t, store) => {
    verifies(
      t,
      'A1-11',
      'A2-5',
      'S1-46',
      'S1-49',
      'S2-17',
      'S2-19',
      'X-08',
      'X-09',
      'X-10',
      '§5-46',
    )
    const provider = await start(t)
    const bench = await createBench(t, store)
    const [ada, bob] = [await bench.person('ada'), await bench.person('bob')]
    const { server, connection } = await bench.connect(ada, provider.mcpUrl)
    const context = await contextOf(bench, server.id)
    const exchanges = () => provider.tokenRequests().length

    const { authorizeUrl } = await begin(bench, ada, connection.id)
    const query = await approve(authorizeUrl)
    const withState = (state: string) => {
      const changed = new URLSearchParams(query)
      changed.set('state', state)
      return changed
    }
    const state = query.get('state') ?? ''
    const flipped = state.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    const noState = new URLSearchParams(query)
    noState.delete('state')
    const twice = new URLSearchParams(`${query.toString()}&state=${state}`)

    const mismatch = code('state_mismatch')
    await assert.rejects(bring(bench, ada, { context, query: noState }), mismatch)
    await assert.rejects(bring(bench, ada, { context, query: withState(flipped) }), mismatch)
    await assert.rejects(bring(bench, ada, { context, query: withState('x') }), mismatch)
    await assert.rejects(bring(bench, ada, { context, query: twice }), code('invalid_request'))
    await assert.rejects(bring(bench, ada, { context: 'other', query }), mismatch)
    await assert.rejects(bring(bench, bob, { context, query }), mismatch)
    const otherBrowser = { ...ada, browser: bob.browser }
    await assert.rejects(bring(bench, otherBrowser, { context, query }), mismatch)
    const nobody = {
      tenant: bench.tenant,
      context,
      query,
      browser: ada.browser,
      session: undefined,
    }
    await assert.rejects(bench.connections.finish(nobody), mismatch)
    assert.equal(exchanges(), 0)

    assert.equal((await bring(bench, ada, { context, query })).kind, 'completed')
    await assert.rejects(bring(bench, ada, { context, query }), mismatch)
    assert.equal(exchanges(), 1)
  },
)

onEveryDatabase('a flow lives five minutes to the millisecond', async (t, store) => {
  verifies(t, 'S1-46', 'S1-47', 'A1-11', 'A2-5')
  const provider = await start(t)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const context = await contextOf(bench, server.id)

  const late = await begin(bench, ada, connection.id)
  const lateQuery = await approve(late.authorizeUrl)
  await bench.clock.advance(5 * 60_000)
  await assert.rejects(bring(bench, ada, { context, query: lateQuery }), code('flow_expired'))
  assert.equal((await bench.connections.flow(ada.session, late.flowId)).status, 'expired')
  assert.equal((await bench.connections.get(ada.session, connection.id)).status, 'disconnected')

  const inTime = await begin(bench, ada, connection.id)
  const query = await approve(inTime.authorizeUrl)
  await bench.clock.advance(5 * 60_000 - 1)
  assert.equal((await bring(bench, ada, { context, query })).kind, 'completed')
})

onEveryDatabase('fifty callbacks with one state redeem one code', async (t, store) => {
  verifies(t, 'S1-49', 'X-03', 'X-08')
  const provider = await start(t)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const context = await contextOf(bench, server.id)
  const query = await approve((await begin(bench, ada, connection.id)).authorizeUrl)

  const results = await Promise.allSettled(
    Array.from({ length: 50 }, () => bring(bench, ada, { context, query })),
  )
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  assert.equal(provider.tokenRequests().length, 1)
})

const issCases: readonly (readonly [Partial<Faults>, 'completed' | 'failed'])[] = [
  [{ promisesIssuer: true, callbackIssuer: 'right' }, 'completed'],
  [{ promisesIssuer: true, callbackIssuer: 'missing' }, 'failed'],
  [{ promisesIssuer: true, callbackIssuer: 'wrong' }, 'failed'],
  [{ promisesIssuer: false, callbackIssuer: 'missing' }, 'completed'],
  [{ promisesIssuer: false, callbackIssuer: 'right' }, 'completed'],
  [{ promisesIssuer: false, callbackIssuer: 'wrong' }, 'failed'],
]

onEveryDatabase('who answers is checked before the code is used', async (t, store) => {
  verifies(t, 'X-11', '§5-47', 'C16')
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  for (const [faults, expected] of issCases) {
    const provider = await start(t, faults)
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    const outcome = await signIn(bench, ada, connection.id)
    assert.equal(outcome.kind, expected, JSON.stringify(faults))
    assert.equal(provider.tokenRequests().length, expected === 'completed' ? 1 : 0)
    if (outcome.kind === 'failed') assert.equal(outcome.error, 'issuer_mismatch')
  }

  const provider = await start(t)
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const context = await contextOf(bench, server.id)
  for (const iss of [`${provider.issuer}/`, provider.issuer.toUpperCase()]) {
    const query = await approve((await begin(bench, ada, connection.id)).authorizeUrl)
    query.set('iss', iss)
    query.set('error', 'access_denied')
    const outcome = await bring(bench, ada, { context, query })
    assert.ok(outcome.kind === 'failed' && outcome.error === 'issuer_mismatch')
  }
  assert.equal(provider.tokenRequests().length, 0)
})

onEveryDatabase('a refusal at the provider is kept as a code with our words', async (t, store) => {
  verifies(t, 'A2-9', 'S1-49', '§5-48')
  const provider = await start(t)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const context = await contextOf(bench, server.id)
  const begun = await begin(bench, ada, connection.id, { returnTo: '/console/connections' })
  const query = await approve(begun.authorizeUrl)
  query.delete('code')
  query.set('error', 'access_denied')
  query.set('error_description', '<script>alert(1)</script>')

  const outcome = await bring(bench, ada, { context, query })
  assert.ok(outcome.kind === 'failed')
  assert.equal(outcome.error, 'access_denied')
  assert.equal(outcome.returnTo, 'http://localhost:8787/console/connections')
  const flow = await bench.connections.flow(ada.session, begun.flowId)
  assert.equal(flow.status, 'failed')
  assert.equal(flow.error, 'access_denied')
  const after = await bench.connections.get(ada.session, connection.id)
  assert.equal(after.status, 'disconnected')
  assert.equal(after.statusReason, 'access_denied')
  assert.ok(!JSON.stringify([flow, after, outcome]).includes('script'))
})

const refusals: readonly (readonly [Partial<Faults>, string])[] = [
  [{ challengeMethods: null }, 'pkce_unsupported'],
  [{ challengeMethods: ['plain'] }, 'pkce_unsupported'],
  [{ metadataIssuer: 'http://127.0.0.1:1' }, 'issuer_mismatch'],
  [{ resourceMetadataFields: { resource: 'https://evil.example/mcp' } }, 'resource_mismatch'],
  [{ metadataFields: { token_endpoint: 'http://8.8.8.8/token' } }, 'insecure_endpoint'],
  [{ metadataFields: { token_endpoint: 'https://10.0.0.1/token' } }, 'discovery_blocked'],
  [
    { resourceMetadataFields: { authorization_servers: ['https://10.0.0.1'] } },
    'discovery_blocked',
  ],
  [{ metadataFields: { authorization_endpoint: 'javascript:alert(1)' } }, 'insecure_endpoint'],
  [{ metadataFields: { token_endpoint: undefined } }, 'metadata_discovery_failed'],
  [{ answers: { metadata: { kind: 'oversize', bytes: 100_000 } } }, 'discovery_blocked'],
  [{ answers: { metadata: { kind: 'gzip-bomb' } } }, 'discovery_blocked'],
  [{ answers: { metadata: { kind: 'reset' } } }, 'server_unreachable'],
]

onEveryDatabase(
  'a server whose sign-in is not in order is refused and not stored',
  async (t, store) => {
    verifies(
      t,
      'A1-12',
      'A2-11',
      'S1-17',
      'S1-24',
      'X-14',
      'X-15',
      '§5-49',
      '§5-50',
      'C5',
      'C13',
      'C15',
    )
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    for (const [faults, expected] of refusals) {
      const provider = await start(t, faults)
      const creating = bench.servers.create(ada.session, { url: provider.mcpUrl, auth: 'oauth' })
      await assert.rejects(creating, code(expected), JSON.stringify(faults))
    }
    assert.deepEqual((await bench.servers.list(ada.session)).items, [])
  },
)

onEveryDatabase(
  'an answer of the token endpoint that cannot be used is stored nowhere',
  async (t, store) => {
    verifies(t, 'X-28', 'S1-49', 'S1-52')
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const cases: readonly (readonly [Partial<Faults>, string])[] = [
      [{ tokenFields: { access_token: 'abc\r\nX-Evil: 1' } }, 'token_response_invalid'],
      [
        { answers: { token: { kind: 'json', body: { error: 'bad_verification_code' } } } },
        'authorization_timeout',
      ],
      [
        { answers: { token: { kind: 'oauth-error', error: 'invalid_grant' } } },
        'authorization_timeout',
      ],
      [{ answers: { token: { kind: 'html' } } }, 'provider_unreachable'],
      [{ answers: { token: { kind: 'status', status: 503 } } }, 'provider_unreachable'],
      [{ answers: { token: { kind: 'reset' } } }, 'network_error'],
      [
        {
          answers: {
            token: { kind: 'status', status: 307, headers: { location: 'http://127.0.0.1:1/' } },
          },
        },
        'provider_unreachable',
      ],
    ]
    const provider = await start(t)
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    for (const [faults, expected] of cases) {
      provider.set({ ...healthy, ...faults })
      const outcome = await signIn(bench, ada, connection.id)
      assert.ok(outcome.kind === 'failed', JSON.stringify(faults))
      assert.equal(outcome.error, expected, JSON.stringify(faults))
    }
    assert.deepEqual(await store.db.selectFrom('credentials').selectAll().execute(), [])
    provider.set(healthy)
    assert.equal((await signIn(bench, ada, connection.id)).kind, 'completed')
  },
)

onEveryDatabase(
  'a flow that an API key began is carried on by its owner’s browser only',
  async (t, store) => {
    verifies(t, 'X-09', 'A2-5')
    const provider = await start(t)
    const bench = await createBench(t, store)
    const [ada, bob] = [await bench.person('ada'), await bench.person('bob')]
    const { server, connection } = await bench.connect(ada, provider.mcpUrl)
    const context = await contextOf(bench, server.id)
    const begun = await bench.connections.authorize(ada.key, connection.id)
    assert.ok(!('alreadyAuthorized' in begun))
    const { flowId } = begun
    assert.equal(
      begun.authorizeUrl,
      `http://localhost:8787/connect/${connection.id}?flow=${flowId}`,
    )

    const carryOn = (person: typeof ada) =>
      bench.connections.authorize(person.session, connection.id, {
        browser: person.browser,
        flowId,
      })
    await assert.rejects(carryOn(bob), code('not_found'))
    const bound = await carryOn(ada)
    assert.ok(!('alreadyAuthorized' in bound))
    await assert.rejects(carryOn({ ...ada, browser: bob.browser }), code('state_mismatch'))
    assert.deepEqual(await carryOn(ada), bound)
    const query = await approve(bound.authorizeUrl)
    assert.equal((await bring(bench, ada, { context, query })).kind, 'completed')
  },
)

onEveryDatabase('somebody else’s connection and flow are as good as none', async (t, store) => {
  verifies(t, '§5-51', 'S1-10')
  const provider = await start(t)
  const bench = await createBench(t, store)
  const [ada, bob] = [await bench.person('ada'), await bench.person('bob')]
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  const { flowId } = await begin(bench, ada, connection.id)
  const { connections } = bench
  const tries = [
    () => connections.get(bob.session, connection.id),
    () => connections.authorize(bob.session, connection.id),
    () => connections.refresh(bob.session, connection.id),
    () => connections.revoke(bob.session, connection.id),
    () => connections.remove(bob.session, connection.id),
    () => connections.token(bob.key, connection.id),
    () => connections.flow(bob.session, flowId),
  ]
  for (const attempt of tries) await assert.rejects(attempt(), code('not_found'))
  await assert.rejects(connections.token(ada.session, connection.id), code('forbidden'))
  await assert.rejects(connections.token(ada.key, connection.id), code('authorization_required'))
  assert.deepEqual((await connections.list(bob.session)).items, [])
})
