// A memory server behind Latchkey, end to end: what a person ticked is what the program can do, and what one person
// stores is nobody else's. The server is told who calls by a token of ours that is made for it alone.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import type { OAuthMcpClient } from '../counterparts/mcp-client.ts'
import { startMemoryServer } from '../counterparts/memory-server.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { addPerson, openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { authorizePath, register } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const readTools = ['get_daily_costs', 'get_memory', 'get_memory_stats', 'recall_memories']
const writeTools = ['delete_memory', 'store_memory', 'update_memory', 'update_missing_embeddings']
const toolScopes = [
  { scope: 'memories:read', tools: ['recall_memories', 'get_*'] },
  { scope: 'memories:write', tools: ['store_memory', 'update_*', 'delete_memory'] },
]

interface ToolAnswer {
  readonly isError?: boolean
  readonly content: readonly { readonly text: string }[]
}

/** A platform with the memory server behind it, and a browser of its administrator. */
async function start(t: TestContext, doors: Doors) {
  const { origin, alsoSecret } = doors
  const known: { readonly id: string; readonly secret: string }[] = []
  const server = await startMemoryServer({ issuer: origin, credentials: () => known[0] })
  t.after(() => server.stop())
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const made = await rest('POST', '/clients', {
    name: 'Memory server',
    redirectUris: [],
    authMethod: 'client_secret_basic',
    grantTypes: ['client_credentials'],
    resource: server.url,
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id, clientSecret: secret } = made.body
  known.push({ id, secret })
  alsoSecret([secret])
  const added = await rest('POST', '/servers', {
    url: server.url,
    slug: 'memories',
    name: 'Memories',
    issuer: origin,
    toolScopes,
  })
  assert.equal(added.status, 201, JSON.stringify(added.body))
  assert.equal(added.body.auth, 'oauth')
  return { server, browser, serverId: added.body.id as string } // REST calls an id a text
}

/** Connects a person to the memory server: it signs them in here, at its own authorization server. */
async function connect({ origin }: Doors, browser: CookieBrowser, serverId: string): Promise<void> {
  const rest = restAs(browser, origin)
  const { body: connection } = await rest('POST', '/connections', { serverId })
  const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
  browser.setStopAt(() => false)
  const asked = await browser.open(begun.authorizeUrl)
  assert.match(asked.html, /Memories/)
  const landed = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  assert.match(landed.html, /Connected/)
}

/** A program that a person lets in for these scopes. */
function letIn({ origin }: Doors, browser: CookieBrowser, scope?: string): Promise<OAuthMcpClient> {
  return createOAuthMcpClient({
    url: `${origin}/memories/mcp`,
    authorize: async (url) => {
      browser.setStopAt((target) => target.origin !== origin)
      await browser.open(url)
      const back = await browser.submit({
        button: { name: 'decision', value: 'approve' },
        ...(scope === undefined ? {} : { fields: { scope } }),
      })
      return back.url
    },
  })
}

interface Used {
  readonly isError: boolean
  // Tools say many shapes; what a test finds there it asserts.
  readonly said: any // oxlint-disable-line typescript/no-explicit-any
}

async function use(
  { client }: OAuthMcpClient,
  name: string,
  given: Record<string, unknown> = {},
): Promise<Used> {
  const answer = (await client.callTool({ name, arguments: given })) as ToolAnswer
  const { isError = false, content } = answer
  const text = content[0]?.text ?? ''
  return { isError, said: isError ? text : JSON.parse(text) }
}

onEveryDatabase(
  'a program that may only read is offered no writing, and gets none',
  async (t, store) => {
    verifies(t, 'S3-30', 'S3-32', 'S3-33', 'A3-8', 'A3-4')
    const doors = await openDoorsOn(t, store)
    const { server, browser, serverId } = await start(t, doors)
    await connect(doors, browser, serverId)

    const writer = await letIn(doors, browser)
    const all = (await writer.client.listTools()).tools.map(({ name }) => name)
    assert.deepEqual(all.sort(), [...readTools, ...writeTools].sort())
    const { said: stored } = await use(writer, 'store_memory', { text: 'the key is under the mat' })
    assert.deepEqual((await use(writer, 'update_missing_embeddings')).said, { updated: 0 })

    const reader = await letIn(doors, browser, 'memories:read')
    assert.equal(reader.tokens()?.scope, 'memories:read')
    const offered = (await reader.client.listTools()).tools.map(({ name }) => name)
    assert.deepEqual(offered.sort(), readTools)
    assert.deepEqual((await use(reader, 'recall_memories', { query: 'key' })).said, [stored.id])
    assert.equal((await use(reader, 'get_memory', stored)).said.text, 'the key is under the mat')
    assert.deepEqual((await use(reader, 'get_daily_costs')).said, { costs: [] })

    const token = reader.tokens()?.access_token ?? ''
    for (const name of [...writeTools, 'drop_everything']) {
      const refused = await post(doors, token, 'tools/call', { name, arguments: stored })
      assert.equal(refused.status, 403, name)
      const challenge = refused.headers.get('www-authenticate') ?? ''
      if (name === 'drop_everything') continue
      assert.match(challenge, /error="insufficient_scope"/)
      assert.match(challenge, /scope="memories:write"/)
    }
    assert.equal((await use(writer, 'get_memory', stored)).isError, false, 'it is still there')
    const listed = await post(doors, token, 'tools/list', {})
    assert.equal(listed.status, 200)

    // The server never saw a token that a program holds.
    const held = [reader, writer].map((one) => one.tokens()?.access_token ?? '')
    assert.ok(server.tokens().length > 0 && held.every((one) => !server.tokens().includes(one)))
    await Promise.all([reader.client.close(), writer.client.close()])
  },
)

function post({ ask }: Doors, token: string, method: string, params: unknown) {
  return ask({
    path: '/memories/mcp',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
    },
    json: { jsonrpc: '2.0', id: 1, method, params },
  })
}

onEveryDatabase('what one person stores is nobody else’s', async (t, store) => {
  verifies(t, 'S3-32', 'A3-9')
  const doors = await openDoorsOn(t, store)
  const { browser: ada, serverId } = await start(t, doors)
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  await connect(doors, ada, serverId)
  await connect(doors, eve, serverId)
  const [hers, others] = [await letIn(doors, ada), await letIn(doors, eve)]

  const { said: stored } = await use(hers, 'store_memory', { text: 'ada likes tea' })
  for (const name of ['get_memory', 'update_memory', 'delete_memory']) {
    const given = name === 'update_memory' ? { ...stored, text: 'coffee' } : stored
    const answer = await use(others, name, given)
    assert.deepEqual(answer, { isError: true, said: 'There is no such memory.' }, name)
  }
  assert.deepEqual((await use(others, 'recall_memories', { query: '' })).said, [])
  assert.deepEqual((await use(others, 'get_memory_stats')).said, { memories: 0 })
  await use(others, 'store_memory', { text: 'eve likes coffee' })
  assert.deepEqual((await use(hers, 'get_memory_stats')).said, { memories: 1 })
  assert.equal((await use(hers, 'get_memory', stored)).said.text, 'ada likes tea')
  await Promise.all([hers.client.close(), others.client.close()])
})

onEveryDatabase(
  'a server’s own URL is a resource only where an administrator named us as its issuer',
  async (t, store) => {
    const doors = await openDoorsOn(t, store)
    const { server, browser, serverId } = await start(t, doors)
    const rest = restAs(browser, doors.origin)
    await connect(doors, browser, serverId)
    const grants = async () => (await rest('GET', '/grants')).body.items.length
    assert.equal(await grants(), 1)
    const other = await letIn(doors, browser)
    assert.equal(await grants(), 2)
    await other.client.close()

    // It is called without us, so tokens for it end when somebody else may use it.
    await rest('PATCH', `/servers/${serverId}`, { mayUse: ['admin'] })
    assert.equal(await grants(), 1)

    // Tokens for it end with it.
    assert.equal((await rest('DELETE', `/servers/${serverId}`)).status, 204)
    assert.equal(await grants(), 0)
    const added = await rest('POST', '/servers', { url: server.url, slug: 'memories' })
    assert.equal(added.status, 201)
    const client = await register(doors)
    browser.setStopAt((url) => url.origin !== doors.origin)
    const asked = await browser.open(
      doors.origin + authorizePath(client, { resource: server.url, scope: 'mcp' }),
    )
    assert.equal(new URL(asked.url).searchParams.get('error'), 'invalid_target')
  },
)
