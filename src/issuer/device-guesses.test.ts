import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { createKeyring } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import { createTenants } from '../people/tenants.ts'
import type { Store } from '../store/database.ts'
import {
  createDeviceGuesses,
  wrongMax,
  wrongPerCodeMax,
  wrongSoFar,
  wrongWindowMs,
} from './device-guesses.ts'
import type { DeviceGuesses, Guesser } from './device-guesses.ts'
import { refused } from './issuer.rig.ts'
import { userCodesMax } from './user-code.ts'

async function open({ db }: Store) {
  const clock = createManualClock()
  const random = systemRandom
  const keyring = createKeyring({ random }, [{ id: 'test', key: random.bytes(32) }])
  const tenant = await createTenants({ db, clock, random }).ensureDefault('https://auth.test')
  const needs = { db, clock, keyring }
  const take = (guesses: DeviceGuesses, guesser: Partial<Guesser> = {}) =>
    guesses.attempt(
      tenant,
      { userId: 'usr_ada', address: undefined, ...guesser },
      async (_tx, count) => ({ isRight: false, value: count }),
    )
  return { db, clock, tenant, needs, guesses: createDeviceGuesses(needs), take }
}

const tooMany = 'too_many_requests'

onEveryDatabase(
  'five wrong codes of a person, and none more until ten minutes pass',
  async (t, store) => {
    verifies(t, 'X-23')
    const { clock, guesses, take } = await open(store)
    for (let wrong = 0; wrong < wrongMax; wrong += 1) {
      await take(guesses)
      await clock.advance(1000)
    }
    await refused(take(guesses), tooMany)
    assert.ok(await take(guesses, { userId: 'usr_eve' }), 'another person still may')
    // The window begins anew with each wrong one, so no ten minutes ever hold more than five.
    await clock.advance(wrongWindowMs - 1001)
    await refused(take(guesses), tooMany)
    await clock.advance(1)
    assert.ok(await take(guesses))
  },
)

onEveryDatabase('five wrong codes from one network, whoever types them', async (t, store) => {
  verifies(t, 'X-23')
  const { guesses, take } = await open(store)
  const networks = [
    ['8.8.8.8', '::ffff:8.8.8.8'],
    ['2a00:1450:1:2::1', '2a00:1450:1:2:ffff::9'],
  ] as const
  for (const [address, same] of networks) {
    for (let wrong = 0; wrong < wrongMax; wrong += 1) {
      await take(guesses, { userId: `usr_${address}${wrong}`, address })
    }
    await refused(take(guesses, { userId: 'usr_more', address: same }), tooMany)
  }
  assert.ok(await take(guesses, { userId: 'usr_more', address: '2a00:1450:1:3::1' }))
  for (let person = 0; person < 2 * wrongMax; person += 1) {
    const userId = `usr_local_${person}`
    assert.ok(await take(guesses, { userId, address: '127.0.0.1' }), 'a proxy is nobody')
  }
})

onEveryDatabase(
  'fifty tries at once of one person, in two processes: five get through',
  async (t, store) => {
    verifies(t, 'X-23')
    const { needs, guesses, take, db, tenant } = await open(store)
    const other = createDeviceGuesses(needs)
    const tries = Array.from({ length: 50 }, (_, index) => take(index % 2 === 0 ? guesses : other))
    const outcomes = await Promise.allSettled(tries)
    const through = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    assert.equal(through.length, wrongMax)
    for (const one of outcomes) {
      assert.ok(one.status === 'fulfilled' || (isFault(one.reason) && one.reason.code === tooMany))
    }
    const counts = new Set(through)
    assert.deepEqual(counts, new Set([1, 2, 3, 4, 5]))
    assert.equal(await wrongSoFar(db, tenant), wrongMax)
  },
)

onEveryDatabase('a right code counts for nothing', async (_, store) => {
  const { db, tenant, needs, guesses, take } = await open(store)
  const guesser = { userId: 'usr_ada', address: '8.8.8.8' }
  const right = () => guesses.attempt(tenant, guesser, async () => ({ isRight: true, value: 'ok' }))
  for (let many = 0; many < 3 * wrongMax; many += 1) assert.equal(await right(), 'ok')
  assert.equal(await wrongSoFar(db, tenant), 0)
  assert.ok(await take(createDeviceGuesses(needs)), 'nor in another process')
})

onEveryDatabase('the words say how long to wait', async (_, store) => {
  const { clock, guesses, take } = await open(store)
  for (let wrong = 0; wrong < wrongMax; wrong += 1) await take(guesses)
  await clock.advance(wrongWindowMs - 61_000)
  await assert.rejects(take(guesses), (error) => {
    assert.ok(isFault(error))
    assert.equal(error.retryAfterS, 61)
    assert.match(error.detail?.['code'] ?? '', /Wait 2 minutes/)
    return true
  })
})

onEveryDatabase('what another process counted holds here, and waiting helps', async (_, store) => {
  const { clock, needs, guesses, take } = await open(store)
  const other = createDeviceGuesses(needs)
  for (let wrong = 0; wrong < wrongMax; wrong += 1) await take(other)
  for (let tries = 0; tries < 3 * wrongMax; tries += 1) await refused(take(guesses), tooMany)
  await clock.advance(wrongWindowMs)
  assert.ok(await take(guesses), 'what was refused was not counted')
})

onEveryDatabase('a store that is away does not take the limit away', async (t, store) => {
  verifies(t, 'X-23')
  const { needs, take } = await open(store)
  const away = Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })
  const db = new Proxy(store.db, {
    get: (target, name) =>
      name === 'transaction'
        ? () => ({ execute: () => Promise.reject(away) })
        : Reflect.get(target, name),
  })
  const guesses = createDeviceGuesses({ ...needs, db })
  for (let wrong = 0; wrong < wrongMax; wrong += 1) await assert.rejects(take(guesses), away)
  await refused(take(guesses), tooMany)
})

test('the chance to guess one code while it is shown is below 2^-32', (t) => {
  verifies(t, 'X-23')
  assert.ok(wrongPerCodeMax / userCodesMax < 2 ** -32)
})
