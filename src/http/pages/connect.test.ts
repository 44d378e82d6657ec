// The page that starts a sign-in elsewhere, for somebody who is connected already: the server wants another sign-in, or
// more permission, and its link must lead there.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultProvider } from '../../../test/fakes/fault-provider.ts'
import { restAs, signIn } from '../../../test/harness.ts'
import { openDoors } from '../../../test/http/doors.ts'
import { verifies } from '../../../test/requirements.ts'

test('who is connected can sign in again, and be asked for more', async (t) => {
  verifies(t, 'C21', 'S1-57', 'S1-73')
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

  const asking = await browser.open(`${link}?scope=files%3Awrite%22`)
  assert.match(asking.html, /Permission it asks for/)
  assert.ok(!asking.html.includes('files:write"'))
  browser.setStopAt(({ origin }) => origin === provider.origin)
  const stopped = await connect(`${link}?scope=files%3Awrite`)
  assert.equal(new URL(stopped.url).searchParams.get('scope'), 'mcp files:write')

  browser.setStopAt(() => false)
  const odd = await connect(`${link}?scope=%00`)
  assert.equal(odd.status, 400)
})
