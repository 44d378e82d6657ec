// What arrives late: an answer of a provider for a connection that was ended, or whose server was changed, meanwhile. It
// must bring nothing back to life, and no token may reach a server that it was not made for.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { code } from '../base/fault.rig.ts'
import { isFault } from '../base/fault.ts'
import type { Store } from '../store/database.ts'
import { approve, begin, bring, contextOf, createBench, signIn, startGate } from './bench.rig.ts'
import { createCredentials } from './credential.ts'
import { createServers } from './servers.ts'

async function setUp(t: TestContext, store: Store, grant: Parameters<typeof startGate>[1]) {
  const gate = await startGate(t, grant)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, gate.provider.mcpUrl)
  return { ...gate, bench, ada, server, id: connection.id }
}

type Setting = Awaited<ReturnType<typeof setUp>>

/** Ada is back from the provider; her callback can be brought. */
async function atTheCallback({ bench, ada, server, id }: Setting) {
  const context = await contextOf(bench, server.id)
  const { authorizeUrl, flowId } = await begin(bench, ada, id)
  const query = await approve(authorizeUrl)
  return { flowId, bring: () => bring(bench, ada, { context, query }) }
}

const credentialsOf = ({ db }: Store) => db.selectFrom('credentials').selectAll().execute()

function newestAccessToken({ provider }: Setting): string {
  return provider.issued().findLast((value) => value.startsWith('access-')) ?? ''
}

for (const isOldGrantAlive of [false, true]) {
  onEveryDatabase(
    `a refresh that was under way touches no later sign-in (its old grant ${isOldGrantAlive ? 'still works' : 'is gone'})`,
    async (t, store) => {
      verifies(t, 'S1-66', '§2b-4')
      const setting = await setUp(t, store, 'refresh_token')
      const { bench, ada, id, provider } = setting
      await signIn(bench, ada, id)
      setting.holdNext()
      const refreshing = bench.connections.refresh(ada.session, id).catch(isFault)
      await setting.arrival
      if (isOldGrantAlive) {
        provider.set({ answers: { revoke: { kind: 'status', status: 503, times: 2 } } })
      }
      await bench.connections.revoke(ada.session, id)
      await signIn(bench, ada, id)
      const token = newestAccessToken(setting)

      setting.open()
      await refreshing

      const given = await bench.connections.token(ada.key, id)
      assert.equal(given.accessToken, token)
      assert.equal((await bench.connections.get(ada.session, id)).status, 'connected')
    },
  )
}

onEveryDatabase('revoking ends a sign-in whose callback has not come', async (t, store) => {
  verifies(t, 'S1-66')
  const setting = await setUp(t, store, 'authorization_code')
  const { bench, ada, id, provider } = setting
  const callback = await atTheCallback(setting)
  await bench.connections.revoke(ada.session, id)

  await assert.rejects(callback.bring(), code('state_mismatch'))

  assert.equal(provider.tokenRequests().length, 0)
  const shown = await bench.connections.get(ada.session, id)
  assert.deepEqual([shown.status, shown.statusReason], ['disconnected', 'revoked'])
  assert.equal((await bench.connections.flow(ada.session, callback.flowId)).status, 'failed')
})

for (const end of ['revoke', 'remove'] as const) {
  onEveryDatabase(
    `tokens that a code brings after the connection’s end are given back (${end})`,
    async (t, store) => {
      verifies(t, 'S1-66')
      const setting = await setUp(t, store, 'authorization_code')
      const { bench, ada, id, provider } = setting
      const callback = await atTheCallback(setting)
      setting.holdNext()
      const finishing = callback.bring()
      await setting.arrival
      await bench.connections[end](ada.session, id)

      setting.open()
      const outcome = await finishing

      assert.ok(outcome.kind === 'failed')
      assert.equal(outcome.error, 'flow_expired')
      assert.deepEqual(await credentialsOf(store), [])
      assert.equal(provider.isLive(newestAccessToken(setting)), false)
      if (end === 'remove') return
      const shown = await bench.connections.get(ada.session, id)
      assert.deepEqual([shown.status, shown.statusReason], ['disconnected', 'revoked'])
    },
  )
}

onEveryDatabase(
  'a sign-in that ends after its server moved leaves nothing for the new address',
  async (t, store) => {
    verifies(t, 'C23', 'C7')
    const setting = await setUp(t, store, 'authorization_code')
    const { bench, ada, id, server } = setting
    const second = await startFaultProvider()
    t.after(second.stop)
    const callback = await atTheCallback(setting)
    setting.holdNext()
    const finishing = callback.bring()
    await setting.arrival
    await bench.servers.update(ada.session, server.id, { url: second.mcpUrl })

    setting.open()
    const outcome = await finishing

    assert.equal(outcome.kind, 'failed')
    assert.deepEqual(await credentialsOf(store), [])
    const moved = (await bench.servers.byId(bench.tenant, server.id))!
    const credential = await bench.credentials.credentialFor(moved, ada.session)
    assert.equal(credential.kind, 'authorization_required')
    assert.equal((await signIn(bench, ada, id)).kind, 'completed')
  },
)

onEveryDatabase(
  'a sign-in that began at the old address, unseen by the move, is not kept',
  async (t, store) => {
    verifies(t, 'C23')
    const setting = await setUp(t, store, 'authorization_code')
    const { server } = setting
    const callback = await atTheCallback(setting)
    await store.db
      .updateTable('servers')
      .set({ url: 'http://127.0.0.1:1/mcp' })
      .where('id', '=', server.id)
      .execute()

    const outcome = await callback.bring()

    assert.ok(outcome.kind === 'failed' && outcome.error === 'flow_expired')
    assert.deepEqual(await credentialsOf(store), [])
    assert.equal(setting.provider.isLive(newestAccessToken(setting)), false)
  },
)

onEveryDatabase(
  'a call that knows a server by its old address gets nothing of the new one',
  async (t, store) => {
    verifies(t, 'C23')
    const setting = await setUp(t, store, 'authorization_code')
    const { bench, ada, server, id } = setting
    const second = await startFaultProvider()
    t.after(second.stop)
    const old = (await bench.servers.byId(bench.tenant, server.id))!
    await bench.servers.update(ada.session, server.id, { url: second.mcpUrl })
    await signIn(bench, ada, id)
    const credential = await bench.credentials.credentialFor(old, ada.session)
    assert.equal(credential.kind, 'authorization_required')

    const fixed = { auth: 'headers', headers: { 'x-key': 'one' } } as const
    const keyed = await bench.servers.create(ada.session, { url: second.mcpUrl, ...fixed })
    const stale = (await bench.servers.byId(bench.tenant, keyed.id))!
    const url = setting.provider.mcpUrl
    await bench.servers.update(ada.session, keyed.id, { url, headers: { 'x-key': 'two' } })
    await assert.rejects(bench.credentials.credentialFor(stale, ada.session), code('not_found'))
  },
)

onEveryDatabase(
  'a server that moved takes the tokens it refused and no later ones',
  async (t, store) => {
    verifies(t, 'C7', 'A2-7')
    const setting = await setUp(t, store, 'refresh_token')
    const { bench, ada, server, id, provider } = setting
    await signIn(bench, ada, id)
    const known = (await bench.servers.byId(bench.tenant, server.id))!
    const { discover } = bench.upstream.discover
    const slow: typeof discover = async (request) => {
      const found = await discover(request)
      await bench.connections.revoke(ada.session, id)
      await signIn(bench, ada, id)
      return { ...found, issuer: 'https://elsewhere.example' }
    }
    const upstream = {
      ...bench.upstream,
      discover: { ...bench.upstream.discover, discover: slow },
    }
    const credentials = createCredentials({ ...bench, upstream })
    const refused = await credentials.credentialFor(known, ada.session)

    const next = await credentials.refreshAfterUnauthorized(known, ada.session, refused)

    assert.ok(next.kind === 'bearer' && provider.isLive(next.token.reveal()))
  },
)

onEveryDatabase(
  'a document that cannot be read for a moment is no sign that a server moved',
  async (t, store) => {
    verifies(t, 'C7', 'S1-63')
    const elsewhere = await startFaultProvider()
    t.after(elsewhere.stop)
    const names = { authorization_servers: [elsewhere.issuer] }
    const provider = await startFaultProvider({ resourceMetadataFields: names })
    t.after(provider.stop)
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const { server, connection } = await bench.connect(ada, provider.mcpUrl)
    await signIn(bench, ada, connection.id)
    const known = (await bench.servers.byId(bench.tenant, server.id))!
    for (const status of [404, 429, 500, 502, 503]) {
      const refused = await bench.credentials.credentialFor(known, ada.session)
      provider.set({ answers: { 'resource-metadata': { kind: 'status', status } } })

      const next = await bench.credentials.refreshAfterUnauthorized(known, ada.session, refused)

      assert.equal(next.kind, 'bearer', `after ${status}`)
    }
  },
)

onEveryDatabase(
  'two changes of a server at once: the later one is told, and undoes nothing',
  async (t, store) => {
    verifies(t, 'C23')
    const setting = await setUp(t, store, 'refresh_token')
    const { bench, ada, server, provider } = setting
    const second = await startFaultProvider()
    t.after(second.stop)
    const { inspect } = bench.upstream.discover
    const slow: typeof inspect = async (request) => {
      const found = await inspect(request)
      await bench.servers.update(ada.session, server.id, { url: second.mcpUrl })
      return found
    }
    const upstream = {
      ...bench.upstream,
      discover: { ...bench.upstream.discover, inspect: slow },
    }
    const servers = createServers({ ...bench, upstream })

    const first = servers.update(ada.session, server.id, { issuer: provider.issuer })
    await assert.rejects(first, code('conflict'))

    const after = await bench.servers.get(ada.session, server.id)
    assert.equal(after.url, second.mcpUrl)
  },
)

onEveryDatabase('a client’s secret does not go to another issuer by itself', async (t, store) => {
  verifies(t, 'C8')
  const setting = await setUp(t, store, 'refresh_token')
  const { bench, ada, provider } = setting
  const second = await startFaultProvider()
  t.after(second.stop)
  const given = { clientId: 'given', clientSecret: 'hush' }
  const { id } = await bench.servers.create(ada.session, {
    url: provider.mcpUrl,
    auth: 'oauth',
    ...given,
  })

  const moved = await bench.servers.update(ada.session, id, { issuer: second.issuer })
  assert.deepEqual([moved.clientId, moved.hasClientSecret], [undefined, false])

  const entered = await bench.servers.update(ada.session, id, given)
  assert.deepEqual([entered.clientId, entered.hasClientSecret], ['given', true])
  const same = await bench.servers.update(ada.session, id, { issuer: second.issuer })
  assert.deepEqual([same.clientId, same.hasClientSecret], ['given', true])
})

onEveryDatabase('a flow is carried on at its own connection only', async (t, store) => {
  verifies(t, 'X-09')
  const setting = await setUp(t, store, 'refresh_token')
  const { bench, ada, server, id } = setting
  const other = await bench.connections.create(ada.session, { serverId: server.id, label: 'b' })
  const begun = await bench.connections.authorize(ada.key, other.id)
  assert.ok('flowId' in begun)
  const carryOn = (connectionId: string) =>
    bench.connections.authorize(ada.session, connectionId, {
      browser: ada.browser,
      flowId: begun.flowId,
    })
  await assert.rejects(carryOn(id), code('not_found'))
  assert.ok('authorizeUrl' in (await carryOn(other.id)))
})
