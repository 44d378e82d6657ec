// What a call carries, and what happens when the server no longer takes it.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Store } from '../store/database.ts'
import { begin, createBench, signIn } from './bench.rig.ts'

async function setUp(t: TestContext, store: Store) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const known = (await bench.servers.byId(bench.tenant, server.id))!
  return { provider, bench, ada, server: known, id: connection.id }
}

onEveryDatabase('a person without a connection is shown where to make one', async (t, store) => {
  verifies(t, 'S1-6', 'S1-7', 'A2-6')
  const { bench, server, id } = await setUp(t, store)
  const bob = await bench.person('bob')
  const needed = await bench.credentials.credentialFor(server, bob.session)
  assert.ok(needed.kind === 'authorization_required')
  assert.notEqual(needed.connectionId, id)
  assert.equal(needed.connectUrl, `http://localhost:8787/connect/${needed.connectionId}`)
  assert.equal(
    (await bench.connections.get(bob.session, needed.connectionId)).status,
    'disconnected',
  )
  assert.deepEqual(await bench.credentials.credentialFor(server, bob.session), needed)
})

onEveryDatabase('a refused token is refreshed once for all who were refused', async (t, store) => {
  verifies(t, 'A2-7', 'S2-11')
  const { provider, bench, ada, server, id } = await setUp(t, store)
  await signIn(bench, ada, id)
  const first = await bench.credentials.credentialFor(server, ada.session)
  assert.ok(first.kind === 'bearer' && provider.isLive(first.token.reveal()))
  provider.expireAccessTokens()

  const retry = () => bench.credentials.refreshAfterUnauthorized(server, ada.session, first)
  const all = await Promise.all(Array.from({ length: 50 }, retry))
  const tokens = new Set(all.map((one) => (one.kind === 'bearer' ? one.token.reveal() : one.kind)))
  assert.equal(tokens.size, 1)
  assert.ok(provider.isLive([...tokens][0] ?? ''))
  assert.equal(provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length, 1)
})

onEveryDatabase(
  'a refused token that cannot be refreshed asks for a new sign-in',
  async (t, store) => {
    verifies(t, 'A2-7', 'S1-8')
    const { provider, bench, ada, server, id } = await setUp(t, store)
    await signIn(bench, ada, id)
    const first = await bench.credentials.credentialFor(server, ada.session)
    provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
    const needed = await bench.credentials.refreshAfterUnauthorized(server, ada.session, first)
    assert.ok(needed.kind === 'authorization_required')
    assert.equal(needed.reason, 'refresh_token_rejected')
    assert.equal(
      (await bench.credentials.credentialFor(server, ada.session)).kind,
      'authorization_required',
    )
  },
)

onEveryDatabase(
  'a server that moved to another authorization server gets nothing of the first',
  async (t, store) => {
    verifies(t, 'C7', 'C8', 'C23')
    const { provider, bench, ada, server, id } = await setUp(t, store)
    const second = await startFaultProvider()
    t.after(second.stop)
    await signIn(bench, ada, id)
    const first = await bench.credentials.credentialFor(server, ada.session)
    provider.set({ resourceMetadataFields: { authorization_servers: [second.issuer] } })

    const needed = await bench.credentials.refreshAfterUnauthorized(server, ada.session, first)
    assert.ok(needed.kind === 'authorization_required')
    assert.equal(needed.reason, 'authorization_server_changed')
    const { authorizeUrl } = await begin(bench, ada, id)
    assert.equal(new URL(authorizeUrl).origin, second.issuer)
    assert.equal(second.registrations().length, 1)
    await signIn(bench, ada, id)
    assert.equal((await bench.connections.get(ada.session, id)).status, 'connected')
    const seen = JSON.stringify(second.requests())
    const [registration] = await store.db
      .selectFrom('registrations')
      .select('client_id')
      .where('issuer', '=', provider.issuer)
      .execute()
    for (const old of [...provider.issued(), registration!.client_id])
      assert.ok(!seen.includes(old))
  },
)

onEveryDatabase(
  'of several connections the oldest that works is used, and a refused token is answered for by its own',
  async (t, store) => {
    verifies(t, 'S1-8', 'S1-10')
    const { provider, bench, ada, server, id } = await setUp(t, store)
    await bench.clock.advance(1000)
    const made = await bench.connections.create(ada.session, { serverId: server.id, label: 'work' })
    await signIn(bench, ada, made.id)
    const used = async () => {
      const credential = await bench.credentials.credentialFor(server, ada.session)
      assert.ok(credential.kind === 'bearer')
      return credential
    }
    const ofWork = await used()
    assert.equal(ofWork.connectionId, made.id, 'the older one is not signed in')
    await signIn(bench, ada, id)
    assert.equal((await used()).connectionId, id)

    const refreshesOf = () =>
      provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length
    const renewed = await bench.credentials.refreshAfterUnauthorized(server, ada.session, ofWork)
    assert.ok(renewed.kind === 'bearer')
    assert.equal(renewed.connectionId, made.id, 'the one whose token was refused')
    assert.notEqual(renewed.generation, ofWork.generation)
    assert.equal(refreshesOf(), 1)
    await bench.connections.revoke(ada.session, made.id)
    const next = await bench.credentials.refreshAfterUnauthorized(server, ada.session, renewed)
    assert.ok(next.kind === 'bearer')
    assert.equal(next.connectionId, id, 'the other one still works')
    assert.equal(refreshesOf(), 1, 'and nobody refused its token')
  },
)

onEveryDatabase('a step-up asks for what was asked before and more', async (t, store) => {
  verifies(t, 'C19', 'C20', 'C21', 'C24', 'S1-57')
  const { provider, bench, ada, id } = await setUp(t, store)
  await signIn(bench, ada, id)
  const scopeOf = (authorizeUrl: string) => new URL(authorizeUrl).searchParams.get('scope')
  const stepUp = await begin(bench, ada, id, { additionalScopes: 'write' })
  assert.equal(scopeOf(stepUp.authorizeUrl), 'mcp write')
  assert.equal((await bench.connections.get(ada.session, id)).authorized, true)

  provider.set({ metadataFields: { scopes_supported: ['mcp', 'offline_access'] } })
  await bench.upstream.discover.forget(bench.tenant, provider.mcpUrl)
  const staying = await begin(bench, ada, id, { additionalScopes: 'write' })
  assert.equal(scopeOf(staying.authorizeUrl), 'mcp write offline_access')

  const chosen = await bench.servers.create(ada.session, {
    url: provider.mcpUrl,
    auth: 'oauth',
    scopes: 'one two',
  })
  const { id: other } = await bench.connections.create(ada.session, { serverId: chosen.id })
  assert.equal(scopeOf((await begin(bench, ada, other)).authorizeUrl), 'one two offline_access')
})

onEveryDatabase('a call that names a connection gets that one and no other', async (t, store) => {
  verifies(t, 'S1-10')
  const { provider, bench, ada, server, id } = await setUp(t, store)
  const { credentials, connections } = bench
  const make = (label: string) => connections.create(ada.session, { serverId: server.id, label })
  const work = await make('work')
  const idle = await make('idle')
  await signIn(bench, ada, id)
  await signIn(bench, ada, work.id)
  const used = (label?: string) => credentials.credentialFor(server, ada.session, { label })

  const labels = Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? 'default' : 'work'))
  const all = await Promise.all(labels.map((label) => used(label)))
  const tokensOf = (label: string) =>
    new Set(
      all
        .flatMap((one, at) => (labels[at] === label && one.kind === 'bearer' ? [one] : []))
        .map(({ token }) => token.reveal()),
    )
  assert.deepEqual([tokensOf('default').size, tokensOf('work').size], [1, 1])
  assert.notDeepEqual(tokensOf('default'), tokensOf('work'))
  const asked = await used('idle')
  assert.ok(asked.kind === 'authorization_required' && asked.connectionId === idle.id)
  for (const label of ['WORK', 'other', '']) {
    await assert.rejects(used(label), { code: 'connection_unknown' })
  }
  const bob = await bench.person('bob')
  const others = credentials.credentialFor(server, bob.session, { label: 'work' })
  await assert.rejects(others, { code: 'connection_unknown' }, 'the label is another person’s')

  const ofWork = await used('work')
  provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
  const lost = await credentials.refreshAfterUnauthorized(server, ada.session, ofWork, {
    label: 'work',
  })
  assert.ok(lost.kind === 'authorization_required', 'no other account takes its place')
  assert.equal(lost.connectionId, work.id)
  const rest = await used()
  assert.ok(rest.kind === 'bearer' && rest.connectionId === id)
})
