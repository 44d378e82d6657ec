// `latchkey protect` as somebody uses it who has an MCP server on this machine: a real process in front of a real server, a
// person who makes the first account, and a real client that signs in and calls a tool.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, restAs } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { place, runCommand, untilReady } from './command.ts'
import type { Run } from './command.ts'

const ready = 'What to do next:'

async function openServer(t: TestContext) {
  const server = await startOpenMcpServer()
  t.after(() => server.stop())
  return server
}

/** Makes the first account with the link that the command printed. */
async function makeAccount(run: Run) {
  const [link = ''] = /http\S+\/setup\?link=[\w-]+/.exec(run.said()) ?? []
  const browser = createCookieBrowser()
  await browser.open(link)
  await browser.submit({ fields: { ...operator } })
  return browser
}

async function stop(run: Run): Promise<void> {
  run.child.kill('SIGINT')
  assert.equal(await run.ended, 0)
}

test('one command puts sign-in in front of a server, and a client calls its tools', async (t) => {
  verifies(t, 'S1-87')
  const server = await openServer(t)
  const { origin, settings } = await place(t)
  const words = ['protect', server.url, '--name', 'Notes', '--slug', 'notes']
  const run = runCommand(words, settings)
  await untilReady(t, run, origin, ready)
  const url = `${origin}/notes/mcp`
  assert.match(run.said(), new RegExp(`Give clients this address:\n  ${url}\n`))
  assert.match(run.said(), new RegExp(`Calls may reach ${new URL(server.url).host}, because`))
  assert.equal(run.said().match(/^ {2}[1-5]\. /gm)?.length, 5)

  const stranger = await fetch(url, { method: 'POST', body: '{}' })
  assert.equal(stranger.status, 401)
  assert.match(stranger.headers.get('www-authenticate') ?? '', /resource_metadata=/)

  const browser = await makeAccount(run)
  const { client, tokens } = await createOAuthMcpClient({
    url,
    authorize: async (asked) => {
      browser.setStopAt((target) => target.origin !== origin)
      await browser.open(asked)
      return (await browser.submit({ button: { name: 'decision', value: 'approve' } })).url
    },
  })
  const said = await client.callTool({ name: 'echo', arguments: { text: 'hello' } })
  assert.deepEqual(said['content'], [{ type: 'text', text: 'hello' }])
  const call = server.calls().find(({ tool }) => tool === 'echo')
  assert.equal(call?.headers['authorization'], undefined)
  assert.ok(tokens()?.access_token.startsWith('mcp_at_'))
  await client.close()
  await stop(run)
})

test('the same address is the same server the next time, and what is said anew is changed', async (t) => {
  const server = await openServer(t)
  const { origin, settings } = await place(t)
  const first = runCommand(['protect', server.url, '--json'], settings)
  await untilReady(t, first, origin, '"isNew"')
  const made = JSON.parse(first.said())
  assert.deepEqual([made.isNew, made.upstreamUrl, made.publicUrl], [true, server.url, origin])
  assert.match(made.setupUrl, /\/setup\?link=/)
  await stop(first)

  const words = [
    'protect',
    server.url,
    '--json',
    '--name',
    'Other',
    '--scopes',
    'a:read=echo b:all=*',
  ]
  const second = runCommand(words, settings)
  await untilReady(t, second, origin, '"isNew"')
  const again = JSON.parse(second.said())
  assert.deepEqual(
    [again.isNew, again.id, again.slug, again.name],
    [false, made.id, made.slug, 'Other'],
  )
  const rest = restAs(await makeAccount({ ...second, said: () => again.setupUrl }), origin)
  const { body } = await rest('GET', '/servers')
  assert.equal(body.items.length, 1)
  assert.deepEqual(body.items[0].toolScopes, [
    { scope: 'a:read', tools: ['echo'] },
    { scope: 'b:all', tools: ['*'] },
  ])
  await stop(second)
})

test('naming a place on this machine opens that port and no other', async (t) => {
  const server = await openServer(t)
  const canary = createServer((_request, response) => response.end())
  let touched = 0
  canary.on('connection', () => (touched += 1))
  canary.listen(0, '127.0.0.1')
  await once(canary, 'listening')
  t.after(() => canary.close())
  const { port } = canary.address() as AddressInfo // a TCP listener has one
  const { origin, settings } = await place(t)
  const run = runCommand(['protect', server.url], settings)
  await untilReady(t, run, origin, ready)
  const rest = restAs(await makeAccount(run), origin)
  for (const url of [`http://127.0.0.1:${port}/mcp`, `http://localhost:${port}/mcp`]) {
    const { status, body } = await rest('POST', '/servers', { url })
    assert.ok(status >= 400, `${status} ${JSON.stringify(body)}`)
  }
  assert.equal(touched, 0)
  await stop(run)
})

test('a key for the server is read from where it is, and goes to the server only', async (t) => {
  const server = await openServer(t)
  const { origin, settings } = await place(t)
  const key = 'Bearer sk-LEAKmarkLEAK-upstream'
  const words = ['protect', server.url, '--slug', 'keyed', '--header', 'X-Api-Key: env:NOTES_KEY']
  const run = runCommand(words, { ...settings, NOTES_KEY: key })
  await untilReady(t, run, origin, ready)
  const browser = await makeAccount(run)
  const { client } = await createOAuthMcpClient({
    url: `${origin}/keyed/mcp`,
    authorize: async (asked) => {
      browser.setStopAt((target) => target.origin !== origin)
      await browser.open(asked)
      return (await browser.submit({ button: { name: 'decision', value: 'approve' } })).url
    },
  })
  await client.callTool({ name: 'echo', arguments: { text: 'hello' } })
  assert.equal(server.calls().at(-1)?.headers['x-api-key'], key)
  assert.ok(!run.output().includes(key))
  await client.close()
  await stop(run)
})

const refusals: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['no address', ['notes'], /no address of an MCP server/],
  ['a private network', ['http://10.0.0.1/mcp'], /LATCHKEY_ALLOW_PRIVATE_NETWORKS=/],
  ['a key in its words', ['http://localhost:1/mcp', '--header', 'X-Key: hunter2'], /says where/],
  ['an empty key', ['http://localhost:1/mcp', '--header', 'X-Key: env:NONE'], /NONE is empty/],
  ['scopes without tools', ['http://localhost:1/mcp', '--scopes', 'a b'], /--scopes is a list/],
  ['a word that is no path', ['http://localhost:1/mcp', '--slug', 'oauth'], /slug/],
]

for (const [what, words, because] of refusals) {
  test(`protect refuses ${what} in words, and leaves nothing running`, async (t) => {
    const { settings } = await place(t)
    const run = runCommand(['protect', ...words], settings)
    assert.equal(await run.ended, 1)
    assert.match(run.output(), because)
    assert.doesNotMatch(run.output(), /hunter2|\n\s+at /)
  })
}

test('a server that does not answer yet is said so, and protected all the same', async (t) => {
  const { origin, settings } = await place(t)
  const run = runCommand(['protect', 'http://127.0.0.1:1/mcp'], settings)
  await untilReady(t, run, origin, ready)
  assert.match(run.said(), /Nothing answers at http:\/\/127\.0\.0\.1:1\/mcp yet/)
  await stop(run)
})
