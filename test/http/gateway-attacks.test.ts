// Attacks that worked on other gateways and proxies, against ours with a real server behind it: none reaches the server as
// somebody else, and none gets an answer that was another's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { signInClient } from '../flows/signed-in-client.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { rows } from '../described-answers.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { addPerson, openDoors } from './doors.ts'

const accept = 'application/json, text/event-stream'
const versions = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'] as const

async function start(t: TestContext, settings: Readonly<Record<string, unknown>> = {}) {
  const doors = await openDoors(t)
  const { origin } = doors
  const server = await startOpenMcpServer()
  t.after(() => server.stop())
  const browser = await signIn(origin)
  const ada = restAs(browser, origin)
  const added = await ada('POST', '/servers', {
    url: server.url,
    slug: 'notes',
    auth: 'none',
    ...settings,
  })
  assert.equal(added.status, 201, JSON.stringify(added.body))
  const tokenAt = async (path: string, who = browser) => {
    const url = origin + path
    const { client, tokens } = await signInClient({ origin, url, browser: who })
    await client.close()
    return tokens()?.access_token ?? ''
  }
  const eveBrowser = async () => {
    await addPerson(doors, 'eve@example.com')
    return signIn(origin, { ...operator, email: 'eve@example.com' })
  }
  const post = (
    path: string,
    authorization: string | undefined,
    message: unknown,
    more: Fields = {},
  ) =>
    fetch(origin + path, {
      method: 'POST',
      headers: {
        accept,
        'content-type': 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
        ...more,
      },
      body: JSON.stringify(message),
    })
  return {
    doors,
    origin,
    server,
    ada,
    serverId: added.body.id as string,
    tokenAt,
    eveBrowser,
    post,
  }
}

type Fields = Readonly<Record<string, string>>

const echo = (text: string, id: number | string = 1, name = 'echo') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: { text } },
})

/** What an answer says, alone or as the one event of a stream. */
async function saidIn(
  answer: Response,
): Promise<{ id?: unknown; error?: unknown; result?: unknown }> {
  const text = await answer.text()
  return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text) as object
}

test('answers to the same id never change places, whoever asks at once [P-63]', async (t) => {
  verifies(t, ...rowsIn(t.name), 'A4-2')
  const { tokenAt, eveBrowser, post } = await start(t)
  const eve = await eveBrowser()
  const doors = [
    ['/notes/mcp', 'echo'],
    ['/mcp', 'mcp__notes__echo'],
  ] as const
  for (const [path, tool] of doors) {
    const tokens = [await tokenAt(path), await tokenAt(path, eve)]
    const asked = Array.from({ length: 200 }, async (_, index) => {
      const marker = `marker ${index} of ${path}`
      const id = index % 4
      const answer = await post(path, `Bearer ${tokens[index % 2]}`, echo(marker, id, tool))
      const said = await saidIn(answer)
      assert.equal(said.id, id)
      assert.match(JSON.stringify(said.result), new RegExp(`${marker}"`))
    })
    await Promise.all(asked)
  }
})

test('a token of the provider behind is none of ours, and never gets there [P-30]', async (t) => {
  verifies(t, ...rowsIn(t.name), 'X-17')
  const { foreign, server } = await startUpstream(t, {})
  const { origin, ada, doors, post } = await start(t, {})
  await ada('POST', '/servers', { url: server.url, slug: 'theirs' })
  const { body } = await ada('GET', '/servers')
  const { id: serverId } = body.items.find(({ slug }: { slug: string }) => slug === 'theirs')
  const { body: connection } = await ada('POST', '/connections', { serverId })
  const { body: begun } = await ada('POST', `/connections/${connection.id}/authorize`, {})
  const browser = await signIn(origin)
  await browser.open(begun.authorizeUrl)
  const issued = foreign.tokensIssued()
  doors.alsoSecret(issued)
  assert.ok(issued.length > 0)
  const before = server.calls().length
  for (const token of issued) {
    for (const path of ['/theirs/mcp', '/mcp']) {
      const answer = await post(path, `Bearer ${token}`, echo('x'))
      await answer.body?.cancel()
      assert.equal(answer.status, 401)
    }
  }
  assert.equal(server.calls().length, before)
})

test('what only we may say is not heard from outside, in whichever spelling [P-83] [P-88] [P-28]', async (t) => {
  verifies(t, ...rowsIn(t.name), 'X-29')
  const { tokenAt, post, server, origin } = await start(t, { identityHeaders: true })
  const names = [
    'x-latchkey-user-id',
    'x-latchkey-user-email',
    'X_Latchkey_User_Id',
    'x-forwarded-user',
    'X_Forwarded_User',
    'x-forwarded-host',
    'x-forwarded-uri',
    'x-original-url',
    'x-rewrite-url',
    'x-tenant-id',
    'x-user',
    'x-internal-user',
    'x-api-key',
    'mcp-init-host',
    'cookie',
    'proxy-authorization',
    'x-amzn-oidc-identity',
  ]
  const forged = Object.fromEntries(names.map((name) => [name, 'forged@evil.test']))
  const token = await tokenAt('/notes/mcp')
  const good = await post('/notes/mcp', `Bearer ${token}`, echo('hi'), forged)
  await good.body?.cancel()
  assert.equal(good.status, 200)
  const seen = JSON.stringify(server.calls().at(-1)?.headers)
  assert.ok(!seen.includes('forged'), seen)
  assert.ok(!seen.includes(token), 'nor our own token')
  assert.match(seen, new RegExp(operator.email))
  const before = server.calls().length
  for (const path of [
    '/notes/mcp',
    '/mcp',
    '/notes/mcp?x=%23',
    '/notes/mcp%23/healthz',
    '/notes/mcp;/healthz',
  ]) {
    for (const authorization of [undefined, 'Bearer forged']) {
      const answer = await post(path, authorization, echo('hi'), forged)
      await answer.body?.cancel()
      assert.ok([401, 404].includes(answer.status), `${path}: ${answer.status}`)
    }
  }
  assert.equal(server.calls().length, before)
  const health = await fetch(`${origin}/notes/mcp`, { headers: { 'user-agent': 'GoogleHC/1.0' } })
  assert.equal(health.status, 401)
})

test('a server that is not for somebody is not for them by any verb, era or door [P-82]', async (t) => {
  verifies(t, ...rowsIn(t.name), 'A4-6')
  const { ada, serverId, tokenAt, eveBrowser, post, server, origin } = await start(t)
  const eve = await eveBrowser()
  const [own, all] = [await tokenAt('/mcp', eve), await tokenAt('/mcp')]
  const token = await tokenAt('/notes/mcp', eve)
  const closed = await ada('PATCH', `/servers/${serverId}`, { mayUse: ['admin'] })
  assert.equal(closed.status, 200)
  const calls = server.calls().length
  const listed = await saidIn(
    await post('/mcp', `Bearer ${own}`, { ...echo(''), method: 'tools/list', params: {} }),
  )
  assert.ok(!JSON.stringify(listed).includes('notes'))
  const hidden = await saidIn(await post('/mcp', `Bearer ${own}`, echo('x', 1, 'mcp__notes__echo')))
  const none = await saidIn(await post('/mcp', `Bearer ${own}`, echo('x', 1, 'mcp__never__echo')))
  assert.deepEqual(
    JSON.stringify(hidden.error).replaceAll('notes', 'never'),
    JSON.stringify(none.error),
    'it is the same as one that is not there',
  )
  assert.equal(server.calls().length, calls)
  assert.match(
    JSON.stringify(
      await saidIn(await post('/mcp', `Bearer ${all}`, echo('x', 1, 'mcp__notes__echo'))),
    ),
    /"x"/,
  )

  const here = server.calls().length
  for (const method of ['GET', 'POST', 'DELETE']) {
    for (const version of versions) {
      const answer = await fetch(`${origin}/notes/mcp`, {
        method,
        headers: {
          accept,
          'content-type': 'application/json',
          authorization: `Bearer ${token}`,
          'mcp-protocol-version': version,
        },
        ...(method === 'POST' ? { body: JSON.stringify(echo('x')) } : {}),
      })
      await answer.body?.cancel()
      assert.equal(answer.status, 403, `${method} ${version}`)
    }
  }
  assert.equal(server.calls().length, here)
})

test('what a scope does not open stays shut in every protocol version [P-86]', async (t) => {
  verifies(t, ...rowsIn(t.name), 'A4-9')
  const { ada, tokenAt, post, server, serverId } = await start(t)
  await ada('POST', '/scopes', { name: 'notes:read', words: 'Read notes' })
  await ada('POST', '/scopes', { name: 'notes:write', words: 'Write notes' })
  const token = await tokenAt('/notes/mcp')
  const toolScopes = [
    { scope: 'notes:read', tools: ['read_*'] },
    { scope: 'notes:write', tools: ['*'] },
  ]
  assert.equal((await ada('PATCH', `/servers/${serverId}`, { toolScopes })).status, 200)
  const before = server.calls().length
  for (const version of [...versions, '2024-11-05', undefined]) {
    const said = version === undefined ? {} : { 'mcp-protocol-version': version }
    const modern =
      version === '2026-07-28' ? { 'mcp-method': 'tools/call', 'mcp-name': 'echo' } : {}
    const answer = await post('/notes/mcp', `Bearer ${token}`, echo('x'), { ...said, ...modern })
    await answer.body?.cancel()
    assert.equal(answer.status, 403, `${version}`)
  }
  assert.equal(server.calls().length, before)
})

test('a page of another origin reaches no door of MCP, by any verb [P-61] [P-62]', async (t) => {
  verifies(t, ...rowsIn(t.name))
  const { tokenAt, origin, server } = await start(t)
  const before = server.calls().length
  for (const path of ['/notes/mcp', '/mcp']) {
    const authorization = `Bearer ${await tokenAt(path)}`
    const reached = server.calls().length
    for (const method of ['GET', 'POST', 'DELETE']) {
      for (const foreign of [
        'https://evil.test',
        'null',
        `${origin}.evil.test`,
        origin.replace('http:', 'https:'),
      ]) {
        const answer = await fetch(origin + path, {
          method,
          headers: { accept, authorization, 'content-type': 'application/json', origin: foreign },
          ...(method === 'POST' ? { body: JSON.stringify(echo('x')) } : {}),
        })
        await answer.body?.cancel()
        assert.equal(answer.status, 403, `${method} ${path} of ${foreign}`)
        assert.equal(answer.headers.get('access-control-allow-origin'), null)
      }
    }
    assert.equal(server.calls().length, reached)
  }
  assert.ok(server.calls().length >= before)
})

const odd = [
  'Bearer',
  'Bearer ',
  'Bearer  x',
  'bearer',
  'Bearer x y',
  'Bearer "x"',
  'Bearer x, Bearer y',
  'Basic',
  'Basic !!!',
  `Basic ${Buffer.from(':').toString('base64')}`,
  'DPoP',
  'DPoP x',
  'Digest username="x"',
  ',',
  '=',
  `Bearer ${'x'.repeat(8000)}`,
  'Bearer mcp_at_',
  'Bearer lk_',
  'Bearer \u00e9',
]

test('a header that nobody would write is refused at every door, and never breaks one [P-112] [P-85]', async (t) => {
  verifies(t, ...rowsIn(t.name))
  const { origin, server } = await start(t)
  const reached = server.calls().length
  const gateway = ['GET', 'POST', 'DELETE'].map((method) => ({
    method,
    path: '/notes/mcp',
    guard: 'bearer',
  }))
  for (const { method, path, guard } of [...rows, ...gateway]) {
    await t.test(`${method} ${path}`, async () => {
      for (const authorization of odd) {
        const answer = await fetch(origin + path.replaceAll(/\{\w+\}/g, 'x'), {
          method,
          redirect: 'manual',
          headers: { authorization, 'content-type': 'application/json' },
          ...(method === 'GET' ? {} : { body: '{}' }),
        })
        await answer.body?.cancel()
        assert.ok(answer.status < 500, `${authorization.slice(0, 40)}: ${answer.status}`)
        // Whoever cannot be told apart from nobody is nobody.
        const isOpenTo =
          guard === 'bearer' || guard === 'api' || guard === 'admin' || guard === 'operator'
        if (isOpenTo)
          assert.ok(answer.status >= 400, `${authorization.slice(0, 40)}: ${answer.status}`)
      }
    })
  }
  assert.equal(server.calls().length, reached)
})
