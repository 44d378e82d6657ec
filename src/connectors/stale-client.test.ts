// A client that its provider has forgotten is found out on the provider's page, where nobody tells us: a sign-in that goes
// unanswered makes the next one register anew, where no token hangs on the old client. And starting over.
import assert from 'node:assert/strict'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { begin, createBench, signIn, signedIn } from './bench.rig.ts'
import type { Store } from '../store/database.ts'
import type { Person } from './bench.rig.ts'

const flowMs = 300_000

async function setUp(t: Parameters<typeof createBench>[0], store: Store) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const clientOf = async (person: Person, id: string) =>
    new URL((await begin(bench, person, id)).authorizeUrl).searchParams.get('client_id')
  return { provider, bench, ada, server, id: connection.id, clientOf }
}

onEveryDatabase('an unanswered sign-in makes the next one register anew', async (t, store) => {
  verifies(t, 'S2-29', 'S1-38')
  const { provider, bench, ada, id, clientOf } = await setUp(t, store)
  const lost = await clientOf(ada, id)
  // The person is left on the provider's page, which says that it does not know us.
  provider.forgetClients()

  await bench.clock.advance(flowMs - 1)
  assert.equal(await clientOf(ada, id), lost, 'it may still be answered')
  await bench.clock.advance(flowMs)
  assert.notEqual(await clientOf(ada, id), lost)
  assert.equal((await signIn(bench, ada, id)).kind, 'completed')
  assert.equal(provider.registrations().length, 2)
  const entries = await bench.journal.list({ tenantId: bench.tenant.id })
  assert.equal(entries.filter(({ type }) => type === 'registration.lost').length, 1)
})

onEveryDatabase('a client that tokens hang on is kept, whoever walks away', async (t, store) => {
  const { provider, bench, ada, server, id, clientOf } = await setUp(t, store)
  assert.equal((await signIn(bench, ada, id)).kind, 'completed')
  const bob = await bench.person('bob')
  const his = await bench.connections.create(bob.session, { serverId: server.id })
  const client = await clientOf(bob, his.id)
  await bench.clock.advance(flowMs)
  assert.equal(await clientOf(bob, his.id), client)
  assert.equal(provider.registrations().length, 1)
})

onEveryDatabase('a sign-in under way keeps the client that it began with', async (t, store) => {
  const { provider, bench, ada, server, id, clientOf } = await setUp(t, store)
  await clientOf(ada, id)
  const bob = await bench.person('bob')
  const his = await bench.connections.create(bob.session, { serverId: server.id })
  await bench.clock.advance(flowMs - 1)
  const client = await clientOf(bob, his.id)
  await bench.clock.advance(1)
  assert.equal(await clientOf(ada, id), client, 'his may still be answered')
  assert.equal(provider.registrations().length, 1)
})

onEveryDatabase('starting over forgets all but our registration', async (t, store) => {
  verifies(t, 'S2-29', 'S1-65')
  const { bench, ada, id, provider } = await signedIn(t, store)
  const pending = await bench.connections.authorize(ada.session, id, {
    browser: ada.browser,
    again: true,
  })
  assert.ok('flowId' in pending)
  const over = await bench.connections.revoke(ada.session, id)
  assert.deepEqual([over.status, over.authorized, over.scopes], ['disconnected', false, []])
  assert.deepEqual(await store.db.selectFrom('credentials').selectAll().execute(), [])
  const flow = await bench.connections.flow(ada.session, pending.flowId)
  assert.deepEqual([flow.status, flow.error], ['failed', 'flow_expired'])
  assert.equal((await signIn(bench, ada, id)).kind, 'completed')
  assert.equal(provider.registrations().length, 1)
})
