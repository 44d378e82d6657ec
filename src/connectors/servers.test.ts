// Servers: what may be said about one, what is shown of one, and what a change does to the sign-ins that hang on it.
import assert from 'node:assert/strict'
import {
  startHeaderMcpServer,
  startOpenMcpServer,
} from '../../test/counterparts/protected-mcp-server.ts'
import { startFaultProvider } from '../../test/fakes/fault-provider.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { code } from '../base/fault.rig.ts'
import { createBench, signIn } from './bench.rig.ts'

const url = 'https://mcp.linear.example/mcp'

onEveryDatabase(
  'a slug is made from name or host, unique, and never one of our own paths',
  async (t, store) => {
    verifies(t, 'S2-4', 'S2-28')
    const bench = await createBench(t, store)
    const { session } = await bench.person('ada', 'admin')
    const slugOf = async (input: { name?: string; slug?: string }) =>
      (await bench.servers.create(session, { url, auth: 'none', ...input })).slug
    assert.equal(await slugOf({}), 'linear')
    assert.equal(await slugOf({}), 'linear-2')
    assert.equal(await slugOf({ name: 'Ünsere Bücher!' }), 'u-nsere-bu-cher')
    assert.equal(await slugOf({ name: 'API' }), 'linear-3')
    assert.equal(await slugOf({ name: '数据' }), 'linear-4')
    assert.equal(await slugOf({ slug: 'a'.repeat(36) }), 'a'.repeat(36))
    await assert.rejects(slugOf({ slug: 'linear' }), code('conflict'))
    for (const slug of ['mcp', 'sign-in', 'well-known', 'Linear', 'a_b', '', 'a'.repeat(37)]) {
      await assert.rejects(slugOf({ slug }), code('invalid_input'), slug)
    }
  },
)

onEveryDatabase('headers are checked, sealed and never shown', async (t, store) => {
  verifies(t, 'S2-25', 'S2-26', 'S2-27', 'S2-28', 'A2-4', 'A2-12', 'X-28')
  const mcp = await startHeaderMcpServer({ headerName: 'x-api-key', value: 'tell-nobody' })
  t.after(mcp.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada', 'admin')
  const create = (headers: Record<string, string>) =>
    bench.servers.create(ada.session, { url: mcp.url, headers })

  const server = await create({ 'X-Api-Key': 'tell-nobody' })
  assert.equal(server.auth, 'headers')
  assert.deepEqual(server.headerNames, ['X-Api-Key'])
  const tested = await bench.servers.test(ada.session, server.id)
  assert.ok(tested.ok)
  const wrong = await create({ 'X-Api-Key': 'other' })
  const refused = await bench.servers.test(ada.session, wrong.id)
  assert.ok(!refused.ok && refused.error === 'invalid_token')

  const known = await bench.servers.byId(bench.tenant, server.id)
  const credential = await bench.credentials.credentialFor(known!, ada.session)
  assert.ok(credential.kind === 'headers')
  assert.equal(credential.headers['X-Api-Key']?.reveal(), 'tell-nobody')

  const bad: readonly Record<string, string>[] = [
    { 'x y': 'v' },
    { x: 'a\r\nb: c' },
    { x: 'a\0' },
    { x: '数' },
    { x: '' },
    { Host: 'evil.example' },
    { 'Mcp-Session-Id': 'x' },
    { x: 'v'.repeat(4097) },
    { a: '1', A: '2' },
    Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`x-${index}`, 'v'])),
  ]
  for (const headers of bad) await assert.rejects(create(headers), code('invalid_input'))
  await create({ x: 'v'.repeat(4096) })

  const shown = JSON.stringify([
    server,
    tested,
    known,
    await bench.servers.list(ada.session),
    await bench.servers.get(ada.session, server.id),
    await bench.journal.list({ tenantId: bench.tenant.id }),
    await store.db.selectFrom('servers').selectAll().execute(),
  ])
  assert.ok(!shown.includes('tell-nobody'))
})

onEveryDatabase('tools are listed in either era, and a failure is an answer', async (t, store) => {
  verifies(t, 'S2-27')
  const bench = await createBench(t, store)
  const ada = await bench.person('ada', 'admin')
  for (const keepsSessions of [false, true]) {
    const mcp = await startOpenMcpServer({ keepsSessions })
    const server = await bench.servers.create(ada.session, { url: mcp.url })
    const tested = await bench.servers.test(ada.session, server.id)
    assert.ok(tested.ok && tested.tools.every(({ name }) => name !== ''))
    await mcp.stop()
    const down = await bench.servers.test(ada.session, server.id)
    assert.ok(!down.ok && down.error === 'server_unreachable')
  }
})

onEveryDatabase(
  'another address drops tokens and registrations, and sees none of them',
  async (t, store) => {
    verifies(t, 'A2-10', 'S1-36')
    const [old, next] = [await startFaultProvider(), await startFaultProvider()]
    t.after(old.stop)
    t.after(next.stop)
    const bench = await createBench(t, store)
    const ada = await bench.person('ada', 'admin')
    const { server, connection } = await bench.connect(ada, old.mcpUrl)
    await signIn(bench, ada, connection.id)
    assert.equal(
      (await bench.servers.update(ada.session, server.id, { name: 'New name' })).name,
      'New name',
    )
    assert.equal((await bench.connections.get(ada.session, connection.id)).status, 'connected')

    const changed = await bench.servers.update(ada.session, server.id, { url: next.mcpUrl })
    assert.equal(changed.discovered?.issuer, next.issuer)
    const shown = await bench.connections.get(ada.session, connection.id)
    assert.equal(shown.status, 'disconnected')
    assert.equal(shown.statusReason, 'server_changed')
    assert.deepEqual(await store.db.selectFrom('credentials').selectAll().execute(), [])
    assert.deepEqual(await store.db.selectFrom('registrations').selectAll().execute(), [])
    await bench.servers.test(ada.session, server.id)
    assert.equal((await signIn(bench, ada, connection.id)).kind, 'completed')
    const seen = JSON.stringify(next.requests())
    for (const secret of old.issued()) assert.ok(!seen.includes(secret))
  },
)

onEveryDatabase(
  'a client that an admin gave is pinned to its issuer; a new secret ends no sign-in',
  async (t, store) => {
    verifies(t, 'C8', 'C11', 'S1-37', 'A2-4')
    const provider = await startFaultProvider({ offersRegistration: false })
    t.after(provider.stop)
    const bench = await createBench(t, store)
    const ada = await bench.person('ada', 'admin')
    const client = { clientId: 'given', clientSecret: 'first-secret' }
    const server = await bench.servers.create(ada.session, { url: provider.mcpUrl, ...client })
    assert.equal(server.issuer, provider.issuer)
    assert.equal(server.discovered?.registration, 'preregistered')
    assert.equal(server.hasClientSecret, true)
    const { id } = await bench.connections.create(ada.session, { serverId: server.id })
    const begun = await bench.connections.authorize(ada.session, id, { browser: ada.browser })
    assert.ok('usedRegistration' in begun && begun.usedRegistration === 'preregistered')
    await bench.servers.update(ada.session, server.id, { clientSecret: 'second-secret' })
    const key = {
      tenantId: bench.tenant.id,
      serverId: server.id,
      issuer: provider.issuer,
      clientId: 'given',
    }
    const redirectUri = new URL(begun.authorizeUrl).searchParams.get('redirect_uri') ?? ''
    assert.equal(server.redirectUri, redirectUri)
    const registration = await bench.upstream.register.find({ ...key, redirectUri })
    assert.equal(registration?.clientSecret?.reveal(), 'second-secret')
    const shown = JSON.stringify(await bench.servers.get(ada.session, server.id))
    assert.ok(!shown.includes('secret"') && !shown.includes('second-secret'))

    const without = await bench.servers.create(ada.session, { url: provider.mcpUrl, auth: 'oauth' })
    assert.equal(without.discovered?.registration, 'none')
    assert.match(without.redirectUri ?? '', /^http:\/\/localhost:8787\/connect\/callback\/[\w-]+$/)
    const other = await bench.connections.create(ada.session, { serverId: without.id })
    await assert.rejects(
      bench.connections.authorize(ada.session, other.id, { browser: ada.browser }),
      code('registration_not_supported'),
    )
  },
)

onEveryDatabase(
  'lists come in pages, and a removed server takes its connections along',
  async (t, store) => {
    verifies(t, 'S2-28')
    const bench = await createBench(t, store)
    const ada = await bench.person('ada', 'admin')
    for (let index = 0; index < 5; index += 1) {
      const { id } = await bench.servers.create(ada.session, { url, auth: 'none' })
      await bench.connections.create(ada.session, { serverId: id })
    }
    for (const list of [bench.servers.list, bench.connections.list]) {
      const first = await list(ada.session, { limit: 3 })
      const rest = await list(ada.session, { limit: 3, cursor: first.nextCursor ?? '' })
      assert.equal(new Set([...first.items, ...rest.items].map(({ id }) => id)).size, 5)
      assert.equal(rest.nextCursor, undefined)
    }
    await assert.rejects(bench.servers.list(ada.session, { cursor: 'x' }), code('invalid_input'))
    const [first] = (await bench.servers.list(ada.session)).items
    await assert.rejects(
      bench.connections.create(ada.session, { serverId: first!.id }),
      code('conflict'),
    )
    await bench.servers.remove(ada.session, first!.id)
    await assert.rejects(bench.servers.get(ada.session, first!.id), code('not_found'))
    assert.equal((await bench.connections.list(ada.session)).items.length, 4)
  },
)
