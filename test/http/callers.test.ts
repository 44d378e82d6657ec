// Who calls is told by the form of what they bring: a session, an access token, an API key. Each is looked up anew for every
// request, and what fails as its own kind is never tried as another.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { openDoors } from './doors.ts'
import type { Ask, Doors } from './doors.ts'
import { isActive, obtainTokens, register } from './oauth-client.ts'

test('a session, an access token and an API key each open their own doors', async (t) => {
  const doors = await openDoors(t)
  const { origin } = doors
  const browser = await signIn(origin)
  const { accessToken } = await obtainTokens(doors, browser, await register(doors))
  const made = await restAs(browser, origin)('POST', '/api-keys', { name: 'x', scopes: ['api'] })
  const key = String(made.body.key)
  const session = browser.cookies().find(({ name }) => name === '__Host-lk_session')?.value ?? ''
  const api = (ask: Partial<Ask>) => statusOf(doors, { path: '/api/v1/servers', ...ask })
  const mcp = (ask: Partial<Ask>) =>
    statusOf(doors, { path: '/mcp', json: { jsonrpc: '2.0', id: 1, method: 'ping' }, ...ask })

  await t.test('each is believed where it belongs', async (t) => {
    verifies(t, 'S3-29')
    assert.equal(await api({ browser }), 200)
    assert.equal(await api(bearer(key)), 200)
    assert.equal(await mcp(bearer(accessToken)), 200)
  })

  await t.test('none is believed as another kind, nor beside one that failed', async (t) => {
    verifies(t, 'S3-29', 'S1-83')
    for (const token of [accessToken, session, 'mcp_at_nobody', `${key}x`, 'lk_nobody']) {
      assert.equal(await api(bearer(token)), 401)
      assert.equal(await api({ browser, ...bearer(token) }), 401, 'the cookie does not help it')
    }
    for (const token of [key, session, `${accessToken}x`, 'mcp_at_nobody']) {
      assert.equal(await mcp(bearer(token)), 401)
      assert.equal(await mcp({ browser, ...bearer(token) }), 401, 'the cookie does not help it')
    }
    assert.equal(await mcp({ browser }), 401)
    for (const name of ['__Host-lk_session', '__Host-lk_browser']) {
      for (const value of [accessToken, key]) {
        assert.equal(await api({ headers: { cookie: `${name}=${value}` } }), 401)
      }
    }
  })

  await t.test('what ends one holds on the very next request: nothing is remembered', async (t) => {
    verifies(t, 'S3-34')
    const { db } = doors.store
    for (const [open, end] of [
      [() => api({ browser }), () => db.deleteFrom('sessions').execute()],
      [() => api(bearer(key)), () => db.updateTable('api_keys').set({ revoked_at: 1 }).execute()],
      [
        () => mcp(bearer(accessToken)),
        () => db.updateTable('access_tokens').set({ revoked_at: 1 }).execute(),
      ],
    ] as const) {
      assert.equal(await open(), 200)
      assert.equal(await open(), 200, 'it was just used')
      await end()
      assert.equal(await open(), 401)
    }
    assert.equal(await isActive(doors, accessToken), false)
  })
})

function bearer(token: string): Partial<Ask> {
  const accept = 'application/json, text/event-stream'
  return { headers: { authorization: `Bearer ${token}`, accept } }
}

async function statusOf({ ask }: Doors, request: Ask): Promise<number> {
  return (await ask(request)).status
}
