// Becoming a client of somebody else's authorization server: in which order, with which words, and for how long.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { healthy, startFaultProvider } from '../../test/fakes/fault-provider.ts'
import type { Faults } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { systemClock } from '../base/clock.ts'
import { code } from '../base/fault.rig.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { createBench, signIn } from '../connectors/bench.rig.ts'
import type { Store } from '../store/database.ts'
import { contextClientDocument, tenantClientDocument } from './client-document.ts'
import { preferredAuthMethod } from './dynamic-registration.ts'
import type { Registration } from './register.ts'
import { createProofs } from './proofs.ts'
import { createTokenEndpoint } from './token-endpoint.ts'

async function setUp(t: TestContext, store: Store, faults: Partial<Faults> = {}) {
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server } = await bench.connect(ada, provider.mcpUrl)
  const { upstream, tenant } = bench
  const found = await bench.servers.byId(tenant, server.id)
  const context = found?.context ?? ''
  const register = async (
    more: Partial<Parameters<typeof upstream.register.registrationFor>[0]> = {},
  ) => {
    const discovery = await upstream.discover.discover({
      tenant,
      serverUrl: provider.mcpUrl,
      fresh: true,
    })
    const facts = { tenant, server: { ...server, context }, discovery, scopes: [], ...more }
    return upstream.register.registrationFor(facts)
  }
  return { provider, bench, ada, server, register, context }
}

onEveryDatabase(
  'registering follows the order: given, document, dynamic, refused',
  async (t, store) => {
    verifies(t, 'C9', 'C10', 'C11', 'S1-28', 'S1-37', 'A1-9')
    const { provider, bench, register, context } = await setUp(t, store)
    const preregistered = { clientId: 'given', clientSecret: new Secret('hush') }
    const given = await register({ preregistered })
    assert.deepEqual(
      [given.method, given.clientId, given.authMethod],
      ['preregistered', 'given', 'client_secret_basic'],
    )
    assert.equal(provider.registrations().length, 0)

    const dynamic = await register()
    assert.equal(dynamic.method, 'dcr', 'what was given is not used when it is no longer given')
    assert.equal((await register()).clientId, dynamic.clientId)
    assert.equal(provider.registrations().length, 1)

    provider.set({ metadataFields: { client_id_metadata_document_supported: true } })
    assert.equal((await register()).method, 'dcr', 'on http our document could not be read')
    const tenant = { ...bench.tenant, issuer: 'https://latchkey.example' }
    const document = await register({ tenant })
    assert.equal(document.method, 'cimd')
    assert.equal(document.authMethod, 'none')
    assert.equal(
      document.clientId,
      `https://latchkey.example/connect/client-metadata/${context}.json`,
    )
    assert.equal(contextClientDocument(tenant, context)['client_id'], document.clientId)
    assert.deepEqual(contextClientDocument(tenant, context)['redirect_uris'], [
      document.redirectUri,
    ])

    provider.set({ ...healthy, offersRegistration: false })
    await bench.upstream.register.forgetServer(
      store.db,
      bench.tenant.id,
      (await bench.servers.list((await bench.person('ada')).session)).items[0]!.id,
    )
    await assert.rejects(register(), code('registration_not_supported'))
  },
)

onEveryDatabase('an app’s redirect URI is registered, or has a document', async (t, store) => {
  verifies(t, 'S1-55', 'C10', 'C18')
  const { bench, provider, register, context } = await setUp(t, store)
  const tenant = { ...bench.tenant, issuer: 'https://latchkey.example' }
  const appUri = `https://app.example/connected/${context}`
  const faults = { metadataFields: { client_id_metadata_document_supported: true } }

  await t.test('registered first: a document names pages of its own origin best', async () => {
    provider.set(faults)
    const registration = await register({ tenant, appUri })
    assert.equal(registration.method, 'dcr')
    assert.equal(registration.redirectUri, appUri)
    assert.deepEqual(provider.registrations().at(-1)?.['redirect_uris'], [appUri])
    const ours = await register({ tenant })
    assert.equal(ours.method, 'cimd')
    assert.notEqual(ours.redirectUri, appUri)
  })
  await t.test('where nothing else is offered, a document that lists it alone', async () => {
    provider.set({ ...faults, offersRegistration: false })
    const other = `https://other.example/in/${context}`
    const registration = await register({ tenant, appUri: other })
    assert.equal(registration.method, 'cimd')
    const name = /client-metadata\/(.*)\.json$/.exec(registration.clientId)?.[1] ?? ''
    const document = await bench.servers.clientDocument(tenant, name)
    assert.equal(document?.['client_id'], registration.clientId)
    assert.deepEqual(document?.['redirect_uris'], [other])
    // A registration that was not made has no document, nor has the one of another server.
    for (const unknown of [`${context}.x`, `${context}.`, `x${name}`, `${name}.x`]) {
      assert.equal(await bench.servers.clientDocument(tenant, unknown), undefined, unknown)
    }
  })
})

onEveryDatabase('the registration says who we are and keeps what is granted', async (t, store) => {
  verifies(t, 'S1-29', 'S1-30', 'S1-31', 'S1-33', 'C12', 'C18')
  const { provider, register, context } = await setUp(t, store)
  const registration = await register({ scopes: ['a', 'b'] })
  assert.deepEqual(provider.registrations(), [
    {
      client_name: 'Latchkey MCP Client - 127.0.0.1',
      redirect_uris: [`http://localhost:8787/connect/callback/${context}`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      scope: 'a b',
    },
  ])
  assert.equal(registration.clientSecret, undefined)

  assert.equal(
    preferredAuthMethod(['client_secret_post', 'client_secret_basic'], { hasSecret: false }),
    'client_secret_basic',
  )
  assert.equal(
    preferredAuthMethod(['client_secret_post'], { hasSecret: false }),
    'client_secret_post',
  )
  assert.equal(preferredAuthMethod(undefined, { hasSecret: false }), 'client_secret_basic')
})

onEveryDatabase(
  'a confidential registration signs in with what was granted, sealed',
  async (t, store) => {
    verifies(t, 'S1-31', 'S1-50')
    for (const method of ['client_secret_basic', 'client_secret_post']) {
      const metadataFields = { token_endpoint_auth_methods_supported: [method] }
      const { provider, bench, ada, server } = await setUp(t, store, { metadataFields })
      const { id } = (await bench.connections.list(ada.session)).items.find(
        ({ serverId }) => serverId === server.id,
      )!
      assert.equal((await signIn(bench, ada, id)).kind, 'completed')
      assert.equal((await bench.connections.refresh(ada.session, id)).refreshCount, 1)
      const rows = JSON.stringify(await store.db.selectFrom('registrations').selectAll().execute())
      for (const secret of provider.issued()) assert.ok(!rows.includes(secret))
    }
  },
)

onEveryDatabase(
  'a client secret that ends, in seconds or milliseconds, is registered anew',
  async (t, store) => {
    verifies(t, 'S1-32', 'S1-34', 'S1-40')
    const { provider, bench, register } = await setUp(t, store, {
      metadataFields: { token_endpoint_auth_methods_supported: ['client_secret_basic'] },
    })
    const hourMs = 3_600_000
    for (const unitMs of [1000, 1]) {
      const ends = Math.floor((bench.clock.now() + hourMs) / unitMs)
      provider.set({ registrationFields: { client_secret_expires_at: ends } })
      const first = await register()
      await bench.clock.advance(hourMs - 11 * 60_000)
      assert.equal((await register()).clientId, first.clientId)
      await bench.clock.advance(11 * 60_000)
      assert.notEqual((await register()).clientId, first.clientId)
      await bench.clock.advance(24 * hourMs)
    }
  },
)

onEveryDatabase(
  'a registration that is refused says whether an admin can help',
  async (t, store) => {
    verifies(t, 'S1-39')
    const { provider, register } = await setUp(t, store)
    const answers: readonly (readonly [Faults['answers']['register'], string])[] = [
      [{ kind: 'oauth-error', error: 'invalid_redirect_uri' }, 'registration_failed'],
      [{ kind: 'oauth-error', error: 'invalid_client_metadata' }, 'registration_failed'],
      [{ kind: 'status', status: 404 }, 'registration_not_supported'],
      [{ kind: 'status', status: 401 }, 'registration_not_supported'],
      [{ kind: 'status', status: 503 }, 'provider_unreachable'],
      [{ kind: 'html' }, 'registration_failed'],
      [{ kind: 'json', body: { client_secret: 'no id' } }, 'registration_failed'],
      [
        { kind: 'json', body: { client_id: 'x', token_endpoint_auth_method: 'tls_client_auth' } },
        'registration_failed',
      ],
    ]
    for (const [answer, expected] of answers) {
      provider.set({ answers: answer === undefined ? {} : { register: answer } })
      await assert.rejects(register(), code(expected), JSON.stringify(answer))
    }
  },
)

onEveryDatabase('sign-ins that register at once use one registration', async (t, store) => {
  verifies(t, 'C8')
  const { register } = await setUp(t, store)
  const registrations = await Promise.all(Array.from({ length: 20 }, () => register()))
  assert.equal(new Set(registrations.map(({ clientId }) => clientId)).size, 1)
})

void test('id and secret are form-urlencoded before they go into the Basic header', async (t) => {
  verifies(t, 'S1-50', 'G15')
  let seen = { authorization: '', body: '' }
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { authorization = '' } = request.headers
      seen = { authorization, body: Buffer.concat(chunks).toString() }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ access_token: 'a', token_type: 'bearer' }))
    })
  })
  t.after(stop)
  const outbound = createOutbound({ log: silentLog, clock: systemClock }, { allow: ['loopback'] })
  t.after(() => outbound.close())
  const ground = { random: systemRandom, outbound, clock: systemClock }
  const parts = { ...ground, proofs: createProofs(ground) }
  const endpoint = createTokenEndpoint(parts)
  const registration: Registration = {
    method: 'preregistered',
    issuer: origin,
    redirectUri: 'http://localhost/cb',
    clientId: 'a:b c',
    clientSecret: new Secret('100%+/x'),
    authMethod: 'client_secret_basic',
  }
  const place = {
    tokenEndpoint: `${origin}/token`,
    registration,
    resource: 'https://mcp.example/mcp',
  }
  const answer = await endpoint.refreshTokens(place, new Secret('rt'))
  assert.equal(answer.kind, 'tokens')
  const decoded = Buffer.from(seen.authorization.slice('Basic '.length), 'base64').toString()
  assert.equal(decoded, 'a%3Ab+c:100%25%2B%2Fx')
  assert.deepEqual(Object.fromEntries(new URLSearchParams(seen.body)), {
    grant_type: 'refresh_token',
    refresh_token: 'rt',
    resource: 'https://mcp.example/mcp',
  })
})

void test('the tenant’s document lists redirect URIs while they fit into five kilobytes', (t) => {
  verifies(t, 'C10')
  const tenant = { id: 'ten_1', issuer: 'https://latchkey.example' }
  const contexts = Array.from({ length: 200 }, (_, index) => `context${index}`)
  const document = tenantClientDocument(tenant, contexts)
  const { redirect_uris: uris } = document
  assert.ok(JSON.stringify(document).length <= 5000)
  assert.ok(Array.isArray(uris) && uris.length > 50 && uris.length < 200)
})
