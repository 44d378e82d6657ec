// Job three, end to end: a client's call goes through the gateway to a server behind another authorization server, with
// the person's own token, in both protocol eras, and neither side sees the other's.
import assert from 'node:assert/strict'
import { createManualClock } from '../../src/base/clock.ts'
import { startHeaderMcpServer, startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { restAs, secretMarker, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInClient } from './signed-in-client.ts'

interface ToolAnswer {
  readonly isError?: boolean
  readonly content: readonly { readonly text: string }[]
}

for (const era of ['legacy', 'modern'] as const) {
  onEveryDatabase(`a ${era} client calls a tool behind a foreign sign-in`, async (t, store) => {
    verifies(t, 'S4-10', 'S4-11', 'A4-3', 'S1-68', 'C22')
    const { foreign, server } = await startUpstream(t)
    const { origin, alsoSecret } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    await rest('POST', '/servers', { url: server.url, slug: 'notes', name: 'Notes' })
    const url = `${origin}/notes/mcp`
    // Not connected yet: a clear error with the page that connects, not a dead end.
    const looking = era === 'legacy' ? 'legacy' : 'auto'
    const refusal = await signInClient({ origin, url, era: looking, browser }).then(
      () => 'connected without a sign-in',
      (error: Error) => error.message,
    )
    const connectUrl = /http\S+\/connect\/con_\w+/.exec(refusal)?.[0] ?? refusal

    browser.setStopAt(() => false)
    await browser.open(connectUrl)
    const landed = await browser.submit({ button: 'Continue to sign in' })
    assert.match(landed.html, /Connected/)

    const { client, tokens } = await signInClient({ origin, url, era, browser })
    const { tools } = await client.listTools()
    assert.ok(tools.some(({ name }) => name === 'echo'))
    const said = (await client.callTool({
      name: 'echo',
      arguments: { text: 'hello' },
    })) as ToolAnswer
    assert.match(said.content[0]?.text ?? '', /hello/)
    const who = (await client.callTool({ name: 'whoami_upstream', arguments: {} })) as ToolAnswer
    assert.match(who.content[0]?.text ?? '', /alice/)

    const counted: number[] = []
    await client.callTool(
      { name: 'slow_count', arguments: { to: 3, everyMs: 20 } },
      { onprogress: ({ progress }) => counted.push(progress) },
    )
    assert.deepEqual(counted, [1, 2, 3])

    // No token of ours ever reached the server, none of its own ever reached the client.
    assert.ok(!JSON.stringify(server.calls()).includes(secretMarker))
    assert.match(tokens()?.access_token ?? '', /^mcp_at_/)
    assert.match(tokens()?.refresh_token ?? '', /^mcp_rt_/)
    await client.close()
    alsoSecret(foreign.tokensIssued())
  })
}

onEveryDatabase(
  'a token that died early is refreshed once, and the call is done',
  async (t, store) => {
    verifies(t, 'S2-11', 'A2-7')
    const { foreign, server } = await startUpstream(t)
    const clock = createManualClock(Date.now())
    const { origin, alsoSecret } = await startTestPlatform(t, store, { clock })
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const { body: added } = await rest('POST', '/servers', { url: server.url, slug: 'notes' })
    const { body: connection } = await rest('POST', '/connections', { serverId: added.id })
    const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
    await browser.open(begun.authorizeUrl)
    const { client } = await signInClient({ origin, url: `${origin}/notes/mcp`, browser })
    await client.listTools()

    foreign.expireAccessTokens()
    const said = (await client.callTool({
      name: 'echo',
      arguments: { text: 'still here' },
    })) as ToolAnswer

    assert.match(said.content[0]?.text ?? '', /still here/)
    const refreshes = foreign.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
    assert.equal(refreshes.length, 1)

    foreign.expireAccessTokens()
    foreign.revokeEverything()
    await assert.rejects(
      client.callTool({ name: 'echo', arguments: { text: 'gone' } }),
      /\/connect\/con_/,
    )
    const after = await rest('GET', `/connections/${connection.id}`)
    assert.equal(after.body.status, 'reauth_required')
    await client.close()
    alsoSecret(foreign.tokensIssued())
  },
)

onEveryDatabase(
  'open servers and servers with a fixed key need no sign-in elsewhere',
  async (t, store) => {
    verifies(t, 'S1-2', 'A2-12')
    const open = await startOpenMcpServer()
    const keyed = await startHeaderMcpServer({
      headerName: 'x-api-key',
      value: 'key-of-the-server-01',
    })
    t.after(() => Promise.all([open.stop(), keyed.stop()]))
    const { origin, alsoSecret } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const { body: first } = await rest('POST', '/servers', { url: open.url, slug: 'open' })
    assert.equal(first.auth, 'none')
    const { body: second } = await rest('POST', '/servers', {
      url: keyed.url,
      slug: 'keyed',
      auth: 'headers',
      headers: { 'X-API-Key': 'key-of-the-server-01' },
    })
    assert.deepEqual(second.headerNames, ['X-API-Key'])
    assert.ok(!JSON.stringify(second).includes('key-of-the-server-01'))

    for (const slug of ['open', 'keyed']) {
      const { client } = await signInClient({ origin, url: `${origin}/${slug}/mcp`, browser })
      const said = (await client.callTool({
        name: 'echo',
        arguments: { text: slug },
      })) as ToolAnswer
      assert.match(said.content[0]?.text ?? '', new RegExp(slug))
      await client.close()
    }
    alsoSecret(['key-of-the-server-01'])
  },
)

onEveryDatabase(
  'Latchkey connects to itself through its own authorization server',
  async (t, store) => {
    verifies(t, 'S1-27')
    const { origin } = await startTestPlatform(t, store)
    const browser = await signIn(origin)
    const rest = restAs(browser, origin)
    const { status, body: added } = await rest('POST', '/servers', {
      url: `${origin}/mcp`,
      slug: 'self',
    })
    assert.equal(status, 201)
    assert.equal(added.auth, 'oauth')
    const { body: connection } = await rest('POST', '/connections', { serverId: added.id })
    const { body: begun } = await rest('POST', `/connections/${connection.id}/authorize`, {})
    await browser.open(begun.authorizeUrl)
    const landed = await browser.submit({ button: { name: 'decision', value: 'approve' } })
    assert.match(landed.html, /Connected/)

    const { client } = await signInClient({ origin, url: `${origin}/self/mcp`, browser })
    const who = (await client.callTool({ name: 'whoami', arguments: {} })) as ToolAnswer
    assert.match(who.content[0]?.text ?? '', /ada@example\.com/)
    await client.close()
  },
)

onEveryDatabase('a client names the connection in its address', async (t, store) => {
  verifies(t, 'S1-10')
  const { foreign, server } = await startUpstream(t)
  const { origin, alsoSecret } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const { body: added } = await rest('POST', '/servers', { url: server.url, slug: 'notes' })
  for (const label of ['home', 'my work']) {
    const { body: made } = await rest('POST', '/connections', { serverId: added.id, label })
    const { body: begun } = await rest('POST', `/connections/${made.id}/authorize`, {})
    browser.setStopAt(() => false)
    if (label !== 'home') await browser.open(begun.authorizeUrl)
  }
  const at = (label: string) =>
    signInClient({ origin, url: `${origin}/notes/mcp?connection=${label}`, browser })

  const { client } = await at('my%20work')
  const who = await client.callTool({ name: 'whoami_upstream', arguments: {} })
  assert.match(JSON.stringify(who), /alice/)
  await client.close()
  await assert.rejects(at('home'), /Connect your account/)
  await assert.rejects(at('elsewhere'), /no connection of this name/)
  alsoSecret(foreign.tokensIssued())
})
