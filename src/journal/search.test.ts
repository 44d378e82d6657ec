// The journal as people look through it: newest first, by what, whom, which thing and when, and how far one page looks.
import assert from 'node:assert/strict'
import { createManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createJournal } from './entries.ts'
import type { Entry } from './entries.ts'
import { createJournalSearch } from './search.ts'
import type { JournalAsked } from './search.ts'

const keyring = createKeyring({ random: systemRandom }, [{ id: 'key', key: new Uint8Array(32) }])
const tenantId = 'tenant'

function make(db: Database, length?: { readonly entries: number; readonly perPage: number }) {
  const clock = createManualClock(1_000)
  const journal = createJournal({ db, clock, random: systemRandom, keyring })
  const search = createJournalSearch({ db, journal }, length)
  /** Records entries, each a second after the one before. */
  const record = async (...entries: readonly Partial<Entry>[]) => {
    for (const changes of entries) {
      const entry: Entry = { tenantId, type: 'token.issued', actor: { kind: 'system' }, ...changes }
      await journal.record(db, entry)
      await clock.advance(1_000)
    }
  }
  const seqs = async (asked: JournalAsked, page = {}) =>
    (await search(tenantId, asked, page)).items.map(({ seq }) => seq)
  return { search, record, seqs }
}

onEveryDatabase('entries are found, the newest first, by what they tell', async (t, { db }) => {
  verifies(t, 'S4-36')
  const { record, seqs } = make(db)
  await record(
    { type: 'server.created', actor: { kind: 'user', id: 'usr_a' }, attempt: 'att_1' },
    { type: 'call.completed', actor: { kind: 'client', id: 'c' }, userId: 'usr_a' },
    { type: 'call.refused', subject: { kind: 'server', id: 'srv_1' }, userId: 'usr_b' },
    { tenantId: 'other', userId: 'usr_a' },
  )

  assert.deepEqual(await seqs({}), [3, 2, 1])
  assert.deepEqual(await seqs({ types: ['call.completed', 'server.created'] }), [2, 1])
  assert.deepEqual(await seqs({ person: 'usr_a' }), [2, 1])
  assert.deepEqual(await seqs({ userId: 'usr_a' }), [2])
  assert.deepEqual(await seqs({ thing: 'c' }), [2])
  assert.deepEqual(await seqs({ thing: 'srv_1' }), [3])
  assert.deepEqual(await seqs({ thing: 'att_1' }), [1])
  assert.deepEqual(await seqs({ thing: '' }), [])
  assert.deepEqual(await seqs({ person: 'usr_a', types: ['call.refused'] }), [])
  // The entries are of the seconds 1, 2 and 3: the first moment counts, the last does not.
  assert.deepEqual(await seqs({ from: 2_000 }), [3, 2])
  assert.deepEqual(await seqs({ from: 2_001 }), [3])
  assert.deepEqual(await seqs({ until: 2_000 }), [1])
  assert.deepEqual(await seqs({ until: 2_001 }), [2, 1])
  assert.deepEqual(await seqs({ from: 2_000, until: 3_000 }), [2])
})

onEveryDatabase(
  'a person is found by address and a server by its short name',
  async (_t, { db }) => {
    const { search, record, seqs } = make(db)
    const tenant = { id: tenantId, slug: 'x', issuer: 'https://x.test', name: 'X', created_at: 1 }
    await db.insertInto('tenants').values(tenant).execute()
    const person = { tenant_id: tenantId, id: 'usr_a', email: 'ada@x.test', role: 'user' }
    await db
      .insertInto('users')
      .values({ ...person, email_verified: 1, name: null, disabled_at: null, created_at: 1 })
      .execute()
    await record({ userId: 'usr_a' }, { userId: 'usr_b' })

    assert.deepEqual(await seqs({ person: 'Ada@X.test' }), [1])
    assert.deepEqual(await seqs({ person: 'eve@x.test' }), [])
    const { names } = await search(tenantId, {})
    assert.deepEqual([...names], [['usr_a', 'ada@x.test']])
  },
)

onEveryDatabase('pages go back entry by entry, also within one moment', async (_t, { db }) => {
  const { search, record } = make(db)
  await record(...Array.from({ length: 5 }, () => ({ at: 5_000 })))
  const seen: number[] = []
  let cursor: string | undefined
  do {
    const page = cursor === undefined ? {} : { cursor }
    const { items, nextCursor } = await search(tenantId, {}, { ...page, limit: 2 })
    seen.push(...items.map(({ seq }) => seq))
    cursor = nextCursor
  } while (cursor !== undefined)
  assert.deepEqual(seen, [5, 4, 3, 2, 1])
})

onEveryDatabase('a page looks so far back and no further, and says so', async (_t, { db }) => {
  const { search, record } = make(db, { entries: 2, perPage: 2 })
  await record({ type: 'server.created' }, {}, {}, {}, {}, {})
  const asked: JournalAsked = { types: ['server.created'] }

  const first = await search(tenantId, asked)
  assert.deepEqual(first.items, [])
  // Entries 6 to 3 were looked at; the third was written at second 3.
  assert.equal(first.lookedBackTo, 3_000)
  const second = await search(tenantId, asked, { cursor: first.nextCursor ?? '' })
  assert.deepEqual(
    second.items.map(({ seq }) => seq),
    [1],
  )
  assert.deepEqual([second.nextCursor, second.lookedBackTo], [undefined, undefined])
})
