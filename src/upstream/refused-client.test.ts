// A client that is refused while somebody signs in may be the one that other people's tokens hang on.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createBench, signIn, signedIn } from '../connectors/bench.rig.ts'
import type { Store } from '../store/database.ts'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'

const minuteMs = 60_000
const secondQuestionMs = 30_000
const refused = { kind: 'oauth-error', error: 'invalid_client', status: 401 } as const

/** Ada is signed in, and Bob is about to. */
async function start(t: TestContext, store: Store) {
  const setting = await signedIn(t, store)
  const { bench, server, id } = setting
  const bob = await bench.person('bob')
  const his = await bench.connections.create(bob.session, { serverId: server.id })
  const live = () => bench.upstream.refresh.liveToken({ tenant: bench.tenant, connectionId: id })
  return { ...setting, bob, hisId: his.id, live }
}

onEveryDatabase(
  'a provider that refuses our client once, while somebody signs in, ends nobody’s connection',
  async (t, store) => {
    verifies(t, 'S1-38', '§2b-7')
    const { provider, bench, bob, hisId, live, refreshes } = await start(t, store)
    provider.set({ answers: { token: { ...refused, times: 1 } } })
    assert.equal((await signIn(bench, bob, hisId)).kind, 'failed')
    assert.equal((await signIn(bench, bob, hisId)).kind, 'completed')
    assert.equal(provider.registrations().length, 1)
    assert.equal(
      await bench.upstream.refresh.refreshDue(),
      1,
      'whether it is known is asked at once',
    )
    assert.equal(refreshes().length, 1)
    await bench.clock.advance(61 * minuteMs)
    assert.equal((await live()).kind, 'live')
  },
)

onEveryDatabase(
  'one that the provider has forgotten is found out by those who hang on it, and made anew',
  async (t, store) => {
    verifies(t, 'S1-38', 'S2-29')
    const { provider, bench, bob, hisId, live } = await start(t, store)
    provider.set({ answers: { token: refused, refresh: refused } })
    assert.equal((await signIn(bench, bob, hisId)).kind, 'failed')
    await bench.upstream.refresh.refreshDue()
    assert.equal((await live()).kind, 'live', 'her token is good until its end')
    await bench.clock.advance(secondQuestionMs)
    await bench.upstream.refresh.refreshDue()
    assert.deepEqual(await live(), {
      kind: 'reauthorization_required',
      reason: 'refresh_token_rejected',
    })
    provider.set({ answers: {} })
    assert.equal((await signIn(bench, bob, hisId)).kind, 'completed')
    assert.equal(provider.registrations().length, 2)
  },
)

onEveryDatabase('one that nobody hangs on is made anew at once', async (t, store) => {
  verifies(t, 'S1-38')
  const provider = await startFaultProvider({ answers: { token: { ...refused, times: 1 } } })
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  assert.equal((await signIn(bench, ada, connection.id)).kind, 'failed')
  assert.equal((await signIn(bench, ada, connection.id)).kind, 'completed')
  assert.equal(provider.registrations().length, 2)
})
