// Leases by one clock: what one process holds, no other process takes, whatever its own clock says.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { createBench, signIn, startGate, turning } from '../connectors/bench.rig.ts'
import { serverTime, timeOf } from '../store/time.ts'

const minuteMs = 60_000

onEveryDatabase(
  'a process whose clock is five minutes ahead takes no lease that runs, and one behind takes one that is over',
  async (t, store, openAnother) => {
    verifies(t, 'A1-5', 'S1-61', '§2b-1')
    const { provider, holdNext, open, arrival } = await startGate(t, 'refresh_token')
    const masterKey = randomBytes(32)
    // The embedded database is on one machine, and so on one clock.
    const isServer = store.engine === 'postgres'
    const clock = createManualClock(Date.now())
    const time = isServer ? serverTime : timeOf(clock)
    const process = async (skewMs: number) =>
      createBench(t, await openAnother(), {
        masterKey,
        time,
        clock: isServer ? createManualClock(clock.now() + skewMs) : clock,
      })
    const bench = await createBench(t, store, { masterKey, clock, time })
    const [ahead, behind] = [await process(5 * minuteMs), await process(-5 * minuteMs)]
    const ada = await bench.person('ada')
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    await signIn(bench, ada, connection.id)
    const request = { tenant: bench.tenant, connectionId: connection.id, force: true }

    holdNext()
    const refreshing = bench.upstream.refresh.liveToken(request)
    await arrival
    const held = await ahead.upstream.vault.read(request)
    assert.ok(held !== undefined)
    assert.equal(await ahead.upstream.vault.lease(held, { owner: 'run_ahead', ms: 20_000 }), false)
    assert.equal(await ahead.upstream.refresh.refreshDue(), 0)
    const waiting = turning(ahead, ahead.upstream.refresh.liveToken(request), 20)
    open()
    assert.deepEqual(await waiting, await refreshing)
    assert.equal(provider.tokenRequests().length, 2)

    const renewed = await behind.upstream.vault.read(request)
    assert.ok(renewed !== undefined)
    assert.ok(await ahead.upstream.vault.lease(renewed, { owner: 'run_dead', ms: 0 }))
    assert.ok(await behind.upstream.vault.lease(renewed, { owner: 'run_behind', ms: 20_000 }))
  },
)
