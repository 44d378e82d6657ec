// What is read from a message, and the era it belongs to.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bodylessCall, readCall } from './calls.ts'
import { eraOf } from './eras.ts'
import { slugOf } from './targets.ts'

const read = (message: unknown) => readCall(JSON.stringify(message))

test('id, method and tool are read; the arguments are not', () => {
  const params = { name: 'search', arguments: { name: 'x' } }
  assert.deepEqual(read({ jsonrpc: '2.0', id: 'a', method: 'tools/call', params }), {
    id: 'a',
    method: 'tools/call',
    tool: 'search',
    named: 'search',
    wantsAnswer: true,
  })
  assert.equal(read({ id: 1, method: 'prompts/get', params: { name: 'p' } })?.tool, undefined)
})

test('notifications and responses want no answer, a batch does when one of its messages does', () => {
  assert.equal(read({ method: 'notifications/initialized' })?.wantsAnswer, false)
  assert.equal(read({ id: 1, result: {} })?.wantsAnswer, false)
  assert.equal(read([{ method: 'a' }, { id: 1, result: {} }])?.wantsAnswer, false)
  assert.equal(read([{ method: 'a' }, { id: 1, method: 'b' }])?.wantsAnswer, true)
})

test('what is no JSON-RPC message is undefined', () => {
  const texts = ['', '{', 'null', '"a"', '5', '[]', '[1]', '{}', '{"id":1}', '{"method":5}']
  for (const text of [...texts, '['.repeat(100_000)]) assert.equal(readCall(text), undefined, text)
})

test('the era follows the header, else the body; from 2026-07-28 on it is modern', () => {
  const plain = bodylessCall('GET')
  const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
  const claiming = read({ id: 1, method: 'tools/list', params: { _meta: meta } })!

  assert.equal(eraOf(undefined, plain), 'legacy')
  assert.equal(eraOf('2025-11-25', plain), 'legacy')
  assert.equal(eraOf('2026-07-27', plain), 'legacy')
  assert.equal(eraOf('2026-07-28', plain), 'modern')
  assert.equal(eraOf('zzzz', plain), 'legacy')
  assert.equal(eraOf(undefined, claiming), 'modern')
})

test('only the one spelling of an endpoint names it (threat P-12)', () => {
  assert.equal(slugOf('/notes/mcp'), 'notes')
  assert.equal(slugOf('/notes/mcp?x=/other/mcp'), 'notes')
  const others = ['/notes/MCP', '/Notes/mcp', '/notes/mcp/', '/notes/mcp/x', '//notes/mcp']
  for (const target of [...others, '/notes/mcp-admin', '/n%6ftes/mcp', '/mcp', '', '/a/../b/mcp']) {
    assert.equal(slugOf(target), undefined, target)
  }
})
