// Who may use a server, at every door that leads to it: the gateway, REST, and the tokens of ours that are for it.
import assert from 'node:assert/strict'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoorsOn } from './doors.ts'
import { approve, authorizePath, obtainTokens, refresh, register } from './oauth-client.ts'

onEveryDatabase(
  'who may not use a server gets no call, no token and no sight of it',
  async (t, store) => {
    verifies(t, 'S1-1', 'S1-14')
    const doors = await openDoorsOn(t, store)
    const { ask, origin } = doors
    await addPerson(doors, 'eve@example.com')
    const browser = await signIn(origin)
    const eves = await signIn(origin, { ...operator, email: 'eve@example.com' })
    const [ada, eve] = [callAs(doors, browser), callAs(doors, eves)]
    const server = await startOpenMcpServer()
    t.after(server.stop)
    const added = await ada('POST', '/servers', { url: server.url, auth: 'none', slug: 'notes' })
    const path = `/servers/${added.json.id}`
    const resource = `${origin}/notes/mcp`
    const client = await register(doors)
    const tokens = await obtainTokens(doors, eves, client, { resource })
    const call = () =>
      ask({
        path: '/notes/mcp',
        headers: {
          authorization: `Bearer ${tokens.accessToken}`,
          accept: 'application/json, text/event-stream',
        },
        json: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      })
    assert.notEqual((await call()).status, 403)

    assertAnswer(await ada('PATCH', path, { mayUse: ['eve'] }), {
      status: 422,
      error: 'invalid_input',
    })
    assertAnswer(await eve('PATCH', path, { mayUse: [] }), { status: 403, error: 'forbidden' })
    const closed = await ada('PATCH', path, { mayUse: ['admin'] })
    assert.deepEqual(closed.json.mayUse, ['admin'])
    const before = server.calls().length

    const refused = await call()
    assertAnswer(refused, { status: 403, error: 'server_forbidden', hasNot: ['www-authenticate'] })
    assert.match(refused.json.error.message, /An administrator can let you/)
    assert.equal(server.calls().length, before)
    assertAnswer(await eve('GET', path), { status: 404, error: 'not_found' })
    assertAnswer(await eve('POST', `${path}/test`), { status: 404, error: 'not_found' })
    assert.deepEqual((await eve('GET', '/servers')).json.items, [])
    const spent = await refresh(doors, client, tokens.refreshToken)
    assertAnswer(spent, { status: 400, error: 'invalid_grant' })
    for (const prompt of [undefined, 'none', 'consent']) {
      eves.setStopAt((url) => url.origin !== origin)
      const asked = await eves.open(origin + authorizePath(client, { resource, prompt }))
      const back = new URL(asked.url).searchParams
      assert.deepEqual(
        [asked.isStopped, back.get('error'), back.get('state'), back.get('iss')],
        [true, 'access_denied', 'the-state', origin],
      )
    }
    const allowed = await approve(doors, browser, client, { resource })
    assert.ok(allowed.get('code'), 'an administrator may')

    await ada('PATCH', path, { mayUse: [] })
    assert.notEqual((await call()).status, 403)
    assert.equal(
      (await refresh(doors, client, tokens.refreshToken)).status,
      200,
      'it was not spent',
    )
  },
)
