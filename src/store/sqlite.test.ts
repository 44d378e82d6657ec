import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import { verifies } from '../../test/requirements.ts'
import { storeOn } from './database.ts'
import { DiskFailure } from './group-commit.ts'
import type { Schema } from './schema.ts'
import { openSqlite } from './sqlite.ts'
import type { SqliteOptions } from './sqlite.ts'
import { isStoreUnavailable } from './unavailable.ts'
import { openWal } from './wal-sync.ts'

type Items = Schema & { items: { id: number } }

test('writes of one turn share a commit', async (t) => {
  const { db, commits } = await open(t)

  await Promise.all(range(64).map((id) => insert(db, id)))

  assert.deepEqual(commits, [64])
  assert.equal(await count(db), 64)
})

test('a group has a limit', async (t) => {
  const { db, commits } = await open(t)
  await Promise.all(range(65).map((id) => insert(db, id)))
  assert.deepEqual(commits, [64, 1])
})

test('transactions and single writes of one turn share a commit', async (t) => {
  const { db, commits } = await open(t)

  await Promise.all(
    range(30).map((id) =>
      id % 2 === 0 ? insert(db, id) : db.transaction().execute((tx) => insert(tx, id)),
    ),
  )

  assert.equal(await count(db), 30)
  assert.ok(commits.length <= 2, `${commits.length} commits`)
})

test('a unit that fails does not hurt its neighbours', async (t) => {
  verifies(t, 'R-06')
  const { db, commits } = await open(t)

  const results = await Promise.allSettled([
    insert(db, 1),
    insert(db, 1),
    db.transaction().execute(async (tx) => {
      await insert(tx, 2)
      throw new Error('undo me')
    }),
    db.transaction().execute((tx) => insert(tx, 3)),
    insert(db, 4),
  ])

  const statuses = results.map(({ status }) => status)
  assert.deepEqual(statuses, ['fulfilled', 'rejected', 'rejected', 'fulfilled', 'fulfilled'])
  assert.deepEqual(await ids(db), [1, 3, 4])
  assert.equal(commits.length, 1)
})

test('a commit that fails rejects every unit of its group', async (t) => {
  verifies(t, 'R-11')
  const { db } = await open(t)
  await sql`create table parents (id bigint primary key)`.execute(db)
  await sql`
    create table children (
      parent bigint references parents (id) deferrable initially deferred
    )`.execute(db)

  const results = await Promise.allSettled([
    insert(db, 1),
    sql`insert into children (parent) values (1)`.execute(db),
    db.transaction().execute((tx) => insert(tx, 2)),
  ])

  assert.deepEqual([...new Set(results.map(({ status }) => status))], ['rejected'])
  assert.deepEqual(await ids(db), [])
  await insert(db, 3)
  assert.deepEqual(await ids(db), [3])
})

test('a full disk rejects the group and the next one is well again', async (t) => {
  verifies(t, 'R-11')
  const { db } = await open(t)
  await sql`create table blobs (data text)`.execute(db)
  await sql.raw('pragma max_page_count = 30').execute(db)
  const big = 'x'.repeat(300_000)

  const results = await Promise.allSettled([
    insert(db, 1),
    db.transaction().execute((tx) => sql`insert into blobs (data) values (${big})`.execute(tx)),
  ])

  assert.equal(results[1]?.status, 'rejected')
  const stored = results[0]?.status === 'fulfilled' ? [1] : []
  assert.deepEqual(await ids(db), stored)
  await insert(db, 2)
  assert.deepEqual(await ids(db), [...stored, 2])
})

test('a write waits for another process without stopping this one', async (t) => {
  verifies(t, 'R-06')
  const { db, file } = await open(t)
  const other = new DatabaseSync(file)
  other.exec('begin immediate')
  let turns = 0
  const ticking = setInterval(() => (turns += 1), 5)

  const write = insert(db, 1)
  await sleep(100)
  assert.equal(await count(db), 0)
  other.exec('commit')
  other.close()
  await write
  clearInterval(ticking)

  assert.ok(turns > 3)
  assert.equal(await count(db), 1)
})

test('a transaction that never ends is undone and holds up nobody', async (t) => {
  const { db } = await open(t, { transactionLimitMs: 30 })
  const never = Promise.withResolvers<void>()
  let late: Promise<void> | undefined
  const stuck = db.transaction().execute(async (tx) => {
    await insert(tx, 1)
    await never.promise
    late = insert(tx, 2)
    await late
  })

  await insert(db, 3)
  never.resolve()

  await assert.rejects(stuck, /transaction is over/)
  await assert.rejects(late!, /transaction is over/)
  assert.deepEqual(await ids(db), [3])
})

test('closing waits for what was asked for and takes nothing more', async (t) => {
  const { db, store, file } = await open(t)
  const writes = range(10).map((id) => insert(db, id))
  await Promise.all(writes.slice(0, 1))
  await store.close()
  await Promise.all(writes)

  await assert.rejects(insert(db, 11))
  const reader = new DatabaseSync(file, { readOnly: true })
  assert.equal(reader.prepare('select count(*) as n from items').get()?.['n'], 10)
  reader.close()
})

test('a write is told once it is on disk, and holds up nobody until then', async (t) => {
  const disk = createSlowDisk()
  const { db } = await open(t, { sync: disk.sync })
  disk.slowDown()
  const told: number[] = []
  const write = async (id: number) => {
    await insert(db, id)
    told.push(id)
  }
  const writes = [write(1), write(2)]
  await disk.isAsked(1)
  // Others may read it and go on; who asked for it is not told yet.
  assert.deepEqual(await ids(db), [1, 2])
  writes.push(write(3))
  while ((await count(db)) < 3) await nextTurn()
  assert.deepEqual(told, [])

  disk.keep()
  await Promise.all(writes.slice(0, 2))
  assert.deepEqual(told, [1, 2])
  await disk.isAsked(2)
  assert.deepEqual(told, [1, 2], 'what came after the sync began waits for the next one')
  disk.keep()
  await Promise.all(writes)
  disk.keepAll()
})

test('one sync is for all that was committed before it', async (t) => {
  const disk = createSlowDisk()
  const { db, commits } = await open(t, { sync: disk.sync })
  disk.slowDown()
  const writes = [insert(db, 1)]
  await disk.isAsked(1)
  for (const id of [2, 3, 4]) {
    writes.push(insert(db, id))
    while ((await count(db)) < id) await nextTurn()
  }
  disk.keepAll()
  await Promise.all(writes)
  assert.deepEqual(commits, [1, 3])
})

test('closing waits for the disk', async (t) => {
  const disk = createSlowDisk()
  const { db, store } = await open(t, { sync: disk.sync })
  disk.slowDown()
  let isClosed = false
  const write = insert(db, 1)
  await disk.isAsked(1)
  const closing = store.close().then(() => (isClosed = true))
  for (let turn = 0; turn < 10; turn += 1) await nextTurn()
  assert.equal(isClosed, false)
  disk.keepAll()
  await Promise.all([write, closing])
})

test('what the disk did not keep is told, and nothing more is written until a new start', async (t) => {
  const disk = createSlowDisk()
  const { db, store, file } = await open(t, { sync: disk.sync })
  disk.slowDown()
  const writes = [insert(db, 1)]
  await disk.isAsked(1)
  writes.push(insert(db, 2))
  while ((await count(db)) < 2) await nextTurn()
  disk.lose()
  for (const write of writes) await assert.rejects(write, isDiskFailure)
  disk.keepAll()
  await assert.rejects(insert(db, 3), isDiskFailure)
  await assert.rejects(
    db.transaction().execute((tx) => insert(tx, 4)),
    isDiskFailure,
  )

  await store.close()
  const again = storeOn(await openSqlite(file))
  t.after(again.close)
  await insert(again.db.withTables<Pick<Items, 'items'>>(), 5)
})

test('the log is put on disk as a file of its own, and only the owner reads the files', async (t) => {
  const { db, file } = await open(t)
  await insert(db, 1)
  const log = openWal(file)
  await log.sync()
  log.close()
  await assert.rejects(log.sync(), { code: 'EBADF' })
  assert.deepEqual((await sql`pragma journal_mode`.execute(db)).rows, [{ journal_mode: 'wal' }])
  // What is not synced by us, before pages are copied into the main file, is synced by SQLite.
  assert.deepEqual((await sql`pragma synchronous`.execute(db)).rows, [{ synchronous: 1 }])
  for (const each of [file, `${file}-wal`]) assert.equal(statSync(each).mode & 0o077, 0)
})

/** A disk that takes its time, and may forget. */
function createSlowDisk() {
  const syncs: PromiseWithResolvers<void>[] = []
  let isFast = true
  const calls = { made: 0 }
  const next = () => syncs.shift() ?? assert.fail('nobody waits for the disk')
  return {
    sync: async () => {
      if (isFast) return
      calls.made += 1
      const sync = Promise.withResolvers<void>()
      syncs.push(sync)
      await sync.promise
    },
    /** Resolves when it was asked so many times. */
    isAsked: async (times: number) => {
      while (calls.made < times) await nextTurn()
    },
    slowDown: () => {
      isFast = false
    },
    keep: () => next().resolve(),
    lose: () => next().reject(new Error('I/O error')),
    keepAll: () => {
      isFast = true
      for (const { resolve } of syncs.splice(0)) resolve()
    },
  }
}

function isDiskFailure(error: unknown): boolean {
  return error instanceof DiskFailure && isStoreUnavailable(error)
}

async function open(t: TestContext, options: SqliteOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
  const file = join(folder, 'test.db')
  const commits: number[] = []
  const onDurable = (units: number) => commits.push(units)
  const store = storeOn(await openSqlite(file, { onDurable, ...options }))
  t.after(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const db = store.db.withTables<Pick<Items, 'items'>>()
  await sql`create table items (id bigint primary key)`.execute(db)
  commits.length = 0
  // withTables gives a copy that knows nothing of the guard around `transaction`; these tests mean the real one.
  const transaction = () => store.db.transaction()
  return { db: Object.assign(db, { transaction }), store, file, commits }
}

async function insert(db: Kysely<Items>, id: number): Promise<void> {
  await db.insertInto('items').values({ id }).execute()
}

async function ids(db: Kysely<Items>): Promise<readonly number[]> {
  return (await db.selectFrom('items').select('id').orderBy('id').execute()).map((row) => row.id)
}

async function count(db: Kysely<Items>): Promise<number> {
  return (await ids(db)).length
}

function range(n: number): readonly number[] {
  return Array.from({ length: n }, (_, index) => index + 1)
}
