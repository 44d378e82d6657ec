// What one of many servers does, and what each person gets: servers that are down, slow or not connected, people's own
// accounts, policy, sessions, and what the journal keeps of it all.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { toolNameFor } from '../../src/connectors/tool-names.ts'
import { startLibraryServer } from '../counterparts/library-server.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { restAs, signIn, startTestPlatform } from '../harness.ts'
import type { RestAnswer } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInClient } from './signed-in-client.ts'

interface Block {
  readonly text?: string
}

interface CallEntry {
  readonly subject: { readonly id: string }
  readonly data: { readonly server: string; readonly tool: string; readonly status: number }
  readonly userId: string
}

type Rest = (method: string, path: string, body?: unknown) => Promise<RestAnswer>

async function startLibrary(t: TestContext) {
  const library = await startLibraryServer({ sdk: 2 })
  t.after(library.stop)
  return library
}

/** The journal's last calls, when there are so many. */
async function callsIn(rest: Rest, count: number, method?: string) {
  for (let turn = 0; turn < 200; turn += 1) {
    const { items } = (await rest('GET', '/journal?limit=200')).body
    const calls = items.filter(
      ({ type, data }: { type: string; data: { method: string } }) =>
        type.startsWith('call.') && (method ?? data.method) === data.method,
    )
    if (calls.length >= count) return calls
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return assert.fail('the calls did not reach the journal')
}

onEveryDatabase(
  'a server that is down, or where the person is not connected, hides none of the others',
  async (t, store) => {
    verifies(t, 'S4-9', 'S1-14')
    const library = await startLibrary(t)
    const { server } = await startUpstream(t)
    const down = createServer((_request, response) => response.writeHead(500).end('broken'))
    await new Promise<void>((resolve) => down.listen(0, '127.0.0.1', resolve))
    t.after(() => down.close())
    const { port } = down.address() as AddressInfo // it listens on TCP
    const { origin } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    await rest('POST', '/servers', { url: `http://127.0.0.1:${port}/mcp`, slug: 'a', auth: 'none' })
    await rest('POST', '/servers', { url: server.url, slug: 'notes', name: 'Notes' })
    await rest('POST', '/servers', { url: library.url, slug: 'z', auth: 'none' })
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, browser })
    t.after(() => client.close())

    const { tools, _meta: said } = await client.listTools()

    assert.ok(tools.some(({ name }) => name === 'mcp__z__find'))
    const missing = (said?.['latchkey/missing'] ?? []) as Record<string, string>[]
    const [first, second] = missing
    assert.deepEqual(first, { server: 'a', reason: 'server_unreachable' })
    assert.deepEqual([second?.['server'], second?.['reason']], ['notes', 'authorization_required'])
    assert.match(second?.['connectUrl'] ?? '', new RegExp(`^${origin}/connect/con_\\w+$`))
    await assert.rejects(
      client.callTool({ name: 'mcp__notes__echo', arguments: { text: 'x' } }),
      (error: Error & { data?: { connectUrl?: string } }) =>
        error.data?.connectUrl === second?.['connectUrl'],
    )
    const states = await client.callTool({ name: 'list_connections', arguments: {} })
    assert.deepEqual(states.structuredContent, {
      connections: [
        { server: 'a', name: '127.0.0.1', status: 'connected' },
        {
          server: 'notes',
          name: 'Notes',
          status: 'disconnected',
          connectUrl: second?.['connectUrl'],
        },
        { server: 'z', name: '127.0.0.1', status: 'connected' },
      ],
    })
    const connect = (slug: string) =>
      client.callTool({ name: 'connect', arguments: { server: slug } })
    assert.deepEqual((await connect('notes')).structuredContent, {
      server: 'notes',
      connectUrl: second?.['connectUrl'],
    })
    assert.equal((await connect('z')).isError, undefined)
    assert.equal((await connect('nothing')).isError, true)
    assert.equal((await client.callTool({ name: 'connect', arguments: {} })).isError, true)

    browser.setStopAt(() => false)
    await browser.open(second?.['connectUrl'] ?? '')
    await browser.submit({ button: 'Continue to sign in' })
    const again = await client.listTools()
    assert.ok(again.tools.some(({ name }) => name === 'mcp__notes__echo'))
  },
)

onEveryDatabase(
  'a call goes with the person’s own account, and once more after a token that died early',
  async (t, store) => {
    verifies(t, 'S2-11', 'S4-11', 'A4-3')
    const { foreign, server } = await startUpstream(t)
    const clock = createManualClock(Date.now())
    const { origin, alsoSecret } = await startTestPlatform(t, store, { clock })
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const { body: added } = await rest('POST', '/servers', { url: server.url, slug: 'notes' })
    const { body: connection } = await rest('POST', '/connections', { serverId: added.id })
    const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
    await browser.open(begun.authorizeUrl)
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, browser })
    t.after(() => client.close())
    const who = () => client.callTool({ name: 'mcp__notes__whoami_upstream', arguments: {} })
    assert.match(((await who()).content as Block[])[0]?.text ?? '', /alice/)

    foreign.expireAccessTokens()
    assert.match(((await who()).content as Block[])[0]?.text ?? '', /alice/)
    const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
    assert.equal(refreshes.length, 1)

    foreign.expireAccessTokens()
    foreign.revokeEverything()
    await assert.rejects(who(), /\/connect\/con_/)
    alsoSecret(foreign.tokensIssued())
  },
)

onEveryDatabase(
  'the policy of a server holds at both addresses, in lists and calls',
  async (t, store) => {
    verifies(t, 'S3-32')
    const library = await startLibrary(t)
    const { origin } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const { body: added } = await rest('POST', '/servers', {
      url: library.url,
      slug: 'books',
      auth: 'none',
    })
    const one = await signInClient({ origin, url: `${origin}/books/mcp`, browser })
    const all = await signInClient({ origin, url: `${origin}/mcp`, browser })
    t.after(() => Promise.all([one.client.close(), all.client.close()]))
    const path = `/servers/${added.id}`
    const offered = async () => {
      const own = (await one.client.listTools()).tools.map(({ name }) => name)
      const { tools } = await all.client.listTools()
      const names = tools.map(({ name }) => name).filter((name) => name.startsWith('mcp__'))
      assert.equal(names.length, own.length)
      return own
    }
    const opens = async (tool: string) => {
      const args = { title: 'dune' }
      const calls = [
        one.client.callTool({ name: tool, arguments: args }),
        all.client.callTool({ name: toolNameFor('books', tool), arguments: args }),
      ]
      const [here, there] = await Promise.all(
        calls.map((call) =>
          call.then(
            () => true,
            () => false,
          ),
        ),
      )
      assert.equal(here, there)
      return here
    }

    const readOnly = await rest('PATCH', path, { toolPolicy: { readOnly: true } })
    assert.deepEqual(readOnly.body.toolPolicy, { readOnly: true })
    assert.deepEqual(await offered(), ['find', 'fail'])
    // What says nothing of itself counts as writing.
    for (const [tool, isOpen] of Object.entries({
      find: true,
      lend: false,
      'shelf.count': false,
    })) {
      assert.equal(await opens(tool), isOpen, tool)
    }

    await rest('PATCH', path, { toolPolicy: { allow: ['f*', 'lend'], deny: ['fail'] } })
    assert.deepEqual(await offered(), ['find', 'lend'])
    assert.deepEqual(
      [await opens('lend'), await opens('fail'), await opens('wait')],
      [true, false, false],
    )

    assert.deepEqual((await rest('GET', path)).body.toolPolicy, {
      allow: ['f*', 'lend'],
      deny: ['fail'],
    })
    const lifted = await rest('PATCH', path, { toolPolicy: null })
    assert.equal(lifted.body.toolPolicy, undefined)
    assert.equal((await offered()).length, 7)
    for (const toolPolicy of [{ allow: ['a*b'] }, { deny: [''] }, { readOnly: 1 }, { other: [] }]) {
      assert.equal(
        (await rest('PATCH', path, { toolPolicy })).status,
        422,
        JSON.stringify(toolPolicy),
      )
    }
  },
)

onEveryDatabase('a read-only server that cannot be asked is closed', async (t, store) => {
  verifies(t, 'S3-32')
  const { origin } = await startTestPlatform(t, store)
  const seen: string[] = []
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
    request.on('end', () => response.writeHead(500).end('broken'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo // it listens on TCP
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  await rest('POST', '/servers', {
    url: `http://127.0.0.1:${port}/mcp`,
    slug: 'books',
    auth: 'none',
    toolPolicy: { readOnly: true },
  })
  const { client, tokens } = await signInClient({ origin, url: `${origin}/mcp`, browser })
  t.after(() => client.close())
  assert.ok(tokens() !== undefined)
  await assert.rejects(client.callTool({ name: 'mcp__books__find', arguments: {} }))
  assert.ok(!seen.some((body) => body.includes('tools/call')))
})

onEveryDatabase(
  'each call is in the journal under the server and tool that it was',
  async (t, store) => {
    verifies(t, 'S4-2', 'S4-3', 'S4-8', 'A4-2')
    const library = await startLibrary(t)
    const { origin } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const { body: added } = await rest('POST', '/servers', {
      url: library.url,
      slug: 'books',
      auth: 'none',
    })
    const me = await store.db.selectFrom('users').select('id').executeTakeFirstOrThrow()
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, era: 'modern', browser })
    t.after(() => client.close())
    await client.callTool({ name: 'mcp__books__find', arguments: { title: 'a private title' } })
    await client.callTool({ name: 'whoami', arguments: {} })

    // The client may have asked for the lists as well.
    const calls = await callsIn(rest, 2, 'tools/call')
    const facts = calls.map(({ subject, data, userId }: CallEntry) => [
      subject.id,
      data.server,
      data.tool,
      data.status,
      userId,
    ])
    assert.deepEqual(facts, [
      [added.id, 'books', 'find', 200, me.id],
      ['mcp', 'mcp', 'whoami', 200, me.id],
    ])
    assert.ok(!JSON.stringify(calls).includes('a private title'))
  },
)

onEveryDatabase('a session id is only good for whom it was given to', async (t, store) => {
  verifies(t, 'A4-14', 'A4-2')
  const { origin } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const { client, tokens } = await signInClient({ origin, url: `${origin}/mcp`, browser })
  t.after(() => client.close())
  const send = async (message: object, headers: Record<string, string> = {}) =>
    fetch(`${origin}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${tokens()?.access_token}`,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        ...headers,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
    })
  const hello = {
    method: 'initialize',
    params: {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'test', version: '1' },
    },
  }
  const begun = await send(hello)
  await begun.text()
  const id = begun.headers.get('mcp-session-id') ?? assert.fail('no session')
  const list = { method: 'tools/list' }
  const statusWith = async (given: string) => {
    const response = await send(list, { 'mcp-session-id': given })
    await response.text()
    return response.status
  }

  assert.equal(await statusWith(id), 200)
  const forged = [`${id}x`, id.slice(1), 'x', '.', 'a.b', '%00', 'a'.repeat(3000), `${id}.${id}`]
  for (const given of forged) assert.equal(await statusWith(given), 404, given.slice(0, 80))
  const who = await send({ method: 'tools/call', params: { name: 'whoami', arguments: {} } })
  assert.match(await who.text(), /ada@example\.com/)
  const users = await store.db.selectFrom('users').selectAll().execute()
  assert.equal(users.length, 1)
})
