import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { onEveryEmptyDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { migrate } from './migrate.ts'
import type { Schema } from './schema.ts'

/** What stands in the folder today, in order. */
const everyMigration = readdirSync(new URL('./migrations/', import.meta.url))
  .map((file) => file.replace(/\.sql$/, ''))
  .toSorted()

onEveryEmptyDatabase('the migrations make every table of the schema', async (t, store) => {
  verifies(t, 'R-20')
  assert.deepEqual(await migrate(store), { applied: everyMigration, pending: [] })
  const tables: readonly (keyof Schema)[] = ['tenants', 'flows', 'journal_heads', 'codes']
  for (const table of tables) {
    assert.deepEqual(await store.db.selectFrom(table).selectAll().execute(), [])
  }
})

onEveryEmptyDatabase('a second run changes nothing', async (t, store) => {
  verifies(t, 'R-20')
  await migrate(store)
  assert.deepEqual(await migrate(store), { applied: [], pending: [] })
})

onEveryEmptyDatabase('a dry run tells what is pending and changes nothing', async (t, store) => {
  verifies(t, 'R-20')
  const report = { applied: [], pending: everyMigration }
  assert.deepEqual(await migrate(store, { dryRun: true }), report)
  assert.deepEqual(await migrate(store, { dryRun: true }), report)
  await assert.rejects(sql`select * from migrations`.execute(store.db))
})

onEveryEmptyDatabase('only what is new is applied', async (t, store) => {
  verifies(t, 'R-20')
  const folder = makeFolder(t)
  folder.write('0001-a.sql', "create table a (id text); insert into a (id) values ('x; y')")
  await migrate(store, { folder: folder.url })
  folder.write('0002-b.sql', 'alter table a add column b text;')

  const dry = await migrate(store, { folder: folder.url, dryRun: true })
  const wet = await migrate(store, { folder: folder.url })

  assert.deepEqual([dry.pending, wet.applied], [['0002-b'], ['0002-b']])
  assert.deepEqual((await sql`select * from a`.execute(store.db)).rows, [{ id: 'x; y', b: null }])
})

onEveryEmptyDatabase('a file that changed after it was applied is refused', async (t, store) => {
  verifies(t, 'R-20')
  const folder = makeFolder(t)
  folder.write('0001-a.sql', 'create table a (id text);')
  await migrate(store, { folder: folder.url })
  folder.write('0001-a.sql', 'create table a (id bigint);')
  folder.write('0002-b.sql', 'create table b (id text);')

  for (const dryRun of [true, false]) {
    const again = migrate(store, { folder: folder.url, dryRun })
    await assert.rejects(again, /0001-a was changed after it was applied/)
  }
  await assert.rejects(sql`select * from b`.execute(store.db))
})

onEveryEmptyDatabase('a file that fails leaves nothing of itself', async (t, store) => {
  verifies(t, 'R-20')
  const folder = makeFolder(t)
  folder.write('0001-a.sql', 'create table a (id text);')
  folder.write('0002-b.sql', 'create table b (id text); insert into nothing values (1);')

  await assert.rejects(migrate(store, { folder: folder.url }))

  const dry = await migrate(store, { folder: folder.url, dryRun: true })
  assert.deepEqual(dry.pending, ['0002-b'])
  folder.write('0002-b.sql', 'create table b (id text);')
  assert.deepEqual((await migrate(store, { folder: folder.url })).applied, ['0002-b'])
})

onEveryEmptyDatabase(
  'processes that start at once apply each file once',
  async (t, store, open) => {
    verifies(t, 'R-20')
    const stores = [store, await open(), await open(), await open()]

    const reports = await Promise.all(stores.map((each) => migrate(each)))

    assert.deepEqual(reports.flatMap((report) => report.applied).toSorted(), everyMigration)
  },
)

function makeFolder(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-migrations-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return {
    url: pathToFileURL(`${folder}/`),
    write: (name: string, text: string) => writeFileSync(join(folder, name), text),
  }
}
