// What REST says of servers and connections, and what stays inside.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { readConfig } from '../../src/config.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import { startFlows } from './flow-doors.ts'

test('the callback is made from the public URL and from nothing that a request says', async (t) => {
  verifies(t, 'S1-48', 'S1-78', 'S2-31', 'C18')
  const doors = await openDoors(t)
  const { ada, server, provider } = await startFlows(t, doors)
  const { json } = await ada('POST', '/connections', { serverId: server.id })
  const forged = { 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' }
  const begun = await ada('POST', `/connections/${json.id}/authorize`, {}, forged)
  assertAnswer(begun, { status: 200, neverSays: ['evil.test'] })
  const redirectUri = new URL(begun.json.authorizeUrl).searchParams.get('redirect_uri') ?? ''
  assert.ok(redirectUri.startsWith(`${doors.origin}/connect/callback/`), redirectUri)
  assert.deepEqual(provider.registrations().at(-1)?.['redirect_uris'], [redirectUri])

  // The default is where the listener is, if only this machine reaches it; else somebody has to say it.
  assert.equal(readConfig({}).publicUrl, 'http://localhost:8787')
  assert.equal(readConfig({ LATCHKEY_LISTEN: '127.0.0.1:3001' }).publicUrl, 'http://localhost:3001')
  assert.throws(() => readConfig({ LATCHKEY_LISTEN: '0.0.0.0:3001' }), /PUBLIC_URL must be set/)
})

test('a server with sign-in takes no headers, and the address to open is all one gets', async (t) => {
  verifies(t, 'S2-20', 'S2-24', 'A2-4')
  const doors = await openDoors(t)
  const { ada, provider } = await startFlows(t, doors)
  const headers = { 'X-Api-Key': 'tell-nobody' }
  const input = { url: provider.mcpUrl, auth: 'oauth', headers, name: 'Both' }
  const added = await ada('POST', '/servers', input)
  assertAnswer(added, { status: 201, neverSays: ['tell-nobody'] })
  assert.deepEqual([added.json.auth, added.json.headerNames], ['oauth', []])
  const kept = await doors.store.db
    .selectFrom('servers')
    .select('headers_sealed')
    .where('id', '=', added.json.id)
    .executeTakeFirstOrThrow()
  assert.equal(kept.headers_sealed, null)

  const { json } = await ada('POST', '/connections', { serverId: added.json.id })
  const begun = await ada('POST', `/connections/${json.id}/authorize`, {})
  assertAnswer(begun, { status: 200 })
  assert.deepEqual(Object.keys(begun.json).sort(), [
    'authorizeUrl',
    'expiresAt',
    'flowId',
    'usedRegistration',
  ])
  assert.equal(begun.json.usedRegistration, 'dcr')
  for (const { headers: sent } of provider.requests()) assert.equal(sent['x-api-key'], undefined)
})

test('servers that an administrator adds are everybody’s, without what is secret in them', async (t) => {
  verifies(t, 'S2-30')
  const doors = await openDoors(t)
  const ada = callAs(doors, await signIn(doors.origin))
  await addPerson(doors, 'eve@example.com')
  const eve = callAs(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  const mcp = await startOpenMcpServer({})
  t.after(mcp.stop)
  const headers = { 'X-Api-Key': 'tell-nobody' }
  const added = await ada('POST', '/servers', { url: mcp.url, headers })
  const path = `/servers/${added.json.id}`

  for (const answer of [await eve('GET', '/servers'), await eve('GET', path)]) {
    assertAnswer(answer, { status: 200, neverSays: ['tell-nobody'] })
    assert.match(answer.text, /"headerNames":\["X-Api-Key"\]/)
  }
  assertAnswer(await eve('POST', `${path}/test`), { status: 200, neverSays: ['tell-nobody'] })
  assertAnswer(await eve('PATCH', path, { name: 'Mine' }), { status: 403 })
  assertAnswer(await eve('DELETE', path), { status: 403 })
})

onEveryDatabase('a connection is as honest as its tokens', async (t, store) => {
  verifies(t, 'S1-59', 'S1-65', 'S2-44', 'A2-8')
  const clock = createManualClock(Date.now())
  const doors = await openDoorsOn(t, store, { clock })
  const { ada, begin, approve, open, provider } = await startFlows(t, doors)
  const begun = await begin()
  const asked = new URL(begun.authorizeUrl).searchParams
  const callback = await approve(begun)
  const flow = await store.db.selectFrom('flows').selectAll().executeTakeFirstOrThrow()
  const state = callback.searchParams.get('state') ?? 'none'
  assert.ok(!JSON.stringify(flow).includes(state), 'the state is kept nowhere')

  await open(callback)
  const path = `/connections/${begun.connectionId}`
  assertAnswer(await ada('POST', `${path}/refresh`), { status: 200 })
  const sent = provider.tokenRequests().map(({ parameters }) => parameters['resource'])
  assert.deepEqual([asked.get('resource'), ...sent], Array(3).fill(provider.mcpUrl))
  const before = (await ada('GET', path)).json
  assert.equal(before.refreshCount, 1)
  assert.ok(before.lastRefreshAt <= Date.now() && before.expiresAt > Date.now())
  const kept = await store.db.selectFrom('credentials').selectAll().executeTakeFirstOrThrow()
  const { issuer } = JSON.parse(kept.binding) as { readonly issuer: string } // what S1-59 asks for
  assert.deepEqual(
    [issuer, kept.token_type, kept.scope, kept.refresh_count],
    [provider.issuer, 'Bearer', 'mcp', 1],
  )

  provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
  // A provider that refuses once may be wrong.
  assertAnswer(await ada('POST', `${path}/refresh`), { status: 502 })
  assert.equal((await ada('GET', path)).json.authorized, true)
  await clock.advance(30_000)
  const refused = await ada('POST', `${path}/refresh`)
  assertAnswer(refused, { status: 409, error: 'refresh_token_rejected' })
  assert.equal(refused.json.reauthUrl, `${doors.origin}/connect/${begun.connectionId}`)
  const lost = (await ada('GET', path)).json
  assert.deepEqual([lost.status, lost.authorized], ['reauth_required', false])

  const again = await ada('POST', `${path}/authorize`, {})
  const pending = (await ada('GET', path)).json
  assert.deepEqual([pending.status, pending.authorized], ['authorizing', false])
  await open(await approve(again.json))
  const after = (await ada('GET', path)).json
  assert.deepEqual([after.status, after.authorized, after.refreshCount], ['connected', true, 0])
  assert.equal(provider.registrations().length, 1, 'the client is kept')
})
