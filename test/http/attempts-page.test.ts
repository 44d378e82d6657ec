// "Why did it fail?" on pages: the recent attempts, and one of them step by step with what to do.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { addPerson, assertAnswer, openDoors, openDoorsOn } from './doors.ts'
import { authorizePath, obtainTokens, redeem, register } from './oauth-client.ts'

onEveryDatabase('an administrator reads why an attempt failed and what to do', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const at = '/console/attempts'
  const empty = await doors.ask({ path: at, browser })
  assertAnswer(empty, { status: 200, says: /No program has tried to connect yet/ })

  const client = await register(doors, { client_name: '<i>Notebook</i>' })
  const wrong = { redirect_uri: 'https://app.test/cb/' }
  await doors.ask({ path: authorizePath(client, wrong) })
  const list = await doors.ask({ path: at, browser })
  assert.match(list.text, /&lt;i&gt;Notebook&lt;\/i&gt;/)
  assert.ok(!list.text.includes('<i>Notebook'))
  assert.match(list.text, /<span class="pill attention">Failed<\/span>/)
  assert.match(list.text, /at an address that it has not registered/)

  const [, id = ''] = /href="\/console\/attempts\/(att_\w+)"/.exec(list.text) ?? []
  const one = await doors.ask({ path: `${at}/${id}`, browser })
  assertAnswer(one, { status: 200, says: /What to do:/ })
  const registered = one.text.indexOf('Client registered')
  const refused = one.text.indexOf('Request to be let in refused')
  assert.ok(registered > 0 && registered < refused, 'in the order in which it happened')
  assert.match(one.text, /Add the redirect URI that the client uses to its registration/)
  assert.match(one.text, /<code>redirect_uri_not_registered<\/code>/)

  // The journal leads to the attempt, and the attempt back to the journal.
  assert.ok(one.text.includes(`href="/console/journal?thing=${id}"`))
  const found = await doors.ask({ path: `/console/journal?thing=${id}`, browser })
  assert.ok(found.text.includes(`href="/console/attempts/${id}"`))
})

test('an attempt that nobody knows is not there, and attempts are for administrators', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  assertAnswer(await doors.ask({ path: '/console/attempts/att_none', browser }), { status: 404 })
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  for (const path of ['/console/attempts', '/console/attempts/att_none']) {
    assertAnswer(await doors.ask({ path, browser: eve }), { status: 403 })
  }
})

test('attempts come in pages, and nothing secret is on them', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  for (let count = 0; count < 21; count += 1) {
    const ofItsOwn = {
      origin: doors.origin,
      ask: (request: Parameters<typeof doors.ask>[0]) =>
        doors.ask({ ...request, headers: { ...request.headers, 'user-agent': `agent-${count}` } }),
    }
    await register(ofItsOwn, { client_name: `Program ${count}` })
  }
  const first = await doors.ask({ path: '/console/attempts', browser })
  const [, next = ''] = /href="(\/console\/attempts\?cursor=[^"]+)"/.exec(first.text) ?? []
  const second = await doors.ask({ path: next, browser })
  assertAnswer(second, { status: 200, says: /Program 0</ })
  assert.doesNotMatch(first.text, /Program 0</)

  const client = await register(doors, { client_name: 'Let in' })
  const { accessToken, refreshToken } = await obtainTokens(doors, browser, client)
  await redeem(doors, client, 'auth_wrong')
  const { text } = await doors.ask({ path: '/console/attempts', browser })
  const shown = Array.from(text.matchAll(/href="\/console\/attempts\/(att_\w+)"/g))
  assert.equal(shown.length, 20)
  for (const [, id = ''] of shown) {
    const page = await doors.ask({ path: `/console/attempts/${id}`, browser })
    assert.ok(![accessToken, refreshToken].some((secret) => page.text.includes(secret)))
  }
})
