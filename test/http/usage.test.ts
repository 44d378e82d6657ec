// What is used, by whom and through what, as an administrator sees it after real calls.
import assert from 'node:assert/strict'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, addServer, assertAnswer, callAs, openDoorsOn } from './doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

onEveryDatabase('calls are told by server, tool, client and person', async (t, store) => {
  verifies(t, 'S4-36', 'S4-12')
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const upstream = await startOpenMcpServer()
  t.after(upstream.stop)
  await addServer(doors, browser, { url: upstream.url, slug: 'notes' })
  const client = await register(doors)
  const { accessToken } = await obtainTokens(doors, browser, client, {
    resource: `${doors.origin}/notes/mcp`,
  })
  const call = (method: string, params: object) =>
    doors.ask({
      path: '/notes/mcp',
      headers: {
        authorization: `Bearer ${accessToken}`,
        accept: 'application/json, text/event-stream',
      },
      json: { jsonrpc: '2.0', id: 1, method, params },
    })
  await call('tools/list', {})
  for (let count = 0; count < 3; count += 1) await call('tools/call', { name: 'whoami' })
  const ada = callAs(doors, browser)
  const told = async (by: string) => {
    const { json } = await ada('GET', `/usage/calls?by=${by}&days=1`)
    return json.items as readonly Record<string, unknown>[]
  }
  // Calls are written a moment after their answer.
  while ((await told('server'))[0]?.['calls'] !== 4) await new Promise((go) => setImmediate(go))

  assert.equal((await told('server'))[0]?.['name'], '127.0.0.1')
  const [tool] = await told('tool')
  assert.deepEqual([tool?.['tool'], tool?.['calls']], ['whoami', 3])
  assert.equal((await told('client'))[0]?.['id'], client.id)
  assert.equal((await told('user'))[0]?.['name'], operator.email)

  for (const query of ['by=colour', 'days=0', 'days=93', 'days=x', 'by=']) {
    assertAnswer(await ada('GET', `/usage/calls?${query}`), { status: 422, error: 'invalid_input' })
  }
  await addPerson(doors, 'eve@example.com')
  const eve = callAs(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  assertAnswer(await eve('GET', '/usage/calls'), { status: 403, error: 'forbidden' })
})
