import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createJournal } from './entries.ts'
import type { Entry, SealedEntry } from './entries.ts'

const keyring = createKeyring({ random: systemRandom }, [{ id: 'key', key: new Uint8Array(32) }])
const tenantId = 'tenant'

function make(db: Database, clock = createManualClock()) {
  return createJournal({ db, clock, random: systemRandom, keyring })
}

function entry(changes: Partial<Entry> = {}): Entry {
  return { tenantId, type: 'token.issued', actor: { kind: 'client', id: 'c' }, ...changes }
}

onEveryDatabase('what is recorded is listed, whole and in order', async (_t, { db }) => {
  const clock = createManualClock(1_000)
  const journal = make(db, clock)
  const full = entry({
    type: 'grant.revoked',
    actor: { kind: 'user', id: 'usr_1' },
    userId: 'usr_1',
    subject: { kind: 'grant', id: 'grt_1' },
    attempt: 'att_1',
    data: { reason: 'asked', count: 2, done: true, none: null, scopes: ['a', 'b'], odd: '\u0000' },
  })

  await journal.record(db, entry({ actor: { kind: 'system' } }))
  await journal.record(db, full)

  const [first, second, ...rest] = await journal.list({ tenantId })
  assert.deepEqual(rest, [])
  assert.deepEqual(
    { ...first, id: '' },
    {
      tenantId,
      id: '',
      seq: 1,
      at: 1_000,
      type: 'token.issued',
      actor: { kind: 'system' },
      data: {},
    },
  )
  assert.deepEqual({ ...second, id: '' }, { ...full, id: '', seq: 2, at: 1_000 })
})

onEveryDatabase(
  'entries of one moment keep the order in which they were recorded',
  async (_t, { db }) => {
    const journal = make(db)
    const attempts = Array.from({ length: 20 }, (_, n) => `attempt-${n}`)
    for (const attempt of attempts) await journal.record(db, entry({ attempt }))
    assert.deepEqual(
      (await journal.list({ tenantId })).map((each) => each.attempt),
      attempts,
    )
  },
)

onEveryDatabase('an entry goes with its transaction', async (t, { db }) => {
  verifies(t, 'R-14')
  const journal = make(db)
  const work = db.transaction().execute(async (tx) => {
    await journal.record(tx, entry())
    throw new Error('undone')
  })
  await assert.rejects(work)
  assert.deepEqual(await journal.list({ tenantId }), [])
})

onEveryDatabase('a list goes on after a cursor, with a limit and filters', async (_t, { db }) => {
  const journal = make(db)
  for (let n = 0; n < 6; n += 1) {
    const half = n % 2 === 0 ? 'even' : 'odd'
    const subject = { kind: 'thing', id: half }
    await journal.record(db, entry({ attempt: half, userId: half, subject }))
  }
  await journal.record(db, entry({ type: 'grant.created' }))
  await journal.record(db, entry({ tenantId: 'other' }))
  const seqs = async (query: object) =>
    (await journal.list({ tenantId, ...query })).map((each) => each.seq)

  assert.deepEqual(await seqs({ after: 4 }), [5, 6, 7])
  assert.deepEqual(await seqs({ after: 2, limit: 2 }), [3, 4])
  assert.deepEqual(await seqs({ attempt: 'odd' }), [2, 4, 6])
  assert.deepEqual(await seqs({ userId: 'even', after: 1 }), [3, 5])
  assert.deepEqual(await seqs({ subjectId: 'odd', limit: 1 }), [2])
  assert.deepEqual(await seqs({ type: 'grant.created' }), [7])
  assert.deepEqual(await seqs({ tenantId: 'other' }), [1])
})

onEveryDatabase('a list is bounded', async (_t, { db }) => {
  const journal = make(db)
  await db.transaction().execute(async (tx) => {
    for (let n = 0; n < 201; n += 1) await journal.record(tx, entry())
  })
  assert.equal((await journal.list({ tenantId })).length, 200)
  assert.equal((await journal.list({ tenantId, limit: 9_999 })).length, 200)
  assert.equal((await journal.list({ tenantId, after: 200 })).length, 1)
})

onEveryDatabase('seal numbers every tenant and says how much was new', async (_t, { db }) => {
  const journal = make(db)
  await db.transaction().execute(async (tx) => {
    for (let n = 0; n < 501; n += 1) await journal.record(tx, entry())
    await journal.record(tx, entry({ tenantId: 'another' }))
  })
  assert.equal(await journal.seal(), 502)
  assert.equal(await journal.seal(), 0)
  assert.deepEqual(await journal.verify(tenantId), { ok: true, count: 501 })
  assert.deepEqual(await journal.verify('another'), { ok: true, count: 1 })
  assert.deepEqual(await journal.verify('nobody'), { ok: true, count: 0 })
})

onEveryDatabase('fifty recorders and four sealers at once leave 1 to N', async (t, store, open) => {
  verifies(t, 'R-06', 'R-14')
  const instances = [make(store.db), make((await open()).db)]
  const entriesEach = 4
  const record = async (n: number) => {
    for (let count = 0; count < entriesEach; count += 1) {
      await instances[n % 2]!.record(store.db, entry())
    }
  }
  const recording = { isOver: false }
  const sealer = async (n: number) => {
    while (!recording.isOver) {
      await instances[n % 2]!.seal()
      await nextTurn() // reads of SQLite alone never let go of the event loop
    }
  }
  const sealers = Array.from({ length: 4 }, (_, n) => sealer(n))
  await Promise.all(Array.from({ length: 50 }, (_, n) => record(n)))
  recording.isOver = true
  await Promise.all(sealers)

  const listed = await instances[0]!.list({ tenantId })
  assert.deepEqual(
    listed.map((each) => each.seq),
    Array.from({ length: 200 }, (_, n) => n + 1),
  )
  assert.equal(new Set(listed.map((each) => each.id)).size, 200)
  assert.deepEqual(await instances[1]!.verify(tenantId), { ok: true, count: 200 })
})

onEveryDatabase('an entry that becomes visible late is sealed all the same', async (t, { db }) => {
  verifies(t, 'R-06', 'R-10')
  const clock = createManualClock(10_000_000)
  const late = createManualClock(10_000_000 - 30_000)
  const veryLate = createManualClock(10_000_000 - 3_600_000)
  const journal = make(db, clock)
  await journal.record(db, entry({ attempt: 'first' }))
  await journal.seal()

  await make(db, late).record(db, entry({ attempt: 'late' }))
  assert.equal(await journal.seal(), 1)

  await make(db, veryLate).record(db, entry({ attempt: 'very late' }))
  assert.equal(await journal.seal(), 1)
  assert.equal(await journal.seal(), 0)
})

onEveryDatabase('the chain finds what was changed', async (t, { db }) => {
  verifies(t, 'R-14')
  const journal = make(db)
  const attacks: readonly Attack[] = [
    {
      name: 'an altered entry',
      run: (ids) =>
        db.updateTable('journal_entries').set({ actor_id: 'x' }).where('id', '=', ids[2]!),
      seq: 3,
      because: /changed/,
    },
    {
      name: 'a deleted entry',
      run: (ids) => db.deleteFrom('journal_entries').where('id', '=', ids[1]!),
      seq: 2,
      because: /deleted/,
    },
    {
      name: 'a deleted link',
      run: () => db.deleteFrom('journal_chain').where('seq', '=', 2),
      seq: 2,
      because: /link of the chain is missing/,
    },
    {
      name: 'a truncated tail',
      run: () => db.deleteFrom('journal_chain').where('seq', '>', 3),
      seq: 4,
      because: /end of the chain is missing/,
    },
    {
      name: 'a forged hash',
      run: () =>
        db
          .updateTable('journal_chain')
          .set({ hash: 'A'.repeat(43) })
          .where('seq', '=', 5),
      seq: 5,
      because: /changed/,
    },
    {
      name: 'a forged head',
      run: () => db.updateTable('journal_heads').set({ hash: 'A'.repeat(43) }),
      seq: 5,
      because: /head/,
    },
    {
      name: 'a head put back',
      run: () => db.updateTable('journal_heads').set({ seq: 0, hash: '' }),
      seq: 1,
      because: /after its head/,
    },
  ]
  for (const { name, run, seq, because } of attacks) {
    const ids = await startOver(db, journal)
    await run(ids).execute()
    const verdict = await journal.verify(tenantId)
    assert.ok(!verdict.ok, name)
    assert.equal(verdict.seq, seq, name)
    assert.match(verdict.because, because)
  }
})

onEveryDatabase('the chain finds entries that changed places', async (t, { db }) => {
  verifies(t, 'R-14')
  const journal = make(db)
  const ids = await startOver(db, journal)
  const put = (seq: number, id: string) =>
    db.updateTable('journal_chain').set({ entry_id: id }).where('seq', '=', seq).execute()

  await put(2, 'aside')
  await put(4, ids[1]!)
  await put(2, ids[3]!)

  const verdict = await journal.verify(tenantId)
  assert.deepEqual(verdict.ok ? 'ok' : verdict.seq, 2)
})

onEveryDatabase('another key does not verify', async (_t, { db }) => {
  await startOver(db, make(db))
  const masterKeys = [{ id: 'other', key: new Uint8Array(32).fill(1) }]
  const other = createKeyring({ random: systemRandom }, masterKeys)
  const journal = createJournal({
    db,
    clock: createManualClock(),
    random: systemRandom,
    keyring: other,
  })
  assert.equal((await journal.verify(tenantId)).ok, false)
})

onEveryDatabase('what looks like a secret is refused and not repeated', async (t, { db }) => {
  verifies(t, 'X-31')
  const journal = make(db)
  const prefixes = ['mcp_at_', 'mcp_rt_', 'auth_', 'mcp_dc_', 'mcp_cs_', 'mcp_reg_', 'lk_']
  const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'
  for (const secret of [...prefixes.map((prefix) => `${prefix}${'x'.repeat(43)}`), jwt]) {
    const refused: readonly Entry[] = [
      entry({ data: { note: `Bearer ${secret}` } }),
      entry({ data: { list: ['fine', secret] } }),
      entry({ data: { [secret]: 1 } }),
      entry({ data: { userId: secret }, userId: 'usr_1' }),
      entry({ actor: { kind: 'client', id: secret } }),
      entry({ subject: { kind: 'token', id: secret } }),
      entry({ attempt: secret }),
      entry({ userId: secret }),
    ]
    for (const each of refused) {
      const isQuiet = (error: Error) =>
        error.message.includes('secret') && !error.message.includes(secret)
      await assert.rejects(journal.record(db, each), isQuiet)
    }
  }
  assert.deepEqual(await journal.list({ tenantId }), [])
})

onEveryDatabase('names that only resemble a secret are fine', async (_t, { db }) => {
  const journal = make(db)
  const fine = [
    `lk_${'x'.repeat(15)}`,
    'token_endpoint_auth_method_unknown',
    'https://a/eyJhbGciOi',
  ]
  for (const note of fine) await journal.record(db, entry({ data: { note } }))
  assert.equal((await journal.list({ tenantId })).length, fine.length)
})

onEveryDatabase('data has a limit', async (_t, { db }) => {
  const journal = make(db)
  const room = 16_384 - JSON.stringify({ note: '' }).length
  await journal.record(db, entry({ data: { note: 'x'.repeat(room) } }))
  const tooLong = journal.record(db, entry({ data: { note: 'x'.repeat(room + 1) } }))
  await assert.rejects(tooLong, /longer than/)
})

onEveryDatabase('listeners hear of each entry once and in order', async (_t, store, open) => {
  const journal = make(store.db)
  const another = make((await open()).db)
  await journal.record(store.db, entry({ attempt: 'before' }))
  await journal.seal()
  const heard: SealedEntry[] = []
  const stop = journal.subscribe((each) => heard.push(each))

  await journal.record(store.db, entry({ attempt: 'one' }))
  await Promise.all([journal.seal(), journal.list({ tenantId }), journal.seal()])
  await another.record(store.db, entry({ attempt: 'two' }))
  await another.seal()
  await journal.record(store.db, entry({ tenantId: 'other', attempt: 'three' }))
  await journal.seal()
  stop()
  await journal.record(store.db, entry({ attempt: 'after' }))
  await journal.seal()

  const names = heard.map((each) => each.attempt)
  assert.equal(names.length, 3)
  assert.deepEqual(new Set(names), new Set(['one', 'two', 'three']))
  assert.ok(names.indexOf('one') < names.indexOf('two'))
  assert.deepEqual(heard[0], (await journal.list({ tenantId, after: 1, limit: 1 }))[0])
})

onEveryDatabase('a listener that throws is dropped and hurts nobody', async (t, { db }) => {
  const warnings: string[] = []
  t.mock.method(process, 'emitWarning', (warning: Error) => warnings.push(warning.message))
  const journal = make(db)
  const heard: string[] = []
  journal.subscribe(() => {
    throw new Error('broken')
  })
  journal.subscribe((each) => heard.push(each.attempt ?? ''))

  for (const attempt of ['one', 'two']) {
    await journal.record(db, entry({ attempt }))
    await journal.seal()
  }

  assert.deepEqual(heard, ['one', 'two'])
  assert.deepEqual(warnings, ['broken'])
})

onEveryDatabase('a link covers the one before and every part of its entry', async (t, { db }) => {
  verifies(t, 'R-14')
  const clock = createManualClock(1_000)
  const journal = make(db, clock)
  const subject = { kind: 'grant', id: 'grt_1' }
  await journal.record(db, entry())
  await journal.record(db, entry({ userId: 'usr_1', subject, attempt: 'att_1', data: { n: 1 } }))
  const [first, second] = await journal.list({ tenantId })
  const links = await db.selectFrom('journal_chain').selectAll().orderBy('seq').execute()

  // What stands here is in every stored hash: a change would make every old chain look altered.
  const type = 'token.issued'
  const before = links[0]!.hash
  const about = ['usr_1', 'grant', 'grt_1', 'att_1']
  const text = [
    ['', 1, tenantId, first!.id, 1_000, type, 'client', 'c', null, null, null, null, '{}'],
    [before, 2, tenantId, second!.id, 1_000, type, 'client', 'c', ...about, '{"n":1}'],
  ]
  assert.deepEqual(
    links.map((link) => link.hash),
    text.map((parts) => keyring.sign('journal_chain', JSON.stringify(parts))),
  )
})

interface Attack {
  readonly name: string
  readonly run: (ids: readonly string[]) => { readonly execute: () => Promise<unknown> }
  readonly seq: number
  readonly because: RegExp
}

// A tenant with five sealed entries and nothing else.
async function startOver(db: Database, journal: ReturnType<typeof make>) {
  await db.deleteFrom('journal_entries').execute()
  await db.deleteFrom('journal_chain').execute()
  await db.deleteFrom('journal_heads').execute()
  for (let n = 0; n < 5; n += 1) await journal.record(db, entry())
  const listed = await journal.list({ tenantId })
  assert.deepEqual(await journal.verify(tenantId), { ok: true, count: 5 })
  return listed.map((each) => each.id)
}
