// Refreshing ahead of need: nobody's provider stands in the way of another's, and a round ends when nothing is due.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { until } from '../../test/until.ts'
import { Fault } from '../base/fault.ts'
import { code } from '../base/fault.rig.ts'
import { createBench, signIn, turning } from '../connectors/bench.rig.ts'
import type { Bench } from '../connectors/bench.rig.ts'
import { createRefresh } from './refresh.ts'
import type { TokenEndpoint } from './token-endpoint.ts'

const minuteMs = 60_000
const deadlineMs = 10_000

/** So many connections of one person at a provider of their own, all of whose tokens end in the same second. */
async function manyAt(t: TestContext, bench: Bench, name: string, count: number) {
  const provider = await startFaultProvider({ rotation: 'none' })
  t.after(provider.stop)
  const { tenant, db } = bench
  const { vault } = bench.upstream
  const person = await bench.person(name)
  const { connection } = await bench.connect(person, provider.mcpUrl)
  await signIn(bench, person, connection.id)
  const held = await vault.read({ tenant, connectionId: connection.id })
  const row = await db
    .selectFrom('connections')
    .selectAll()
    .where('id', '=', connection.id)
    .executeTakeFirst()
  const { accessToken, refreshToken, expiresAt } = held ?? {}
  assert.ok(held && row && accessToken && refreshToken && expiresAt !== undefined)
  const tokens = { accessToken, refreshToken, expiresAt, tokenType: 'Bearer' } as const
  const ids = Array.from({ length: count }, (_, index) => `con_${name}${index}`)
  await db.transaction().execute(async (tx) => {
    for (const id of ids) {
      await tx
        .insertInto('connections')
        .values({ ...row, id, label: id })
        .execute()
      await vault.keep(tx, { tenant, connectionId: id }, held.binding, tokens)
    }
    await tx.deleteFrom('credentials').where('connection_id', '=', connection.id).execute()
  })
  return { ids, origin: provider.origin, refreshes: () => provider.tokenRequests().length - 1 }
}

/** The engine of a process for which one place swallows every request until the deadline is over. */
function withSilent(bench: Bench, origin: string) {
  const { tokenEndpoint } = bench.upstream
  let asked = 0
  const refreshTokens: TokenEndpoint['refreshTokens'] = async (place, token) => {
    if (!place.tokenEndpoint.startsWith(origin)) return tokenEndpoint.refreshTokens(place, token)
    asked += 1
    await bench.clock.sleep(deadlineMs)
    const fault = new Fault('timeout', { because: 'the call ended with TimeoutError' })
    return { kind: 'refused', refusal: 'trouble', fault }
  }
  const parts = { ...bench.upstream, tokenEndpoint: { ...tokenEndpoint, refreshTokens } }
  return { refresh: createRefresh({ ...bench, ...parts }), asked: () => asked }
}

onEveryDatabase(
  'two hundred that are due at a dead provider hold up none of five at another',
  async (t, store) => {
    verifies(t, 'S1-60', '§2b-7')
    const bench = await createBench(t, store)
    const dead = await manyAt(t, bench, 'dead', 200)
    await bench.clock.advance(1000)
    const alive = await manyAt(t, bench, 'alive', 5)
    const { refresh, asked } = withSilent(bench, dead.origin)
    await bench.clock.advance(58 * minuteMs)
    const begunAt = bench.clock.now()

    const round = refresh.refreshDue()
    await until(() => alive.refreshes() === 5 && asked() === 8)
    assert.equal(asked(), 8, 'one host has no more than its places')
    assert.equal(bench.clock.now(), begunAt)
    await bench.clock.advance(deadlineMs)
    assert.equal(await round, 205)
    assert.equal(asked(), 8, 'a silent host is left alone')
    assert.equal(await refresh.refreshDue(), 0, 'the others come again later')

    await bench.clock.advance(minuteMs / 2)
    const second = refresh.refreshDue()
    await until(() => asked() === 9)
    await bench.clock.advance(deadlineMs)
    await second
    assert.equal(asked(), 9, 'after its rest it is asked by one')
  },
)

onEveryDatabase(
  'at a silent host a token that works is used at once, and who has none waits for no deadline',
  async (t, store) => {
    verifies(t, 'S1-63', '§2b-7')
    const bench = await createBench(t, store)
    const { ids, origin } = await manyAt(t, bench, 'dead', 10)
    const { refresh, asked } = withSilent(bench, origin)
    const live = (id: string) => refresh.liveToken({ tenant: bench.tenant, connectionId: id })
    await bench.clock.advance(56 * minuteMs)
    await turning(bench, Promise.all(ids.slice(0, 3).map(live)))
    const before = bench.clock.now()
    assert.equal((await live(ids[3] ?? '')).kind, 'live')
    assert.equal(asked(), 3)

    await bench.clock.advance(4 * minuteMs)
    const probing = turning(bench, assert.rejects(live(ids[4] ?? ''), code('timeout')))
    await until(() => asked() === 4)
    await assert.rejects(live(ids[5] ?? ''), (thrown) => {
      assert.ok(thrown instanceof Fault && thrown.code === 'provider_unreachable')
      return (thrown.retryAfterS ?? 0) > 0
    })
    assert.ok(bench.clock.now() > before)
    await probing
  },
)

onEveryDatabase(
  'whatever is due is fresh after one round, however many there are',
  async (t, store) => {
    verifies(t, 'S1-60')
    const bench = await createBench(t, store)
    const { ids, refreshes } = await manyAt(t, bench, 'many', 520)
    await bench.clock.advance(58 * minuteMs)
    assert.equal(await bench.upstream.refresh.refreshDue({ limit: 20 }), 20)
    assert.equal(refreshes(), 20)
    assert.equal(await bench.upstream.refresh.refreshDue(), ids.length - 20)
    assert.equal(refreshes(), ids.length)
    assert.equal(await bench.upstream.refresh.refreshDue(), 0)
  },
)

onEveryDatabase(
  'what began together does not come due together, and is refreshed at use no sooner for it',
  async (t, store) => {
    verifies(t, 'S1-60', '§2b-8')
    const bench = await createBench(t, store)
    const { ids, refreshes } = await manyAt(t, bench, 'many', 40)
    const rows = await store.db.selectFrom('credentials').selectAll().execute()
    const aheadMs = rows.map((row) => (row.expires_at ?? 0) - (row.next_refresh_at ?? 0))
    assert.ok(new Set(aheadMs).size > 30)
    assert.ok(aheadMs.every((ms) => ms >= 7 * minuteMs && ms <= 10 * minuteMs))

    const live = () =>
      bench.upstream.refresh.liveToken({ tenant: bench.tenant, connectionId: ids[0] ?? '' })
    const first = await live()
    await bench.clock.advance(54 * minuteMs)
    assert.deepEqual(await live(), first)
    assert.equal(refreshes(), 0)
    assert.equal(await bench.upstream.refresh.refreshDue(), 40)
    assert.equal(refreshes(), 40)
    const again = await store.db.selectFrom('credentials').select('next_refresh_at').execute()
    assert.ok(new Set(again.map((row) => row.next_refresh_at)).size > 30)
  },
)

onEveryDatabase(
  'what a tenant has that is switched off is not refreshed ahead',
  async (t, store) => {
    const bench = await createBench(t, store)
    const { refreshes } = await manyAt(t, bench, 'many', 3)
    await bench.clock.advance(58 * minuteMs)
    const switchOff = (at: number | null) =>
      store.db
        .updateTable('tenants')
        .set({ disabled_at: at })
        .where('id', '=', bench.tenant.id)
        .execute()
    await switchOff(bench.clock.now())
    assert.equal(await bench.upstream.refresh.refreshDue(), 0)
    assert.equal(refreshes(), 0)
    await switchOff(null)
    assert.equal(await bench.upstream.refresh.refreshDue(), 3)
  },
)

onEveryDatabase('a round that is told to end begins nothing more', async (t, store) => {
  verifies(t, 'S1-60')
  const bench = await createBench(t, store)
  const { refreshes } = await manyAt(t, bench, 'many', 100)
  await bench.clock.advance(58 * minuteMs)
  const ending = new AbortController()
  const round = bench.upstream.refresh.refreshDue({ signal: ending.signal })
  await until(() => refreshes() > 0)
  ending.abort()
  await round
  await bench.upstream.refresh.drain()
  assert.ok(refreshes() < 100, `${refreshes()} were begun`)
})
