// Whose a registration is: one of a server in one tenant, shared by its people and by nobody else, made once however many
// sign in at once, and made anew when it cannot be used any more.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import type { Faults } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { code } from '../base/fault.rig.ts'
import { bring, createBench, begin, contextOf, signIn } from '../connectors/bench.rig.ts'
import type { Bench } from '../connectors/bench.rig.ts'
import type { Store } from '../store/database.ts'

async function start(t: TestContext, store: Store, faults: Partial<Faults> = {}) {
  const provider = await startFaultProvider(faults)
  t.after(provider.stop)
  const shared = { masterKey: randomBytes(32), clock: createManualClock(Date.now()) }
  const bench = await createBench(t, store, shared)
  const ada = await bench.person('ada')
  const { server, connection } = await bench.connect(ada, provider.mcpUrl)
  return { provider, shared, bench, ada, server, id: connection.id }
}

/** Our registration for a server, as every sign-in asks for it. */
async function register(bench: Bench, serverId: string, tenant = bench.tenant) {
  const server = await bench.servers.byId(bench.tenant, serverId)
  assert.ok(server !== undefined)
  const discovery = await bench.upstream.discover.discover({ tenant, serverUrl: server.url })
  return bench.upstream.register.registrationFor({ tenant, server, discovery, scopes: [] })
}

onEveryDatabase('fifty sign-ins at once make one registration', async (t, store) => {
  verifies(t, 'C8', 'S1-35')
  const { provider, bench, server } = await start(t, store)
  const made = await Promise.all(Array.from({ length: 50 }, () => register(bench, server.id)))
  assert.equal(new Set(made.map(({ clientId }) => clientId)).size, 1)
  assert.equal(provider.registrations().length, 1)

  provider.set({ answers: { register: { kind: 'status', status: 503, times: 1 } } })
  await bench.upstream.register.forgetServer(store.db, bench.tenant.id, server.id)
  const tries = Array.from({ length: 50 }, () => register(bench, server.id))
  const outcomes = await Promise.allSettled(tries)
  assert.ok(outcomes.some(({ status }) => status === 'rejected'))
  const next = await register(bench, server.id)
  const late = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))
  assert.ok(late.every(({ clientId }) => clientId === next.clientId))
  assert.equal(provider.registrations().length, 2, 'a failure is nobody’s registration')
})

onEveryDatabase(
  'of two processes that register at once one is used, and the other is taken back',
  async (t, store) => {
    verifies(t, 'C8')
    const deleted: string[] = []
    const management = await listenOnLoopback(() => (request, response) => {
      deleted.push(`${request.method} ${request.url} ${request.headers.authorization}`)
      response.writeHead(204).end()
    })
    t.after(management.stop)
    const { provider, shared, bench, server } = await start(t, store, {
      registrationFields: {
        registration_client_uri: `${management.origin}/reg`,
        registration_access_token: 'rat',
      },
    })
    const other = await createBench(t, store, shared)
    const [one, two] = await Promise.all([register(bench, server.id), register(other, server.id)])
    assert.equal(one?.clientId, two?.clientId)
    const surplus = provider.registrations().length - 1
    assert.ok(surplus <= 1)
    assert.deepEqual(deleted, Array(surplus).fill('DELETE /reg Bearer rat'))
  },
)

onEveryDatabase(
  'a registration is shared by a server’s people, and never by servers or tenants',
  async (t, store) => {
    verifies(t, 'S1-35', 'S1-10', 'C8')
    const { provider, bench, ada, server, id } = await start(t, store)
    const bob = await bench.person('bob')
    const { id: bobs } = await bench.connections.create(bob.session, { serverId: server.id })
    const clientOf = async (person: typeof ada, connectionId: string) =>
      new URL((await begin(bench, person, connectionId)).authorizeUrl).searchParams.get('client_id')
    const first = await clientOf(ada, id)
    assert.equal(await clientOf(bob, bobs), first)
    assert.equal(provider.registrations().length, 1)

    const again = await bench.connect(ada, provider.mcpUrl)
    assert.notEqual(await clientOf(ada, again.connection.id), first, 'another server')

    const elsewhere = { id: 'ten_other', issuer: 'https://other.example' }
    const facts = { slug: 'other', name: 'Other', created_at: bench.clock.now() }
    await store.db
      .insertInto('tenants')
      .values({ ...elsewhere, ...facts })
      .execute()
    await copyServer(store, server.id, elsewhere.id)
    const tenant = { ...bench.tenant, ...elsewhere }
    const theirs = await register(bench, server.id, tenant)
    assert.notEqual(theirs.clientId, first, 'another tenant')
    assert.equal(provider.registrations().at(-1)?.['application_type'], 'web')
    const key = { tenantId: bench.tenant.id, serverId: server.id, ...theirs }
    assert.equal(await bench.upstream.register.find(key), undefined)
  },
)

/** The same server in another tenant, under the same id. */
async function copyServer({ db }: Store, id: string, tenantId: string): Promise<void> {
  const row = await db
    .selectFrom('servers')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const copy = { ...row, tenant_id: tenantId, created_by: null }
  await db.insertInto('servers').values(copy).execute()
}

onEveryDatabase('another redirect URI is another registration', async (t, store) => {
  verifies(t, 'S1-36', 'C18')
  const { provider, bench, server } = await start(t, store)
  const before = await register(bench, server.id)
  const moved = { ...bench.tenant, issuer: 'https://moved.example' }
  const after = await register(bench, server.id, moved)
  assert.notEqual(after.clientId, before.clientId)
  assert.deepEqual(
    provider.registrations().map(({ redirect_uris: uris }) => uris),
    [[before.redirectUri], [after.redirectUri]],
  )
  assert.ok(after.redirectUri.startsWith('https://moved.example/connect/callback/'))
})

onEveryDatabase('each server has a callback of its own, and takes no other’s', async (t, store) => {
  verifies(t, 'S1-48', 'X-11')
  const { provider, bench, ada, server, id } = await start(t, store)
  const other = await bench.connect(ada, provider.mcpUrl)
  const contexts = [await contextOf(bench, server.id), await contextOf(bench, other.server.id)]
  assert.equal(new Set(contexts).size, 2)
  const { authorizeUrl } = await begin(bench, ada, id)
  const asked = new URL(authorizeUrl).searchParams.get('redirect_uri')
  assert.equal(asked, `${bench.tenant.issuer}/connect/callback/${contexts[0]}`)
  const answer = await fetch(authorizeUrl, { redirect: 'manual' })
  const query = new URL(answer.headers.get('location') ?? '').searchParams
  const astray = bring(bench, ada, { context: contexts[1] ?? '', query })
  await assert.rejects(astray, code('state_mismatch'))
  assert.equal(provider.tokenRequests().length, 0)
  const arrived = await bring(bench, ada, { context: contexts[0] ?? '', query })
  assert.equal(arrived.kind, 'completed')
  assert.equal(provider.tokenRequests()[0]?.parameters['redirect_uri'], asked)
})

onEveryDatabase(
  'metadata that turns out to be old is looked at anew by the next who signs in',
  async (t, store) => {
    verifies(t, 'S1-22')
    const { provider, bench, ada, server, id } = await start(t, store)
    provider.set({ answers: { token: { kind: 'status', status: 404 } } })
    assert.equal((await signIn(bench, ada, id)).kind, 'failed')
    const looks = () =>
      provider.requests().filter(({ path }) => path.startsWith('/.well-known/')).length
    const before = looks()
    const bob = await bench.person('bob')
    const { id: bobs } = await bench.connections.create(bob.session, { serverId: server.id })
    await begin(bench, bob, bobs)
    assert.ok(looks() > before, 'the next one does not use what just failed')
  },
)
