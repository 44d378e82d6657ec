import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLive } from './live.ts'

const tenantId = 'ten_1'

/** A journal of which only the newest place is known. */
function startLive({ fails = 0 } = {}) {
  let newest = 0
  let failures = fails
  const live = createLive({
    heads: async () => {
      if (failures === 0) return newest === 0 ? [] : [{ tenantId, seq: newest }]
      failures -= 1
      throw new Error('the database is away')
    },
    read: async (_tenantId, after) =>
      Array.from({ length: newest - after }, (_, index) => ({ tenantId, seq: after + index + 1 })),
  })
  const heard: number[] = []
  const listen = () => live.subscribe(({ seq }) => heard.push(seq))
  const seal = () => {
    newest += 1
  }
  return { live, heard, listen, seal }
}

test('who begins to listen while entries are being sealed hears of them', async () => {
  const { live, heard, listen, seal } = startLive()
  seal()
  await live.mark()
  listen()
  seal()
  await live.deliver()
  assert.deepEqual(heard, [2])
})

test('what was sealed while nobody listened is old', async () => {
  const { live, heard, listen, seal } = startLive()
  const stop = listen()
  seal()
  await live.deliver()
  stop()
  await live.mark()
  seal()
  await live.deliver()
  listen()
  seal()
  await live.deliver()
  assert.deepEqual(heard, [1, 3])
})

test('a database that is away when somebody begins to listen is asked again', async () => {
  const { live, heard, listen, seal } = startLive({ fails: 1 })
  listen()
  await assert.rejects(live.mark(), /away/)
  await live.mark()
  seal()
  await live.deliver()
  assert.deepEqual(heard, [1])
})
