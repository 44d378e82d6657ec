// Tools that a caller may not use are taken out of answers, wherever the chunks break; everything else passes unchanged.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createToolFilter, heldBytesMax } from './tool-filter.ts'

const json = 'application/json'
const events = 'text/event-stream'
const isOffered = (tool: string) => tool.startsWith('get')

function run(mediaType: string, chunks: readonly Buffer[]): string {
  const filter = createToolFilter(mediaType, isOffered)
  return Buffer.concat([...chunks.map((chunk) => filter.write(chunk)), filter.end()]).toString()
}

function split(text: string, at: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text)
  const cuts = [...new Set(at.map((cut) => cut % bytes.length))].sort((a, b) => a - b)
  return [0, ...cuts].map((cut, index) => bytes.subarray(cut, cuts[index] ?? bytes.length))
}

const list = (names: readonly string[]) =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: names.map((name) => ({ name })) } })

test('JSON loses the tools that are not offered, and numbers stay as they were written', () => {
  assert.equal(run(json, [Buffer.from(list(['get', 'put', 'get2']))]), list(['get', 'get2']))
  const odd = '{"id":12345678901234567890,"result":{"tools":[{"name":"put"},{}],"n":1.10}}'
  assert.equal(
    run(json, [Buffer.from(odd)]),
    '{"id":12345678901234567890,"result":{"tools":[],"n":1.10}}',
  )
  const batch = `[${list(['put'])},{"id":2,"result":{}}]`
  assert.equal(run(json, [Buffer.from(batch)]), `[${list([])},{"id":2,"result":{}}]`)
})

test('what lists nothing that has to go passes byte for byte', () => {
  for (const text of [
    '',
    '{',
    ' {"result" : {"tools":[ ]}}',
    list(['get']),
    '{"error":{"tools":1}}',
  ])
    assert.equal(run(json, [Buffer.from(text)]), text)
  const stream = `: hello\r\n\r\nid: 1\r\ndata: ${list(['get'])}\r\n\r\ndata: x`
  assert.equal(run(events, [Buffer.from(stream)]), stream)
})

test('events are filtered wherever the chunks break, with every end of line', () => {
  const alphabet = fc.constantFrom('\n', '\r\n', '\r')
  fc.assert(
    fc.property(alphabet, fc.array(fc.nat(2000), { maxLength: 20 }), (end, cuts) => {
      const note = `event: message${end}data: {"method":"notifications/progress","p":"é🔧"}${end}${end}`
      const stream = `${note}id: 7${end}data: ${list(['get', 'put'])}${end}${end}${note}`
      const said = run(events, split(stream, cuts))
      assert.ok(!said.includes('put'), said)
      assert.ok(said.includes(list(['get'])) && said.includes('id: 7'))
      assert.equal(said.split('é🔧').length, 3)
    }),
  )
})

test('an event is passed on as soon as it ends', () => {
  const filter = createToolFilter(events, isOffered)
  assert.equal(filter.write(Buffer.from('data: 1\n')).toString(), '')
  assert.equal(filter.write(Buffer.from('\ndata: 2')).toString(), 'data: 1\n\n')
  assert.equal(filter.end().toString(), 'data: 2')
})

test('what is too large to be held passes', () => {
  const large = Buffer.from(`${list(['put'])}${' '.repeat(heldBytesMax)}`)
  assert.equal(run(json, [large]).length, large.length)
  const event = Buffer.concat([Buffer.from('data: '), large, Buffer.from('\n\n')])
  assert.equal(
    run(events, [event.subarray(0, heldBytesMax + 9), event.subarray(heldBytesMax + 9)]),
    event.toString(),
  )
})

test('an event that comes a few bytes at a time costs as little as one that comes at once', () => {
  const event = Buffer.from(`data: ${list(['get', 'put'])}${' '.repeat(2_000_000)}\n\n`)
  const cuts = Array.from({ length: 40_000 }, (_, index) => index * 50)
  const startedAt = performance.now()
  const said = run(events, split(event.toString(), cuts))
  // Looked at anew with each piece, it took half a minute.
  assert.ok(performance.now() - startedAt < 3_000)
  assert.ok(!said.includes('put') && said.includes('get'))
})
