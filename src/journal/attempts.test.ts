// Which steps belong to one attempt: by visitor, by client and by code, in one process and in several.
import assert from 'node:assert/strict'
import { createManualClock } from '../base/clock.ts'
import type { ManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { silentLog } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { createTenants } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import {
  attemptKeptMs,
  attemptWindowMs,
  createAttempts,
  registrationsPerTenantMinute,
  sweepAttempts,
} from './attempts.ts'
import type { Visitor } from './attempts.ts'

const keyring = createKeyring({ random: systemRandom }, [{ id: 'k', key: new Uint8Array(32) }])

function make(db: Database, clock: ManualClock) {
  return createAttempts({ db, clock, random: systemRandom, keyring, log: silentLog })
}

/** A tenant, and the attempts of one process over the database. */
async function start(db: Database) {
  const clock = createManualClock()
  const { id: tenantId } = await createTenants({
    db,
    clock,
    random: systemRandom,
  }).ensureDefault('https://auth.test')
  const visitorFrom = (address: string, agent = 'node'): Visitor => ({ tenantId, address, agent })
  return { clock, tenantId, attempts: make(db, clock), visitorFrom }
}

onEveryDatabase(
  'a visitor makes one attempt, though two processes see fifty steps at once',
  async (_t, { db }, openAnother) => {
    const { clock, attempts, visitorFrom } = await start(db)
    const other = make((await openAnother()).db, clock)
    const visitor = visitorFrom('192.0.2.1')
    const ids = await Promise.all(
      Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? attempts : other).of(visitor)),
    )
    assert.equal(new Set(ids).size, 1)
    assert.match(ids[0] ?? '', /^att_[0-9a-z]{26}$/)
    const [row, ...more] = await db.selectFrom('attempts').selectAll().execute()
    assert.deepEqual(more, [])
    assert.doesNotMatch(JSON.stringify(row), /192\.0\.2\.1|node/)
    assert.notEqual(await attempts.of(visitorFrom('192.0.2.2')), ids[0])
    assert.notEqual(await attempts.of(visitorFrom('192.0.2.1', 'curl')), ids[0])
  },
)

onEveryDatabase(
  'fifty registrations of one visitor at once, at two processes, all find an attempt',
  async (_t, { db }, openAnother) => {
    const { clock, attempts, visitorFrom } = await start(db)
    const other = make((await openAnother()).db, clock)
    const visitor = visitorFrom('192.0.2.1')
    const found = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const own = index % 2 === 0 ? attempts : other
        const made: (string | undefined)[] = []
        for (let round = 0; round < 3; round += 1) {
          const attempt = await own.forRegistration(visitor)
          await own.registered(visitor, attempt ?? '', `client-${index}-${round}`)
          made.push(attempt)
        }
        return made
      }),
    )
    assert.ok(found.flat().every((attempt) => attempt?.startsWith('att_')))
  },
)

onEveryDatabase('an attempt lasts half an hour', async (_t, { db }) => {
  const { clock, attempts, visitorFrom } = await start(db)
  const visitor = visitorFrom('192.0.2.1')
  assert.equal(await attempts.current(visitor), undefined)
  const id = await attempts.of(visitor)
  await clock.advance(attemptWindowMs - 1)
  assert.equal(await attempts.of(visitor), id)
  assert.equal(await attempts.current(visitor), id)
  const fresh = make(db, clock)
  await clock.advance(1)
  assert.equal(await fresh.current(visitor), undefined)
  assert.notEqual(await fresh.of(visitor), id)
})

onEveryDatabase(
  'each registration has an attempt of its own, but in a flood',
  async (_t, { db }) => {
    const { clock, attempts, visitorFrom } = await start(db)
    const visitor = visitorFrom('192.0.2.1')
    const discovered = await attempts.of(visitor)
    const first = (await attempts.forRegistration(visitor)) ?? ''
    assert.equal(first, discovered)
    // A registration that failed leaves it as it is; one that succeeded takes it.
    assert.equal(await attempts.forRegistration(visitor), first)
    await attempts.registered(visitor, first, 'client-1')
    const second = await attempts.forRegistration(visitor)
    assert.notEqual(second, first)

    for (let taken = 3; taken < registrationsPerTenantMinute; taken += 1) {
      assert.notEqual(await attempts.forRegistration(visitor), undefined)
    }
    assert.equal(await attempts.forRegistration(visitor), undefined)
    await clock.advance(60_000)
    assert.notEqual(await attempts.forRegistration(visitor), undefined)
  },
)

onEveryDatabase('a browser goes on with the attempt of its client', async (_t, { db }) => {
  const { clock, tenantId, attempts, visitorFrom } = await start(db)
  const registerFrom = async (address: string, client = 'shared') => {
    await clock.advance(1)
    const visitor = visitorFrom(address)
    const attempt = (await attempts.forRegistration(visitor)) ?? ''
    await attempts.registered(visitor, attempt, client)
    return attempt
  }
  const ask = (address: string, client = 'shared') =>
    attempts.forClient(visitorFrom(address, 'browser'), client)
  const authorize = (attempt: string, clientId = 'shared') =>
    db.transaction().execute((tx) => attempts.authorized(tx, { tenantId, attempt, clientId }))

  // From the same address: the program is on the person's machine.
  const near = await registerFrom('192.0.2.1')
  await registerFrom('192.0.2.2')
  assert.equal(await ask('192.0.2.1'), near)
  await authorize(near)
  assert.equal(await ask('192.0.2.1'), near, 'a second try')
  // From elsewhere: nobody knows whose it is, when several have the client's name.
  assert.equal(await ask('203.0.113.9'), undefined)

  // A client that was registered once is its own attempt's alone, until a browser came with it.
  const { id, created_at } = await insertClient(db, tenantId, clock.now())
  const own = await registerFrom('192.0.2.3', id)
  assert.equal(await ask('203.0.113.9', id), own)
  const registeredAt = (at: number) =>
    db.updateTable('clients').set({ registered_at: at }).where('id', '=', id).execute()
  await registeredAt(created_at + 1)
  assert.equal(await ask('203.0.113.9', id), undefined, 'it was given to somebody else too')
  await registeredAt(created_at)
  await authorize(own, id)
  assert.equal(await ask('203.0.113.9', id), undefined)

  // What is over is not gone on with.
  attempts.redeemed(visitorFrom('192.0.2.1'), near, 'shared')
  await attempts.settle()
  assert.equal(await ask('192.0.2.1'), undefined)

  for (const unknown of ['unknown', '', '\0', 'x'.repeat(2049)]) {
    assert.equal(await attempts.forClient(visitorFrom('192.0.2.1'), unknown), undefined)
  }
  assert.notEqual(await ask('192.0.2.2'), undefined)
  await clock.advance(attemptWindowMs)
  assert.equal(await ask('192.0.2.2'), undefined)
})

/** A client that has just registered. */
async function insertClient(db: Database, tenantId: string, now: number) {
  return db
    .insertInto('clients')
    .values({
      tenant_id: tenantId,
      id: 'own',
      kind: 'registered',
      name: 'Own',
      metadata: '{}',
      metadata_digest: '',
      token_endpoint_auth_method: 'none',
      created_at: now,
      registered_at: now,
    })
    .returning(['id', 'created_at'])
    .executeTakeFirstOrThrow()
}

onEveryDatabase('who redeems a code tells whose discovery it was', async (_t, { db }) => {
  const { clock, tenantId, attempts, visitorFrom } = await start(db)
  const row = (id: string) =>
    db.selectFrom('attempts').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  const begin = (attempt: string) =>
    db
      .transaction()
      .execute((tx) => attempts.authorized(tx, { tenantId, attempt, clientId: 'document' }))
  const backend = visitorFrom('192.0.2.1')
  const discovered = await attempts.of(backend)
  await begin('req_1')
  attempts.redeemed(backend, 'req_1', 'document')
  await attempts.settle()
  assert.equal((await row(discovered)).linked_to, 'req_1')
  assert.equal((await row(discovered)).client_id, 'document')
  assert.equal((await row('req_1')).linked_to, null)
  assert.notEqual(await attempts.of(backend), discovered, 'the next step begins anew')

  // An attempt of its own is not linked to itself; one of another client is left alone.
  const own = (await attempts.forRegistration(backend)) ?? ''
  await attempts.registered(backend, own, 'other')
  await begin('req_2')
  attempts.redeemed(backend, 'req_2', 'document')
  await attempts.settle()
  assert.equal((await row(own)).linked_to, null)
  attempts.redeemed(backend, own, 'other')
  await attempts.settle()
  assert.equal((await row(own)).linked_to, null)

  const now = clock.now()
  await sweepAttempts(db, now + attemptKeptMs - 1)
  assert.notDeepEqual(await db.selectFrom('attempts').selectAll().execute(), [])
  await sweepAttempts(db, now + attemptKeptMs)
  assert.deepEqual(await db.selectFrom('attempts').selectAll().execute(), [])
})
