// Connections that were signed in once: what happens when they are refreshed by hand or signed in again.
import assert from 'node:assert/strict'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { begin, createBench, signIn } from './bench.rig.ts'

onEveryDatabase(
  'a refresh that cannot be done says so instead of answering as if it had',
  async (t, store) => {
    verifies(t, 'S1-67')
    const provider = await startFaultProvider({ tokenFields: { refresh_token: undefined } })
    t.after(() => provider.stop())
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    await signIn(bench, ada, connection.id)

    await assert.rejects(
      bench.connections.refresh(ada.session, connection.id),
      (thrown) => isFault(thrown) && thrown.code === 'reauthorization_required',
    )
    const after = await bench.connections.get(ada.session, connection.id)
    assert.equal(after.authorized, true, 'the token that it has is still good')
  },
)

onEveryDatabase('a sign-in after a revocation looks anew where to sign in', async (t, store) => {
  verifies(t, 'S1-65', 'S1-66')
  const provider = await startFaultProvider()
  t.after(() => provider.stop())
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  await signIn(bench, ada, connection.id)
  await bench.connections.revoke(ada.session, connection.id, { reason: 'a new laptop' })
  const looks = () =>
    provider.requests().filter(({ path }) => path.startsWith('/.well-known/')).length
  const before = looks()

  await begin(bench, ada, connection.id)

  assert.ok(looks() > before, 'the server may have moved to another authorization server')
  assert.equal(provider.registrations().length, 1, 'the registration is kept')
})

onEveryDatabase('one of several connections is found by its server and label', async (t, store) => {
  const bench = await createBench(t, store)
  const [ada, bob] = [await bench.person('ada'), await bench.person('bob')]
  const { mcpUrl: url, stop } = await startFaultProvider()
  t.after(stop)
  const { server } = await bench.connect(ada, url)
  const { server: other } = await bench.connect(ada, url)
  const make = (serverId: string, label: string, { session } = ada) =>
    bench.connections.create(session, { serverId, label })
  const work = await make(server.id, 'work')
  const elsewhere = await make(other.id, 'work')
  await make(server.id, 'work', bob)

  const found = async (which: { readonly serverId?: string; readonly label?: string }) => {
    const { items } = await bench.connections.list(ada.session, {}, which)
    return items.map(({ id }) => id).toSorted()
  }
  assert.deepEqual(await found({ serverId: server.id, label: 'work' }), [work.id])
  assert.deepEqual(await found({ label: 'work' }), [work.id, elsewhere.id].toSorted())
  assert.equal((await found({ serverId: server.id })).length, 2)
  assert.equal((await found({})).length, 4)
  assert.deepEqual(await found({ label: 'Work' }), [])
  await assert.rejects(make(server.id, 'work'), (thrown) => {
    return isFault(thrown) && thrown.code === 'conflict'
  })
})
