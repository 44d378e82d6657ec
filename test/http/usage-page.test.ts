// The page of usage: calls by day, server, person, client and tool, in charts that have names and beside their numbers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

const dayMs = 86_400_000

onEveryDatabase('an administrator sees how a tenant is used, day by day', async (t, store) => {
  verifies(t, 'S3-39', 'S3-48')
  // At noon, so that the calls of this test are of one day.
  const clock = createManualClock(20_000.5 * dayMs)
  const doors = await openDoorsOn(t, store, { clock })
  const browser = await signIn(doors.origin)
  const upstream = await startOpenMcpServer()
  t.after(upstream.stop)
  const server = { url: upstream.url, slug: 'notes', name: '<s>Notes</s>', auth: 'none' }
  assertAnswer(await callAs(doors, browser)('POST', '/servers', server), { status: 201 })
  const client = await register(doors, { client_name: '<u>Notebook</u>' })
  const resource = `${doors.origin}/notes/mcp`
  const { accessToken } = await obtainTokens(doors, browser, client, { resource })
  for (const name of ['whoami', 'whoami', 'other']) {
    await doors.ask({
      path: '/notes/mcp',
      headers: {
        authorization: `Bearer ${accessToken}`,
        accept: 'application/json, text/event-stream',
      },
      json: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } },
    })
  }
  const shown = async (query = '') =>
    (await doors.ask({ path: `/console/usage${query}`, browser })).text
  let text = await shown('?days=7')
  // Calls are counted a moment after their answer.
  for (let turn = 0; turn < 200 && !text.includes('2024-10-04: 3 calls'); turn += 1) {
    await clock.advance(50)
    text = await shown('?days=7')
  }

  assert.match(text, /<g role="img" aria-label="2024-10-04: 3 calls[^"]*">/)
  assert.match(text, /<g role="img" aria-label="2024-09-28: 0 calls">/)
  assert.doesNotMatch(text, /2024-09-27/)
  assert.match(text, /<th scope="row">2024-10-04<\/th>\s*<td>3<\/td>/)
  for (const heading of ['Servers', 'People', 'Clients', 'Tools', 'Tokens and clients']) {
    assert.match(text, new RegExp(`<h2>${heading}</h2>`))
  }
  assert.match(text, /aria-label="1 call"/)
  assert.match(text, /&lt;u&gt;Notebook/)
  assert.match(text, /&lt;s&gt;Notes/)
  assert.ok(!text.includes('<u>') && !text.includes('<s>'))
  assert.match(text, new RegExp(`kind=call&amp;thing=${client.id}`))
  assert.doesNotMatch(text, /style=/)
  assert.match(await shown('?by=tool'), /<bdi>whoami<\/bdi>/)
  assert.doesNotMatch(await shown('?by=tool'), /<h2>Clients<\/h2>/)

  // The seventh day still has it, the eighth does not. By then a session of the first is over.
  for (const [days, words] of [
    [6, /2024-10-04: 3 calls/],
    [1, /Nothing was called in this time/],
  ] as const) {
    await clock.advance(days * dayMs)
    const later = await signIn(doors.origin)
    const { text } = await doors.ask({ path: '/console/usage?days=7', browser: later })
    assert.match(text, words)
  }
})

test('usage is told of days that can be chosen, to administrators', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  for (const query of ['days=2', 'days=', 'by=colour']) {
    const answer = await doors.ask({ path: `/console/usage?${query}`, browser })
    assertAnswer(answer, { status: 422 })
  }
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  assertAnswer(await doors.ask({ path: '/console/usage', browser: eve }), { status: 403 })
})

test('a client with more than a hundred failures is in trouble, one with a hundred is not', async (t) => {
  verifies(t, 'S3-39')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const client = await register(doors, { client_name: 'Stumbler' })
  const { db } = doors.store
  const tenant = await db.selectFrom('tenants').select('id').executeTakeFirstOrThrow()
  const day = Math.floor(Date.now() / dayMs)
  const counted = {
    tenant_id: tenant.id,
    day,
    client_id: client.id,
    expires_at: (day + 40) * dayMs,
  }
  const failure = { ...counted, type: 'token.refused', error: 'invalid_grant' }
  await db
    .insertInto('refusal_counts')
    .values({ ...failure, count: 100 })
    .execute()
  const before = await doors.ask({ path: '/console/usage', browser })
  assert.match(before.text, /<code>invalid_grant<\/code><\/td>\s*<td>100<\/td>/)
  assert.doesNotMatch(before.text, /Clients in trouble/)
  await db.updateTable('refusal_counts').set({ count: 101 }).execute()
  const after = await doors.ask({ path: '/console/usage', browser })
  assert.match(after.text, /Clients in trouble[\s\S]*<bdi>Stumbler<\/bdi>/)
})
