// The page of what was done for a person: their own calls and sign-ins, by program and server, and nobody else's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

onEveryDatabase('a person sees who acted for them, where and when', async (t, store) => {
  verifies(t, 'S3-48', 'S4-36')
  const clock = createManualClock(Date.now())
  const doors = await openDoorsOn(t, store, { clock })
  const ada = await signIn(doors.origin)
  const upstream = await startOpenMcpServer()
  t.after(upstream.stop)
  for (const slug of ['notes', 'tasks']) {
    const server = { url: upstream.url, slug, name: `<s>${slug}</s>`, auth: 'none' }
    assertAnswer(await callAs(doors, ada)('POST', '/servers', server), { status: 201 })
  }
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })

  /** Lets a program call a tool for somebody. */
  const act = async (browser: CookieBrowser, name: string, slug: string) => {
    const client = await register(doors, { client_name: name })
    const resource = `${doors.origin}/${slug}/mcp`
    const { accessToken } = await obtainTokens(doors, browser, client, { resource })
    browser.setStopAt(() => false)
    await doors.ask({
      path: `/${slug}/mcp`,
      headers: {
        authorization: `Bearer ${accessToken}`,
        accept: 'application/json, text/event-stream',
      },
      json: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami' } },
    })
    return client
  }
  const notebook = await act(ada, '<u>Notebook</u>', 'notes')
  await act(ada, 'Planner', 'tasks')
  await act(eve, 'Evesdropper', 'notes')

  const shown = async (browser: CookieBrowser, query = '') =>
    (await doors.ask({ path: `/console/activity${query}`, browser })).text
  // Calls are written a moment after their answer.
  for (let turn = 0; turn < 200; turn += 1) {
    const texts = [await shown(ada, '?what=calls'), await shown(eve, '?what=calls')]
    if (texts.join('').split('Call answered').length === 1 + 3) break
    await clock.advance(50)
  }

  const own = await shown(ada)
  for (const words of [
    /<th scope="row">[\s\S]*&lt;u&gt;Notebook[\s\S]*<td class="text"><bdi>&lt;s&gt;notes/,
    /<strong>Call answered<\/strong> · <bdi>whoami<\/bdi> · <bdi>&lt;s&gt;tasks/,
    /<strong>Signed in<\/strong>/,
    /By <bdi>you<\/bdi>/,
    /By <bdi>Planner<\/bdi>/,
  ]) {
    assert.match(own, words)
  }
  assert.doesNotMatch(own, /Evesdropper|eve@|Server added|<u>|<s>/)
  const hers = await shown(eve)
  assert.match(hers, /Evesdropper/)
  assert.doesNotMatch(hers, /Notebook|Planner|ada@/)

  const [, link = ''] = /href="\/console\/activity(\?[^"]*client=[^"]*)"/.exec(own) ?? []
  const filtered = await shown(ada, link.replaceAll('&amp;', '&'))
  assert.equal(filtered.split('Call answered').length, 1 + 1)
  assert.match(filtered, /Show all programs/)
  assert.doesNotMatch(await shown(ada, '?what=access'), /Call answered/)
  // Another's program is nobody here, whatever the link says.
  assert.match(await shown(eve, `?client=${notebook.id}`), /Nothing like this was found/)
})

test('an administrator who did something to a person is not named to them', async (t) => {
  const doors = await openDoors(t)
  const ada = await signIn(doors.origin)
  const eve = await addPerson(doors, 'eve@example.com')
  const changed = await callAs(doors, ada)('PATCH', `/users/${eve}`, { role: 'admin' })
  assertAnswer(changed, { status: 200 })
  const browser = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  const { text } = await doors.ask({ path: '/console/activity', browser })
  assert.match(text, /Role of a person changed[\s\S]*By <bdi>an administrator<\/bdi>/)
  assert.doesNotMatch(text, /ada@example/)
})

test('a page of what is not there is refused, and nobody is led to sign in first', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  for (const query of ['what=weather', 'client=%00', 'cursor=x']) {
    const answer = await doors.ask({ path: `/console/activity?${query}`, browser })
    assertAnswer(answer, { status: 422 })
  }
  const path = '/console/activity?what=calls'
  const nobody = await doors.ask({ path, browser: createCookieBrowser() })
  assertAnswer(nobody, {
    status: 302,
    has: { location: `/sign-in?next=${encodeURIComponent(path)}` },
  })
})
