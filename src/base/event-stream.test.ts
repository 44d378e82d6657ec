// Events as they come over the wire: in pieces of any size, with every line end, and never more than the limit.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEvents } from './event-stream.ts'
import type { StreamEvent } from './event-stream.ts'

const bytesMax = 1000

for (const end of ['\n', '\r\n']) {
  for (const size of [1, 2, 3, 1000]) {
    test(`events are the same in pieces of ${size} bytes, with ${JSON.stringify(end)}`, async () => {
      const lines = [
        ': hello',
        'event: endpoint',
        'data: /é',
        '',
        'data:1',
        'data: 2',
        '',
        'id: 3',
        '',
      ]
      const text = [...lines, 'data: never ended'].join(end)

      const events = await allOf(readEvents(inPieces(text, size), bytesMax))

      assert.deepEqual(events, [
        { name: 'endpoint', data: '/é' },
        { name: 'message', data: '1\n2' },
      ])
    })
  }
}

test('the last byte of the limit is read, the first above it is not', async () => {
  const text = `data: ${'a'.repeat(92)}\n\n`

  assert.equal((await allOf(readEvents(inPieces(text, 7), 100))).length, 1)
  await assert.rejects(allOf(readEvents(inPieces(text, 7), 99)), {
    code: 'payload_too_large',
  })
})

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function allOf(events: AsyncIterable<StreamEvent>): Promise<readonly StreamEvent[]> {
  const all: StreamEvent[] = []
  for await (const event of events) all.push(event)
  return all
}
