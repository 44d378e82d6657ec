// Job two, end to end: a person connects to somebody else's protected MCP server, whose authorization server is a real
// one, and the connection stays alive by itself.
import assert from 'node:assert/strict'
import { connectMcpClient } from '../counterparts/mcp-client.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { createManualClock } from '../../src/base/clock.ts'
import { restAs, restWithKey, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

onEveryDatabase('a person connects to a foreign server and gets live tokens', async (t, store) => {
  verifies(t, 'S1-6', 'S1-15', 'S1-28', 'S1-41', 'S1-44', 'S1-50', 'S2-5', 'A1-1', 'A1-2', 'A2-4')
  const { foreign, server } = await startUpstream(t)
  // Ten minutes on, the hour's token is still far from its end; the clock is turned later.
  const clock = createManualClock(Date.now())
  const { origin, alsoSecret } = await startTestPlatform(t, store, { clock })
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)

  const added = await rest('POST', '/servers', { url: server.url, name: 'Notes', slug: 'notes' })
  assert.equal(added.status, 201)
  assert.equal(added.body.auth, 'oauth')
  assert.equal(added.body.discovered.issuer, foreign.issuer)

  const made = await rest('POST', '/connections', { serverId: added.body.id })
  assert.equal(made.body.status, 'disconnected')
  const begun = await rest('POST', `/connections/${made.body.id}/authorize`, {})
  assert.equal(begun.body.usedRegistration, 'dcr')
  const asked = new URL(begun.body.authorizeUrl).searchParams
  assert.equal(asked.get('resource'), server.resource)
  assert.equal(asked.get('code_challenge_method'), 'S256')

  const landed = await browser.open(begun.body.authorizeUrl)
  assert.equal(landed.status, 200)
  assert.match(landed.html, /Connected/)
  const flow = await rest('GET', `/flows/${begun.body.flowId}`)
  assert.equal(flow.body.status, 'completed')

  const connected = await rest('GET', `/connections/${made.body.id}`)
  assert.equal(connected.body.status, 'connected')
  assert.equal(connected.body.authorized, true)
  const again = await rest('POST', `/connections/${made.body.id}/authorize`, {})
  assert.deepEqual(again.body, { alreadyAuthorized: true })

  const { body: key } = await rest('POST', '/api-keys', {
    name: 'back end',
    scopes: ['api', 'connections:token'],
  })
  const backEnd = restWithKey(key.key, origin)
  const first = await backEnd('POST', `/connections/${made.body.id}/token`)
  assert.equal((await foreign.introspect(first.body.accessToken)).active, true)

  await clock.advance(56 * 60_000)
  const second = await backEnd('POST', `/connections/${made.body.id}/token`)
  assert.notEqual(second.body.accessToken, first.body.accessToken)
  const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  assert.equal(refreshes.length, 1)
  assert.equal(refreshes[0]?.resource, server.resource)

  const client = await connectMcpClient({ url: server.url, token: second.body.accessToken })
  const { tools } = await client.listTools()
  assert.ok(tools.some(({ name }) => name === 'echo'))
  await client.close()
  alsoSecret(foreign.tokensIssued())
})

onEveryDatabase('a hundred callers at once cause one refresh', async (t, store) => {
  verifies(t, 'S1-61', 'A1-5')
  const { foreign, server } = await startUpstream(t)
  const clock = createManualClock(Date.now())
  const { origin, alsoSecret } = await startTestPlatform(t, store, { clock })
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const { body: added } = await rest('POST', '/servers', { url: server.url })
  const { body: connection } = await rest('POST', '/connections', { serverId: added.id })
  const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
  await browser.open(begun.authorizeUrl)
  const { body: key } = await rest('POST', '/api-keys', {
    name: 'back end',
    scopes: ['connections:token'],
  })
  const backEnd = restWithKey(key.key, origin)

  await clock.advance(57 * 60_000)
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => backEnd('POST', `/connections/${connection.id}/token`)),
  )

  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.equal(new Set(answers.map(({ body }) => body.accessToken)).size, 1)
  const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  assert.equal(refreshes.length, 1)
  alsoSecret(foreign.tokensIssued())
})
