// What providers and databases do to those who depend on them: answers that never end, limits, an outage in the worst
// moment; and that one connection's trouble stays its own.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { healthy, startFaultProvider } from '../../test/fakes/fault-provider.ts'
import type { Faults } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { code } from '../base/fault.rig.ts'
import { createBench, signedIn, signIn, turning } from '../connectors/bench.rig.ts'
import type { Store } from '../store/database.ts'
import { createDiscover } from './discover.ts'
import { createRefresh } from './refresh.ts'

const minuteMs = 60_000

async function start(t: TestContext, store: Store, faults: Partial<Faults> = {}) {
  const setting = await signedIn(t, store, faults)
  const { bench, id } = setting
  const live = (more = {}) =>
    bench.upstream.refresh.liveToken({ tenant: bench.tenant, connectionId: id, ...more })
  return { ...setting, live }
}

onEveryDatabase(
  'a refresh that was not due, and whose process died, is taken up when its lease is over',
  async (t, store) => {
    verifies(t, 'A1-5', '§2b-6')
    const setting = await start(t, store, { rotation: 'tolerant' })
    const { bench, refreshes } = setting
    const { vault, refresh } = bench.upstream
    const held = await vault.read({ tenant: bench.tenant, connectionId: setting.id })
    assert.ok(held !== undefined)
    assert.ok(await vault.lease(held, { owner: 'run_dead', ms: 20_000 }))
    await bench.clock.advance(20_000 - 1)
    assert.equal(await refresh.refreshDue(), 0)
    await bench.clock.advance(1)
    assert.equal(await refresh.refreshDue(), 1)
    assert.deepEqual(
      refreshes().map(({ outcome }) => outcome),
      ['issued'],
    )
  },
)

onEveryDatabase(
  'refreshed tokens are stored in the end by a database that is away for half a minute',
  async (t, store) => {
    verifies(t, '§2b-5', 'P-69')
    const { bench, id, refreshes, live, provider } = await start(t, store)
    const away = bench.clock.now() + 30_000
    const { vault } = bench.upstream
    const renew: typeof vault.renew = async (...change) => {
      if (bench.clock.now() < away) throw new Error('the database is away')
      return vault.renew(...change)
    }
    const refresh = createRefresh({ ...bench, ...bench.upstream, vault: { ...vault, renew } })
    const request = { tenant: bench.tenant, connectionId: id, force: true }
    const given = await turning(bench, refresh.liveToken(request))
    assert.ok(given.kind === 'live' && provider.isLive(given.accessToken.reveal()))
    assert.deepEqual(await live(), given)
    assert.equal(refreshes().length, 1)
  },
)

onEveryDatabase(
  'a process that ends waits for an answer, not for another attempt, and not for ever',
  async (t, store) => {
    verifies(t, 'S1-63', '§2b-8')
    const { provider, bench, id, live, refreshes } = await start(t, store)
    const { refresh } = bench.upstream
    provider.set({ answers: { refresh: { kind: 'status', status: 503 } } })
    await bench.clock.advance(61 * minuteMs)
    const ended = assert.rejects(live(), code('provider_unreachable'))
    while (refreshes().length === 0) await new Promise((resolve) => setImmediate(resolve))
    await refresh.drain()
    await ended
    assert.equal(refreshes().length, 1)
    const row = await store.db.selectFrom('credentials').selectAll().executeTakeFirst()
    assert.deepEqual([row?.lease_owner, row?.intent_generation], [null, null])
    await assert.rejects(live(), code('temporarily_unavailable'))

    const other = createRefresh({ ...bench, ...bench.upstream })
    provider.set({ answers: { refresh: { kind: 'hang' } } })
    const hanging = other.liveToken({ tenant: bench.tenant, connectionId: id })
    hanging.catch(() => {})
    while (refreshes().length === 1) await new Promise((resolve) => setImmediate(resolve))
    const draining = other.drain()
    await bench.clock.advance(15_000)
    await draining
  },
)

onEveryDatabase(
  'who read the tokens a moment before they were found dead does not send them again',
  async (t, store) => {
    verifies(t, 'A1-7')
    const { provider, bench, id, refreshes, live } = await start(t, store)
    const { vault } = bench.upstream
    const holder = { tenant: bench.tenant, connectionId: id }
    const dead = { kind: 'reauthorization_required', reason: 'refresh_token_rejected' }
    provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(), code('provider_unreachable'))
    await bench.clock.advance(minuteMs / 2)
    const before = await vault.read(holder)
    assert.deepEqual(await live(), dead)

    const stale = [before]
    const read: typeof vault.read = async (of) => stale.pop() ?? vault.read(of)
    const refresh = createRefresh({ ...bench, ...bench.upstream, vault: { ...vault, read } })
    assert.deepEqual(await refresh.liveToken(holder), dead)
    assert.deepEqual(stale, [])
    assert.equal(refreshes().length, 2)
  },
)

onEveryDatabase('a provider that says when to come back is not asked before', async (t, store) => {
  verifies(t, 'S1-63')
  const { provider, bench, refreshes, live } = await start(t, store)
  const headers = { 'retry-after': '300' }
  provider.set({ answers: { refresh: { kind: 'status', status: 429, headers } } })
  await bench.clock.advance(61 * minuteMs)
  for (let call = 0; call < 5; call += 1) {
    await assert.rejects(live(), code('provider_unreachable'))
  }
  await assert.rejects(live({ force: true }), code('provider_unreachable'))
  assert.equal(refreshes().length, 1)

  provider.set(healthy)
  await bench.clock.advance(5 * minuteMs - 1)
  await assert.rejects(live(), code('provider_unreachable'))
  await bench.clock.advance(1)
  assert.equal((await live()).kind, 'live')
})

onEveryDatabase(
  'a provider that asks for a moment gets it, once, and who was due is refreshed in the same round',
  async (t, store) => {
    verifies(t, 'S1-63', 'R-09')
    const { provider, bench, refreshes } = await start(t, store)
    const { refresh } = bench.upstream
    const busy = { kind: 'status', status: 429, headers: { 'retry-after': '1' } } as const
    provider.set({ answers: { refresh: busy } })
    await bench.clock.advance(58 * minuteMs)
    await turning(bench, refresh.refreshDue(), 100)
    assert.equal(refreshes().length, 2)

    await bench.clock.advance(minuteMs / 2)
    const round = refresh.refreshDue()
    while (refreshes().length < 3) await new Promise((resolve) => setImmediate(resolve))
    provider.set(healthy)
    await turning(bench, round, 100)
    assert.equal(refreshes().at(-1)?.outcome, 'issued')
  },
)

onEveryDatabase(
  'a connection whose key is lost does not stand before the others in every round',
  async (t, store) => {
    verifies(t, 'S1-60')
    const { bench, refreshes, provider } = await start(t, store)
    const { clock, masterKey } = bench.shared
    const stranger = await createBench(t, store, { clock, masterKey: randomBytes(32) })
    const bob = await stranger.person('bob')
    const { connection } = await stranger.connect(bob, provider.mcpUrl)
    await bench.clock.advance(-10 * minuteMs)
    await signIn(stranger, bob, connection.id)
    const own = await createBench(t, store, { clock, masterKey })
    await bench.clock.advance(67 * minuteMs)
    assert.equal(await own.upstream.refresh.refreshDue({ limit: 1 }), 1)
    assert.equal(refreshes().length, 0)
    assert.equal(await own.upstream.refresh.refreshDue({ limit: 1 }), 1)
    assert.equal(refreshes().length, 1)
  },
)

onEveryDatabase(
  'a server that names many slow authorization servers is not looked at for long',
  async (t, store) => {
    verifies(t, 'X-15', '§5-50')
    const bench = await createBench(t, store)
    let asked = 0
    const slow = await listenOnLoopback(() => (request) => {
      asked += 1
      request.resume()
    })
    t.after(slow.stop)
    const issuers = Array.from({ length: 20 }, (_, index) => `${slow.origin}/${index}`)
    const provider = await startFaultProvider({
      resourceMetadataFields: { authorization_servers: issuers },
    })
    t.after(provider.stop)
    const discover = createDiscover(bench, { timeMs: 300 })
    const startedAt = performance.now()
    const looking = discover.discover({ tenant: bench.tenant, serverUrl: provider.mcpUrl })
    await assert.rejects(looking, code('server_unreachable'))
    assert.ok(performance.now() - startedAt < 3000)
    assert.equal(asked, 1)
  },
)

onEveryDatabase('fifty who look anew at once are one look', async (t, store) => {
  verifies(t, 'S1-19')
  const { provider, bench } = await start(t, store)
  const before = provider.requests().length
  const request = { tenant: bench.tenant, serverUrl: provider.mcpUrl, fresh: true }
  const look = () => bench.upstream.discover.discover(request)
  const found = await Promise.all(Array.from({ length: 50 }, look))
  assert.equal(new Set(found.map(({ issuer }) => issuer)).size, 1)
  assert.equal(provider.requests().length - before, 3)
  await look()
  assert.equal(provider.requests().length - before, 6)
})

onEveryDatabase('a client id that is a whole JWT can be registered', async (t, store) => {
  verifies(t, 'S1-33')
  const id = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.eyJyZWRpcmVjdCI6MX0.c2ln`
  const provider = await startFaultProvider({ registrationFields: { client_id: id } })
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  const begun = await bench.connections.authorize(ada.session, connection.id)
  assert.ok('authorizeUrl' in begun)
  const entries = await bench.journal.list({ tenantId: bench.tenant.id })
  assert.ok(!JSON.stringify(entries).includes(id))
})

onEveryDatabase('a secret in the reason does not keep a connection alive', async (t, store) => {
  verifies(t, 'S1-66')
  const { bench, ada, id } = await start(t, store)
  const reason = `leaked: mcp_at_${'a'.repeat(43)}`
  const revoked = await bench.connections.revoke(ada.session, id, { reason })
  assert.equal(revoked.status, 'disconnected')
  const entries = JSON.stringify(await bench.journal.list({ tenantId: bench.tenant.id }))
  assert.ok(entries.includes('connection.revoked') && !entries.includes('mcp_at_'))
})
