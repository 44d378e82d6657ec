// The bounds of what strangers can write: the last note that is taken and the first that is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { Database } from '../store/database.ts'
import type { Entry } from './entries.ts'
import {
  createNotes,
  notesPerAddress,
  notesPerTenantMinute,
  notesPerVisitor,
  sameAgainMs,
} from './notes.ts'
import type { Note } from './notes.ts'
import type { Refused } from './refusal-counts.ts'

test('the same of one visitor is noted once in ten minutes, and counted each time', async () => {
  const { notes, clock, written, counted } = start()
  const refusal = { error: 'invalid_client', clientId: 'c' }
  const note = noteOf({ type: 'token.refused', refusal })
  notes.note(note)
  notes.note(note)
  await clock.advance(sameAgainMs - 1)
  notes.note(note)
  await notes.settle()
  assert.equal(written.length, 1)
  await clock.advance(1)
  notes.note(note)
  notes.note(noteOf({ same: ['other'] }))
  await notes.settle()
  assert.equal(written.length, 3)
  const each = { tenantId: 'ten_1', type: 'token.refused', ...refusal }
  assert.deepEqual(
    counted,
    Array.from({ length: 4 }, () => each),
  )
  assert.equal(notes.dropped(), 0)
})

test('a visitor has room for so many, a tenant for so many in a minute', async () => {
  const { notes, clock, written } = start()
  const sayFrom = async (address: string, count: number) => {
    for (let number = 0; number < count; number += 1) {
      notes.note(noteOf({ same: [`${number}`] }, address))
      await notes.settle()
    }
  }
  await sayFrom('1', notesPerVisitor)
  assert.equal(written.length, notesPerVisitor)
  await sayFrom('1', notesPerVisitor + 1)
  assert.deepEqual([written.length, notes.dropped()], [notesPerVisitor, 1])

  const left = notesPerTenantMinute - notesPerVisitor
  for (let address = 2; address < 2 + left; address += 1) await sayFrom(`${address}`, 1)
  assert.equal(written.length, notesPerTenantMinute)
  await sayFrom('late', 1)
  assert.deepEqual([written.length, notes.dropped()], [notesPerTenantMinute, 2])
  await clock.advance(60_000)
  await sayFrom('late', 1)
  assert.equal(written.length, notesPerTenantMinute + 1)
})

test('whoever calls itself something else each time leaves room for others', async () => {
  const { notes, clock, written } = start()
  const sayAs = async (agent: string, address: string) => {
    notes.note(noteOf({}, address, agent))
    await notes.settle()
  }
  for (let step = 0; step < notesPerTenantMinute; step += 1) {
    await sayAs(`agent-${step}`, `2001:db8:0:1::${step.toString(16)}`)
  }
  assert.equal(written.length, notesPerAddress)
  await sayAs('node', '2001:db8:0:2::1')
  assert.equal(written.length, notesPerAddress + 1)
  await clock.advance(sameAgainMs)
  await sayAs('late', '2001:db8:0:1::1')
  assert.equal(written.length, notesPerAddress + 2)
})

test('what is not worth a note, or cannot be written, hurts nobody', async () => {
  const { notes, written } = start()
  notes.note(noteOf({ same: ['1'], find: async () => undefined }))
  notes.note(noteOf({ same: ['2'], find: () => Promise.reject(new Error('the database is away')) }))
  notes.note(noteOf({ same: ['3'] }))
  await notes.settle()
  assert.equal(written.length, 1)
  assert.equal(notes.dropped(), 1)
})

test('what looks like a secret, or is too long, is not kept', async () => {
  const { notes, written } = start()
  const secret = `mcp_at_${'x'.repeat(43)}`
  const refusal = { error: 'invalid_client', clientId: secret }
  const data = { because: `the token ${secret}`, long: 'x'.repeat(201), fine: 'x'.repeat(200) }
  notes.note(noteOf({ refusal, data, same: [secret] }))
  notes.note(noteOf({ same: ['2'] }, '1', `${secret} agent`))
  notes.note(noteOf({ same: ['3'] }, '1', 'claude-code/2.1.3 (linux; x)'))
  await notes.settle()
  assert.doesNotMatch(JSON.stringify(written), new RegExp(secret))
  assert.deepEqual(written[0]?.data, {
    because: '(not kept)',
    long: '(not kept)',
    fine: 'x'.repeat(200),
    agent: 'node',
  })
  assert.equal(written[0]?.subject, undefined)
  assert.equal(written[2]?.data?.['agent'], 'claude-code/2.1.3')
})

test('notes stand in the journal as they happened, at the moment they happened', async () => {
  const { notes, clock, written } = start()
  const slowly = async () => {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    return {}
  }
  notes.note(noteOf({ same: ['slow'], find: slowly, data: { n: 1 } }))
  const then = clock.now()
  await clock.advance(5)
  notes.note(noteOf({ same: ['quick'], data: { n: 2 } }))
  await notes.settle()
  assert.deepEqual(
    written.map(({ at, data }) => [at, data?.['n']]),
    [
      [then, 1],
      [then + 5, 2],
    ],
  )
})

function start() {
  const clock = createManualClock()
  const written: Entry[] = []
  const counted: Refused[] = []
  const db = {
    transaction: () => ({ execute: (work: (tx: unknown) => Promise<void>) => work({}) }),
  } as unknown as Database // nothing else of it is used
  const notes = createNotes({
    db,
    clock,
    log: silentLog,
    journal: { record: async (_tx, entry) => void written.push(entry) },
    attempts: { of: async () => 'att_1', forClient: async () => undefined },
    counts: { add: (refused) => void counted.push(refused) },
    testMarks: { holds: () => false },
  })
  return { notes, clock, written, counted }
}

function noteOf(facts: Partial<Note>, address = '1', agent = 'node'): Note {
  return {
    visitor: { tenantId: 'ten_1', address, agent },
    type: 'discovery.answered',
    same: [],
    data: {},
    ...facts,
  }
}
