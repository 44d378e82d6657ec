// What an entry of the journal tells whoever watches one connection.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EntryData, EntryType, SealedEntry } from '../../journal/entries.ts'
import { eventsIn } from './events.ts'

function entry(type: EntryType, data: EntryData = {}, id = 'con_a'): SealedEntry {
  const subject = { kind: 'connection', id }
  const place = { tenantId: 'ten_a', id: 'evt_a', seq: 1, at: Date.UTC(2026, 0, 1) }
  return { ...place, type, actor: { kind: 'system' }, subject, data }
}

const told = (given: SealedEntry) =>
  eventsIn(given, 'con_a').map(({ eventType, requiresUserAction }) => [
    eventType,
    requiresUserAction,
  ])

test('each entry about the tokens of the connection is an event, and no other is', () => {
  assert.deepEqual(told(entry('connection.refreshed')), [['TOKEN_REFRESHED', false]])
  assert.deepEqual(told(entry('connection.revoked')), [['CREDENTIALS_REVOKED', true]])
  assert.deepEqual(told(entry('connection.deleted')), [['CREDENTIALS_REVOKED', true]])
  assert.deepEqual(told(entry('connection.token_given')), [])
  assert.deepEqual(told(entry('connection.refreshed', {}, 'con_b')), [])
  const { subject: _none, ...general } = entry('connection.refreshed')
  assert.deepEqual(told(general), [])
})

test('a refresh that fails says whether the person has to sign in again', () => {
  const failed = (requiresReauthorization: boolean) =>
    entry('connection.refresh_failed', { reason: 'client_lost', requiresReauthorization })
  assert.deepEqual(told(failed(false)), [['TOKEN_REFRESH_FAILED', false]])
  assert.deepEqual(told(failed(true)), [
    ['TOKEN_REFRESH_FAILED', true],
    ['REAUTHORIZATION_REQUIRED', true],
  ])
})

test('it has the words of its reason, and never somebody’s own', () => {
  const [lost] = eventsIn(entry('connection.refresh_failed', { reason: 'client_lost' }), 'con_a')
  assert.match(lost?.message ?? '', /does not know us any more/)
  assert.equal(lost?.timestamp, '2026-01-01T00:00:00.000Z')
  const [ended] = eventsIn(entry('connection.revoked', { reason: 'left the <b>job</b>' }), 'con_a')
  assert.equal(ended?.message, 'The connection was ended. Connect again when you need it.')
})
