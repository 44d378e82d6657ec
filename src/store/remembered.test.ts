import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import type { Database } from './database.ts'
import { ofRow, steadyQuery } from './hot-query.ts'

const find = steadyQuery((db, { id }: { readonly id: string }) =>
  db.selectFrom('tenants').select(['id', 'name']).where('id', '=', id),
)

/** A read of two tables, the second of which is emptied along with the first. */
const findUsers = steadyQuery((db, { tenantId }: { readonly tenantId: string }) =>
  db
    .selectFrom('users')
    .innerJoin('tenants', 'tenants.id', 'users.tenant_id')
    .select(['users.id', 'tenants.name as tenant'])
    .where('users.tenant_id', '=', tenantId),
)

const id = 'ten_one'

async function fill(db: Database): Promise<void> {
  const tenant = { id, slug: 'one', issuer: 'https://one.example', name: 'One', created_at: 7 }
  await db.insertInto('tenants').values(tenant).execute()
  const user = { tenant_id: id, id: 'usr_one', email: null, name: null, role: 'user' }
  await db
    .insertInto('users')
    .values({ ...user, email_verified: 0, created_at: 7 })
    .execute()
}

async function nameOf(db: Database): Promise<string | undefined> {
  const [row] = await find(db, { id })
  return row?.name
}

async function tenantOfUsers(db: Database): Promise<readonly string[]> {
  return (await findUsers(db, { tenantId: id })).map(({ tenant }) => tenant)
}

const rename = (db: Database, name: string) =>
  db.updateTable('tenants').set({ name }).where('id', '=', id).execute()

onEveryDatabase('every kind of write is seen by the next who asks', async (_t, { db }) => {
  assert.equal(await nameOf(db), undefined)
  await fill(db)
  assert.equal(await nameOf(db), 'One')
  assert.deepEqual(await tenantOfUsers(db), ['One'])

  await rename(db, 'Two')
  assert.equal(await nameOf(db), 'Two')
  assert.deepEqual(await tenantOfUsers(db), ['Two'])

  await sql`update tenants set name = 'Three' where id = ${id}`.execute(db)
  assert.equal(await nameOf(db), 'Three')

  await db.transaction().execute(async (tx) => {
    await rename(tx, 'Four')
    assert.equal(await nameOf(tx), 'Four')
  })
  assert.equal(await nameOf(db), 'Four')
  assert.deepEqual(await tenantOfUsers(db), ['Four'])

  await db
    .insertInto('tenants')
    .values({ id, slug: 'one', issuer: 'https://one.example', name: 'Five', created_at: 7 })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ name: 'Five' }))
    .execute()
  assert.equal(await nameOf(db), 'Five')

  // The users go with their tenant, though no statement names them.
  await db.deleteFrom('tenants').where('id', '=', id).execute()
  assert.equal(await nameOf(db), undefined)
  assert.deepEqual(await tenantOfUsers(db), [])
})

onEveryDatabase(
  'what another process wrote is seen by the next who asks',
  async (_t, { db }, openAnother) => {
    const other = await openAnother()
    await fill(db)
    for (let turn = 0; turn < 50; turn += 1) {
      await rename(turn % 3 === 0 ? db : other.db, `Name ${turn}`)
      for (const reads of [db, other.db]) {
        assert.equal(await nameOf(reads), `Name ${turn}`)
        assert.deepEqual(await tenantOfUsers(reads), [`Name ${turn}`])
      }
    }
  },
  { needsConnections: true },
)

onEveryDatabase(
  'nobody sees what is not committed, and everybody what is',
  async (_t, { db }) => {
    await fill(db)
    assert.equal(await nameOf(db), 'One')
    const undone = db.transaction().execute(async (tx) => {
      await rename(tx, 'Undone')
      assert.equal(await nameOf(db), 'One')
      throw new Error('undone')
    })
    await assert.rejects(undone, /undone/)
    assert.equal(await nameOf(db), 'One')

    await db.transaction().execute(async (tx) => {
      await rename(tx, 'Done')
      assert.equal(await nameOf(db), 'One')
    })
    assert.equal(await nameOf(db), 'Done')
  },
  { needsConnections: true },
)

onEveryDatabase(
  'fifty writers and readers at once never read less than what was told to be written',
  async (_t, { db }, openAnother) => {
    const other = await openAnother()
    await fill(db)
    await sql`update tenants set created_at = 0 where id = ${id}`.execute(db)
    const count = steadyQuery((on, values: { readonly id: string }) =>
      on.selectFrom('tenants').select('created_at').where('id', '=', values.id),
    )
    let told = 0

    const work = async (on: Database) => {
      await on
        .updateTable('tenants')
        .set((is) => ({ created_at: is('created_at', '+', 1) }))
        .where('id', '=', id)
        .execute()
      told += 1
      const least = told
      for (const reader of [db, other.db]) {
        const [row] = await count(reader, { id })
        assert.ok((row?.created_at ?? 0) >= least)
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, at) => work(at % 2 === 0 ? db : other.db)))

    assert.deepEqual(await count(db, { id }), [{ created_at: 50 }])
    assert.deepEqual(await count(other.db, { id }), [{ created_at: 50 }])
  },
  { needsConnections: true },
)

onEveryDatabase(
  'the embedded database keeps a row until its table is written, and what was made of it',
  async (_t, { db, engine }) => {
    await fill(db)
    const made = { count: 0 }
    const make = ofRow(({ name }: { readonly name: string }) => {
      made.count += 1
      return name.toUpperCase()
    })
    const ask = async () => {
      const [row] = await find(db, { id })
      return row && make(row)
    }

    for (let turn = 0; turn < 5; turn += 1) assert.equal(await ask(), 'ONE')
    await db.updateTable('users').set({ name: 'Another table' }).execute()
    assert.equal(await ask(), 'ONE')
    assert.equal(made.count, engine === 'sqlite' ? 1 : 6)

    await rename(db, 'Two')
    assert.equal(await ask(), 'TWO')
    assert.equal(made.count, engine === 'sqlite' ? 2 : 7)
  },
)

onEveryDatabase('rows that are shared cannot be changed', async (_t, { db, engine }) => {
  await fill(db)
  const [row] = await find(db, { id })
  assert.ok(row)
  if (engine === 'sqlite') assert.throws(() => Object.assign(row, { name: 'Changed' }), TypeError)
  assert.equal(await nameOf(db), 'One')
})

onEveryDatabase('answers to different values are kept apart', async (_t, { db }) => {
  const both = steadyQuery((on, { slug, name }: { readonly slug: string; readonly name: string }) =>
    on.selectFrom('tenants').select('id').where('slug', '=', slug).where('name', '=', name),
  )
  const one = { id: 'ten_1', slug: 'ab', name: '1:c', issuer: 'https://a.example', created_at: 1 }
  const two = { id: 'ten_2', slug: 'a', name: 'b1:c', issuer: 'https://b.example', created_at: 1 }
  await db.insertInto('tenants').values([one, two]).execute()

  for (let turn = 0; turn < 2; turn += 1) {
    assert.deepEqual(await both(db, one), [{ id: 'ten_1' }])
    assert.deepEqual(await both(db, two), [{ id: 'ten_2' }])
    assert.deepEqual(await both(db, { slug: 'ab', name: 'b1:c' }), [])
  }
})
