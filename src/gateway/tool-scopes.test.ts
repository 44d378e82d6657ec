// A server whose tools need scopes of their own, on the wire: what reaches it, what is answered instead, and which tools a
// caller is offered.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { startRig, toolsList } from './gateway.rig.ts'

const toolScopes = [
  { scope: 'memories:read', tools: ['recall_memories'] },
  { scope: 'memories:write', tools: ['store_memory'] },
]
const tools = ['recall_memories', 'store_memory', 'other'].map((name) => ({ name }))
const answer = { jsonrpc: '2.0', id: 7, result: { tools, nextCursor: 'c' } }
const reading = { scopes: ['memories:read'], toolScopes }
const call = (name: string) => ({ jsonrpc: '2.0', id: 8, method: 'tools/call', params: { name } })

const asJson: RequestListener = (_request, response) => {
  const body = JSON.stringify(answer)
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

const asEvents: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('event: message\nid: 1\ndata: {"method":"notifications/progress"}\n\n')
  const text = `event: message\ndata: ${JSON.stringify(answer)}\n\n`
  response.write(text.slice(0, 40))
  setImmediate(() => response.end(text.slice(40)))
}

test('a write with a token that may only read is 403 with what it needs, and reaches nobody', async (t) => {
  verifies(t, 'S3-32', 'A3-8', 'R8')
  const rig = await startRig(t, reading)

  const refused = await rig.post(call('store_memory'))

  assert.equal(refused.status, 403)
  const challenge = refused.headers.get('www-authenticate') ?? ''
  assert.match(challenge, /error="insufficient_scope"/)
  assert.match(challenge, /scope="memories:write"/)
  assert.match(challenge, /resource_metadata="https:\/\/hub\.example\/\.well-known\//)
  assert.equal(JSON.parse(await refused.text()).id, 8)
  assert.equal((await rig.post(call('other'))).status, 403)
  assert.equal(rig.seen.length, 0)
  assert.equal((await rig.post(call('recall_memories'))).status, 200)
  assert.equal(rig.seen.length, 1)
})

for (const [shape, upstream] of [
  ['JSON', asJson],
  ['an event stream', asEvents],
] as const) {
  test(`a caller is offered the tools that it may use, in ${shape}`, async (t) => {
    verifies(t, 'A3-8')
    const rig = await startRig(t, { ...reading, upstream })
    const said = await (await rig.post(toolsList)).text()
    assert.ok(said.includes('{"tools":[{"name":"recall_memories"}],"nextCursor":"c"}'), said)
    assert.equal(said.includes('notifications/progress'), shape !== 'JSON')
    const all = await startRig(t, { upstream })
    assert.ok((await (await all.post(toolsList)).text()).includes('store_memory'))
  })
}

test('a body that could be read in two ways is refused, one that was written oddly is written anew', async (t) => {
  const rig = await startRig(t, reading)
  const headers = { 'content-type': 'application/json' }
  const other = '{"method":"tools/list","METHOD":"tools/call","params":{"name":"store_memory"}}'
  assert.equal((await rig.post(undefined, { raw: other, headers })).status, 400)
  const mixed = { headers: { 'mcp-method': 'tools/call', 'mcp-name': 'store_memory' } }
  assert.equal((await rig.post(call('recall_memories'), mixed)).status, 400)
  assert.equal(rig.seen.length, 0)

  const twice =
    '{"method":"tools/call","id":1,"params":{"name":"store_memory","name":"recall_memories"}}'
  assert.equal((await rig.post(undefined, { raw: twice, headers })).status, 200)
  assert.ok(!rig.seen[0]?.body.includes('store_memory'))
})

test('without a token the challenge names the usual scopes of the server', async (t) => {
  const registry = [{ name: 'memories:write', words: 'w', icon: 'w', isUsual: false, includes: [] }]
  const rig = await startRig(t, { ...reading, registry })
  const refused = await rig.post(toolsList, { token: null })
  assert.equal(refused.status, 401)
  assert.match(refused.headers.get('www-authenticate') ?? '', /scope="memories:read"/)
})

test('a method that only resembles a call of a tool, or a body nested too deeply, is refused', async (t) => {
  verifies(t, 'X-33', 'X-38')
  const rig = await startRig(t, reading)
  const headers = { 'content-type': 'application/json' }
  const params = '"params":{"name":"store_memory"}'
  const deep = `"arguments":${'['.repeat(100_000)}${']'.repeat(100_000)}`
  for (const raw of [
    `{"id":1,"method":"Tools/Call",${params}}`,
    `{"id":1,"method":["tools/call"],"result":{},${params}}`,
    `[{"id":1,"method":["tools/call"],${params}}]`,
    `{"id":1,"method":"tools/call","params":{"name":"recall_memories",${deep}}}`,
  ]) {
    assert.equal((await rig.post(undefined, { raw, headers })).status, 400, raw.slice(0, 80))
  }
  assert.equal(rig.seen.length, 0)
})
