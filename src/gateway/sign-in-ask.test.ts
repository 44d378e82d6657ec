// The answers that ask a person to sign in, byte for byte, and the state that comes back with the retry.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import type { Credential } from '../connectors/credential.ts'
import { bearer, bobToken, connectUrl, startRig } from './gateway.rig.ts'
import { said } from './said.rig.ts'
import type { Rig } from './gateway.rig.ts'

const missing = {
  kind: 'authorization_required',
  connectUrl,
  connectionId: 'con_1',
  reason: 'never_connected',
  isShared: false,
} as const satisfies Credential
const words = 'Connect your account to use Notes. Open this link, sign in, and try again'

const capabilities = { elicitation: { url: {} } }
const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'
const modern = { headers: { 'mcp-protocol-version': '2026-07-28' } }
const callOf = (params: object = {}, id: number = 7) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: {
    name: 'echo',
    arguments: { b: 1, a: 'x' },
    _meta: { [capabilitiesKey]: capabilities },
    ...params,
  },
})
const initialize = (declared: object) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: declared },
})

/** The state that a call without a connection gets. */
async function stateOf(rig: Rig, message: object = callOf()): Promise<string> {
  const { result } = await said(rig.post(message, modern))
  return result.requestState
}

/** A rig whose person has no connection for the first calls, and one from then on. */
const startAsking = (t: Parameters<typeof startRig>[0], times = 1) =>
  startRig(t, { credentials: [...Array.from({ length: times }, () => missing), bearer] })

test('a client of 2026-07-28 that opens links gets a question and a state', async (t) => {
  verifies(t, 'S4-11')
  const rig = await startAsking(t)
  const response = await rig.post(callOf(), modern)
  const { id, result } = await said(response)
  const { requestState, ...rest } = result
  assert.equal(response.status, 200)
  assert.equal(id, 7)
  assert.deepEqual(rest, {
    resultType: 'input_required',
    inputRequests: {
      latchkey_sign_in: {
        method: 'elicitation/create',
        params: { mode: 'url', message: words, url: connectUrl },
      },
    },
  })
  assert.match(requestState, /^latchkey\.[\w-]{10}\.v1\.key1\.[\w-]+$/)
  const [entry] = await rig.entries()
  assert.equal(entry?.type, 'call.refused')
  assert.equal(entry?.data?.['reason'], 'authorization_required')
})

test('the retry reaches the server as it was first made', async (t) => {
  verifies(t, 'S4-11')
  const rig = await startAsking(t)
  const requestState = await stateOf(rig)
  const inputResponses = { latchkey_sign_in: { action: 'accept' } }
  // Another order of the members is the same call.
  const again = callOf({ arguments: { a: 'x', b: 1 }, requestState, inputResponses }, 8)
  assert.equal((await rig.post(again, modern)).status, 200)
  assert.deepEqual(JSON.parse(rig.seen[0]?.body ?? ''), {
    ...callOf({ arguments: { a: 'x', b: 1 } }, 8),
  })
})

test('a round trip of the server’s own is kept through ours', async (t) => {
  verifies(t, 'S4-11')
  const rig = await startAsking(t)
  const own = { requestState: 'theirs', inputResponses: { q: { action: 'accept' } } }
  const requestState = await stateOf(rig, callOf(own))
  const inputResponses = { latchkey_sign_in: { action: 'accept' } }
  await rig.post(callOf({ requestState, inputResponses }, 8), modern)
  const { params } = JSON.parse(rig.seen[0]?.body ?? '')
  assert.deepEqual(
    { ...params, _meta: undefined, name: undefined, arguments: undefined },
    {
      ...own,
      _meta: undefined,
      name: undefined,
      arguments: undefined,
    },
  )
})

test('a state of the server’s own passes as it is', async (t) => {
  const rig = await startRig(t)
  const call = callOf({ requestState: 'latchkey.another-one.v1.k.x', inputResponses: {} })
  await rig.post(call, modern)
  assert.deepEqual(JSON.parse(rig.seen[0]?.body ?? ''), call)
})

test('a state that is altered, over, or for another call, server or person is refused', async (t) => {
  verifies(t, 'A4-14')
  const rig = await startAsking(t, 6)
  const state = await stateOf(rig)
  const end = state.at(-1) === 'A' ? 'B' : 'A'
  const refused = async (message: object, init: object = {}) => {
    const response = await rig.post(message, { ...modern, ...init })
    const { error, id } = await said(response)
    assert.equal(response.status, 200)
    assert.deepEqual([id, error.code], [7, -32_602])
    assert.deepEqual(error.data, { reason: 'invalid_request_state' })
  }
  await refused(callOf({ requestState: state.slice(0, -1) + end }))
  await refused(callOf({ requestState: `${state}x` }))
  await refused(callOf({ requestState: state.slice(0, 30) }))
  await refused(callOf({ requestState: state, arguments: { b: 2, a: 'x' } }))
  await refused(callOf({ requestState: state, name: 'other' }))
  await refused({ ...callOf({ requestState: state }), method: 'prompts/get' })
  await refused(callOf({ requestState: state }), { token: bobToken })
  await refused(callOf({ requestState: state }), { slug: 'other' })
  assert.equal(rig.seen.length, 0)

  await rig.clock.advance(10 * 60_000 - 1)
  const answer = await said(rig.post(callOf({ requestState: state }), modern))
  assert.equal(answer.result.resultType, 'input_required')
  await rig.clock.advance(1)
  await refused(callOf({ requestState: state }))
})

test('who declines is not asked again', async (t) => {
  verifies(t, 'S4-11')
  for (const action of ['decline', 'cancel']) {
    const rig = await startAsking(t, 2)
    const requestState = await stateOf(rig)
    const inputResponses = { latchkey_sign_in: { action } }
    const answer = await rig.post(callOf({ requestState, inputResponses }), modern)
    const { error } = await said(answer)
    assert.deepEqual([error.code, error.data.connectUrl], [-32_001, connectUrl])
  }
})

test('nobody is asked whose client cannot, nor by what must not ask', async (t) => {
  verifies(t, 'S4-11')
  const rig = await startRig(t, { credentials: [missing] })
  const meta = (elicitation: unknown) => ({ _meta: { [capabilitiesKey]: { elicitation } } })
  const messages = [
    callOf({ _meta: {} }),
    callOf(meta({})),
    callOf(meta({ form: {} })),
    callOf(meta({ url: true })),
    callOf(meta('url')),
    { ...callOf(), method: 'tools/list' },
    { ...callOf(), method: 'server/discover' },
    callOf({ inputResponses: { q: 'x'.repeat(70_000) } }),
  ]
  for (const message of messages) {
    const { error } = await said(rig.post(message, modern))
    assert.equal(error.code, -32_001)
    assert.ok(error.message.endsWith(connectUrl))
  }
})

test('a client of 2025-11-25 gets the error that names the link', async (t) => {
  verifies(t, 'S4-11', 'S4-19')
  const rig = await startRig(t, { credentials: [bearer, missing] })
  const begun = await rig.post(initialize(capabilities))
  const session = begun.headers.get('mcp-session-id') ?? ''
  assert.match(session, /^\.u[\w-]{43}$/)
  const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
  const { error } = await said(rig.post(callOf(), { headers }))
  const { elicitationId, ...elicitation } = error.data.elicitations[0]
  assert.equal(error.code, -32_042)
  assert.equal(error.message, `${words}: ${connectUrl}`)
  assert.deepEqual(elicitation, { mode: 'url', url: connectUrl, message: words })
  assert.match(elicitationId, /^eli_\w+$/)
  assert.equal(error.data.reason, 'authorization_required')
  // The server knows nothing of a session.
  assert.equal(rig.seen[0]?.headers['mcp-session-id'], undefined)

  const atOnce = await said(rig.post(initialize(capabilities)))
  assert.equal(atOnce.error.code, -32_042)
  const batch = await said(rig.post([callOf()], { headers }))
  assert.equal(batch.error.code, -32_001)
  const modernCall = await said(rig.post(callOf({ _meta: {} }), modern))
  assert.equal(modernCall.error.code, -32_001)
})

test('the session remembers what the client can, whatever the server repeats', async (t) => {
  verifies(t, 'A4-14')
  const rig = await startRig(t, {
    upstream: (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'a.b' })
      response.end('{}')
    },
  })
  const sessionAfter = async (message: object, session?: string) => {
    const headers = session === undefined ? {} : { 'mcp-session-id': session }
    const response = await rig.post(message, { headers })
    return { status: response.status, id: response.headers.get('mcp-session-id') ?? '' }
  }
  const plain = await sessionAfter(initialize({}))
  assert.match(plain.id, /^a\.b\.[\w-]{43}$/)
  const able = await sessionAfter(initialize(capabilities))
  assert.match(able.id, /^a\.b\.u[\w-]{43}$/)
  assert.deepEqual(await sessionAfter(callOf(), able.id), able)
  assert.deepEqual(await sessionAfter(callOf({ _meta: {} }), plain.id), plain)
  assert.equal(rig.seen.at(-1)?.headers['mcp-session-id'], 'a.b')

  // What the client can is part of what is signed.
  const forged = [able.id.replace('.u', '.'), plain.id.replace('a.b.', 'a.b.u'), '.u', '.']
  for (const id of forged) {
    assert.equal((await sessionAfter(callOf({ _meta: {} }), id)).status, 404, id)
  }
})
