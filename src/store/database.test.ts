import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Insertable } from 'kysely'
import { onEveryDatabase, onEveryEmptyDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { Database } from './database.ts'
import { openStore } from './database.ts'
import type { TenantRow } from './schema.ts'

onEveryDatabase('rows come back as plain objects with numbers', async (_t, { db }) => {
  await insert(db, 'a', { created_at: 1_700_000_000_000 })

  const columns = ['id', 'slug', 'issuer', 'name', 'created_at'] as const
  assert.deepStrictEqual(await db.selectFrom('tenants').select(columns).execute(), [
    tenant('a', { created_at: 1_700_000_000_000 }),
  ])
  const sums = db
    .selectFrom('tenants')
    .select(({ fn }) => [fn.countAll<number>().as('count'), fn.sum<number>('created_at').as('sum')])
  assert.deepStrictEqual(await sums.execute(), [{ count: 1, sum: 1_700_000_000_000 }])
})

onEveryDatabase('a write says how many rows it touched', async (_t, { db }) => {
  await insert(db, 'a')
  await insert(db, 'b')

  const updated = await db.updateTable('tenants').set({ name: 'new' }).executeTakeFirst()
  const returned = await db
    .updateTable('tenants')
    .set({ name: 'newer' })
    .where('id', '=', 'a')
    .returning('name')
    .execute()

  assert.equal(updated.numUpdatedRows, 2n)
  assert.deepStrictEqual(returned, [{ name: 'newer' }])
})

onEveryDatabase(
  'odd parameters are refused and not stored as something else',
  async (t, { db }) => {
    verifies(t, 'R-06')
    await insert(db, 'a')
    for (const odd of [undefined, {}, new Date(0), Number.NaN, Infinity, [], Symbol('s')]) {
      const write = db
        .updateTable('tenants')
        .set({ name: sql<string>`${odd}` })
        .execute()
      await assert.rejects(write, /parameter 1 is .*cannot be stored/)
    }
    assert.deepStrictEqual(await names(db), ['a'])
  },
)

onEveryDatabase('a refused parameter is not repeated in the error', async (_t, { db }) => {
  const write = db.updateTable('tenants').set({ name: sql<string>`${{ key: 'mcp_at_secret' }}` })
  await assert.rejects(write.execute(), (error: Error) => !error.message.includes('mcp_at_secret'))
})

onEveryDatabase('yes and no are stored as 1 and 0', async (_t, { db }) => {
  await insert(db, 'a', { created_at: true as unknown as number })
  await insert(db, 'b', { created_at: false as unknown as number })
  const rows = await db.selectFrom('tenants').select('created_at').orderBy('id').execute()
  assert.deepStrictEqual(rows, [{ created_at: 1 }, { created_at: 0 }])
})

onEveryDatabase('a transaction that throws leaves nothing behind', async (t, { db }) => {
  verifies(t, 'R-06', 'R-14')
  const work = db.transaction().execute(async (tx) => {
    await insert(tx, 'a')
    throw new Error('stop')
  })
  await assert.rejects(work, /stop/)
  assert.deepStrictEqual(await names(db), [])
})

onEveryDatabase(
  'others do not see a transaction before its end',
  async (t, { db }) => {
    verifies(t, 'R-06')
    const seen = await db.transaction().execute(async (tx) => {
      await insert(tx, 'a')
      return { inside: await names(tx), outside: await names(db) }
    })
    assert.deepStrictEqual(seen, { inside: ['a'], outside: [] })
    assert.deepStrictEqual(await names(db), ['a'])
  },
  { needsConnections: true },
)

onEveryDatabase(
  'fifty read-then-write transactions on a locked row lose nothing',
  async (t, store, open) => {
    verifies(t, 'R-06')
    await insert(store.db, 'a', { created_at: 0 })
    const instances = [store.db, (await open()).db]

    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        instances[i % 2]!.transaction().execute(async (tx) => {
          await tx.updateTable('tenants').set({ name: 'locked' }).execute()
          const row = await tx.selectFrom('tenants').selectAll().executeTakeFirstOrThrow()
          await tx
            .updateTable('tenants')
            .set({ created_at: row.created_at + 1 })
            .execute()
        }),
      ),
    )

    const row = await store.db.selectFrom('tenants').selectAll().executeTakeFirstOrThrow()
    assert.equal(row.created_at, 50)
  },
)

onEveryDatabase('transactions that lock in opposite order both get through', async (t, { db }) => {
  verifies(t, 'R-06')
  await insert(db, 'a')
  await insert(db, 'b')
  const rename = (first: string, second: string) =>
    db.transaction().execute(async (tx) => {
      await tx.updateTable('tenants').set({ name: first }).where('id', '=', first).execute()
      await sleep(20) // so that both hold their first lock
      await tx.updateTable('tenants').set({ name: first }).where('id', '=', second).execute()
    })

  await Promise.all([rename('a', 'b'), rename('b', 'a')])

  assert.equal(new Set(await names(db)).size, 1)
})

onEveryDatabase('after a failed statement a transaction can only be undone', async (t, { db }) => {
  verifies(t, 'R-06')
  await insert(db, 'a')
  const work = db.transaction().execute(async (tx) => {
    await insert(tx, 'b')
    await assert.rejects(insert(tx, 'a'))
    await assert.rejects(insert(tx, 'c'))
  })
  await assert.rejects(work)
  assert.deepStrictEqual(await names(db), ['a'])
})

onEveryDatabase(
  'db used for a write inside a transaction throws at once',
  async (t, { db }) => {
    verifies(t, 'R-06')
    const work = db.transaction().execute(async (tx) => {
      await insert(tx, 'a')
      await insert(db, 'b')
    })
    await assert.rejects(work, /inside a transaction: use the transaction/)
    const nested = db.transaction().execute(() => db.transaction().execute((tx) => insert(tx, 'c')))
    await assert.rejects(nested, /inside a transaction: use the transaction/)
    assert.deepStrictEqual(await names(db), [])
  },
  { needsConnections: true },
)

onEveryDatabase('work begun in a transaction may write once it is over', async (_t, { db }) => {
  const over = Promise.withResolvers<void>()
  const later = await db.transaction().execute(async (tx) => {
    await insert(tx, 'a')
    return { write: over.promise.then(() => insert(db, 'b')) }
  })
  over.resolve()
  await later.write
  assert.deepStrictEqual(await names(db), ['a', 'b'])
})

onEveryDatabase('foreign keys are checked', async (_t, { db }) => {
  const orphan = {
    tenant_id: 'none',
    link_digest: 'x',
    created_at: 1,
    expires_at: 2,
    claimed_at: null,
  }
  await assert.rejects(db.insertInto('setup_links').values(orphan).execute(), /foreign key/i)
})

onEveryEmptyDatabase(
  'a statement used before outlives a change of its table',
  async (t, { db }) => {
    verifies(t, 'R-20')
    const items = db.withTables<{ items: { id: number; name?: string } }>()
    await sql`create table items (id bigint not null)`.execute(db)
    await items.insertInto('items').values({ id: 7 }).execute()
    const find = () => items.selectFrom('items').selectAll().where('id', '=', 7).execute()
    assert.deepStrictEqual(await find(), [{ id: 7 }])

    await sql`alter table items add column name text`.execute(db)

    assert.deepStrictEqual(await find(), [{ id: 7, name: null }])
  },
)

test('the store in memory is a store like any other', async () => {
  const store = await openStore({ kind: 'sqlite', file: ':memory:' })
  await sql`create table items (id bigint not null)`.execute(store.db)
  assert.deepStrictEqual((await sql`select * from items`.execute(store.db)).rows, [])
  await store.close()
  await store.close()
})

test('a Postgres that does not answer is told at once', async () => {
  await assert.rejects(openStore({ kind: 'postgres', url: 'postgres://u@127.0.0.1:1/none' }))
})

test('a schema name that is more than a name is refused', async () => {
  const place = { kind: 'postgres', url: 'postgres://127.0.0.1:1/x', schema: 'a -c x=y' } as const
  await assert.rejects(openStore(place), /schema/)
})

function tenant(id: string, changes: Partial<TenantRow> = {}): Insertable<TenantRow> {
  const row = { id, slug: id, issuer: `https://${id}.example`, name: id, created_at: 1 }
  return { ...row, ...changes }
}

async function insert(db: Database, id: string, changes: Partial<TenantRow> = {}): Promise<void> {
  await db.insertInto('tenants').values(tenant(id, changes)).execute()
}

async function names(db: Database): Promise<readonly string[]> {
  const rows = await db.selectFrom('tenants').select('name').orderBy('name').execute()
  return rows.map((row) => row.name)
}
