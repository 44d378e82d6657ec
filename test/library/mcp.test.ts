// The MCP SDK's own client in the hands of an app: it calls servers with our live tokens, and its `auth()` begins sign-ins
// that end with us.
import assert from 'node:assert/strict'
import { auth, Client, InsufficientScopeError } from '@modelcontextprotocol/client'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { sql } from 'kysely'
import { createManualClock } from '../../src/base/clock.ts'
import { isFault } from '../../src/client.ts'
import type { McpTransport } from '../../src/client.ts'
import type { Store } from '../../src/store/database.ts'
import { startDpopMcpServer } from '../counterparts/dpop-mcp-server.ts'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import { startHeaderMcpServer, startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import type { McpCall } from '../counterparts/mcp-server.ts'
import { startWorkersMcpServer } from '../counterparts/workers-mcp-server.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { connect, startApp } from './app.ts'
import type { RunningApp } from './app.ts'

/** The one way in which this app calls any server; it was written when all had fixed headers. */
async function connectClient({ url, options }: McpTransport): Promise<Client> {
  const client = new Client({ name: 'chatty', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(url, options))
  return client
}

async function callEcho(client: Client, text: string): Promise<unknown> {
  return (await client.callTool({ name: 'echo', arguments: { text } })).content
}

async function clientOf(app: RunningApp, user: string, connectionId: string): Promise<Client> {
  return connectClient(await app.connectors.transportFor(user, connectionId))
}

onEveryDatabase('calls carry a live token, and a refused one is renewed once', async (t, store) => {
  verifies(t, 'S1-3', 'S2-11')
  const { foreign, server } = await startUpstream(t)
  const app = await startApp(t, store)
  const connectionId = await connect(app, 'ada', server.url)
  const client = await clientOf(app, 'ada', connectionId)
  t.after(() => client.close())
  assert.deepEqual(await callEcho(client, 'hello'), [{ type: 'text', text: 'hello' }])

  foreign.expireAccessTokens()
  const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => callEcho(client, text)))
  assert.deepEqual(answers[4], [{ type: 'text', text: 'e' }])
  const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  assert.deepEqual(
    refreshes.map(({ status }) => status),
    [200],
  )
  app.alsoSecret(foreign.tokensIssued())
})

onEveryDatabase(
  'a call that only the user can help says so, and so does the connection',
  async (t, store) => {
    verifies(t, 'S2-8')
    const { foreign, server } = await startUpstream(t)
    const app = await startApp(t, store)
    const connectionId = await connect(app, 'ada', server.url)
    const client = await clientOf(app, 'ada', connectionId)
    t.after(() => client.close())

    foreign.revokeEverything()
    await assert.rejects(callEcho(client, 'hello'), (error) => {
      assert.ok(isFault(error))
      assert.equal(error.code, 'refresh_token_rejected')
      return true
    })
    const [connection] = await app.connectors.connections('ada')
    assert.equal(connection?.status, 'reauth_required')
    assert.equal(connection.authorized, false)
    await assert.rejects(clientOf(app, 'ada', connectionId), { code: 'refresh_token_rejected' })

    await connect(app, 'ada', server.url)
    assert.deepEqual(await callEcho(await clientOf(app, 'ada', connectionId), 'again'), [
      { type: 'text', text: 'again' },
    ])
    app.alsoSecret(foreign.tokensIssued())
  },
)

onEveryDatabase(
  'a caller that was written for fixed headers goes on unchanged',
  async (t, store) => {
    verifies(t, 'S1-9', 'A2-12')
    const open = await startOpenMcpServer()
    const keyed = await startHeaderMcpServer({
      headerName: 'x-api-key',
      value: 'k-fedcba9876543210',
    })
    const { server } = await startUpstream(t)
    t.after(async () => {
      await open.stop()
      await keyed.stop()
    })
    const app = await startApp(t, store)
    const { connectors } = app
    const headers = { 'x-api-key': 'k-fedcba9876543210' }
    const added = await connectors.servers.add({ url: keyed.url, auth: 'headers', headers })
    for (const name of [open.url, added.id, server.url]) {
      const client = await clientOf(app, 'ada', await connect(app, 'ada', name))
      assert.deepEqual(await callEcho(client, name), [{ type: 'text', text: name }])
      await client.close()
    }
    const paths = keyed.calls().map(({ path }) => path)
    assert.deepEqual(new Set(paths), new Set(['/mcp']))
    assert.ok(keyed.calls().every((call) => call.headers['authorization'] === undefined))
    assert.ok(open.calls().every((call) => call.headers['authorization'] === undefined))
    app.alsoSecret([headers['x-api-key']])
  },
)

onEveryDatabase('a scope that a call lacks is asked for at the next sign-in', async (t, store) => {
  const scopes = ['mcp:read', 'mcp:write']
  const { server } = await startUpstream(
    t,
    { scopes },
    { stepUpScope: 'mcp:write', scopes: ['mcp:read'] },
  )
  const app = await startApp(t, store)
  const connectionId = await connect(app, 'ada', server.url)
  const client = await clientOf(app, 'ada', connectionId)
  const write = () => client.callTool({ name: 'write_note', arguments: { text: 'x' } })
  await assert.rejects(write(), (error) => {
    assert.ok(error instanceof InsufficientScopeError)
    assert.equal(error.requiredScope, 'mcp:write')
    return true
  })
  const begun = await app.connectors.begin('ada', server.url, { scopes: ['mcp:write'] })
  assert.ok('authorizeUrl' in begun)
  const browser = await app.browserOf('ada')
  browser.setStopAt((url) => url.origin !== app.origin)
  const asked = new URL((await browser.open(begun.authorizeUrl)).url).searchParams.get('scope')
  assert.deepEqual(asked?.split(' ').toSorted(), ['mcp:read', 'mcp:write', 'offline_access'])
  await client.close()
})

onEveryDatabase(
  'a call leads to no private address, and shows its token to no other server',
  async (t, store) => {
    const { foreign, server } = await startUpstream(t)
    const other = await startOpenMcpServer()
    t.after(() => other.stop())
    const app = await startApp(t, store)
    const connectionId = await connect(app, 'ada', server.url)
    const { options } = await app.connectors.transportFor('ada', connectionId)
    const { fetch: guarded, authProvider } = options
    assert.ok(guarded !== undefined && authProvider !== undefined && 'token' in authProvider)
    await authProvider.token()
    await guarded(server.url)
    await guarded(other.url)
    const shownAt = (calls: readonly McpCall[]) => calls.at(-1)?.headers['authorization']
    assert.match(shownAt(server.calls()) ?? '', /^Bearer /)
    assert.equal(shownAt(other.calls()), undefined)
    await assert.rejects(guarded('http://169.254.169.254/latest/meta-data/'), {
      code: 'discovery_blocked',
    })
    app.alsoSecret(foreign.tokensIssued())
  },
)

onEveryDatabase(
  'the auth() of the SDK begins a sign-in and hands its address over',
  async (t, store) => {
    verifies(t, 'S2-6', 'S2-7', 'S2-9', 'S2-10')
    const { foreign, server } = await startUpstream(t)
    const app = await startApp(t, store)
    const connectionId = await connect(app, 'ada', server.url)
    await app.connectors.revoke('ada', connectionId)

    const provider = await app.connectors.signInProvider('ada', connectionId)
    assert.equal(await provider.tokens(), undefined)
    assert.equal(provider.authorizeUrl(), undefined)
    const refuse = async (): Promise<Response> => assert.fail('the SDK asked somebody by itself')
    const options = { serverUrl: server.url, fetchFn: refuse }
    assert.equal(await auth(provider, options), 'REDIRECT')
    const url = provider.authorizeUrl() ?? ''
    assert.ok(url.startsWith(`${app.origin}/connect/${connectionId}?flow=`))
    const { redirectUrl, clientMetadata } = provider
    assert.deepEqual(clientMetadata, {
      client_name: 'Chatty',
      client_uri: app.origin,
      redirect_uris: [String(redirectUrl)],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    })

    const page = await (await app.browserOf('ada')).open(url)
    assert.match(page.html, /Connected/)
    const tokens = await provider.tokens()
    assert.ok(tokens !== undefined)
    assert.equal(tokens.refresh_token, undefined)
    assert.equal((await foreign.introspect(tokens.access_token)).active, true)
    const transport = new StreamableHTTPClientTransport(new URL(server.url), {
      authProvider: provider,
    })
    const client = new Client({ name: 'chatty', version: '1.0.0' })
    await client.connect(transport)
    assert.deepEqual(await callEcho(client, 'hi'), [{ type: 'text', text: 'hi' }])
    await client.close()
    assert.equal(foreign.registrations(), 1)
    app.alsoSecret(foreign.tokensIssued())
  },
)

onEveryDatabase(
  'what the SDK says is no good any more is forgotten, and nothing else',
  async (t, store) => {
    verifies(t, 'S2-13')
    const { server } = await startUpstream(t)
    const app = await startApp(t, store)
    const everything = { client: 1, tokens: 1, verifier: 1, discovery: 1 }
    const cases = [
      { scope: 'client', left: { ...everything, client: 0 } },
      { scope: 'tokens', left: { ...everything, tokens: 0 } },
      { scope: 'verifier', left: { ...everything, verifier: 0 } },
      { scope: 'discovery', left: { ...everything, discovery: 0 } },
      { scope: 'all', left: { client: 0, tokens: 0, verifier: 0, discovery: 0 } },
    ] as const
    const other = await connect(app, 'eve', server.url)
    for (const { scope, left } of cases) {
      const connectionId = await connect(app, 'ada', server.url)
      await app.connectors.begin('ada', server.url, { again: true })
      await app.connectors.begin('eve', server.url, { again: true })
      assert.deepEqual(await countsOf(store, connectionId), everything, 'everything is there')
      const provider = await app.connectors.signInProvider('ada', connectionId)
      await provider.invalidateCredentials?.(scope)
      assert.deepEqual(await countsOf(store, connectionId), left, scope)
      const others = await countsOf(store, other)
      assert.equal(others.tokens, 1)
      assert.equal(others.verifier, 1)
      assert.equal((await provider.tokens()) === undefined, left.tokens === 0)
    }
  },
)

/** Whether something is kept of each kind that the SDK names, for a connection and its server. */
async function countsOf(store: Store, connectionId: string) {
  const count = async (query: ReturnType<typeof sql<{ count: number }>>) =>
    Math.min(1, Number((await query.execute(store.db)).rows[0]?.count))
  return {
    client: await count(sql`select count(*) as count from registrations`),
    tokens: await count(sql`
      select count(*) as count from credentials
      where connection_id = ${connectionId} and access_token_sealed <> ''`),
    verifier: await count(sql`
      select count(*) as count from flows
      where connection_id = ${connectionId} and status = 'pending'`),
    discovery: await count(sql`select count(*) as count from discoveries`),
  }
}

onEveryDatabase('a token that ends soon is renewed before the call', async (t, store) => {
  verifies(t, 'S1-5')
  const { foreign, server } = await startUpstream(t)
  const clock = createManualClock(Date.now())
  const app = await startApp(t, store, { clock })
  const client = await clientOf(app, 'ada', await connect(app, 'ada', server.url))
  await clock.advance(56 * 60_000)
  await Promise.all(['a', 'b', 'c'].map((text) => callEcho(client, text)))
  await client.close()
  const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  assert.equal(refreshes.length, 1)
  assert.ok(server.calls().every(({ status }) => status !== 401 || refreshes.length === 1))
})

onEveryDatabase(
  'a server behind Cloudflare’s provider is called, and refreshed once',
  async (t, store) => {
    const server = await startWorkersMcpServer()
    t.after(() => server.stop())
    const clock = createManualClock(Date.now())
    const app = await startApp(t, store, { clock })
    const connectionId = await connect(app, 'ada', server.url)
    const client = await clientOf(app, 'ada', connectionId)
    assert.deepEqual(await callEcho(client, 'hello'), [{ type: 'text', text: 'hello' }])

    await clock.advance(56 * 60_000)
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => callEcho(client, text)))
    await clock.advance(56 * 60_000)
    await callEcho(client, 'later')
    await client.close()
    assert.deepEqual(server.tokenRequests(), [
      'authorization_code',
      'refresh_token',
      'refresh_token',
    ])
    await app.connectors.revoke('ada', connectionId)
    app.alsoSecret(server.tokensIssued())
  },
)

for (const proofs of ['taken', 'nonce'] as const) {
  onEveryDatabase(
    `a token that is bound to a key goes with its proof (${proofs})`,
    async (t, store) => {
      const foreign = await startForeignAuthorizationServer({ proofs })
      const { issuer, introspect } = foreign
      const mcp = await startDpopMcpServer({ issuer, introspect, wantsNonce: proofs === 'nonce' })
      t.after(async () => {
        await mcp.stop()
        await foreign.stop()
      })
      const app = await startApp(t, store)
      const client = await clientOf(app, 'ada', await connect(app, 'ada', mcp.url))
      mcp.changeNonce()
      assert.deepEqual(await callEcho(client, 'hello'), [{ type: 'text', text: 'hello' }])
      foreign.expireAccessTokens()
      assert.deepEqual(await callEcho(client, 'again'), [{ type: 'text', text: 'again' }])
      await client.close()
      assert.equal(new Set(mcp.keys()).size, 1)
      app.alsoSecret(foreign.tokensIssued())
    },
  )
}
