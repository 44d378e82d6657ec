// MCP clients that people really use, at our own endpoint and through the gateway: the SDK's in both eras, mcp-remote as
// desktop programs start it, and the Inspector's command line with a token in hand.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { runInspectorCli, runMcpRemote } from '../counterparts/command-clients.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { createOAuthMcpClient, connectMcpClient } from '../counterparts/mcp-client.ts'
import { startHeaderMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { openDoors } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { obtainTokens, register } from '../http/oauth-client.ts'
import { verifies } from '../requirements.ts'

const upstreamKey = 'a key that only the gateway knows'

/** A platform with one server behind it that wants a fixed header. */
async function start(t: TestContext) {
  const doors = await openDoors(t)
  doors.alsoSecret([upstreamKey])
  const server = await startHeaderMcpServer({ headerName: 'x-api-key', value: upstreamKey })
  t.after(server.stop)
  const browser = await signIn(doors.origin)
  const added = await doors.ask({
    path: '/api/v1/servers',
    browser,
    json: { url: server.url, slug: 'notes', name: 'Notes', headers: { 'x-api-key': upstreamKey } },
    headers: { origin: doors.origin },
  })
  assert.equal(added.status, 201, added.text)
  return { doors, server, browser }
}

/** A person at a browser who signs in, agrees, and is left at the callback of the program. */
async function signInAt(authorizeUrl: string): Promise<string> {
  const browser = createCookieBrowser()
  await browser.open(authorizeUrl)
  await browser.submit({ fields: operator })
  const { url } = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  return url
}

const echo = { name: 'echo', arguments: { text: 'hello' } }
const whoami = { name: 'whoami', arguments: {} }
const endpoints = [
  { path: '/mcp', call: whoami, says: operator.email },
  { path: '/notes/mcp', call: echo, says: 'hello' },
] as const

for (const { path, call, says } of endpoints) {
  for (const era of ['legacy', 'modern'] as const) {
    test(`the SDK’s client signs in at ${path} in the ${era} era`, async (t) => {
      verifies(t, 'S3-30', 'A3-7', 'A3-13')
      const { doors } = await start(t)
      const { client, tokens, authorizeUrls } = await createOAuthMcpClient({
        url: doors.origin + path,
        era,
        authorize: async (url) => {
          const browser = createCookieBrowser(undefined, {
            stopAt: (target) => target.origin !== doors.origin,
          })
          await browser.open(url)
          await browser.submit({ fields: operator })
          return (await browser.submit({ button: { name: 'decision', value: 'approve' } })).url
        },
      })
      t.after(() => client.close())

      const { tools } = await client.listTools()
      assert.ok(tools.some(({ name }) => name === call.name))
      assert.ok(JSON.stringify(await client.callTool(call)).includes(says))
      assert.equal(
        new URL(authorizeUrls()[0] ?? '').searchParams.get('resource'),
        doors.origin + path,
      )
      assert.match(tokens()?.access_token ?? '', /^mcp_at_/)
    })
  }

  test(`mcp-remote signs in at ${path}, and once only`, async (t) => {
    verifies(t, 'A3-13')
    const { doors } = await start(t)
    const configDirectory = await mkdtemp(join(tmpdir(), 'latchkey-mcp-remote-'))
    t.after(() => rm(configDirectory, { recursive: true, force: true }))
    const authorize = async (url: string) => void (await signInAt(url))
    const run = { url: doors.origin + path, authorize, configDirectory }

    const first = await runMcpRemote(run)
    t.after(first.stop)
    assert.match(JSON.stringify(await first.request('tools/list')), new RegExp(`"${call.name}"`))
    assert.ok(JSON.stringify(await first.request('tools/call', call)).includes(says))
    assert.equal(first.authorizeUrls().length, 1)
    await first.stop()

    const second = await runMcpRemote(run)
    t.after(second.stop)
    assert.ok(JSON.stringify(await second.request('tools/call', call)).includes(says))
    assert.equal(second.authorizeUrls().length, 0)
  })

  test(`the Inspector calls a tool at ${path} with a token, and is told when it has none`, async (t) => {
    verifies(t, 'S3-30', 'S3-31')
    const { doors, browser } = await start(t)
    const token = await tokenFor(doors, browser, path)
    const args = [
      '--method',
      'tools/call',
      '--tool-name',
      call.name,
      '--tool-args-json',
      JSON.stringify(call.arguments),
    ]
    const headers = { authorization: `Bearer ${token}` }
    for (const era of ['legacy', 'modern'] as const) {
      const { exitCode, stdout, stderr } = await runInspectorCli({
        url: doors.origin + path,
        headers,
        args,
        era,
      })
      assert.equal(exitCode, 0, stderr)
      assert.ok(stdout.includes(says))
    }
    const refused = await runInspectorCli({
      url: doors.origin + path,
      args: ['--method', 'tools/list'],
    })
    assert.equal(refused.exitCode, 3, refused.stderr)
    assert.match(refused.stderr, /auth_required/)
  })
}

test('progress arrives through the gateway while a tool runs, in both eras', async (t) => {
  const { doors, browser } = await start(t)
  const token = await tokenFor(doors, browser, '/notes/mcp')
  for (const era of ['legacy', 'modern'] as const) {
    const client = await connectMcpClient({ url: `${doors.origin}/notes/mcp`, token, era })
    const seen: number[] = []
    const counting = { name: 'slow_count', arguments: { to: 3, everyMs: 1 } }
    await client.callTool(counting, { onprogress: ({ progress }) => void seen.push(progress) })
    assert.deepEqual(seen, [1, 2, 3])
    await client.close()
  }
})

test('neither side is shown the other’s secret [P-28]', async (t) => {
  verifies(t, 'S4-11', 'A4-3')
  const { doors, server, browser } = await start(t)
  const token = await tokenFor(doors, browser, '/notes/mcp')
  const client = await connectMcpClient({ url: `${doors.origin}/notes/mcp`, token })
  t.after(() => client.close())
  assert.ok(!JSON.stringify(await client.callTool(echo)).includes(upstreamKey))
  assert.ok(server.calls().length > 0)
  assert.ok(
    server.calls().every(({ headers, body }) => !(JSON.stringify(headers) + body).includes(token)),
  )
})

async function tokenFor(
  doors: Doors,
  browser: Awaited<ReturnType<typeof signIn>>,
  path: string,
): Promise<string> {
  const { accessToken } = await obtainTokens(doors, browser, await register(doors), {
    resource: doors.origin + path,
  })
  return accessToken
}
