// The example's memory server as its README says: started against a running Latchkey, used by two people with real clients, and
// by one who may only read until asked for more.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { toolScopes } from '../../examples/memory-server/tools.ts'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import type { OAuthMcpClient } from '../counterparts/mcp-client.ts'
import { freePort, operator, restAs, signIn } from '../harness.ts'
import { addPerson, openDoors } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { verifies } from '../requirements.ts'

const example = join(import.meta.dirname, '..', '..', 'examples', 'memory-server')
const all = 'memories:read memories:write entities:read entities:write'

/** Follows the README: its requests are sent as they stand there. */
async function start(t: TestContext) {
  const doors = await openDoors(t)
  const port = await freePort()
  const rest = restAs(await signIn(doors.origin), doors.origin)
  const variables = { PORT: String(port), ISSUER: doors.origin }
  const [client = '', server = ''] = bodiesOf(
    readFileSync(join(example, 'README.md'), 'utf8'),
    variables,
  )
  const made = await rest('POST', '/clients', JSON.parse(client))
  assert.equal(made.status, 201, JSON.stringify(made.body))
  doors.alsoSecret([made.body.clientSecret])
  await run(t, {
    ...variables,
    CLIENT_ID: made.body.id,
    CLIENT_SECRET: made.body.clientSecret,
  })
  const added = await rest('POST', '/servers', JSON.parse(server))
  assert.equal(added.status, 201, JSON.stringify(added.body))
  return { doors, url: `http://localhost:${port}/mcp` }
}

/** What the README's `curl -d` send. */
function bodiesOf(text: string, variables: Readonly<Record<string, string>>): readonly string[] {
  return Array.from(text.matchAll(/-d "(.*)"$/gm), ([, body = '']) =>
    body
      .replaceAll('\\"', '"')
      .replaceAll(/\$(\w+)/g, (_whole, name: string) => variables[name] ?? ''),
  )
}

async function run(t: TestContext, settings: Readonly<Record<string, string>>): Promise<void> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, ['server.ts'], {
    cwd: example,
    env: { PATH, ...settings },
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  t.after(async () => {
    child.kill()
    await ended
  })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes('The memory server is on')) resolve()
      })
    }
    void ended.then(() => reject(new Error(said)))
  })
}

/** A person's browser that lets a client have what it asks for, or only these scopes the first time. */
async function personAt({ origin }: Doors, who = operator, first?: string) {
  const browser = await signIn(origin, who)
  let isFirst = true
  return {
    approve: async (asked: string): Promise<string> => {
      browser.setStopAt((target) => target.origin !== origin)
      await browser.open(asked)
      const fields = isFirst && first !== undefined ? { fields: { scope: first } } : {}
      isFirst = false
      const button = { name: 'decision', value: 'approve' }
      return (await browser.submit({ button, ...fields })).url
    },
  }
}

async function use({ client }: OAuthMcpClient, name: string, given: Record<string, unknown> = {}) {
  const answer = await client.callTool({ name, arguments: given })
  const [content] = answer.content
  const text = content?.type === 'text' ? content.text : ''
  return answer.isError === true ? text : JSON.parse(text)
}

test('each person has their own memories and entities', async (t) => {
  verifies(t, 'S3-32', 'S3-33', 'A3-9', 'A3-13')
  const place = await start(t)
  await addPerson(place.doors, 'eve@example.com')
  const { url, doors } = place
  const other = { ...operator, email: 'eve@example.com' }
  const ada = await createOAuthMcpClient({ url, authorize: (await personAt(doors)).approve })
  const eve = await createOAuthMcpClient({ url, authorize: (await personAt(doors, other)).approve })
  assert.deepEqual(ada.tokens()?.scope?.split(' ').sort(), all.split(' ').sort())
  const { tools } = await ada.client.listTools()
  assert.deepEqual(tools.map(({ name }) => name).sort(), Object.keys(toolScopes).sort())

  const { id } = await use(ada, 'store_memory', { text: 'ada likes tea' })
  await use(ada, 'create_entity', { name: 'The tea house' })
  assert.deepEqual(await use(eve, 'recall_memories', { query: '' }), [])
  assert.deepEqual(await use(eve, 'list_entities'), [])
  for (const name of ['get_memory', 'delete_memory']) {
    assert.equal(await use(eve, name, { id }), 'There is no such thing.')
  }
  assert.deepEqual(await use(ada, 'recall_memories', { query: 'tea' }), [
    { id, text: 'ada likes tea' },
  ])
  await Promise.all([ada.client.close(), eve.client.close()])
})

test('a token that may only read is refused writing, and the client asks the person for more', async (t) => {
  verifies(t, 'S3-32', 'A3-8', 'S1-84')
  const place = await start(t)
  const browser = await personAt(place.doors, operator, 'memories:read')
  const reader = await createOAuthMcpClient({ url: place.url, authorize: browser.approve })
  const before = reader.tokens()
  assert.equal(before?.scope, 'memories:read')
  assert.deepEqual(await use(reader, 'recall_memories', { query: '' }), [])
  const refused = await fetch(place.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${before?.access_token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'store_memory', arguments: { text: 'no' } },
    }),
  })
  assert.equal(refused.status, 403)
  const challenge = refused.headers.get('www-authenticate') ?? ''
  assert.match(challenge, /error="insufficient_scope"/)
  assert.match(challenge, /scope="memories:read memories:write"/)
  assert.deepEqual(await use(reader, 'recall_memories', { query: '' }), [], 'nothing was stored')

  const asked = reader.authorizeUrls().length
  await use(reader, 'store_memory', { text: 'yes' }).catch(() => undefined)
  assert.equal(reader.authorizeUrls().length, asked + 1)
  const wanted = new URL(reader.authorizeUrls().at(-1) ?? '').searchParams.get('scope')
  assert.deepEqual(wanted?.split(' ').sort(), ['memories:read', 'memories:write'])

  const back = await browser.approve(reader.authorizeUrls().at(-1) ?? '')
  const { transport } = reader.client
  assert.ok(transport instanceof StreamableHTTPClientTransport)
  await transport.finishAuth(new URL(back).searchParams)
  const { id } = await use(reader, 'store_memory', { text: 'yes' })
  assert.deepEqual(await use(reader, 'recall_memories', { query: '' }), [{ id, text: 'yes' }])
  await reader.client.close()
})
