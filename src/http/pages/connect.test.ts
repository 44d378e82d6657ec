// The page that starts a sign-in elsewhere, for somebody who is connected already: the server wants another sign-in,
// and its link must lead there.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultProvider } from '../../../test/fakes/fault-provider.ts'
import { restAs, signIn } from '../../../test/harness.ts'
import { openDoors } from '../../../test/http/doors.ts'
import { verifies } from '../../../test/requirements.ts'

test('who is connected can sign in again, and an address asks for nothing more', async (t) => {
  verifies(t, 'S1-73')
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const doors = await openDoors(t)
  doors.alsoSecret(provider.issued())
  const browser = await signIn(doors.origin)
  const rest = restAs(browser, doors.origin)
  const server = await rest('POST', '/servers', { url: provider.mcpUrl })
  const made = await rest('POST', '/connections', { serverId: server.body.id })
  const link = `${doors.origin}/connect/${made.body.id}`
  browser.setStopAt(() => false)
  const connect = async (url: string) => {
    await browser.open(url)
    return browser.submit({ button: 'Continue to sign in' })
  }
  assert.match((await connect(link)).html, /You can close this window/)

  assert.match((await connect(link)).html, /You can close this window/)
  assert.equal(provider.tokenRequests().length, 2)

  // What a server wants on top is known to the connection; an address that anybody can write asks for nothing.
  const asking = await browser.open(`${link}?scope=files%3Awrite`)
  assert.doesNotMatch(asking.html, /files:write|Permission it asks for/)
  browser.setStopAt(({ origin }) => origin === provider.origin)
  const stopped = await browser.submit({ button: 'Continue to sign in' })
  assert.equal(new URL(stopped.url).searchParams.get('scope'), 'mcp')
})
