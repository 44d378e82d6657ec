// What the two eras ask of whoever stands between: headers that say the same as the body, and streams that go on.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { startRig } from './gateway.rig.ts'

const versionKey = 'io.modelcontextprotocol/protocolVersion'
const callOf = (method: string, params: object, version = '2026-07-28') => ({
  jsonrpc: '2.0',
  id: 7,
  method,
  params: { ...params, _meta: { [versionKey]: version } },
})
const call = callOf('tools/call', { name: 'echo' })
const modern = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' }

test('a header that says another thing than the body is -32020, and nothing is sent on', async (t) => {
  verifies(t, 'X-33')
  const rig = await startRig(t)
  const base64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`
  const mismatches: readonly (readonly [object, Record<string, string>])[] = [
    [call, { ...modern, 'mcp-method': 'tools/list' }],
    [call, { ...modern, 'mcp-name': 'other' }],
    [call, { ...modern, 'mcp-name': 'ECHO' }],
    [call, { ...modern, 'mcp-name': base64('other') }],
    [call, { ...modern, 'mcp-name': '=?base64?%%%?=' }],
    [call, { ...modern, 'mcp-protocol-version': '2025-11-25' }],
    [callOf('tools/call', { name: 'echo' }, '2025-11-25'), modern],
    [
      callOf('prompts/get', { name: 'p' }),
      { ...modern, 'mcp-method': 'prompts/get', 'mcp-name': 'q' },
    ],
    [
      callOf('resources/read', { uri: 'a:b' }),
      { ...modern, 'mcp-method': 'resources/read', 'mcp-name': 'a:c' },
    ],
  ]
  for (const [message, headers] of mismatches) {
    const response = await rig.post(message, { headers })
    assert.equal(response.status, 400)
    assert.deepEqual(await response.json(), {
      jsonrpc: '2.0',
      id: 7,
      error: {
        code: -32_020,
        message: 'Header mismatch: a header does not say the same as the body.',
        data: { reason: 'header_mismatch' },
      },
    })
  }
  assert.equal(rig.seen.length, 0)

  for (const name of ['echo', base64('echo')]) {
    assert.equal((await rig.post(call, { headers: { ...modern, 'mcp-name': name } })).status, 200)
    assert.equal(rig.seen.at(-1)?.headers['mcp-name'], name)
  }
  // What is missing is for the server to say: it knows what it requires.
  assert.equal((await rig.post(call, { headers: {} })).status, 200)
})

test('a stream goes on where it broke off: the event that was last seen crosses', async (t) => {
  const rig = await startRig(t)
  await rig.send('GET', { headers: { 'last-event-id': 'e-17', accept: 'text/event-stream' } })
  assert.equal(rig.seen[0]?.headers['last-event-id'], 'e-17')
})

test('a stream outlives the time that an answer may take to begin', async (t) => {
  let say: (text: string) => void = () => {}
  const rig = await startRig(t, {
    answerTimeMs: 100,
    upstream: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': here\n\n')
      say = (text) => void response.end(text)
    },
  })
  const stream = await rig.post(callOf('subscriptions/listen', {}), {
    headers: { ...modern, 'mcp-method': 'subscriptions/listen' },
  })
  await rig.clock.advance(24 * 60 * 60_000)
  say('data: late\n\n')
  assert.equal(await stream.text(), ': here\n\ndata: late\n\n')
})
