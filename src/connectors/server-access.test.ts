// Who may use a server: nobody named, everybody; else those who are named, and administrators.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Store } from '../store/database.ts'
import { begin, createBench, signIn } from './bench.rig.ts'
import type { Person } from './bench.rig.ts'

async function setUp(t: TestContext, store: Store) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada', 'admin')
  const bob = await bench.person('bob')
  const eve = await bench.person('eve')
  const { id } = await bench.servers.create(ada.session, { url: provider.mcpUrl, auth: 'oauth' })
  const allow = (mayUse: readonly string[]) => bench.servers.update(ada.session, id, { mayUse })
  const use = async ({ session }: Person) => {
    const known = (await bench.servers.byId(bench.tenant, id))!
    return bench.credentials.credentialFor(known, session)
  }
  const seenBy = async ({ session }: Person) =>
    (await bench.servers.list(session)).items.map((server) => server.id)
  return { provider, bench, ada, bob, eve, id, allow, use, seenBy }
}

async function isRefused(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(work, { code })
}

onEveryDatabase('a server is everybody’s until somebody is named', async (t, store) => {
  verifies(t, 'S1-14')
  const { ada, bob, eve, id, allow, use, seenBy } = await setUp(t, store)
  for (const person of [ada, bob, eve]) {
    assert.equal((await use(person)).kind, 'authorization_required')
    assert.deepEqual(await seenBy(person), [id])
  }

  await allow([bob.user.id])
  await use(bob)
  await use(ada) // administrators always pass
  await isRefused(use(eve), 'server_forbidden')
  assert.deepEqual([await seenBy(ada), await seenBy(bob), await seenBy(eve)], [[id], [id], []])

  await allow(['admin'])
  await use(ada)
  await isRefused(use(bob), 'server_forbidden')
  await allow(['user'])
  await use(eve)
  await allow([])
  await use(eve)
  assert.deepEqual(await seenBy(eve), [id])
})

onEveryDatabase('who is named stands in the server, for administrators only', async (t, store) => {
  verifies(t, 'S1-14')
  const { bench, ada, bob, id, allow } = await setUp(t, store)
  const { servers } = bench
  assert.equal((await servers.get(ada.session, id)).mayUse, undefined)
  assert.deepEqual((await allow([bob.user.id, 'admin'])).mayUse, [bob.user.id, 'admin'])
  assert.deepEqual((await servers.list(ada.session)).items[0]?.mayUse, [bob.user.id, 'admin'])
  assert.equal((await servers.get(bob.session, id)).mayUse, undefined)
  assert.equal((await servers.list(bob.session)).items[0]?.mayUse, undefined)
  await servers.update(ada.session, id, { name: 'Another' })
  assert.deepEqual((await servers.get(ada.session, id)).mayUse, [bob.user.id, 'admin'])

  for (const wrong of ['usr_nobody', 'everybody', '%', '']) {
    await isRefused(allow([wrong]), 'invalid_input')
  }
  await isRefused(allow(Array.from({ length: 201 }, () => bob.user.id)), 'invalid_input')
  const made = await servers.create(ada.session, {
    url: 'http://127.0.0.1:9/mcp',
    auth: 'none',
    mayUse: ['admin'],
  })
  assert.deepEqual(made.mayUse, ['admin'])
  await isRefused(servers.get(bob.session, made.id), 'not_found')
})

onEveryDatabase(
  'who may not use a server is refused before anything is asked there, whatever they hold',
  async (t, store) => {
    verifies(t, 'S1-1', 'S1-14')
    const { provider, bench, ada, bob, eve, id, allow, use } = await setUp(t, store)
    const { connections, servers, clock } = bench
    const { id: own } = await connections.create(eve.session, { serverId: id })
    await signIn(bench, eve, own)
    await allow([bob.user.id])
    await clock.advance(56 * 60_000)
    const asked = provider.requests().length

    await isRefused(use(eve), 'server_forbidden')
    const known = (await servers.byId(bench.tenant, id))!
    const again = bench.credentials.refreshAfterUnauthorized(known, eve.session)
    await isRefused(again, 'server_forbidden')
    const { session, browser, key } = eve
    await isRefused(
      connections.authorize(session, own, { browser, again: true }),
      'server_forbidden',
    )
    await isRefused(connections.refresh(session, own), 'server_forbidden')
    await isRefused(connections.token(key, own), 'server_forbidden')
    await isRefused(servers.test(session, id), 'not_found')
    await isRefused(connections.create(session, { serverId: id, label: 'two' }), 'not_found')
    assert.equal(provider.requests().length, asked, 'nobody was asked')

    await connections.share(ada.session, await connectionOf(ada), true)
    await isRefused(use(eve), 'server_forbidden')
    assert.equal((await connections.revoke(session, own)).status, 'disconnected', 'theirs to end')

    async function connectionOf(person: Person) {
      const made = await connections.create(person.session, { serverId: id })
      await signIn(bench, person, made.id)
      return made.id
    }
  },
)

onEveryDatabase(
  'a sign-in that was begun before is over, and no code is redeemed',
  async (t, store) => {
    verifies(t, 'S1-1')
    const { provider, bench, bob, eve, id, allow } = await setUp(t, store)
    const { id: own } = await bench.connections.create(eve.session, { serverId: id })
    const { authorizeUrl } = await begin(bench, eve, own)
    await allow([bob.user.id])
    const answer = await fetch(authorizeUrl, { redirect: 'manual' })
    const back = new URL(answer.headers.get('location') ?? '')
    const context = back.pathname.split('/').at(-1) ?? ''
    const { session, browser } = eve
    const { tenant } = bench
    const finish = () =>
      bench.connections.finish({ tenant, context, query: back.searchParams, browser, session })
    await isRefused(finish(), 'state_mismatch')
    assert.equal((await bench.connections.get(session, own)).status, 'disconnected')
    assert.deepEqual(provider.tokenRequests(), [])
  },
)
