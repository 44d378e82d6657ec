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
