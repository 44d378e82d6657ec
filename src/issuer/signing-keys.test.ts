import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { systemRandom } from '../base/random.ts'
import { createJournal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import { createRig, createTwins } from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'
import { defaultPolicy } from './policy.ts'
import { createSigningKeys, publishedAfterMs, publishedAheadMs } from './signing-keys.ts'
import type { SigningKeys } from './signing-keys.ts'

const hourMs = 3_600_000
const jwt = { typ: 'at+jwt', claims: { sub: 'usr_1' } } as const

onEveryDatabase('a tenant signs with a key whose public half is published', async (t, store) => {
  const rig = await createRig(t, store)
  const keys = keysOf(rig)
  const token = (await keys.sign(rig.tenant, jwt)).reveal()
  const published = await keys.published(rig.tenant)
  assert.equal(published.keys.length, 2, 'the active one and the next')
  for (const key of published.keys) {
    assert.equal(key.kid, await calculateJwkThumbprint(key), 'RFC 7638')
    assert.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  }
  const { payload, protectedHeader } = await jwtVerify(
    token,
    createLocalJWKSet({ ...published, keys: [...published.keys] }),
  )
  assert.deepEqual(payload, { sub: 'usr_1' })
  assert.deepEqual(protectedHeader, { alg: 'ES256', kid: published.keys[0]?.kid, typ: 'at+jwt' })
})

onEveryDatabase('a private key is only stored sealed, in its own place', async (t, store) => {
  verifies(t, 'S3-43')
  const rig = await createRig(t, store)
  await keysOf(rig).sign(rig.tenant, jwt)
  const rows = await rig.db.selectFrom('signing_keys').selectAll().execute()
  for (const row of rows) {
    assert.doesNotMatch(JSON.stringify(row), /"d"|\\"d\\"/)
    assert.match(row.private_jwk_sealed, /^v1\.test\./)
    const place = { tenant: rig.tenant.id, table: 'signing_keys', column: 'private_jwk_sealed' }
    const opened = rig.keyring.open(row.private_jwk_sealed, { ...place, row: row.kid })
    assert.equal(typeof JSON.parse(opened.reveal()).d, 'string')
    assert.throws(() => rig.keyring.open(row.private_jwk_sealed, { ...place, row: 'another' }))
  }
})

onEveryDatabase(
  'the next key signs once every cache knows it, and the old one stays until its tokens are over: R-18',
  async (t, store) => {
    const rig = await createRig(t, store)
    const keys = keysOf(rig)
    const { tenant, clock } = rig
    const [first, second] = await kids(rig, keys)
    const old = (await keys.sign(tenant, jwt)).reveal()

    await clock.advance(publishedAheadMs - 1)
    assert.equal((await keys.rotate(tenant)).kind, 'too_early')
    await clock.advance(1)
    assert.deepEqual(await keys.rotate(tenant), { kind: 'rotated', kid: second })
    const after = await kids(rig, keys)
    assert.deepEqual(after.slice(0, 2), [first, second])
    assert.equal(after.length, 3)
    assert.equal(kidOf((await keys.sign(tenant, jwt)).reveal()), second)
    assert.equal((await keys.rotate(tenant)).kind, 'too_early', 'nobody knows the third yet')

    const keptMs = publishedAfterMs(defaultPolicy)
    assert.ok(keptMs > defaultPolicy.accessTokenLifetimeMs)
    await clock.advance(keptMs - 1)
    assert.ok(await isVerified(rig, keys, old))
    await clock.advance(1)
    assert.equal(await isVerified(rig, keys, old), false)
    await keys.rotate(tenant)
    const rows = await rig.db.selectFrom('signing_keys').select('kid').execute()
    assert.equal(
      rows.some(({ kid }) => kid === first),
      false,
      'it is gone',
    )
    assert.ok((await rig.journalTypes()).includes('signing_key.rotated'))
  },
)

onEveryDatabase(
  'a key that has signed for its lifetime is rotated, in every tenant that has one',
  async (t, store) => {
    const rig = await createRig(t, store)
    const keys = keysOf(rig)
    const { tenant, clock } = rig
    const other = { ...tenant, id: 'ten_other', slug: 'other', issuer: 'https://other.test' }
    await addTenant(rig.db, other)
    assert.equal(await keys.rotateDue(), 0, 'nobody has keys yet')
    const [first, second] = await kids(rig, keys)
    await clock.advance(1000)
    await keys.published(other)

    await clock.advance(defaultPolicy.signingKeyLifetimeMs - 1001)
    assert.equal(await keys.rotateDue(), 0)
    assert.equal(kidOf((await keys.sign(tenant, jwt)).reveal()), first)
    await clock.advance(1)
    assert.equal(await keys.rotateDue(), 1)
    assert.equal(kidOf((await keys.sign(tenant, jwt)).reveal()), second)
    await clock.advance(1000)
    assert.equal(await keys.rotateDue(), 1, 'the other tenant’s turn')
    assert.equal(await keys.rotateDue(), 0)
    await clock.advance(defaultPolicy.signingKeyLifetimeMs)
    assert.equal(await keys.rotateDue(), 2)
  },
)

onEveryDatabase(
  'a rotation that is asked for too early comes by itself as soon as everybody knows the key',
  async (t, store) => {
    const rig = await createRig(t, store)
    const keys = keysOf(rig)
    const { tenant, clock } = rig
    const [first, second] = await kids(rig, keys)
    const notBefore = clock.now() + publishedAheadMs
    await clock.advance(1000)
    const operator = { kind: 'operator' } as const
    for (let count = 0; count < 2; count += 1) {
      assert.deepEqual(await keys.rotateSoon(tenant, operator), { kind: 'too_early', notBefore })
    }
    await clock.advance(publishedAheadMs - 1001)
    assert.equal(await keys.rotateDue(), 0)
    assert.equal(kidOf((await keys.sign(tenant, jwt)).reveal()), first)
    await clock.advance(1)
    assert.equal(await keys.rotateDue(), 1)
    assert.equal(kidOf((await keys.sign(tenant, jwt)).reveal()), second)
    await clock.advance(publishedAheadMs)
    assert.equal(await keys.rotateDue(), 0, 'asked for once, done once')
    assert.equal((await keys.rotateSoon(tenant, operator)).kind, 'rotated')
  },
)

onEveryDatabase('fifty who find a rotation due rotate once', async (t, store, openAnother) => {
  const [one, other] = await createTwins(t, store, openAnother)
  await kids(one, keysOf(one))
  for (const { clock } of [one, other]) await clock.advance(defaultPolicy.signingKeyLifetimeMs)
  const counts = await Promise.all(
    Array.from({ length: 50 }, (_, index) => keysOf(index % 2 === 0 ? one : other).rotateDue()),
  )
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    1,
  )
})

void test('a setting for longer tokens keeps a retired key for longer', () => {
  const accessTokenLifetimeMs = 48 * hourMs
  assert.ok(publishedAfterMs({ accessTokenLifetimeMs }) > accessTokenLifetimeMs)
})

onEveryDatabase(
  'fifty who need keys at once make one pair of them',
  async (t, store, openAnother) => {
    const [one, other] = await createTwins(t, store, openAnother)
    const seen = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const rig = index % 2 === 0 ? one : other
        return kidOf((await keysOf(rig).sign(one.tenant, jwt)).reveal())
      }),
    )
    assert.equal(new Set(seen).size, 1)
    const rows = await one.db.selectFrom('signing_keys').selectAll().execute()
    assert.equal(rows.length, 2)
  },
)

onEveryDatabase('fifty rotations at once are one', async (t, store, openAnother) => {
  const [one, other] = await createTwins(t, store, openAnother)
  await kids(one, keysOf(one))
  for (const { clock } of [one, other]) await clock.advance(publishedAheadMs)
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      keysOf(index % 2 === 0 ? one : other).rotate(one.tenant),
    ),
  )
  assert.equal(outcomes.filter(({ kind }) => kind === 'rotated').length, 1)
  const rows = await one.db.selectFrom('signing_keys').selectAll().orderBy('generation').execute()
  assert.deepEqual(states(rows), ['retired', 'active', 'next'])
})

onEveryDatabase('keys belong to one tenant', async (t, store) => {
  const rig = await createRig(t, store)
  const keys = keysOf(rig)
  const other = { ...rig.tenant, id: 'ten_other', slug: 'other', issuer: 'https://other.test' }
  await addTenant(rig.db, other)
  const [mine] = await kids(rig, keys)
  const theirs = (await keys.published(other)).keys.map(({ kid }) => kid)
  assert.equal(theirs.includes(mine ?? ''), false)
  assert.notEqual(kidOf((await keys.sign(other, jwt)).reveal()), mine)
})

/** The keys of a process of their own, so that nothing is remembered between two. */
function keysOf({ db, clock, keyring }: Rig): SigningKeys {
  const random = systemRandom
  const journal = createJournal({ db, clock, random, keyring })
  return createSigningKeys({ db, clock, random, keyring, journal, policy: defaultPolicy })
}

async function kids({ tenant }: Rig, keys: SigningKeys): Promise<readonly string[]> {
  return (await keys.published(tenant)).keys.map(({ kid }) => kid)
}

function kidOf(token: string): unknown {
  const [header = ''] = token.split('.')
  return JSON.parse(Buffer.from(header, 'base64url').toString()).kid
}

async function isVerified({ tenant }: Rig, keys: SigningKeys, token: string): Promise<boolean> {
  const published = await keys.published(tenant)
  const found = createLocalJWKSet({ keys: [...published.keys] })
  return jwtVerify(token, found).then(
    () => true,
    () => false,
  )
}

function states(rows: readonly { activated_at: number | null; retired_at: number | null }[]) {
  return rows.map(({ activated_at, retired_at }) => {
    if (activated_at === null) return 'next'
    return retired_at === null ? 'active' : 'retired'
  })
}

async function addTenant(db: Database, { id, slug, issuer, name }: Rig['tenant']): Promise<void> {
  await db.insertInto('tenants').values({ id, slug, issuer, name, created_at: 0 }).execute()
}
