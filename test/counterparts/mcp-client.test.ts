// Proves the MCP servers and clients against each other: eras, sessions, tokens, scopes, progress.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { InsufficientScopeError } from '@modelcontextprotocol/client'

import { createCookieBrowser } from './cookie-browser.ts'
import { startForeignAuthorizationServer } from './foreign-authorization-server.ts'
import {
  connectMcpClient,
  createOAuthMcpClient,
  type Era,
  type OAuthMcpClientOptions,
} from './mcp-client.ts'
import {
  startHeaderMcpServer,
  startOpenMcpServer,
  startProtectedMcpServer,
  type ProtectedMcpServerOptions,
} from './protected-mcp-server.ts'

const legacyVersion = '2025-11-25'
const modernVersion = '2026-07-28'

async function startPair(t: TestContext, options: Partial<ProtectedMcpServerOptions> = {}) {
  const foreign = await startForeignAuthorizationServer()
  t.after(foreign.stop)
  const { issuer, introspect } = foreign
  const server = await startProtectedMcpServer({ issuer, introspect, ...options })
  t.after(server.stop)
  return { foreign, server }
}

async function signIn(t: TestContext, url: string, options: Partial<OAuthMcpClientOptions> = {}) {
  const authorize = async (authorizeUrl: string) => {
    const stopAt = ({ pathname }: URL) => pathname === '/callback'
    return (await createCookieBrowser(undefined, { stopAt }).open(authorizeUrl)).url
  }
  const signedIn = await createOAuthMcpClient({ url, authorize, ...options })
  t.after(() => signedIn.client.close())
  return signedIn
}

const say = async (client: Awaited<ReturnType<typeof connectMcpClient>>, name: string, args = {}) =>
  (await client.callTool({ name, arguments: args })).content

for (const era of ['legacy', 'modern', 'auto'] as const satisfies readonly Era[]) {
  test(`an open server is called in the ${era} era`, async (t) => {
    const server = await startOpenMcpServer()
    t.after(server.stop)
    const client = await connectMcpClient({ url: server.url, era })
    t.after(() => client.close())

    const expected = era === 'legacy' ? legacyVersion : modernVersion
    assert.equal(client.getNegotiatedProtocolVersion(), expected)
    const { tools } = await client.listTools()
    assert.deepEqual(tools.map(({ name }) => name).sort(), [
      'echo',
      'slow_count',
      'whoami_upstream',
    ])
    assert.deepEqual(await say(client, 'echo', { text: 'hi' }), [{ type: 'text', text: 'hi' }])
    assert.equal(
      server.calls().some(({ tool, status }) => tool === 'echo' && status === 200),
      true,
    )
  })
}

test('a server that keeps sessions gives an id, wants it back and lets it end', async (t) => {
  const server = await startOpenMcpServer({ keepsSessions: true })
  t.after(server.stop)
  const client = await connectMcpClient({ url: server.url, era: 'legacy' })
  await say(client, 'echo', { text: 'hi' })
  await client.close()

  const call = server.calls().find(({ tool }) => tool === 'echo')
  assert.match(call?.headers['mcp-session-id'] ?? '', /^[0-9a-f-]{36}$/)
  const modern = await connectMcpClient({ url: server.url, era: 'modern' })
  t.after(() => modern.close())
  assert.deepEqual(await say(modern, 'echo', { text: 'yo' }), [{ type: 'text', text: 'yo' }])
})

for (const era of ['legacy', 'modern'] as const) {
  test(`progress arrives while a tool runs, in the ${era} era`, async (t) => {
    const server = await startOpenMcpServer()
    t.after(server.stop)
    const client = await connectMcpClient({ url: server.url, era })
    t.after(() => client.close())
    const seen: number[] = []

    await client.callTool(
      { name: 'slow_count', arguments: { to: 3, everyMs: 1 } },
      { onprogress: ({ progress }) => void seen.push(progress) },
    )

    assert.deepEqual(seen, [1, 2, 3])
  })
}

test('a client finds, registers, signs in and is known to the protected server', async (t) => {
  const { foreign, server } = await startPair(t, { scopes: ['mcp:read'] })

  const signedIn = await signIn(t, server.url)

  assert.deepEqual(await say(signedIn.client, 'whoami_upstream'), [{ type: 'text', text: 'alice' }])
  assert.equal(foreign.registrations(), 1)
  assert.equal(foreign.tokenRequests()[0]?.resource, server.resource)
  const asked = new URL(signedIn.authorizeUrls()[0]!).searchParams
  assert.equal(asked.get('scope'), 'mcp:read offline_access')
  const token = signedIn.tokens()?.access_token ?? ''
  const second = await connectMcpClient({ url: server.url, token })
  t.after(() => second.close())
  assert.deepEqual(await say(second, 'whoami_upstream'), [{ type: 'text', text: 'alice' }])
})

test('a token for another server, an expired one and none are challenged', async (t) => {
  const { foreign, server } = await startPair(t)
  const { issuer, introspect } = foreign
  const other = await startProtectedMcpServer({ issuer, introspect })
  t.after(other.stop)
  const signedIn = await signIn(t, server.url)
  const bearer = { authorization: `Bearer ${signedIn.tokens()?.access_token}` }
  const ask = (url: string, headers = {}) => fetch(url, { method: 'POST', headers, body: '{}' })

  const wrongAudience = await ask(other.url, bearer)
  foreign.expireAccessTokens()
  const expired = await ask(server.url, bearer)
  const none = await ask(server.url)

  for (const answer of [wrongAudience, expired, none]) assert.equal(answer.status, 401)
  const metadata = server.url.replace('/mcp', '/.well-known/oauth-protected-resource/mcp')
  assert.ok(none.headers.get('www-authenticate')?.includes(`resource_metadata="${metadata}"`))
})

test('a tool that needs more than the token has asks for the scope', async (t) => {
  const options = { scopes: ['mcp:read'], stepUpScope: 'mcp:write' }
  const { server } = await startPair(t, options)
  const signedIn = await signIn(t, server.url, { scope: 'mcp:read' })
  const token = signedIn.tokens()?.access_token ?? ''
  const client = await connectMcpClient({ url: server.url, token })
  t.after(() => client.close())

  await assert.rejects(
    say(client, 'write_note'),
    (error) => error instanceof InsufficientScopeError,
  )
  const refused = server.calls().find(({ tool }) => tool === 'write_note')
  assert.equal(refused?.status, 403)
})

test('a server with a fixed header lets in whoever sends it', async (t) => {
  const server = await startHeaderMcpServer({ headerName: 'x-api-key', value: 'a key' })
  t.after(server.stop)
  const headers = { 'x-api-key': 'a key' }
  const client = await connectMcpClient({ url: server.url, headers })
  t.after(() => client.close())
  assert.deepEqual(await say(client, 'echo', { text: 'hi' }), [{ type: 'text', text: 'hi' }])
  await assert.rejects(connectMcpClient({ url: server.url, headers: { 'x-api-key': 'a kez' } }))
})
