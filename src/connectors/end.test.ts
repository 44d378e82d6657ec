// The end of a connection: what is ours is forgotten at once, and the provider is asked to forget until it has, or until
// we have asked often enough. No provider keeps a person waiting.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { createBench, signedIn, signIn, startGate, turning } from './bench.rig.ts'
import type { Bench, Person, Shared } from './bench.rig.ts'

const minute = 60_000
const down = { answers: { revoke: { kind: 'status', status: 503 } } } as const

type Started = Awaited<ReturnType<typeof signedIn>>

/** The tokens that the provider was asked to forget, by their hints. */
function revoked({ provider }: Pick<Started, 'provider'>): readonly string[] {
  return provider
    .requests()
    .filter(({ path }) => path === '/revoke')
    .map(({ body }) => new URLSearchParams(body).get('token_type_hint') ?? '')
}

async function waiting({ db }: Bench): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*) as n from upstream_revocations`.execute(db)
  return Number(rows[0]?.n)
}

const both = ['access_token', 'refresh_token']

const ends: readonly (readonly [string, (started: Started) => Promise<unknown>])[] = [
  ['a connection is revoked', ({ bench, ada, id }) => bench.connections.revoke(ada.session, id)],
  ['a connection is deleted', ({ bench, ada, id }) => bench.connections.remove(ada.session, id)],
  ['a server is removed', ({ bench, ada, server }) => bench.servers.remove(ada.session, server.id)],
  [
    'a server gets another sign-in',
    ({ bench, ada, server }) => bench.servers.update(ada.session, server.id, { auth: 'none' }),
  ],
]
for (const [what, end] of ends) {
  onEveryDatabase(`when ${what}, the provider is asked to forget both tokens`, async (t, store) => {
    verifies(t, 'S1-66', 'A1-13', 'A2-10')
    const started = await signedIn(t, store)
    const { bench, ada, id, provider } = started
    const { accessToken } = await bench.connections.token(ada.key, id)
    await end(started)
    await bench.upstream.revocations.sendDue()
    assert.deepEqual(revoked(started).toSorted(), both)
    assert.equal(provider.isLive(accessToken), false)
    assert.equal(await waiting(bench), 0)
  })
}

onEveryDatabase('a provider that has moved is asked at its old place', async (t, store) => {
  const started = await signedIn(t, store)
  const { bench, ada, server, provider } = started
  const elsewhere = await startFaultProvider()
  t.after(elsewhere.stop)
  provider.set({ resourceMetadataFields: { authorization_servers: [elsewhere.issuer] } })
  provider.expireAccessTokens()
  const found = await bench.servers.byId(bench.tenant, server.id)
  assert.ok(found)
  const used = await bench.credentials.credentialFor(found, ada.session)
  const next = await bench.credentials.refreshAfterUnauthorized(found, ada.session, used)
  assert.equal(next.kind, 'authorization_required')
  await bench.upstream.revocations.sendDue()
  assert.deepEqual(revoked(started).toSorted(), both)
})

onEveryDatabase('nobody waits for a provider, and it is asked again', async (t, store) => {
  verifies(t, 'S1-66', 'A1-13')
  const started = await signedIn(t, store, { answers: { revoke: { kind: 'hang' } } })
  const { bench, ada, id, provider } = started
  const before = bench.clock.now()
  const ended = await turning(bench, bench.connections.revoke(ada.session, id), 100)
  assert.equal(ended.status, 'disconnected')
  assert.ok(bench.clock.now() - before <= 3_000, 'the person waited for the provider')
  assert.equal(await waiting(bench), 2)

  // Who was asked and has not answered is left alone until the lease is over.
  provider.set({ answers: {} })
  assert.equal(await bench.upstream.revocations.sendDue(), 0)
  await bench.clock.advance(minute)
  assert.equal(await bench.upstream.revocations.sendDue(), 2)
  assert.equal(await waiting(bench), 0)
  assert.deepEqual(revoked(started).toSorted(), [...both, ...both].toSorted())
})

onEveryDatabase('it is asked six times in nine hours, then a person is told', async (t, store) => {
  const started = await signedIn(t, store, down)
  const { bench, ada, id } = started
  await bench.connections.revoke(ada.session, id, { reason: 'a lost laptop' })
  const asked = () => revoked(started).length / 2
  const pausesMinutes = [1, 5, 30, 120, 360]
  for (const [index, pause] of pausesMinutes.entries()) {
    assert.equal(asked(), index + 1)
    await bench.clock.advance(pause * minute - 1)
    assert.equal(await bench.upstream.revocations.sendDue(), 0)
    await bench.clock.advance(1)
    assert.equal(await bench.upstream.revocations.sendDue(), 2)
  }
  assert.equal(asked(), 6)
  assert.equal(await waiting(bench), 0, 'no token is kept for ever')
  const entries = await bench.journal.list({ tenantId: bench.tenant.id, subjectId: id })
  const told = entries.filter(({ type }) => /revo/.test(type))
  assert.deepEqual(
    told.map(({ type, userId, data }) => [type, userId, data]),
    [
      ['connection.revoked', ada.user.id, { reason: 'a lost laptop' }],
      ...both.map(() => [
        'connection.revocation_failed',
        ada.user.id,
        { issuer: started.provider.issuer },
      ]),
    ],
  )
})

onEveryDatabase('a provider that refuses is not asked again', async (t, store) => {
  const answers = { revoke: { kind: 'oauth-error', error: 'unsupported_token_type' } } as const
  const started = await signedIn(t, store, { answers })
  const { bench, ada, id } = started
  await bench.connections.revoke(ada.session, id)
  assert.equal(await waiting(bench), 0)
  await bench.clock.advance(24 * 60 * minute)
  assert.equal(await bench.upstream.revocations.sendDue(), 0)
  assert.equal(revoked(started).length, 2)
})

onEveryDatabase('a provider without revocation is not asked', async (t, store) => {
  const started = await signedIn(t, store, { metadataFields: { revocation_endpoint: undefined } })
  const { bench, ada, id } = started
  await bench.connections.revoke(ada.session, id)
  assert.equal(await waiting(bench), 0)
  assert.deepEqual(revoked(started), [])
})

onEveryDatabase(
  'another process goes on where one stopped, and each token is sent once',
  async (t, store, openAnother) => {
    const provider = await startFaultProvider(down)
    t.after(provider.stop)
    const shared: Shared = { masterKey: randomBytes(32), clock: createManualClock(Date.now()) }
    const bench = await createBench(t, store, shared)
    const people = await Promise.all(
      ['ada', 'bob', 'eve'].map((name) => bench.person(name, 'admin')),
    )
    const [ada] = people as [Person] // three names, three people
    const { server } = await bench.connect(ada, provider.mcpUrl)
    for (const person of people) {
      const { session } = person
      const made = { serverId: server.id, label: 'mine' }
      const { id } = await bench.connections.create(session, made)
      assert.equal((await signIn(bench, person, id)).kind, 'completed')
    }
    await bench.servers.remove(ada.session, server.id)
    assert.equal(await waiting(bench), 6)
    provider.set({ answers: {} })

    const other = await createBench(t, await openAnother(), shared)
    const counts = await Promise.all(
      [bench, other, bench, other].map(({ upstream }) => upstream.revocations.sendDue()),
    )
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      6,
    )
    const sent = revoked({ provider })
    assert.equal(sent.length, 6)
    assert.equal(await waiting(bench), 0)
  },
)

onEveryDatabase(
  'what waits is sealed, and a key that is gone holds nothing up',
  async (t, store) => {
    const started = await signedIn(t, store, down)
    const { bench, ada, id, provider } = started
    await bench.connections.revoke(ada.session, id)
    const rows = await store.db.selectFrom('upstream_revocations').selectAll().execute()
    const shown = JSON.stringify(rows)
    for (const secret of provider.issued()) assert.ok(!shown.includes(secret))

    const stranger = await createBench(t, store, { ...bench.shared, masterKey: randomBytes(32) })
    await bench.clock.advance(minute)
    assert.equal(await stranger.upstream.revocations.sendDue(), 2)
    assert.equal(revoked(started).length, 2, 'what cannot be opened is not sent')
  },
)

onEveryDatabase('who signs in again keeps what they got', async (t, store) => {
  const started = await signedIn(t, store, down)
  const { bench, ada, id, provider } = started
  await bench.connections.revoke(ada.session, id)
  assert.equal(await waiting(bench), 2)
  assert.equal((await signIn(bench, ada, id)).kind, 'completed')

  // Some providers end all of a person's tokens with an old one, and these are new.
  assert.equal(await waiting(bench), 0)
  provider.set({ answers: {} })
  await bench.clock.advance(minute)
  assert.equal(await bench.upstream.revocations.sendDue(), 0)
  assert.equal(revoked(started).length, 2)
})

onEveryDatabase(
  'what arrives for nobody is given back, also by a provider that is away',
  async (t, store) => {
    verifies(t, 'S1-66')
    const gate = await startGate(t, 'refresh_token')
    const { provider } = gate
    const bench = await createBench(t, store)
    const ada = await bench.person('ada')
    const { connection } = await bench.connect(ada, provider.mcpUrl)
    await signIn(bench, ada, connection.id)
    gate.holdNext()
    const refreshing = bench.connections.refresh(ada.session, connection.id).catch(isFault)
    await gate.arrival
    provider.set(down)
    await bench.connections.revoke(ada.session, connection.id)
    gate.open()
    await refreshing
    assert.equal(await waiting(bench), 4)

    provider.set({ answers: {} })
    await bench.clock.advance(minute)
    assert.equal(await bench.upstream.revocations.sendDue(), 4)
    const sent = provider
      .requests()
      .filter(({ path }) => path === '/revoke')
      .map(({ body }) => new URLSearchParams(body).get('token'))
    assert.equal(new Set(sent).size, 4)
    for (const token of sent) assert.equal(provider.isLive(token ?? ''), false)
  },
)
