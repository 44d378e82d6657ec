// A client that begins a session at a server that has none: what the server refuses, and what the client gets instead.
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { bearer, bodyOf, connectUrl, startRig } from './gateway.rig.ts'
import { said } from './said.rig.ts'

const hello = {
  jsonrpc: '2.0',
  id: 'first',
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: { url: {} } },
    clientInfo: { name: 'c', version: '1' },
  },
}
const echo = {
  jsonrpc: '2.0',
  id: 2,
  method: 'tools/call',
  params: { name: 'echo', arguments: {} },
}
const both = { accept: 'application/json, text/event-stream' }
const missing = {
  kind: 'authorization_required',
  connectUrl,
  connectionId: 'con_1',
  reason: 'token_rejected',
  isShared: false,
} as const

/** A server of the newest revision alone, which refuses `initialize` in this way. */
function refusing(code: number, status = 400): RequestListener {
  return (request, response) => {
    const { id, method } = JSON.parse(bodyOf(request)) as { id: unknown; method: string }
    const data = { supported: ['2026-07-28'], requested: '2025-11-25' }
    const found = { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }
    const results: Record<string, object> = {
      'server/discover': found,
      'tools/call': { content: [] },
    }
    const result = results[method]
    const answer = result === undefined ? { error: { code, message: 'no', data } } : { result }
    response.writeHead(result === undefined ? status : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))
  }
}

for (const [code, status] of [
  [-32_022, 400],
  [-32_601, 404],
] as const) {
  test(`the client of a server that refuses sessions with ${code} gets one of ours`, async (t) => {
    verifies(t, 'S4-9', 'S4-19')
    const rig = await startRig(t, { upstream: refusing(code, status) })
    const begun = await rig.post(hello, { headers: both })
    const { id, result } = await said(begun)
    assert.equal(begun.status, 200)
    assert.equal(id, 'first')
    assert.equal(result.protocolVersion, '2025-11-25')
    assert.deepEqual(result.capabilities, { tools: {} })
    assert.equal(begun.headers.get('cache-control'), 'no-store')
    const headers = { ...both, 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
    const called = await rig.post(echo, {
      headers: { ...headers, accept: 'application/json, text/event-stream' },
    })
    assert.deepEqual((await said(called)).result, { content: [] })
    assert.ok(rig.seen.every(({ headers: sent }) => sent['mcp-session-id'] === undefined))
    assert.equal((await rig.send('GET', { headers })).status, 405)
    const entries = await rig.entries()
    assert.deepEqual(
      entries.map(({ type, data }) => [type, data?.['method']]),
      [
        ['call.completed', 'initialize'],
        ['call.completed', 'tools/call'],
        ['call.refused', 'GET'],
      ],
    )
  })
}

test('it is asked to sign in as its session says that it can be', async (t) => {
  verifies(t, 'S4-11')
  const credentials = [bearer, bearer, missing]
  const rig = await startRig(t, { upstream: refusing(-32_022), credentials })
  const begun = await rig.post(hello, { headers: both })
  await begun.body?.cancel()
  const headers = { ...both, 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  const { error } = await said(rig.post(echo, { headers }))
  assert.equal(error.code, -32_042)
  assert.equal(error.data.elicitations[0].url, connectUrl)
})

test('a client of 2026-07-28 that asks for a session gets the server’s own refusal', async (t) => {
  verifies(t, 'S4-9')
  const rig = await startRig(t, { upstream: refusing(-32_601, 404) })
  const fields = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'initialize' }
  const refused = await rig.post(hello, { headers: { ...both, ...fields } })
  assert.equal(refused.status, 404)
  assert.equal((await said(refused)).error.code, -32_601)
})

test('another refusal of a session is the server’s own and passes', async (t) => {
  verifies(t, 'S4-9')
  const rig = await startRig(t, { upstream: refusing(-32_000) })
  const begun = await rig.post(hello, { headers: both })
  assert.equal(begun.status, 400)
  const { error, id } = await said(begun)
  assert.deepEqual([error.code, id], [-32_000, 'first'])
})
