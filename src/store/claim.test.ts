import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { claimOnce } from './claim.ts'
import type { Database } from './database.ts'

const rounds = 200
const callers = 50
const now = 1_000_000

onEveryDatabase(
  'one of fifty at once wins a claim, in each of 200 rounds',
  async (t, store, open) => {
    verifies(t, 'X-05', 'X-06', 'P-44', 'P-45', 'P-100')
    const instances = [store.db, (await open()).db]
    await insertTenant(store.db)

    for (let round = 0; round < rounds; round += 1) {
      const link = await insertLink(store.db, `link-${round}`)
      const claims = await Promise.all(
        Array.from({ length: callers }, (_, caller) =>
          claimOnce(instances[caller % 2]!, 'setup_links', link, now),
        ),
      )
      assert.equal(claims.filter((claim) => claim !== undefined).length, 1)
    }
  },
)

onEveryDatabase('a claim gives the whole row and marks it', async (t, { db }) => {
  verifies(t, 'X-05')
  await insertTenant(db)
  const link = await insertLink(db, 'link')

  const claimed = await claimOnce(db, 'setup_links', link, now)

  const row = { ...link, created_at: now - 10, expires_at: now + 1, claimed_at: now }
  assert.deepEqual(claimed, row)
  assert.deepEqual(await db.selectFrom('setup_links').selectAll().execute(), [row])
  assert.equal(await claimOnce(db, 'setup_links', link, now), undefined)
})

onEveryDatabase('the last moment to claim is the one before the expiry', async (t, { db }) => {
  verifies(t, 'X-05')
  await insertTenant(db)
  const link = await insertLink(db, 'link')

  assert.equal(await claimOnce(db, 'setup_links', link, now + 1), undefined)
  assert.notEqual(await claimOnce(db, 'setup_links', link, now), undefined)
})

onEveryDatabase('a claim undone with its transaction can be made again', async (t, { db }) => {
  verifies(t, 'X-05')
  await insertTenant(db)
  const link = await insertLink(db, 'link')

  await assert.rejects(
    db.transaction().execute(async (tx) => {
      await claimOnce(tx, 'setup_links', link, now)
      throw new Error('later')
    }),
    /later/,
  )
  assert.notEqual(await claimOnce(db, 'setup_links', link, now), undefined)
})

onEveryDatabase('a claim must name more than the tenant', async (_t, { db }) => {
  await assert.rejects(claimOnce(db, 'codes', { tenant_id: 'tenant' }, now), /one row/)
})

async function insertTenant(db: Database): Promise<void> {
  const tenant = { id: 'tenant', slug: 'slug', issuer: 'https://a.example', name: 'A' }
  await db
    .insertInto('tenants')
    .values({ ...tenant, created_at: 1 })
    .execute()
}

async function insertLink(db: Database, digest: string) {
  const link = { tenant_id: 'tenant', link_digest: digest }
  const times = { created_at: now - 10, expires_at: now + 1, claimed_at: null }
  await db
    .insertInto('setup_links')
    .values({ ...link, ...times })
    .execute()
  return link
}
