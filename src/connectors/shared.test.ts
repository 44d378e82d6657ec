// Connections that an administrator shares: who uses them, who may share, and that it ends with the administrator.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { EntryType } from '../journal/entries.ts'
import type { Store } from '../store/database.ts'
import { createBench, signIn, turning } from './bench.rig.ts'
import type { Bench, Person } from './bench.rig.ts'

/** An administrator's connection that is signed in and shared, and somebody who has none. */
async function setUp(t: TestContext, store: Store) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada', 'admin')
  const bob = await bench.person('bob')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  await signIn(bench, ada, connection.id)
  const shared = await bench.connections.share(ada.session, connection.id, true)
  assert.equal(shared.shared, true)
  const known = (await bench.servers.byId(bench.tenant, server.id))!
  const used = (person: Person) => bench.credentials.credentialFor(known, person.session)
  return { provider, bench, ada, bob, server: known, id: connection.id, used }
}

async function isRefused(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(work, { code })
}

function entriesOf({ journal, tenant }: Bench, type: EntryType) {
  return journal.list({ tenantId: tenant.id, type })
}

onEveryDatabase(
  'a shared connection is used by whoever has none, and nothing else can be done with it',
  async (t, store) => {
    verifies(t, 'S1-10')
    const { bench, ada, bob, id, used } = await setUp(t, store)
    const own = await used(ada)
    const borrowed = await used(bob)
    assert.ok(own.kind === 'bearer' && borrowed.kind === 'bearer')
    assert.equal(own.ownerId, undefined, 'her own')
    assert.deepEqual([borrowed.connectionId, borrowed.ownerId], [id, ada.user.id])
    assert.equal(borrowed.token.reveal(), own.token.reveal())

    const { connections } = bench
    assert.deepEqual((await connections.list(bob.session)).items, [], 'and none was made')
    await isRefused(connections.get(bob.session, id), 'not_found')
    await isRefused(connections.authorize(bob.session, id), 'not_found')
    await isRefused(connections.refresh(bob.session, id), 'not_found')
    await isRefused(connections.revoke(bob.session, id), 'not_found')
    await isRefused(connections.remove(bob.session, id), 'not_found')
    await isRefused(connections.token(bob.key, id), 'not_found')
  },
)

onEveryDatabase('a connection of one’s own comes first, also when it is over', async (t, store) => {
  verifies(t, 'S1-10')
  const { provider, bench, bob, server, used } = await setUp(t, store)
  const { id } = await bench.connections.create(bob.session, { serverId: server.id })
  const before = await used(bob)
  assert.ok(before.kind === 'bearer' && before.ownerId !== undefined, 'he never signed in there')

  await signIn(bench, bob, id)
  const own = await used(bob)
  assert.ok(own.kind === 'bearer' && own.connectionId === id && own.ownerId === undefined)

  provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
  const lost = await bench.credentials.refreshAfterUnauthorized(server, bob.session, own)
  assert.ok(lost.kind === 'authorization_required', 'he does not become somebody else unasked')
  assert.deepEqual([lost.connectionId, lost.isShared], [id, false])

  await bench.connections.revoke(bob.session, id)
  const after = await used(bob)
  assert.ok(after.kind === 'bearer' && after.ownerId !== undefined, 'he ended his own')
})

onEveryDatabase('only an administrator shares, and only what is theirs', async (t, store) => {
  const { bench, ada, bob, server, id } = await setUp(t, store)
  const eve = await bench.person('eve', 'admin')
  const { connections } = bench
  const ofBob = await connections.create(bob.session, { serverId: server.id })
  await isRefused(connections.share(bob.session, ofBob.id, true), 'forbidden')
  await isRefused(connections.share(eve.session, ofBob.id, true), 'not_found')
  await isRefused(connections.share(bob.session, id, false), 'not_found')
  assert.equal((await connections.get(ada.session, id)).shared, true)
  await connections.share(eve.session, id, false)
  assert.equal((await connections.get(ada.session, id)).shared, false)

  const open = await bench.servers.create(ada.session, { url: server.url, auth: 'none' })
  const needless = await connections.create(ada.session, { serverId: open.id })
  await isRefused(connections.share(ada.session, needless.id, true), 'invalid_input')
})

onEveryDatabase('sharing ends at once, and the way to an own one is shown', async (t, store) => {
  const { bench, ada, bob, id, used } = await setUp(t, store)
  const { db } = store
  const isOver = async () => {
    const needed = await used(bob)
    assert.ok(needed.kind === 'authorization_required')
    assert.notEqual(needed.connectionId, id)
    assert.equal(needed.connectUrl, `http://localhost:8787/connect/${needed.connectionId}`)
    assert.equal(needed.isShared, false)
  }
  const isOn = async () => assert.equal((await used(bob)).kind, 'bearer')
  const change = (set: { role?: string; disabled_at?: number | null }) =>
    db.updateTable('users').set(set).where('id', '=', ada.user.id).execute()

  await isOn()
  await change({ role: 'user' })
  await isOver()
  await change({ role: 'operator' })
  await isOn()
  await change({ disabled_at: bench.clock.now() })
  await isOver()
  await change({ disabled_at: null })
  await isOn()
  await bench.connections.share(ada.session, id, false)
  await isOver()
  await bench.connections.share(ada.session, id, true)
  await isOn()
  await bench.connections.revoke(ada.session, id)
  await isOver()
  await signIn(bench, ada, id)
  await isOver()
})

onEveryDatabase(
  'a shared connection that is over says that an administrator can mend it',
  async (t, store) => {
    const { provider, bench, bob, server, id, used } = await setUp(t, store)
    const first = await used(bob)
    provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
    const needed = await bench.credentials.refreshAfterUnauthorized(server, bob.session, first)
    assert.ok(needed.kind === 'authorization_required')
    assert.equal(needed.isShared, true)
    assert.equal(needed.reason, 'refresh_token_rejected')
    assert.notEqual(needed.connectionId, id, 'his own, and never the shared one')
  },
)

onEveryDatabase(
  'tokens of a shared connection that are dropped are its owner’s',
  async (t, store) => {
    const { provider, bench, ada, bob, server, used } = await setUp(t, store)
    const second = await startFaultProvider()
    t.after(second.stop)
    const first = await used(bob)
    provider.set({ resourceMetadataFields: { authorization_servers: [second.issuer] } })
    const needed = await bench.credentials.refreshAfterUnauthorized(server, bob.session, first)
    assert.ok(needed.kind === 'authorization_required' && needed.isShared)
    const [entry] = await entriesOf(bench, 'connection.reauthorization_required')
    assert.equal(entry?.userId, ada.user.id)
  },
)

onEveryDatabase(
  'fifty people at once share one refresh, and one entry says who shared',
  async (t, store) => {
    verifies(t, 'S1-61')
    const { provider, bench, ada, id, used } = await setUp(t, store)
    await Promise.all(
      Array.from({ length: 50 }, () => bench.connections.share(ada.session, id, true)),
    )
    const told = await entriesOf(bench, 'connection.shared')
    assert.deepEqual(
      told.map(({ userId, subject }) => [userId, subject?.id]),
      [[ada.user.id, id]],
    )

    const people = await Promise.all(
      Array.from({ length: 50 }, (_, index) => bench.person(`person${index}`)),
    )
    await bench.clock.advance(56 * 60_000)
    const all = await turning(bench, Promise.all(people.map((person) => used(person))))
    const tokens = all.map((one) => (one.kind === 'bearer' ? one.token.reveal() : one.kind))
    assert.equal(new Set(tokens).size, 1)
    assert.ok(provider.isLive(tokens[0] ?? ''))
    assert.equal(
      provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length,
      1,
    )
  },
)
