// Counting itself: the exact line, many at once, several instances over one database, a store that is away, and bounded
// memory. What the doors make of it is in test/http/limits.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createManualClock } from '../base/clock.ts'
import type { ManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { silentLog } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import { createSharedCounts, sweepRateLimits } from './limit-counts.ts'
import type { Counter, SharedCounts } from './limit-counts.ts'
import { createLimiter } from './limiter.ts'
import type { Limiter } from './limiter.ts'
import { limits } from './limits.ts'

const keyring = createKeyring({ random: systemRandom }, [{ id: 'key1', key: new Uint8Array(32) }])
const small: Counter = counter({ quota: 10 })
const large: Counter = counter({ quota: 1000, key: 'many' })

function counter(facts: Partial<Counter>): Counter {
  return { tenantId: 'ten_1', name: 'test', key: 'somebody', quota: 10, windowMs: 60_000, ...facts }
}

function instance(db: Database, clock: ManualClock): Limiter {
  return createLimiter({
    counts: createSharedCounts({ db, clock, keyring, log: silentLog }),
    clock,
  })
}

async function takeMany(limiter: Limiter, what: Counter, times: number): Promise<number> {
  const taken = await Promise.all(Array.from({ length: times }, () => limiter.take(what)))
  return taken.filter(({ isOver }) => !isOver).length
}

const away: SharedCounts = {
  add: async () => Promise.reject(new Error('away')),
  addWithin: async () => Promise.reject(new Error('away')),
  subtract: async () => Promise.reject(new Error('away')),
}

onEveryDatabase('the last that is allowed and the first that is not', async (t, { db }) => {
  verifies(t, 'S3-49')
  const clock = createManualClock()
  const limiter = instance(db, clock)
  const begun = clock.now()
  for (let left = 9; left >= 0; left -= 1) {
    const taken = await limiter.take(small)
    const seen = [taken.isOver, taken.isNewlyFull, taken.remaining, taken.endsAt]
    assert.deepEqual(seen, [false, left === 0, left, begun + 60_000])
  }
  const over = await limiter.take(small)
  assert.deepEqual(over, {
    isOver: true,
    isNewlyFull: false,
    remaining: 0,
    endsAt: begun + 60_000,
  })
  assert.equal(limiter.spentUntil(small), begun + 60_000)

  await clock.advance(59_999)
  assert.equal((await limiter.take(small)).isOver, true)
  await clock.advance(1)
  assert.equal(limiter.spentUntil(small), undefined)
  assert.deepEqual(await takeMany(limiter, small, 11), 10)
})

onEveryDatabase('what is more than a whole quota uses nothing up', async (_t, { db }) => {
  const clock = createManualClock()
  for (const [what, left] of [
    [small, 7],
    [large, 997],
  ] as const) {
    const limiter = instance(db, clock)
    await limiter.take(what, 3)
    assert.deepEqual(await limiter.take(what, what.quota + 1), {
      isOver: true,
      isNewlyFull: false,
      remaining: left,
      endsAt: clock.now() + 60_000,
    })
    assert.equal((await limiter.take(what, left)).isOver, false)
  }
})

onEveryDatabase('other keys, limits and tenants have quotas of their own', async (_t, { db }) => {
  const limiter = instance(db, createManualClock())
  await takeMany(limiter, small, 11)
  for (const other of [{ key: 'else' }, { name: 'else' }, { tenantId: 'ten_2' }]) {
    assert.equal((await limiter.take({ ...small, ...other })).isOver, false)
  }
})

onEveryDatabase(
  'of fifty at once at two instances exactly the quota gets through',
  async (t, { db }, open) => {
    verifies(t, 'S3-49')
    const clock = createManualClock()
    const [one, two] = [instance(db, clock), instance((await open()).db, clock)]
    for (let round = 0; round < 20; round += 1) {
      const what = counter({ key: `round ${round}` })
      const allowed = await Promise.all([takeMany(one, what, 25), takeMany(two, what, 25)])
      assert.equal(allowed[0] + allowed[1], 10)
      assert.deepEqual([await takeMany(one, what, 1), await takeMany(two, what, 1)], [0, 0])
    }
  },
)

onEveryDatabase(
  'a large quota is shared too, a fiftieth of it late at most',
  async (t, { db }, open) => {
    verifies(t, 'S3-49')
    const clock = createManualClock()
    const [one, two] = [instance(db, clock), instance((await open()).db, clock)]
    let allowed = 0
    for (let step = 0; step < 1200; step += 1) {
      const limiter = step % 2 === 0 ? one : two
      if (!(await limiter.take(large)).isOver) allowed += 1
      if (step % 10 === 0) await Promise.all([one.close(), two.close()])
    }
    const fiftieth = large.quota / 50
    assert.ok(allowed >= large.quota, `${allowed} is too few`)
    assert.ok(allowed <= large.quota + 2 * fiftieth, `${allowed} is too many`)
    const rows = await db.selectFrom('rate_limits').selectAll().execute()
    assert.equal(rows.length, 1)
  },
)

onEveryDatabase(
  'one instance alone never lets more through than a large quota',
  async (_t, { db }) => {
    const limiter = instance(db, createManualClock())
    assert.equal(await takeMany(limiter, large, 1500), 1000)
    await limiter.close()
    assert.equal(await takeMany(limiter, large, 10), 0)
  },
)

onEveryDatabase(
  'a key that is used once writes no row where the quota is large',
  async (_t, { db }) => {
    const clock = createManualClock()
    const limiter = instance(db, clock)
    for (let key = 0; key < 50; key += 1) await limiter.take({ ...large, key: `${key}` })
    await limiter.close()
    assert.deepEqual(await db.selectFrom('rate_limits').selectAll().execute(), [])
    await clock.advance(1_000)
    await limiter.take({ ...large, key: '0' })
    await limiter.close()
    const [row] = await db.selectFrom('rate_limits').selectAll().execute()
    assert.equal(row?.taken, 2)
  },
)

onEveryDatabase('what is refused writes nothing', async (_t, { db }) => {
  const limiter = instance(db, createManualClock())
  await takeMany(limiter, small, 200)
  const [row] = await db.selectFrom('rate_limits').selectAll().execute()
  assert.equal(row?.taken, 10)
})

onEveryDatabase('what is given back can be taken again, anywhere', async (_t, { db }, open) => {
  const clock = createManualClock()
  const [one, two] = [instance(db, clock), instance((await open()).db, clock)]
  for (const what of [small, large]) {
    assert.equal(await takeMany(one, what, what.quota), what.quota)
    assert.equal((await one.take(what)).isOver, true)
    await one.giveBack(what)
    assert.equal((await one.take(what)).isOver, false)
    assert.equal((await one.take(what)).isOver, true)
  }
  await one.giveBack(small)
  assert.equal((await two.take(small)).isOver, false)
  assert.equal((await two.take(small)).isOver, true)
})

onEveryDatabase('windows that are over are swept, and not before', async (_t, { db }) => {
  const clock = createManualClock()
  await instance(db, clock).take(small)
  assert.equal(await sweepRateLimits(db, clock.now() + 59_999), 0)
  assert.equal(await sweepRateLimits(db, clock.now() + 60_000), 1)
})

onEveryDatabase('neither an address nor an e-mail is in the table', async (_t, { db }) => {
  await instance(db, createManualClock()).take(counter({ key: '1.2.3.4|ada@example.com' }))
  const text = JSON.stringify(await db.selectFrom('rate_limits').selectAll().execute())
  assert.doesNotMatch(text, /ada|1\.2\.3\.4/)
})

test('while the store is away a process counts by itself, exactly', async () => {
  const clock = createManualClock()
  const limiter = createLimiter({ counts: away, clock })
  for (const name of ['sign-in', 'sign-in-known', 'setup'] as const) {
    const { quota, windowS } = limits[name]
    const what = counter({ name, quota, windowMs: windowS * 1000 })
    assert.equal(await takeMany(limiter, what, 50), quota, name)
    await clock.advance(2_000)
    assert.equal(await takeMany(limiter, what, 50), 0, name)
    await clock.advance(windowS * 1000)
    assert.equal(await takeMany(limiter, what, 50), quota, name)
  }
  assert.equal(await takeMany(limiter, large, 1500), 1000)
})

onEveryDatabase('a store that comes back does not forget for us', async (_t, store) => {
  const clock = createManualClock()
  const real = createSharedCounts({ db: store.db, clock, keyring, log: silentLog })
  let isAway = true
  const counts: SharedCounts = {
    add: (...all) => (isAway ? away : real).add(...all),
    addWithin: (...all) => (isAway ? away : real).addWithin(...all),
    subtract: (...all) => (isAway ? away : real).subtract(...all),
  }
  const limiter = createLimiter({ counts, clock })
  assert.equal(await takeMany(limiter, small, 6), 6)
  isAway = false
  await clock.advance(1_000)
  assert.equal(await takeMany(limiter, small, 50), 4)
  await clock.advance(1_000)
  assert.equal(await takeMany(limiter, small, 50), 0)
})

test('a store that does not answer is not waited for, and then left alone for a second', async () => {
  const clock = createManualClock()
  let asked = 0
  const hanging = {
    selectFrom: () => assert.fail('nothing is read'),
    insertInto: () => {
      asked += 1
      const builder: unknown = new Proxy(() => {}, {
        get: (_target, name) =>
          name === 'executeTakeFirst' ? () => new Promise(() => {}) : () => builder,
      })
      return builder
    },
  } as unknown as Database // as much of one as an insert needs
  const limiter = instance(hanging, clock)
  const first = limiter.take(small)
  await clock.advance(999)
  assert.equal(await Promise.race([first, Promise.resolve('waits')]), 'waits')
  await clock.advance(1)
  assert.equal((await first).isOver, false)
  await limiter.take(small)
  assert.equal(asked, 1)
  await clock.advance(1_000)
  void limiter.take(small)
  assert.equal(asked, 2)
})

test('a flood of keys does not grow the memory, nor wash away a key in use', async () => {
  const clock = createManualClock()
  const told = new Map<string, number>()
  let asked = 0
  const counts: SharedCounts = {
    ...away,
    add: async ({ key }, amount) => {
      asked += 1
      const taken = (told.get(key) ?? 0) + amount
      told.set(key, taken)
      return { taken, endsAt: clock.now() + 60_000 }
    },
  }
  const limiter = createLimiter({ counts, clock }, { keysMax: 100 })
  const busy = counter({ quota: 1000, key: 'busy' })
  for (let key = 0; key < 5_000; key += 1) {
    await limiter.take(counter({ quota: 1000, key: `${key}` }))
    if (key % 50 === 0) await limiter.take(busy)
  }
  await limiter.close()
  assert.equal((await limiter.take(busy)).remaining, 1000 - 101)
  assert.ok(asked < 10, `${asked} rows were written for keys that were used once`)
})
