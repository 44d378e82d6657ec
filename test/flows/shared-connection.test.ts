// An administrator's connection that everybody uses: a person's client calls through it without a sign-in of their own,
// learns nothing about whose it is, and the journal knows both.
import assert from 'node:assert/strict'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { addPerson, openDoorsOn } from '../http/doors.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInClient } from './signed-in-client.ts'

onEveryDatabase('everybody calls through a connection that is shared', async (t, store) => {
  verifies(t, 'S4-11', 'S4-36')
  const { foreign, server } = await startUpstream(t)
  const doors = await openDoorsOn(t, store)
  const { origin, alsoSecret } = doors
  const eveId = await addPerson(doors, 'eve@example.com')
  const browser = await signIn(origin)
  const ada = restAs(browser, origin)
  const eves = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const eve = restAs(eves, origin)
  const { body: added } = await ada('POST', '/servers', { url: server.url, slug: 'notes' })
  const { body: connection } = await ada('POST', '/connections', { serverId: added.id })
  const { body: begun } = await ada('POST', `/connections/${connection.id}/authorize`, {})
  await browser.open(begun.authorizeUrl)
  const path = `/connections/${connection.id}`

  assert.equal((await eve('PATCH', path, { shared: true })).status, 404)
  assert.equal((await ada('PATCH', path, { shared: 'yes' })).status, 422)
  const shared = await ada('PATCH', path, { shared: true })
  assert.deepEqual([shared.status, shared.body.shared], [200, true])

  const { client } = await signInClient({ origin, url: `${origin}/notes/mcp`, browser: eves })
  const who = await client.callTool({ name: 'whoami_upstream', arguments: {} })
  assert.match(JSON.stringify(who), /alice/)
  assert.deepEqual((await eve('GET', '/connections')).body.items, [])
  eves.setStopAt(() => false)
  const console = await eves.open(`${origin}/console/connections`)
  assert.match(console.html, /Shared by an administrator/)
  assert.ok(!console.html.includes(connection.id))

  const stream = await fetch(`${origin}/api/v1/events?cursor=0`, {
    headers: {
      cookie: eves
        .cookies()
        .map(({ name, value }) => `${name}=${value}`)
        .join('; '),
    },
  })
  const told = await textUntil(stream, 'whoami_upstream')
  const calls = await ada('GET', '/journal?type=call.completed')
  const call = calls.body.items.find(
    ({ data }: { data: { tool?: string } }) => data.tool === 'whoami_upstream',
  )
  const adaId = (await ada('GET', '/journal?type=connection.shared')).body.items[0].userId
  assert.deepEqual(
    [call.userId, call.data.connection, call.data.connectionOwner],
    [eveId, connection.id, adaId],
  )
  assert.ok(!told.includes(adaId) && !told.includes(connection.id), told)

  await browser.open(`${origin}/console/connections`)
  const stopped = await browser.submit({ button: 'Stop sharing' })
  assert.match(stopped.html, /Share with everybody/)
  const ended = client.callTool({ name: 'whoami_upstream', arguments: {} })
  await assert.rejects(ended, /Connect your account/)
  await client.close()
  alsoSecret(foreign.tokensIssued())
})

/** What a stream says up to the end of the event with this word. */
async function textUntil({ body }: Response, word: string): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.includes(word) && text.endsWith('\n\n')) break
  }
  return text
}
