import assert from 'node:assert/strict'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createTenants } from '../people/tenants.ts'
import type { Store } from '../store/database.ts'
import { createCallCounts, otherTools } from './call-counts.ts'
import { createCallUsage } from './call-usage.ts'
import { createPersonUsage } from './person-usage.ts'
import { dayMs } from './refusal-counts.ts'
import { sweepAttempts } from './attempts.ts'

async function start({ db }: Store) {
  const clock = createManualClock(20_000 * dayMs)
  const needs = { db, clock, log: silentLog }
  const tenant = await createTenants({ ...needs, random: systemRandom }).ensureDefault(
    'https://auth.test',
  )
  await db
    .insertInto('clients')
    .values({
      tenant_id: tenant.id,
      id: 'c',
      kind: 'dynamic',
      name: 'App',
      metadata: '{}',
      metadata_digest: '',
      token_endpoint_auth_method: 'none',
      created_at: 0,
      created_by: null,
      used_at: null,
      disabled_at: null,
      fresh_until: null,
    })
    .execute()
  const process = () => {
    const counts = createCallCounts(needs)
    return { ...counts, usage: createCallUsage({ ...needs, flush: counts.flush }) }
  }
  const call = { tenantId: tenant.id, clientId: 'c', serverId: 's', outcome: 'completed' } as const
  return { db, clock, tenant, process, call }
}

onEveryDatabase('calls of fifty processes are summed, day by day', async (t, store) => {
  verifies(t, 'S4-36')
  const { clock, tenant, process, call } = await start(store)
  const many = Array.from({ length: 50 }, process)
  for (const { add } of many) {
    add({ ...call, userId: 'u', tool: 'search', durationMs: 10 })
    add({ ...call, userId: 'u', tool: 'search', durationMs: 30, outcome: 'failed' })
    add({ ...call, durationMs: 5, outcome: 'refused' })
  }
  await Promise.all(many.map(({ flush }) => flush()))
  await clock.advance(dayMs)
  const [one] = many
  one?.add({ ...call, serverId: 'other', userId: 'v', tool: 'search', durationMs: 7 })
  const ask = async (by: 'server' | 'tool' | 'user' | 'client', days = 2) =>
    one?.usage(tenant.id, { by, days })

  const servers = await ask('server')
  assert.deepEqual(servers?.items, [
    { id: 's', calls: 150, failed: 50, refused: 50, meanMs: 15 },
    { id: 'other', calls: 1, failed: 0, refused: 0, meanMs: 7 },
  ])
  assert.deepEqual(servers?.perDay, [
    { day: '2024-10-04', calls: 150, failed: 50, refused: 50, meanMs: 15 },
    { day: '2024-10-05', calls: 1, failed: 0, refused: 0, meanMs: 7 },
  ])
  assert.deepEqual(
    (await ask('tool'))?.items.map(({ id, tool, calls }) => [id, tool, calls]),
    [
      ['s', 'search', 100],
      ['other', 'search', 1],
    ],
  )
  assert.deepEqual(
    (await ask('user'))?.items.map(({ id, calls }) => [id, calls]),
    [
      ['u', 100],
      [undefined, 50],
      ['v', 1],
    ],
  )
  assert.deepEqual((await ask('client', 1))?.items, [
    { id: 'c', name: 'App', calls: 1, failed: 0, refused: 0, meanMs: 7 },
  ])
  assert.deepEqual((await one?.usage('ten_other', { by: 'server', days: 9 }))?.items, [])
})

onEveryDatabase('made-up names fill no table, and old days go', async (_t, store) => {
  const { db, clock, tenant, process, call } = await start(store)
  const { add, flush, usage } = process()
  for (let made = 0; made < 1000; made += 1) add({ ...call, tool: `made-${made}`, durationMs: 1 })
  await flush()
  const rows = await db.selectFrom('call_counts').select(['tool', 'count']).execute()
  assert.equal(rows.length, 301)
  assert.equal(rows.find(({ tool }) => tool === otherTools)?.count, 700)

  await clock.advance(94 * dayMs)
  assert.deepEqual((await usage(tenant.id, { by: 'server', days: 92 })).items, [])
  assert.equal((await sweepAttempts(db, clock.now())).callCounts, 301)
})

onEveryDatabase('what the database did not take is counted later, once', async (_t, store) => {
  const { db, clock, tenant, call } = await start(store)
  let isAway = true
  const away = {
    selectFrom: db.selectFrom.bind(db),
    transaction: () => {
      if (isAway) throw new Error('the database is away')
      return db.transaction()
    },
  } as unknown as Store['db'] // nothing else is used
  const counts = createCallCounts({ db: away, clock, log: silentLog })
  counts.add({ ...call, durationMs: 1 })
  await counts.flush()
  counts.add({ ...call, durationMs: 1 })
  isAway = false
  await Promise.all([counts.flush(), counts.flush()])
  const usage = createCallUsage({ db, clock, flush: counts.flush })
  const { items } = await usage(tenant.id, { by: 'server', days: 1 })
  assert.equal(items[0]?.calls, 2)
})

onEveryDatabase(
  'a person is told who called what for them, and of nobody else',
  async (_t, store) => {
    const { db, clock, tenant, process, call } = await start(store)
    const { add, flush } = process()
    const ask = createPersonUsage({ db, clock, flush })
    add({ ...call, userId: 'u', tool: 'search', durationMs: 10 })
    add({ ...call, userId: 'u', durationMs: 30, outcome: 'failed' })
    add({ ...call, userId: 'u', serverId: 'other', durationMs: 1 })
    add({ ...call, userId: 'v', serverId: 'theirs', durationMs: 1 })
    add({ ...call, durationMs: 1 })
    const client = { id: 'c', name: 'App' }
    const first = { client, server: { id: 's' }, calls: 2, failed: 1, refused: 0, meanMs: 20 }
    const second = { client, server: { id: 'other' }, calls: 1, failed: 0, refused: 0, meanMs: 1 }

    assert.deepEqual(await ask(tenant.id, 'u', 30), [first, second])
    assert.deepEqual(await ask(tenant.id, 'nobody', 30), [])
    // The thirtieth day is told, the one after it is not.
    await clock.advance(29 * dayMs)
    assert.equal((await ask(tenant.id, 'u', 30)).length, 2)
    await clock.advance(dayMs)
    assert.deepEqual(await ask(tenant.id, 'u', 30), [])
  },
)
