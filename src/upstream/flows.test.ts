// A sign-in elsewhere lives in the database: whichever process takes the callback can finish it.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { code } from '../base/fault.rig.ts'
import { approve, begin, bring, contextOf, createBench } from '../connectors/bench.rig.ts'
import type { Shared } from '../connectors/bench.rig.ts'

onEveryDatabase('another process, or one after a restart, finishes it', async (t, store, open) => {
  verifies(t, 'S1-45', 'S1-46', 'S2-43')
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const shared: Shared = { masterKey: randomBytes(32), clock: createManualClock(Date.now()) }
  const first = await createBench(t, store, shared)
  const ada = await first.person('ada')
  const { server, connection } = await first.connect(ada, provider.mcpUrl)
  const context = await contextOf(first, server.id)
  const [one, two] = [
    await begin(first, ada, connection.id),
    await begin(first, ada, connection.id),
  ]

  const second = await createBench(t, await open(), shared)
  const query = await approve(one.authorizeUrl)
  assert.equal((await bring(second, ada, { context, query })).kind, 'completed')
  await assert.rejects(bring(first, ada, { context, query }), code('state_mismatch'))
  assert.equal((await second.connections.flow(ada.session, one.flowId)).status, 'completed')

  const late = await approve(two.authorizeUrl)
  await shared.clock.advance(300_000)
  await assert.rejects(bring(second, ada, { context, query: late }), code('flow_expired'))
})

onEveryDatabase('a state is signed with the master key', async (t, store, open) => {
  verifies(t, 'S2-18', 'S2-19')
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const shared: Shared = { masterKey: randomBytes(32), clock: createManualClock(Date.now()) }
  const bench = await createBench(t, store, shared)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  const query = await approve((await begin(bench, ada, connection.id)).authorizeUrl)
  const facts = { context: await contextOf(bench, server.id), query }

  const stranger = await createBench(t, await open(), { ...shared, masterKey: randomBytes(32) })
  const before = provider.tokenRequests().length
  await assert.rejects(bring(stranger, ada, facts), code('state_mismatch'))
  assert.equal(provider.tokenRequests().length, before)
  assert.equal((await bring(bench, ada, facts)).kind, 'completed')
})
