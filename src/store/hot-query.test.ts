import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import type { Database } from './database.ts'
import { hotQuery } from './hot-query.ts'

function createCounted() {
  const built = { count: 0 }
  const find = hotQuery(
    (db, { slug, ids }: { readonly slug: string; readonly ids: readonly string[] }) => {
      built.count += 1
      return db
        .selectFrom('tenants')
        .select(['id', 'name'])
        .where('slug', '=', slug)
        .where('id', 'in', ids)
        .where('name', '=', 'A name')
    },
  )
  return { built, find }
}

const insert = hotQuery((db, { id, at }: { readonly id: string; readonly at: number }) =>
  db
    .insertInto('tenants')
    .values({ id, slug: id, issuer: id, name: 'A name', created_at: at })
    .returning('created_at'),
)

async function fill(db: Database): Promise<void> {
  for (const id of ['one', 'two', 'three']) await insert(db, { id, at: 7 })
}

onEveryDatabase(
  'a hot query is built once and gives what its values ask for',
  async (_t, { db }) => {
    await fill(db)
    const { built, find } = createCounted()

    assert.deepEqual(await find(db, { slug: 'one', ids: ['one'] }), [{ id: 'one', name: 'A name' }])
    assert.deepEqual(await find(db, { slug: 'two', ids: ['two'] }), [{ id: 'two', name: 'A name' }])
    assert.deepEqual(await find(db, { slug: 'two', ids: ['one'] }), [])
    assert.equal(built.count, 1)
  },
)

onEveryDatabase('lists of another length are another statement', async (_t, { db }) => {
  await fill(db)
  const { built, find } = createCounted()

  assert.equal((await find(db, { slug: 'two', ids: ['one', 'two'] })).length, 1)
  assert.equal((await find(db, { slug: 'two', ids: ['one', 'three'] })).length, 0)
  assert.equal((await find(db, { slug: 'two', ids: ['two'] })).length, 1)
  assert.equal(built.count, 2)
})

onEveryDatabase('inside a transaction it is part of it', async (_t, { db }) => {
  const work = db.transaction().execute(async (tx) => {
    assert.deepEqual(await insert(tx, { id: 'four', at: 9 }), [{ created_at: 9 }])
    throw new Error('undone')
  })
  await assert.rejects(work, /undone/)
  assert.deepEqual(await db.selectFrom('tenants').selectAll().execute(), [])
})

onEveryDatabase('a number that is no value is written out, or refused', async (_t, { db }) => {
  await fill(db)
  const bound = hotQuery((on, { at }: { readonly at: number }) =>
    on.selectFrom('tenants').select('id').where('created_at', '=', at).limit(1),
  )
  const written = hotQuery((on, { at }: { readonly at: number }) =>
    on.selectFrom('tenants').select('id').where('created_at', '=', at).limit(sql.lit(1)),
  )

  await assert.rejects(bound(db, { at: 7 }), /binds the constant 1/)
  assert.equal((await written(db, { at: 7 })).length, 1)
})

onEveryDatabase('a value that neither engine stores alike is refused', async (_t, { db }) => {
  await assert.rejects(insert(db, { id: 'five', at: Number.NaN }), /cannot be stored/)
})
