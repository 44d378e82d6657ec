// Sign-in in the middle of a call, with clients of both eras of the SDK: the person opens the link that the client shows
// them, signs in, and the same call works.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Client } from '@modelcontextprotocol/client'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { addPerson } from '../http/doors.ts'
import { operator, restAs, secretMarker, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import type { Store } from '../../src/store/database.ts'
import { signInClient } from './signed-in-client.ts'

const identity = { name: 'latchkey-tests', version: '1.0.0' }
const capabilities = { elicitation: { form: {}, url: {} } }
/** A server as it is, and as one of all. */
const doors = [
  { path: '/notes/mcp', echo: { name: 'echo', arguments: { text: 'hello' } } },
  { path: '/mcp', echo: { name: 'mcp__notes__echo', arguments: { text: 'hello' } } },
] as const
type Door = (typeof doors)[number]

/** A person whose account is connected, with a token of a client of theirs. */
async function start(t: TestContext, store: Store, { path }: Door, keepsSessions = false) {
  const { foreign, server } = await startUpstream(t, {}, { keepsSessions })
  const { origin, platform, alsoSecret } = await startTestPlatform(t, store)
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const { body: added } = await rest('POST', '/servers', { url: server.url, slug: 'notes' })
  const { body: made } = await rest('POST', '/connections', { serverId: added.id })
  const { body: begun } = await rest('POST', `/connections/${made.id}/authorize`, {})
  await browser.open(begun.authorizeUrl)
  const url = new URL(origin + path)
  const { client, tokens } = await signInClient({ origin, url: url.href, browser })
  await client.close()
  const authorization = `Bearer ${tokens()?.access_token ?? ''}`
  browser.setStopAt(() => false)
  const signInAt = async (link: string) => {
    assert.match(link, new RegExp(`^${origin}/connect/con_\\w+$`))
    await browser.open(link)
    const landed = await browser.submit({ button: 'Continue to sign in' })
    assert.match(landed.html, /Connected/)
  }
  const lose = () => {
    foreign.expireAccessTokens()
    foreign.revokeEverything()
  }
  const remove = async () => {
    const { body } = await rest('GET', '/connections')
    for (const { id } of body.items) await rest('DELETE', `/connections/${id}`)
  }
  const requestInit = { headers: { authorization } }
  t.after(() => alsoSecret(foreign.tokensIssued()))
  return { origin, platform, server, url, requestInit, signInAt, lose, remove }
}

const cases = doors.flatMap((door) => [true, false].map((keeps) => [door, keeps] as const))
for (const [door, keepsSessions] of cases) {
  const { path, echo } = door
  const which = keepsSessions ? 'with sessions' : 'without sessions'
  onEveryDatabase(
    `a client of 2025-11-25 at ${path} is told which link to open, by a server ${which}`,
    async (t, store) => {
      verifies(t, 'S4-11', 'S4-19', 'A4-3')
      const set = await start(t, store, door, keepsSessions)
      const { server, url, requestInit, signInAt, lose, remove } = set
      const open = async () => {
        const client = new OlderClient(identity, { capabilities })
        const transport = new OlderTransport(url, { requestInit })
        await client.connect(transport)
        return { client, transport }
      }
      const asked = async (work: Promise<unknown>) => {
        const refusal = await work.then(String, (error: unknown) => error)
        assert.ok(refusal instanceof UrlElicitationRequiredError, String(refusal))
        const [{ mode, url: link, elicitationId, message }] = refusal.elicitations as [
          (typeof refusal.elicitations)[0],
        ] // there is one
        assert.equal(mode, 'url')
        assert.match(elicitationId, /^eli_/)
        assert.match(message, /^Connect your account to use/)
        return link
      }

      const { client, transport } = await open()
      assert.match(JSON.stringify(await client.callTool(echo)), /hello/)
      assert.ok(transport.sessionId)
      lose()
      await signInAt(await asked(client.callTool(echo)))
      // The session belonged to the account as it was signed in before, which is the same connection.
      assert.match(JSON.stringify(await client.callTool(echo)), /hello/)

      await remove()
      const link = await asked(client.callTool(echo))
      await signInAt(link)
      await client.close()

      await remove()
      // Where one server is meant, it begins with a question; all of them begin without any.
      const begun = path === '/mcp' ? open().then((one) => one.client.callTool(echo)) : open()
      await signInAt(await asked(begun))
      const again = await open()
      assert.match(JSON.stringify(await again.client.callTool(echo)), /hello/)
      await again.client.close()
      assert.ok(!JSON.stringify(server.calls()).includes(secretMarker))
    },
  )
}

for (const door of doors) {
  const { path, echo } = door
  onEveryDatabase(
    `a client of 2026-07-28 at ${path} asks the person and goes on`,
    async (t, store) => {
      verifies(t, 'S4-11', 'A4-3')
      const { server, url, requestInit, signInAt, lose, remove } = await start(t, store, door)
      const asked: unknown[] = []
      const client = new Client(identity, {
        capabilities,
        versionNegotiation: { mode: { pin: '2026-07-28' } },
      })
      client.setRequestHandler('elicitation/create', async ({ params }) => {
        asked.push(params.mode)
        if (params.mode === 'url') await signInAt(params.url)
        return { action: 'accept' as const }
      })
      await client.connect(new StreamableHTTPClientTransport(url, { requestInit }))
      assert.match(JSON.stringify(await client.callTool(echo)), /hello/)

      lose()
      assert.match(JSON.stringify(await client.callTool(echo)), /hello/)
      await remove()
      assert.match(JSON.stringify(await client.callTool(echo)), /hello/)

      assert.deepEqual(asked, ['url', 'url'])
      const seen = JSON.stringify(server.calls())
      // The server sees the call as if nobody had been asked.
      assert.ok(!/requestState|inputResponses/.test(seen))
      assert.ok(!seen.includes(secretMarker))
      await client.close()
    },
  )

  onEveryDatabase(
    `who declines at ${path}, or cannot be asked, gets the link in the error`,
    async (t, store) => {
      verifies(t, 'S4-11')
      const { url, requestInit, lose } = await start(t, store, door)
      const pinned = { versionNegotiation: { mode: { pin: '2026-07-28' } } } as const
      const declining = new Client(identity, { capabilities, ...pinned })
      let questions = 0
      declining.setRequestHandler('elicitation/create', () => {
        questions += 1
        return { action: 'decline' }
      })
      const clients = [
        declining,
        new Client(identity, pinned),
        new Client(identity, { capabilities: { elicitation: { form: {} } }, ...pinned }),
      ]
      for (const client of clients) {
        await client.connect(new StreamableHTTPClientTransport(url, { requestInit }))
      }
      lose()
      for (const client of clients) {
        await assert.rejects(client.callTool(echo), /\/connect\/con_\w+/)
        await client.close()
      }
      assert.equal(questions, 1)
    },
  )
}

onEveryDatabase('the link opens for the person alone who was asked', async (t, store) => {
  verifies(t, 'S4-11')
  const { origin, platform, url, requestInit, lose } = await start(t, store, doors[0])
  lose()
  const client = new Client(identity, { versionNegotiation: { mode: 'auto' } })
  const refusal = await client
    .connect(new StreamableHTTPClientTransport(url, { requestInit }))
    .then(String, (error: Error) => error.message)
  const link = /http\S+\/connect\/con_\w+/.exec(refusal)?.[0] ?? refusal
  await addPerson({ platform, store }, 'bob@example.com')
  const bob = await signIn(origin, { ...operator, email: 'bob@example.com' })
  assert.equal((await bob.open(link)).status, 404)
})
