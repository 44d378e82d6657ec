// The recorder: when calls reach the journal, and what of their names does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { CountedCall } from '../journal/call-counts.ts'
import type { KeptCall } from '../journal/call-contents.ts'
import type { Entry } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { CallRecord } from './recorder.ts'
import { createRecorder } from './recorder.ts'
import { makePrincipal } from './gateway.rig.ts'

test('calls of 50 ms are written together, after the answer', async () => {
  const { recorder, clock, transactions } = start()

  recorder.record(callOf('search'))
  recorder.record(callOf('fetch'))
  await clock.advance(49)
  assert.equal(transactions.length, 0)
  await clock.advance(1)
  assert.deepEqual(
    transactions.map((entries) => entries.length),
    [2],
  )
  recorder.record(callOf('again'))
  await clock.advance(50)
  assert.deepEqual(
    transactions.map((entries) => entries.length),
    [2, 1],
  )
})

test('closing writes what waits', async () => {
  const { recorder, transactions } = start()

  recorder.record(callOf('search'))
  await recorder.close()

  assert.equal(transactions.length, 1)
})

test('a tool name that is no name, or that the journal refuses, costs neither the entry nor the others', async () => {
  const { recorder, transactions, counted } = start()

  recorder.record(callOf('two words\n'))
  recorder.record(callOf('mcp_at_looks_like_a_token'))
  recorder.record(callOf('search'))
  await recorder.close()

  assert.deepEqual(
    transactions[0]?.map(({ data }) => [data?.['method'], data?.['tool']]),
    [
      ['tools/call', '(unnamed)'],
      ['(unnamed)', undefined],
      ['tools/call', 'search'],
    ],
  )
  assert.deepEqual(
    counted.map(({ tool }) => tool),
    ['(unnamed)', undefined, 'search'],
  )
})

test('a content that cannot be kept costs no entry, and no other content', async (t) => {
  verifies(t, 'S4-36')
  const { recorder, transactions, counted, kept, logged } = start()
  const content = { input: { text: 'private', isCut: false }, output: undefined }

  for (const tool of ['search', gone, 'fetch']) recorder.record({ ...callOf(tool), content })
  recorder.record(callOf('plain'))
  await recorder.close()

  const written = transactions.flat().map(({ data }) => [data?.['tool'], data?.['contentId']])
  assert.deepEqual(written, [
    ['search', 'cnt_1'],
    [gone, 'cnt_2'],
    ['fetch', 'cnt_3'],
    ['plain', undefined],
  ])
  assert.equal(counted.length, 4)
  assert.equal(logged.length, 2)
  assert.doesNotMatch(inspect(logged), /private/)
  assert.deepEqual(kept.map(({ id, tool }) => [id, tool]).slice(-2), [
    ['cnt_1', 'search'],
    ['cnt_3', 'fetch'],
  ])
})

test('contents that wait have a limit together; the calls are journalled all the same', async (t) => {
  verifies(t, 'S4-36')
  const { recorder, transactions, kept } = start()
  const content = { input: { text: 'x'.repeat(8 * 1024 * 1024), isCut: true }, output: undefined }

  for (let index = 0; index < 9; index += 1) recorder.record({ ...callOf('search'), content })
  await recorder.close()
  recorder.record({ ...callOf('search'), content })
  await recorder.close()

  assert.deepEqual([transactions.flat().length, kept.length], [10, 9])
})

const gone = 'gone'

function start() {
  const clock = createManualClock()
  const transactions: Entry[][] = []
  const counted: CountedCall[] = []
  const kept: KeptCall[] = []
  const logged: unknown[] = []
  const note = (...said: unknown[]) => void logged.push(said)
  let made = 0
  const transaction = async (work: (tx: Entry[]) => Promise<void>) => {
    const entries: Entry[] = []
    await work(entries)
    transactions.push(entries)
  }
  const db = { transaction: () => ({ execute: transaction }) } as unknown as Database // nothing else is used
  const record = async (tx: Database, entry: Entry) => {
    if (JSON.stringify(entry.data).includes('mcp_at_')) throw new Error('looks like a secret')
    ;(tx as unknown as Entry[]).push(entry) // the transaction above is a list
  }
  const recorder = createRecorder({
    db,
    clock,
    log: { ...silentLog, warn: note, error: note },
    journal: { record },
    callCounts: { add: (call) => void counted.push(call) },
    callContents: {
      newId: () => `cnt_${(made += 1)}`,
      keep: async (_tx, call) => {
        if (call.tool === gone) throw new Error('the person is gone')
        kept.push(call)
      },
    },
  })
  return { recorder, clock, transactions, counted, kept, logged }
}

function callOf(tool: string): CallRecord {
  return {
    principal: makePrincipal('alice', { resource: 'https://hub.example/notes/mcp', scopes: [] }),
    server: { id: 'srv_notes', slug: 'notes' },
    call: { id: 1, method: 'tools/call', tool, wantsAnswer: true },
    era: 'legacy',
    status: 200,
    startedAt: 0,
  }
}
