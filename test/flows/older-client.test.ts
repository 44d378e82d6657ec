// Clients of the revisions with sessions at a server that has none, end to end: the SDK's first version as the client, its
// second, which refuses sessions, as the server.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { startLibraryServer } from '../counterparts/library-server.ts'
import { addPerson } from '../http/doors.ts'
import { operator, restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { until } from '../until.ts'
import type { Store } from '../../src/store/database.ts'
import { signInClient } from './signed-in-client.ts'

async function start(t: TestContext, store: Store) {
  const library = await startLibraryServer({ sdk: 2, isModernOnly: true })
  t.after(() => library.stop())
  const { origin, platform } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const added = await rest('POST', '/servers', { url: library.url, slug: 'library', auth: 'none' })
  const url = new URL(`${origin}/library/mcp`)
  const tokenOf = async (who: typeof browser) => {
    const { client, tokens } = await signInClient({
      origin,
      url: url.href,
      era: 'modern',
      browser: who,
    })
    await client.close()
    return tokens()?.access_token ?? ''
  }
  const open = async (token: string) => {
    const client = new Client({ name: 'latchkey-tests', version: '1.0.0' })
    const requestInit = { headers: { authorization: `Bearer ${token}` } }
    const transport = new StreamableHTTPClientTransport(url, { requestInit })
    await client.connect(transport)
    t.after(() => client.close())
    return { client, transport }
  }
  return { library, origin, platform, rest, browser, url, tokenOf, open, serverId: added.body.id }
}

onEveryDatabase('an older client has all of a server without sessions', async (t, store) => {
  verifies(t, 'S4-9', 'S4-19', 'C29')
  const { library, open, tokenOf, browser } = await start(t, store)
  const { client, transport } = await open(await tokenOf(browser))
  assert.deepEqual(client.getServerVersion(), { name: 'library', version: '2.0.0' })
  assert.ok(transport.sessionId)

  const { tools } = await client.listTools()
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['find', 'lend', 'shelf.count', 'fail', 'wait', 'reserve', 'ask'],
  )
  const found = await client.callTool({ name: 'find', arguments: { title: 'dune' } })
  assert.deepEqual(found.content, [
    { type: 'text', text: 'found dune' },
    { type: 'resource_link', uri: 'book://title/dune', name: 'dune' },
  ])
  const failed = await client.callTool({ name: 'fail', arguments: {} })
  assert.equal(failed.isError, true)
  // It knows nothing of header fields that repeat an argument.
  const kept = await client.callTool({ name: 'reserve', arguments: { title: 'Émile' } })
  assert.match(JSON.stringify(kept), /kept Émile/)
  await assert.rejects(client.callTool({ name: 'ask', arguments: {} }))
  await assert.rejects(client.callTool({ name: 'none', arguments: {} }), /none/)

  assert.equal((await client.listPrompts()).prompts[0]?.name, 'greet')
  const greeting = await client.getPrompt({ name: 'greet', arguments: { name: 'Ada' } })
  assert.match(JSON.stringify(greeting.messages), /Greet Ada/)
  assert.equal((await client.listResources()).resources[0]?.uri, 'book://shelf')
  const { resourceTemplates } = await client.listResourceTemplates()
  const [{ uriTemplate }] = resourceTemplates as [(typeof resourceTemplates)[0]] // there is one
  assert.equal(uriTemplate, 'book://title/{title}')
  const read = await client.readResource({ uri: 'book://title/emma' })
  assert.deepEqual(read.contents, [{ uri: 'book://title/emma', text: 'text of book://title/emma' }])
  const completed = await client.complete({
    ref: { type: 'ref/resource', uri: uriTemplate },
    argument: { name: 'title', value: 'd' },
  })
  assert.deepEqual(completed.completion.values, ['dune'])
  assert.ok(!library.heard().some((one) => one.startsWith('notifications')))
})

onEveryDatabase('it hears of progress, and cancelling reaches the server', async (t, store) => {
  verifies(t, 'S4-9')
  const { library, open, tokenOf, browser } = await start(t, store)
  const { client } = await open(await tokenOf(browser))
  const steps: number[] = []
  const cancel = new AbortController()
  const onprogress = ({ progress }: { progress: number }) => {
    steps.push(progress)
    if (progress === 2) cancel.abort()
  }
  const options = { signal: cancel.signal, onprogress }
  await assert.rejects(client.callTool({ name: 'wait', arguments: {} }, undefined, options))
  assert.deepEqual(steps, [1, 2])
  await until(() => library.cancelled() > 0)
})

onEveryDatabase('its session is its own, and policy holds in it', async (t, store) => {
  verifies(t, 'A4-14', 'S4-9', 'P-64')
  const { origin, platform, rest, open, tokenOf, browser, url, serverId } = await start(t, store)
  const token = await tokenOf(browser)
  const { client, transport } = await open(token)
  await addPerson({ platform, store }, 'bob@example.com')
  const bob = await tokenOf(await signIn(origin, { ...operator, email: 'bob@example.com' }))
  const list = async (who: string, sessionId: string | undefined) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${who}`,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        ...(sessionId === undefined ? {} : { 'mcp-session-id': sessionId }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    })
    await response.body?.cancel()
    return response.status
  }
  assert.equal(await list(token, transport.sessionId), 200)
  assert.equal(await list(bob, transport.sessionId), 404)
  assert.equal(await list(token, `${transport.sessionId}x`), 404)

  const toolPolicy = { deny: ['lend'], readOnly: true }
  const changed = await rest('PATCH', `/servers/${serverId}`, { toolPolicy })
  assert.equal(changed.status, 200)
  const { tools } = await client.listTools()
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['find', 'fail'],
  )
  await assert.rejects(client.callTool({ name: 'lend', arguments: { title: 'dune' } }))
  await assert.rejects(client.callTool({ name: 'wait', arguments: {} }))
})
