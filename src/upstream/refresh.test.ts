// Keeping tokens alive: when a refresh happens, that it happens once, and what is left when it does not work.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createCookieBrowser } from '../../test/counterparts/cookie-browser.ts'
import { startForeignAuthorizationServer } from '../../test/counterparts/foreign-authorization-server.ts'
import { startProtectedMcpServer } from '../../test/counterparts/protected-mcp-server.ts'
import { healthy, startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { code } from '../base/fault.rig.ts'
import { createBench, signedIn, signIn, startGate, turning } from '../connectors/bench.rig.ts'
import type { Bench, Person } from '../connectors/bench.rig.ts'
import type { LiveToken } from './refresh.ts'

const minuteMs = 60_000

function live({ upstream, tenant }: Bench, connectionId: string, more = {}): Promise<LiveToken> {
  return upstream.refresh.liveToken({ tenant, connectionId, ...more })
}

function tokenOf(result: LiveToken): string {
  assert.equal(result.kind, 'live')
  return result.kind === 'live' ? result.accessToken.reveal() : ''
}

onEveryDatabase(
  'a token is refreshed five minutes before its end and no sooner',
  async (t, store) => {
    verifies(t, 'A1-3', 'A1-4', 'S1-4', 'S1-5', 'S1-60', 'S1-62')
    const { bench, id, refreshes, ada } = await signedIn(t, store)
    const first = tokenOf(await live(bench, id))
    await bench.clock.advance(55 * minuteMs - 1)
    assert.equal(tokenOf(await live(bench, id)), first)
    assert.equal(refreshes().length, 0)

    await bench.clock.advance(1)
    assert.notEqual(tokenOf(await live(bench, id)), first)
    assert.equal(refreshes().length, 1)
    const shown = await bench.connections.get(ada.session, id)
    assert.equal(shown.refreshCount, 1)
    assert.equal(shown.lastRefreshAt, bench.clock.now())
    await live(bench, id)
    assert.equal(refreshes().length, 1)
  },
)

onEveryDatabase(
  'a token that begins with less than five minutes is refreshed once, not on every call',
  async (t, store) => {
    verifies(t, 'A1-4', 'S1-60')
    const { bench, id, refreshes } = await signedIn(t, store, { accessTokenTtlS: 299 })
    await live(bench, id)
    await live(bench, id)
    assert.equal(refreshes().length, 1)
    await bench.clock.advance(150_000)
    await live(bench, id)
    assert.equal(refreshes().length, 2)
  },
)

onEveryDatabase('a refresh token that the provider does not replace goes on', async (t, store) => {
  verifies(t, 'S1-62')
  const { bench, id, refreshes } = await signedIn(t, store, { rotation: 'none' })
  await live(bench, id, { force: true })
  await live(bench, id, { force: true })
  assert.deepEqual(
    refreshes().map(({ outcome }) => outcome),
    ['issued', 'issued'],
  )
})

onEveryDatabase(
  'fifty callers at once make one refresh at a provider that punishes reuse',
  async (t, store) => {
    verifies(t, 'A1-5', 'S1-61')
    const { bench, id, refreshes } = await signedIn(t, store)
    await bench.clock.advance(56 * minuteMs)
    const tokens = await Promise.all(Array.from({ length: 50 }, () => live(bench, id)))
    assert.equal(new Set(tokens.map(tokenOf)).size, 1)
    assert.equal(refreshes().length, 1)
  },
)

onEveryDatabase('fifty refusals of one token make one refresh', async (t, store) => {
  verifies(t, 'A2-7', 'S1-61')
  const { bench, id, refreshes } = await signedIn(t, store)
  const first = await live(bench, id)
  const spentGeneration = first.kind === 'live' ? first.generation : 0
  const again = () => live(bench, id, { spentGeneration })
  const tokens = await Promise.all(Array.from({ length: 50 }, again))
  tokens.push(await again())
  assert.equal(new Set(tokens.map(tokenOf)).size, 1)
  assert.equal(refreshes().length, 1)
})

onEveryDatabase(
  'two processes make one refresh at a real provider',
  async (t, store, openAnother) => {
    verifies(t, 'A1-5', 'S1-61')
    const foreign = await startForeignAuthorizationServer()
    t.after(foreign.stop)
    const mcp = await startProtectedMcpServer(foreign)
    t.after(mcp.stop)
    const shared = { masterKey: randomBytes(32), clock: createManualClock(Date.now()) }
    const one = await createBench(t, store, shared)
    const other = await createBench(t, await openAnother(), shared)
    const ada = await one.person('ada')
    const { connection } = await one.connect(ada, mcp.url)
    await signInWithCookies(one, ada, connection.id)

    await shared.clock.advance(56 * minuteMs)
    const callers = Array.from({ length: 50 }, (_, index) =>
      live(index % 2 ? one : other, connection.id),
    )
    const tokens = await turning(one, Promise.all(callers), 50)
    assert.equal(new Set(tokens.map(tokenOf)).size, 1)
    assert.equal(foreign.tokenRequests().length, 2)
    assert.equal((await foreign.introspect(tokenOf(tokens[0]!))).active, true)
  },
)

async function signInWithCookies(bench: Bench, ada: Person, id: string): Promise<void> {
  const begun = await bench.connections.authorize(ada.session, id, { browser: ada.browser })
  if ('alreadyAuthorized' in begun) return
  const browser = createCookieBrowser(undefined, { stopAt: ({ port }) => port === '8787' })
  const { pathname, searchParams } = new URL((await browser.open(begun.authorizeUrl)).url)
  const finished = await bench.connections.finish({
    tenant: bench.tenant,
    context: pathname.split('/').at(-1) ?? '',
    query: searchParams,
    browser: ada.browser,
    session: ada.session,
  })
  assert.equal(finished.kind, 'completed')
}

onEveryDatabase(
  'a rejected refresh token asks for a new sign-in, which keeps the registration',
  async (t, store) => {
    verifies(t, 'A1-7', 'S1-64', 'S1-65', 'S1-8', 'S1-11')
    const { provider, bench, ada, id, refreshes } = await signedIn(t, store)
    provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
    await bench.clock.advance(56 * minuteMs)
    assert.equal((await live(bench, id)).kind, 'live', 'one refusal is none')
    await bench.clock.advance(minuteMs / 2)
    const results = await Promise.all(Array.from({ length: 10 }, () => live(bench, id)))
    for (const result of results) {
      assert.deepEqual(result, {
        kind: 'reauthorization_required',
        reason: 'refresh_token_rejected',
      })
    }
    assert.equal(refreshes().length, 2)
    const shown = await bench.connections.get(ada.session, id)
    assert.equal(shown.status, 'reauth_required')
    assert.equal(shown.authorized, false)
    assert.equal(shown.statusReason, 'refresh_token_rejected')
    assert.equal(shown.statusWords, 'Your session has expired. Please reconnect to continue.')
    await assert.rejects(bench.connections.token(ada.key, id), code('refresh_token_rejected'))

    provider.set(healthy)
    assert.equal((await signIn(bench, ada, id)).kind, 'completed')
    assert.equal(provider.registrations().length, 1)
    assert.equal((await bench.connections.get(ada.session, id)).status, 'connected')
  },
)

onEveryDatabase('a valid token is used while the provider is down', async (t, store) => {
  verifies(t, 'A1-8', 'S1-63')
  const { provider, bench, ada, id, refreshes } = await signedIn(t, store)
  const first = tokenOf(await live(bench, id))
  provider.set({ answers: { refresh: { kind: 'status', status: 503 } } })
  await bench.clock.advance(57 * minuteMs)
  assert.equal(tokenOf(await live(bench, id)), first)
  assert.equal(tokenOf(await live(bench, id)), first)
  assert.equal(refreshes().length, 1, 'a provider in trouble is not asked on every call')
  assert.equal((await bench.connections.get(ada.session, id)).status, 'connected')
})

onEveryDatabase(
  'without a valid token three attempts are made in thirty seconds',
  async (t, store) => {
    verifies(t, 'A1-8', 'S1-63')
    const { provider, bench, ada, id, refreshes } = await signedIn(t, store)
    provider.set({ answers: { refresh: { kind: 'status', status: 503 } } })
    await bench.clock.advance(61 * minuteMs)
    const startedAt = bench.clock.now()
    await assert.rejects(turning(bench, live(bench, id), 250), code('provider_unreachable'))
    assert.equal(refreshes().length, 3)
    const tookMs = bench.clock.now() - startedAt
    assert.ok(tookMs >= 30_000 && tookMs < 45_000, `it took ${tookMs} ms`)
    const shown = await bench.connections.get(ada.session, id)
    assert.equal(shown.status, 'error')
    assert.equal(shown.statusReason, 'provider_unreachable')

    provider.set(healthy)
    assert.equal((await live(bench, id)).kind, 'live')
    assert.equal((await bench.connections.get(ada.session, id)).status, 'connected')
  },
)

onEveryDatabase(
  'a lost answer is asked for once more, and an expired token waits for it',
  async (t, store) => {
    verifies(t, 'S1-63')
    const { provider, bench, id } = await signedIn(t, store, { rotation: 'tolerant' })
    provider.set({ answers: { refresh: { kind: 'lost', times: 1 } } })
    await bench.clock.advance(61 * minuteMs)
    assert.equal((await turning(bench, live(bench, id))).kind, 'live')
  },
)

/** What a process leaves that is killed while its request is under way. */
function dieInRefresh({ db, clock }: Pick<Bench, 'db' | 'clock'>): Promise<unknown> {
  return db
    .updateTable('credentials')
    .set((row) => ({
      lease_owner: 'run_dead',
      lease_until: clock.now() + 20_000,
      intent_generation: row.ref('generation'),
      intent_at: clock.now(),
    }))
    .execute()
}

onEveryDatabase(
  'a process that inherits the name of a dead one waits for none of its leases',
  async (t, store) => {
    verifies(t, 'A1-5', '§2b-6')
    const { bench, id, refreshes } = await signedIn(t, store, { rotation: 'tolerant' })
    await dieInRefresh(bench)
    const heir = await createBench(t, store, { ...bench.shared, processName: 'run_dead' })
    const stranger = await createBench(t, store, { ...bench.shared, processName: 'run_other' })

    await stranger.upstream.refresh.takeUp()
    await stranger.upstream.refresh.refreshDue()
    assert.equal(refreshes().length, 0, 'a lease of somebody else runs')

    await heir.upstream.refresh.takeUp()
    await heir.upstream.refresh.refreshDue()
    assert.equal(refreshes().length, 1)
    assert.equal((await live(bench, id)).kind, 'live')
  },
)

onEveryDatabase(
  'what a dead process sent is sent once more when its lease is over',
  async (t, store) => {
    verifies(t, 'A1-5', '§2b-6')
    const { provider, bench, ada, id, refreshes } = await signedIn(t, store, {
      rotation: 'tolerant',
    })
    await bench.clock.advance(61 * minuteMs)
    await dieInRefresh(bench)
    const before = bench.clock.now()
    assert.equal((await turning(bench, live(bench, id))).kind, 'live')
    assert.ok(bench.clock.now() - before >= 20_000)
    assert.equal(refreshes().length, 1)

    await bench.clock.advance(61 * minuteMs)
    await dieInRefresh(bench)
    provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
    await bench.clock.advance(20_000)
    assert.equal(await bench.upstream.refresh.refreshDue(), 1)
    const shown = await bench.connections.get(ada.session, id)
    assert.equal(shown.status, 'reauth_required')
    assert.equal(shown.statusReason, 'refresh_interrupted')
  },
)

onEveryDatabase(
  'tokens that arrive for a connection that was revoked meanwhile are given back',
  async (t, store) => {
    verifies(t, 'S1-66')
    const { provider, holdNext, open, arrival } = await startGate(t, 'refresh_token')
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    await signIn(bench, ada, connection.id)
    await bench.clock.advance(56 * minuteMs)
    holdNext()
    const refreshing = live(bench, connection.id)
    await arrival
    provider.set({ answers: { revoke: { kind: 'status', status: 503, times: 2 } } })
    await bench.connections.revoke(ada.session, connection.id)
    open()
    assert.deepEqual(await refreshing, { kind: 'none' })
    const newest = provider.issued().findLast((value) => value.startsWith('access-')) ?? ''
    assert.equal(provider.isLive(newest), false)
    assert.deepEqual(await store.db.selectFrom('credentials').selectAll().execute(), [])
  },
)

onEveryDatabase(
  'revoking forgets here at once and asks the provider to forget',
  async (t, store) => {
    verifies(t, 'S1-66', 'A1-13')
    const { provider, bench, ada, id } = await signedIn(t, store)
    const token = tokenOf(await live(bench, id))
    const [root, bob] = [await bench.person('root', 'admin'), await bench.person('bob')]
    await assert.rejects(bench.connections.revoke(bob.session, id), code('not_found'))
    const revoked = await bench.connections.revoke(root.session, id, { reason: 'left the company' })
    assert.equal(revoked.status, 'disconnected')
    assert.equal(revoked.statusReason, 'revoked')
    assert.equal(provider.isLive(token), false)
    await assert.rejects(bench.connections.token(ada.key, id), code('authorization_required'))
    const [entry] = await bench.journal.list({
      tenantId: bench.tenant.id,
      type: 'connection.revoked',
    })
    assert.equal(entry?.actor.id, root.user.id)
    assert.equal(entry?.userId, ada.user.id)
    assert.deepEqual(entry?.data, { reason: 'left the company' })
  },
)

onEveryDatabase(
  'a client that the provider forgot is registered anew at the next sign-in',
  async (t, store) => {
    verifies(t, 'A1-10', 'S1-38')
    const { provider, bench, ada, id } = await signedIn(t, store)
    provider.forgetClients()
    await bench.clock.advance(61 * minuteMs)
    await assert.rejects(live(bench, id), code('provider_unreachable'))
    await bench.clock.advance(minuteMs / 2)
    assert.equal((await live(bench, id)).kind, 'reauthorization_required')
    assert.equal((await bench.connections.get(ada.session, id)).statusReason, 'client_lost')
    assert.equal((await signIn(bench, ada, id)).kind, 'completed')
    assert.equal(provider.registrations().length, 2)
  },
)

onEveryDatabase(
  'a token without a refresh token is used to its end, and then a person is asked',
  async (t, store) => {
    verifies(t, 'A2-8', 'S1-51')
    const { bench, ada, id } = await signedIn(t, store, { tokenFields: { refresh_token: null } })
    await bench.clock.advance(60 * minuteMs - 1)
    assert.equal((await live(bench, id)).kind, 'live')
    await bench.clock.advance(1000)
    assert.equal((await bench.connections.get(ada.session, id)).authorized, false)
    assert.deepEqual(await live(bench, id), {
      kind: 'reauthorization_required',
      reason: 'token_expired',
    })
  },
)

onEveryDatabase(
  'a token whose life time is not told is taken for an hour, or for good without a refresh token',
  async (t, store) => {
    verifies(t, 'S1-51')
    const { bench, id, refreshes } = await signedIn(t, store, {
      tokenFields: { expires_in: undefined },
    })
    await bench.clock.advance(55 * minuteMs - 2000)
    await live(bench, id)
    assert.equal(refreshes().length, 0)
    await bench.clock.advance(2000)
    await live(bench, id)
    assert.equal(refreshes().length, 1)
  },
)

onEveryDatabase(
  'a hundred connections refreshed at once keep their own tokens',
  async (t, store) => {
    verifies(t, 'A1-6', 'S1-10')
    const provider = await startFaultProvider()
    t.after(provider.stop)
    const bench = await createBench(t, store)
    const people = await Promise.all(Array.from({ length: 100 }, (_, n) => bench.person(`p${n}`)))
    const [first] = people
    const { server } = await bench.connect(first!, provider.mcpUrl)
    const ids = await Promise.all(
      people.map(async (person) => {
        const made = await bench.connections.create(person.session, {
          serverId: server.id,
          label: 'mine',
        })
        assert.equal((await signIn(bench, person, made.id)).kind, 'completed')
        return made.id
      }),
    )
    const before = await Promise.all(ids.map((id) => live(bench, id)))
    await bench.clock.advance(56 * minuteMs)
    const tokens = await Promise.all(ids.map((id) => live(bench, id)))
    assert.equal(new Set([...before, ...tokens].map(tokenOf)).size, 200)
    const again = await Promise.all(ids.map((id) => live(bench, id)))
    assert.deepEqual(again.map(tokenOf), tokens.map(tokenOf))
    assert.equal(provider.registrations().length <= 100, true)
  },
)

onEveryDatabase(
  'refreshing ahead makes one attempt each and asks a dead provider ever less',
  async (t, store) => {
    verifies(t, 'S1-60', 'S1-63', '§2b-8')
    const { provider, bench, id, refreshes } = await signedIn(t, store)
    const { refresh } = bench.upstream
    assert.equal(await refresh.refreshDue(), 0)
    await bench.clock.advance(55 * minuteMs)
    assert.equal(await refresh.refreshDue(), 1)
    assert.equal(refreshes().length, 1)

    provider.set({ answers: { refresh: { kind: 'status', status: 503 } } })
    await bench.clock.advance(70 * minuteMs)
    assert.equal(await refresh.refreshDue(), 1)
    assert.equal(refreshes().length, 2)
    await bench.clock.advance(5 * minuteMs - 1)
    assert.equal(await refresh.refreshDue(), 0, 'ten minutes after its end, half as long is waited')
    await bench.clock.advance(1)
    assert.equal(await refresh.refreshDue(), 1)
    provider.set(healthy)
    assert.equal((await live(bench, id)).kind, 'live')
  },
)

onEveryDatabase('a connection whose key is lost can be ended and made again', async (t, store) => {
  verifies(t, 'S1-58')
  const { bench, ada, id, provider } = await signedIn(t, store)
  const other = await createBench(t, store, { clock: bench.clock, masterKey: randomBytes(32) })
  await assert.rejects(live(other, id), code('decrypt_failed'))
  assert.equal((await other.connections.revoke(ada.session, id)).status, 'disconnected')
  await store.db.deleteFrom('registrations').execute()
  assert.equal((await signIn(other, ada, id)).kind, 'completed')
  assert.equal(provider.registrations().length, 2)
})
