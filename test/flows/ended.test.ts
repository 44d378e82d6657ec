// What ends stays ended: an address that is given to another server takes no token of the one before.
import assert from 'node:assert/strict'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { signInClient } from './signed-in-client.ts'

onEveryDatabase('a token for a removed server is refused by its successor', async (t, store) => {
  const first = await startOpenMcpServer()
  const second = await startOpenMcpServer()
  t.after(() => Promise.all([first.stop(), second.stop()]))
  const { origin } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const { body: added } = await rest('POST', '/servers', { url: first.url, slug: 'notes' })
  const { client, tokens } = await signInClient({ origin, url: `${origin}/notes/mcp`, browser })
  await client.close()

  await rest('DELETE', `/servers/${added.id}`)
  await rest('POST', '/servers', { url: second.url, slug: 'notes' })
  const looks = second.calls().length

  const { access_token, refresh_token = '' } = tokens() ?? {}
  const call = await fetch(`${origin}/notes/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${access_token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  })
  assert.equal(call.status, 401)
  assert.match(call.headers.get('www-authenticate') ?? '', /error="invalid_token"/)
  assert.equal(second.calls().length, looks, 'nothing of the call reached the new server')
  const { body: grants } = await rest('GET', '/grants')
  assert.deepEqual(grants.items, [])
  const refresh = await fetch(`${origin}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token }),
  })
  assert.notEqual(refresh.status, 200)
})
