// Events as they come over the wire: in pieces of any size, with every line end, and never more than the limit.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEvents, writeEvent } from './event-stream.ts'
import type { StreamEvent } from './event-stream.ts'

const bytesMax = 1000

for (const end of ['\n', '\r\n', '\r']) {
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

test('a byte order mark at the beginning is no part of the first field', async () => {
  const events = await allOf(
    readEvents(inPieces('\ufeffdata: 1\n\ndata: \ufeff2\n\n', 1), bytesMax),
  )

  assert.deepEqual(
    events.map(({ data }) => data),
    ['1', '\ufeff2'],
  )
})

test('an event is given before the stream goes on, whatever its lines end with', async () => {
  for (const text of ['data: 1\n\n', 'data: 1\r\n\r\n', 'data: 1\r\r']) {
    const events = readEvents(endless(text), bytesMax)
    const first = await events.next()
    assert.deepEqual(first.value, { name: 'message', data: '1' })
  }
})

test('one huge line in pieces of a byte each is read in one go', async () => {
  const text = `data: ${'a'.repeat(1_000_000)}\n\n`
  const startedAt = performance.now()

  const [event] = await allOf(readEvents(inPieces(text, 1), 2_000_000))

  assert.equal(event?.data.length, 1_000_000)
  // Looking at all of it for every piece would take hours.
  assert.ok(performance.now() - startedAt < 60_000)
})

test('what is written is read again', async () => {
  for (const event of [
    { name: 'message', data: '{"a":1}' },
    { name: 'endpoint', data: 'one\ntwo' },
  ]) {
    assert.deepEqual(await allOf(readEvents(inPieces(writeEvent(event), 3), bytesMax)), [event])
  }
})

async function* endless(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text)
  await new Promise(() => {}) // Nothing more comes.
}

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function allOf(events: AsyncIterable<StreamEvent>): Promise<readonly StreamEvent[]> {
  const all: StreamEvent[] = []
  for await (const event of events) all.push(event)
  return all
}
