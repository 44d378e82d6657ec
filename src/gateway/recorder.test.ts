// The recorder: when calls reach the journal, and what of their names does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { CountedCall } from '../journal/call-counts.ts'
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

function start() {
  const clock = createManualClock()
  const transactions: Entry[][] = []
  const counted: CountedCall[] = []
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
    log: silentLog,
    journal: { record },
    callCounts: { add: (call) => void counted.push(call) },
  })
  return { recorder, clock, transactions, counted }
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
