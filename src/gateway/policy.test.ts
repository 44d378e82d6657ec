// Which tools the scopes of a token open: exact names, beginnings, scopes that hold others, and batches.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { builtInScopes } from '../issuer/scopes.ts'
import { verifies } from '../../test/requirements.ts'
import { bodylessCall, readCall } from './calls.ts'
import { makePrincipal } from './gateway.rig.ts'
import { policyFor } from './policy.ts'

const toolScopes = [
  { scope: 'memories:read', tools: ['recall_memories', 'get_*'] },
  { scope: 'memories:write', tools: ['store_memory', 'delete_memory', 'get_draft'] },
  { scope: 'memories:admin', tools: ['update_missing_embeddings'] },
]
const registry = [
  ...builtInScopes,
  {
    name: 'memories:admin',
    words: 'Everything',
    icon: '🔑',
    isUsual: false,
    includes: ['memories:write'],
  },
]

const holding = (...scopes: string[]) =>
  makePrincipal('alice', { resource: 'https://hub.example/notes/mcp', scopes })
const message = (body: unknown) => readCall(JSON.stringify(body)) ?? assert.fail('no message')
const calling = (name: unknown) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name },
})
const makePolicy = () => policyFor({ toolScopes }, async () => registry)

test('a scope opens its tools and no others; the refusal names what the call needs', async (t) => {
  verifies(t, 'S3-32', 'A3-8', 'R8')
  const policy = await makePolicy()
  const reader = holding('memories:read', 'openid')
  const decide = (name: string) => policy.decide(reader, message(calling(name)))

  for (const name of ['recall_memories', 'get_memory', 'get_', 'get_draft']) {
    assert.equal(decide(name).kind, 'allowed', name)
  }
  assert.deepEqual(decide('store_memory'), { kind: 'lacks', scopes: ['memories:write'] })
  for (const name of ['get', 'recall_memories2', 'RECALL_MEMORIES', '', 'anything']) {
    assert.equal(decide(name).kind, 'closed', name)
  }
  const offered = policy.offers?.(reader) ?? assert.fail('it offers all')
  assert.deepEqual(
    ['get_memory', 'store_memory', 'anything'].map((name) => offered(name, { name })),
    [true, false, false],
  )
})

test('a scope holds what it includes, and a circle ends (R9)', async (t) => {
  verifies(t, 'R9')
  const policy = await makePolicy()
  const admin = holding('memories:admin')
  assert.equal(policy.decide(admin, message(calling('store_memory'))).kind, 'allowed')
  assert.deepEqual(policy.decide(admin, message(calling('recall_memories'))), {
    kind: 'lacks',
    scopes: ['memories:read'],
  })
  const circle = [
    { name: 'a', words: 'a', icon: 'a', isUsual: true, includes: ['b'] },
    { name: 'b', words: 'b', icon: 'b', isUsual: true, includes: ['a'] },
  ]
  const round = await policyFor({ toolScopes: [{ scope: 'b', tools: ['*'] }] }, async () => circle)
  assert.equal(round.decide(holding('a'), message(calling('x'))).kind, 'allowed')
})

test('what calls no tool is open to whoever holds any scope of the server', async () => {
  const policy = await makePolicy()
  for (const call of [message({ id: 1, method: 'tools/list' }), bodylessCall('GET')]) {
    assert.equal(policy.decide(holding('memories:write'), call).kind, 'allowed')
    assert.deepEqual(policy.decide(holding('openid', 'mcp'), call), {
      kind: 'lacks',
      // An unusual scope has to be asked for by name.
      scopes: ['memories:read', 'memories:write'],
    })
  }
})

test('a batch is every call in it, and a call that names no tool is closed', async () => {
  const policy = await makePolicy()
  const reader = holding('memories:read')
  const batch = (...names: unknown[]) => message(names.map(calling))
  assert.equal(policy.decide(reader, batch('get_memory', 'recall_memories')).kind, 'allowed')
  assert.deepEqual(policy.decide(reader, batch('get_memory', 'store_memory')), {
    kind: 'lacks',
    scopes: ['memories:read', 'memories:write'],
  })
  assert.equal(policy.decide(reader, batch('get_memory', 'other')).kind, 'closed')
  for (const name of [undefined, ['store_memory'], 5, {}]) {
    assert.equal(policy.decide(reader, batch('get_memory', name)).kind, 'closed')
    assert.equal(policy.decide(reader, message(calling(name))).kind, 'closed')
  }
})

test('a server without a list has the one scope', async () => {
  const policy = await policyFor({}, () => assert.fail('nothing has to be read'))
  assert.equal(policy.decide(holding('mcp'), message(calling('any'))).kind, 'allowed')
  const refused = policy.decide(holding('memories:read'), message(calling('any')))
  assert.deepEqual(refused, { kind: 'lacks', scopes: ['mcp'] })
  assert.equal(policy.offers, undefined)
})
