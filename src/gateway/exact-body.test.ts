// Where scopes open tools, a body has one reading: what could be read in two ways is refused or written anew.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCall } from './calls.ts'
import { exactBody, namesTheSame } from './exact-body.ts'

const exact = (text: string) => exactBody(Buffer.from(text))?.toString()

test('a member that comes twice is sent once, as it was read here', () => {
  const text =
    '{"method":"tools/call","method":"tools/list","params":{"name":"put","name":"get","n":1.50,"big":98765432109876543210}}'
  assert.equal(
    exact(text),
    '{"method":"tools/list","params":{"name":"get","n":1.50,"big":98765432109876543210}}',
  )
  assert.equal(readCall(text)?.method, 'tools/list')
})

test('a member in other letters, or one that JSON-RPC does not have, is refused', () => {
  for (const text of [
    '{"method":"tools/list","METHOD":"tools/call"}',
    '{"method":"tools/list","Params":{}}',
    '{"method":"tools/call","params":{"name":"get","NAME":"put"}}',
    '{"method":"tools/call","params":{"name":"get","ｎame":"put"}}',
    '[{"method":"tools/list"},{"method":"tools/list","other":1}]',
    '{"method":"Tools/Call","params":{"name":"put"}}',
    '{"method":"tools/call ","params":{"name":"put"}}',
    '{"method":"ｔools/call","params":{"name":"put"}}',
    '{"method":["tools/call"],"params":{"name":"put"},"result":{}}',
    '[{"method":"tools/list"},{"method":["tools/call"],"params":{"name":"put"}}]',
    '{"method":"tools/call","params":{" name":"put","name":"get"}}',
    `{"method":"tools/call","params":{"name":"get","arguments":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
    '[[{"method":"tools/call"}]]',
    '"text"',
  ]) {
    assert.equal(exact(text), undefined, text.slice(0, 100))
  }
  const ordinary =
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"NAME":1},"_meta":{}}}'
  assert.equal(exact(ordinary), ordinary)
})

test('the headers of the newer revision name the same call', () => {
  const call = readCall('{"id":1,"method":"tools/call","params":{"name":"gét"}}')!
  const encoded = `=?base64?${Buffer.from('gét').toString('base64')}?=`
  assert.ok(namesTheSame({}, call))
  assert.ok(namesTheSame({ 'mcp-method': 'tools/call', 'mcp-name': encoded }, call))
  assert.ok(!namesTheSame({ 'mcp-method': 'tools/list' }, call))
  assert.ok(!namesTheSame({ 'mcp-method': 'tools/call', 'mcp-name': 'put' }, call))
  const resource = readCall('{"id":1,"method":"resources/read","params":{"uri":"a:b","name":"c"}}')!
  assert.ok(namesTheSame({ 'mcp-name': 'a:b' }, resource))
  assert.ok(!namesTheSame({ 'mcp-name': 'c' }, resource))
})
