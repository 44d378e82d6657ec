// A server that wants more permission for one tool: the client's person gets a link, agrees, and the same call goes
// through; where agreeing does not help, they are not sent round in circles.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import { startProtectedMcpServer } from '../counterparts/protected-mcp-server.ts'
import { restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import type { Store } from '../../src/store/database.ts'
import { signInClient } from './signed-in-client.ts'

/** A client that is signed in and connected with the scope `read`; its server wants `write` for one tool. */
async function start(t: TestContext, store: Store) {
  const foreign = await startForeignAuthorizationServer({ scopes: ['read', 'write'] })
  const { issuer, introspect } = foreign
  const options = { scopes: ['read', 'write'], stepUpScope: 'write' }
  const server = await startProtectedMcpServer({ issuer, introspect, ...options })
  t.after(async () => {
    await server.stop()
    await foreign.stop()
  })
  const { origin, alsoSecret } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const { body: added } = await rest('POST', '/servers', {
    url: server.url,
    slug: 'notes',
    scopes: 'read',
  })
  const { body: made } = await rest('POST', '/connections', { serverId: added.id })
  const { body: begun } = await rest('POST', `/connections/${made.id}/authorize`, {})
  await browser.open(begun.authorizeUrl)
  const { client } = await signInClient({ origin, url: `${origin}/notes/mcp`, browser })
  browser.setStopAt(() => false)
  const write = () => client.callTool({ name: 'write_note', arguments: { text: 'hello' } })
  const refusal = () => write().then(String, (error: Error) => error.message)
  const seen = async () => (await rest('GET', `/connections/${made.id}`)).body
  const link = `${origin}/connect/${made.id}`
  const done = async () => {
    await client.close()
    alsoSecret(foreign.tokensIssued())
  }
  return { foreign, browser, write, refusal, seen, link, done }
}

onEveryDatabase('who agrees to what a server asks for gets through', async (t, store) => {
  verifies(t, 'C20', 'C21', 'S1-57', 'S1-73')
  const { browser, write, refusal, seen, link, done } = await start(t, store)
  assert.ok((await refusal()).includes(link), await refusal())
  const lacking = await seen()
  assert.deepEqual(
    [lacking.status, lacking.statusReason, lacking.missingScopes],
    ['connected', 'scope_insufficient', ['write']],
  )

  const asking = await browser.open(link)
  assert.match(asking.html, /Permission it asks for[^]*write/)
  const landed = await browser.submit({ button: 'Continue to sign in' })
  assert.match(landed.html, /Connected/)
  assert.deepEqual((await seen()).scopes.toSorted(), ['read', 'write'])
  const said = await write()
  assert.notEqual(said.isError, true)
  const after = await seen()
  assert.deepEqual([after.statusReason, after.missingScopes], [undefined, undefined])
  await done()
})

onEveryDatabase('who cannot get it is told so after the third sign-in', async (t, store) => {
  verifies(t, 'C21')
  const { browser, write, refusal, seen, link, done } = await start(t, store)
  // As if the provider said yes each time and gave no more than before.
  for (const signIns of [2, 3]) {
    assert.ok((await refusal()).includes(link))
    await store.db.updateTable('connections').set({ sign_ins: signIns }).execute()
  }
  const last = await refusal()
  assert.match(last, /Whoever gives you access there has to allow: write/)
  assert.ok(!last.includes(link))
  assert.match((await seen()).lastError, /after 3 sign-ins/)

  await browser.open(link)
  await browser.submit({ button: 'Continue to sign in' })
  assert.notEqual((await write()).isError, true, 'somebody allowed it after all')
  assert.equal((await seen()).statusReason, undefined)
  await done()
})
