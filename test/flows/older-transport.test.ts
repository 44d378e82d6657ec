// A real MCP server of the older HTTP+SSE transport behind the gateway: clients of both eras use it as they use any other,
// with each of the ways in which a server is shown who calls.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import type { RunningMcpServer } from '../counterparts/mcp-server.ts'
import {
  startHeaderMcpServer,
  startOpenMcpServer,
  startProtectedMcpServer,
} from '../counterparts/protected-mcp-server.ts'
import { restAs, secretMarker, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInClient } from './signed-in-client.ts'

async function startUpstream(t: TestContext) {
  const foreign = await startForeignAuthorizationServer()
  const { issuer, introspect } = foreign
  const server = await startProtectedMcpServer({ issuer, introspect, isOlder: true })
  t.after(async () => {
    await server.stop()
    await foreign.stop()
  })
  return { foreign, server }
}

for (const era of ['legacy', 'auto'] as const) {
  onEveryDatabase(
    `a ${era} client calls a tool of an older server behind a foreign sign-in`,
    async (t, store) => {
      verifies(t, 'S1-13', 'S4-10')
      const { foreign, server } = await startUpstream(t)
      const { origin, alsoSecret } = await startTestPlatform(t, store)
      const browser = await signIn(origin)
      const rest = restAs(browser, origin)
      const { body: added } = await rest('POST', '/servers', { url: server.url, slug: 'notes' })
      assert.equal(added.auth, 'oauth')
      // It asks everybody for a token first, so how it speaks is not known yet.
      assert.equal(added.transport, undefined)
      const { body: connection } = await rest('POST', '/connections', { serverId: added.id })
      const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
      await browser.open(begun.authorizeUrl)

      const { client } = await signInClient({ origin, url: `${origin}/notes/mcp`, era, browser })
      const { tools } = await client.listTools()
      assert.deepEqual(
        tools.map(({ name }) => name),
        ['echo', 'whoami_upstream', 'count'],
      )
      const who = await client.callTool({ name: 'whoami_upstream', arguments: {} })
      assert.match(JSON.stringify(who), /alice/)
      const counted: number[] = []
      await client.callTool(
        { name: 'count', arguments: { to: 3 } },
        { onprogress: ({ progress }) => counted.push(progress) },
      )
      assert.deepEqual(counted, [1, 2, 3])
      await client.ping()

      const known = await rest('GET', `/servers/${added.id}`)
      assert.equal(known.body.transport, 'sse')
      // One POST to the address of the stream found it out; no call was done twice.
      const inVain = server.calls().filter(({ path, status }) => path === '/mcp' && status === 404)
      assert.equal(inVain.length, 1)
      assert.deepEqual(toolsCalled(server), ['whoami_upstream', 'count'])
      assert.ok(!JSON.stringify(server.calls()).includes(secretMarker))

      foreign.expireAccessTokens()
      const said = await client.callTool({ name: 'echo', arguments: { text: 'still here' } })
      assert.match(JSON.stringify(said), /still here/)
      const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
      assert.equal(refreshes.length, 1)

      foreign.expireAccessTokens()
      foreign.revokeEverything()
      const gone = client.callTool({ name: 'echo', arguments: { text: 'gone' } })
      await assert.rejects(gone, /\/connect\/con_/)
      assert.deepEqual(toolsCalled(server), ['whoami_upstream', 'count', 'echo'])
      await client.close()
      alsoSecret(foreign.tokensIssued())
    },
  )
}

const bearer = 'token-of-the-server-01'
const ways = {
  'no credential': { start: { headerName: undefined, value: '' }, input: {} },
  'a fixed bearer token': {
    start: { headerName: 'authorization', value: `Bearer ${bearer}` },
    input: { auth: 'headers', headers: { Authorization: `Bearer ${bearer}` } },
  },
  'HTTP Basic': {
    start: { headerName: 'authorization', value: 'Basic YWRhOnRva2VuLW9mLXRoZS1zZXJ2ZXI=' },
    input: {
      auth: 'headers',
      headers: { Authorization: 'Basic YWRhOnRva2VuLW9mLXRoZS1zZXJ2ZXI=' },
    },
  },
  'an API key': {
    start: { headerName: 'x-api-key', value: 'key-of-the-server-01' },
    input: { auth: 'headers', headers: { 'X-API-Key': 'key-of-the-server-01' } },
  },
  'a header of its own': {
    start: { headerName: 'x-own-secret', value: 'secret-of-the-server-01' },
    input: { auth: 'headers', headers: { 'X-Own-Secret': 'secret-of-the-server-01' } },
  },
} as const

onEveryDatabase(
  'a server of either transport is reached with each kind of credential that needs no sign-in',
  async (t, store) => {
    verifies(t, 'S1-13')
    const { origin, alsoSecret } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    for (const isOlder of [false, true]) {
      for (const [index, [name, { start, input }]] of Object.entries(ways).entries()) {
        const { headerName, value } = start
        const server =
          headerName === undefined
            ? await startOpenMcpServer({ isOlder })
            : await startHeaderMcpServer({ headerName, value, isOlder })
        t.after(server.stop)
        const slug = `s${index}-${isOlder ? 'older' : 'newer'}`
        const transport = isOlder ? 'sse' : 'streamable_http'
        const { body: added } = await rest('POST', '/servers', { url: server.url, slug, ...input })
        // Where nobody has to show anything, it is known at once.
        if (headerName === undefined) {
          assert.equal(added.auth, 'none')
          assert.equal(added.transport, transport)
        }

        const { client } = await signInClient({ origin, url: `${origin}/${slug}/mcp`, browser })
        const said = await client.callTool({ name: 'echo', arguments: { text: slug } })

        assert.match(JSON.stringify(said), new RegExp(slug), name)
        assert.deepEqual(toolsCalled(server), ['echo'])
        const after = await rest('GET', `/servers/${added.id}`)
        assert.equal(after.body.transport, transport, name)
        await client.close()
        if (value !== '') alsoSecret([value.replace(/^\w+ /, '')])
      }
    }
  },
)

onEveryDatabase(
  'another address is another server: how it speaks is found out anew',
  async (t, store) => {
    verifies(t, 'S1-13')
    const header = { headerName: 'x-api-key', value: 'key-of-the-server-01' }
    const older = await startHeaderMcpServer({ ...header, isOlder: true })
    const newer = await startHeaderMcpServer(header)
    t.after(() => Promise.all([older.stop(), newer.stop()]))
    const { origin, alsoSecret } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const headers = { 'X-API-Key': header.value }
    const asked = { url: older.url, slug: 'notes', auth: 'headers', headers }
    const { body: added } = await rest('POST', '/servers', asked)
    const at = `/servers/${added.id}`
    const tested = await rest('POST', `${at}/test`)
    assert.equal(tested.body.toolCount, 3)
    assert.equal((await rest('GET', at)).body.transport, 'sse')
    const renamed = await rest('PATCH', at, { name: 'Notes' })
    assert.equal(renamed.body.transport, 'sse')

    const moved = await rest('PATCH', at, { url: newer.url, headers })

    assert.equal(moved.body.transport, undefined)
    const { client } = await signInClient({ origin, url: `${origin}/notes/mcp`, browser })
    await client.callTool({ name: 'echo', arguments: { text: 'moved' } })
    assert.equal((await rest('GET', at)).body.transport, 'streamable_http')
    await client.close()
    alsoSecret([header.value])
  },
)

function toolsCalled(server: RunningMcpServer): readonly string[] {
  return server
    .calls()
    .flatMap(({ tool, status }) => (status < 300 && tool !== undefined ? [tool] : []))
}
