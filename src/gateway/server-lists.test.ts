// What is remembered of a server's lists is the person's alone, and goes with the token that brought it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { Credential } from '../connectors/credential.ts'
import type { Server } from '../connectors/servers.ts'
import { bearer, makePrincipal, tenant } from './gateway.rig.ts'
import { createServerLists } from './server-lists.ts'
import type { UpstreamCall } from './upstream-call.ts'

const server: Server = {
  id: 'srv_1',
  tenantId: tenant.id,
  slug: 'notes',
  name: 'Notes',
  url: 'https://notes.example/mcp',
  auth: 'oauth',
  grantType: 'authorization_code',
  headerNames: [],
  tokenFormat: 'opaque',
  identityHeaders: false,
  context: 'ctx',
}
const signal = new AbortController().signal

function setUp(pages: readonly Record<string, unknown>[] = []) {
  const clock = createManualClock()
  const calls: UpstreamCall[] = []
  let credential: Credential = bearer
  const lists = createServerLists({
    clock,
    log: silentLog,
    credentials: { credentialFor: async () => credential },
    askServer: async (call) => {
      calls.push(call)
      const name = `of_${call.principal.user?.name}`
      const tools = [{ name, inputSchema: { type: 'object' } }]
      return { kind: 'result', result: pages[calls.length - 1] ?? { tools } }
    },
  })
  const asker = (name: string) => ({
    server,
    signal,
    principal: makePrincipal(name, { resource: `${tenant.issuer}/mcp`, scopes: ['mcp'] }),
  })
  const recall = async (name: string) => {
    const listed = await lists.recall('tools', asker(name))
    assert.ok(listed.kind === 'items')
    return listed.items.map((item) => item['name'])
  }
  const use = (next: Credential) => void (credential = next)
  return { clock, calls, lists, asker, recall, use }
}

test('fifty look-ups of two people at once give each their own', async (t) => {
  verifies(t, 'C30')
  const { recall } = setUp()
  const names = Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? 'alice' : 'bob'))
  assert.deepEqual(
    await Promise.all(names.map(recall)),
    names.map((name) => [`of_${name}`]),
  )
})

test('a list is remembered for half a minute and for one token only; clients ask anew', async (t) => {
  verifies(t, 'S4-3', 'C30')
  const { clock, calls, lists, asker, recall, use } = setUp()
  await recall('alice')
  await clock.advance(29_999)
  await recall('alice')
  assert.equal(calls.length, 1)
  await clock.advance(1)
  await recall('alice')
  assert.equal(calls.length, 2)

  use({ ...bearer, generation: 2 })
  await recall('alice')
  use({ ...bearer, generation: 2, connectionId: 'con_2' })
  await recall('alice')
  assert.equal(calls.length, 4)
  await lists.list('tools', asker('alice'))
  assert.equal(calls.length, 5)
})

test('pages are followed to an end, and what is no tool is left out alone', async (t) => {
  verifies(t, 'C29')
  const tool = (name: unknown) => ({ name, inputSchema: { type: 'object' } })
  const { recall, calls } = setUp([
    { tools: [tool('a'), tool(1), { name: 'b' }, null, 'c'], nextCursor: '2' },
    { tools: [tool('d')], nextCursor: '' },
  ])
  assert.deepEqual(await recall('alice'), ['a', 'd'])
  assert.deepEqual(
    calls.map(({ params }) => params),
    [{}, { cursor: '2' }],
  )
  const endless = setUp(Array.from({ length: 50 }, () => ({ tools: [], nextCursor: 'again' })))
  await endless.recall('alice')
  assert.equal(endless.calls.length, 20)
})
