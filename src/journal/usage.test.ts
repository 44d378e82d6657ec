// The numbers of usage, over real rows on both engines.
import assert from 'node:assert/strict'
import { createManualClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { createRig, createMachine, machineForm, register, tokens } from '../issuer/issuer.rig.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createRefusalCounts, dayMs } from './refusal-counts.ts'
import { createUsage } from './usage.ts'

onEveryDatabase(
  'tokens are counted: those that work, those that expired, per client and day',
  async (t, store) => {
    verifies(t, 'S3-39')
    const rig = await createRig(t, store)
    const { db, clock, tenant } = rig
    const usage = createUsage({ db, clock, flush: async () => {} })
    const busy = await createMachine(rig, { name: 'Busy' })
    const idle = await createMachine(rig, { name: 'Idle' })
    await tokens(rig, machineForm(idle))
    await clock.advance(dayMs)
    for (let count = 0; count < 3; count += 1) await tokens(rig, machineForm(busy))
    const { access } = await tokens(rig, machineForm(busy))
    await rig.issuer.revoke(tenant, {
      ...machineForm(busy, { grant_type: undefined, token: access }),
    })

    const report = await usage.report(tenant.id)
    assert.equal(report.activeTokens, 3)
    assert.equal(report.activeClients, 1)
    assert.equal(report.expiredTokens, 1)
    assert.deepEqual(report.tokensPerClient, [{ clientId: busy.id, name: 'Busy', tokens: 3 }])
    assert.equal(report.tokensPerDay.length, 30)
    assert.deepEqual(
      report.tokensPerDay.slice(0, 3).map((day) => day.tokens),
      [4, 1, 0],
    )
    assert.equal(report.tokensPerDay[0]?.day, new Date(clock.now()).toISOString().slice(0, 10))
    assert.equal(report.tableRows['access_tokens'], 5)
    assert.ok(report.journalEntriesLastDay >= 5)
    const elsewhere = await usage.report('ten_other')
    assert.deepEqual([elsewhere.activeTokens, elsewhere.tokensPerClient], [0, []])
  },
)

onEveryDatabase(
  'a client with more than a hundred failed attempts or expired codes stands out',
  async (t, store) => {
    verifies(t, 'S3-39', 'A3-15')
    const rig = await createRig(t, store)
    const { db, clock, tenant } = rig
    const counts = createRefusalCounts({ db, clock, log: silentLog })
    const usage = createUsage({ db, clock, flush: counts.flush })
    const client = await register(rig)
    const fail = (times: number, clientId: string) => {
      for (let count = 0; count < times; count += 1) {
        counts.add({ tenantId: tenant.id, type: 'token.refused', error: 'invalid_grant', clientId })
      }
    }
    fail(200, 'nobody')
    fail(60, client.id)
    await addExpiredCodes(rig, client.id, 40)
    assert.deepEqual((await usage.report(tenant.id)).troubledClients, [])

    fail(1, client.id)
    assert.deepEqual((await usage.report(tenant.id)).troubledClients, [
      { clientId: client.id, name: 'Tester', expiredCodes: 40, failedAttempts: 61 },
    ])
    const { refusals } = await usage.report(tenant.id)
    assert.deepEqual(refusals, [{ type: 'token.refused', error: 'invalid_grant', count: 261 }])
  },
)

onEveryDatabase(
  'refusals that two processes count at once are added up',
  async (t, store, openAnother) => {
    verifies(t, 'S3-53')
    const { db, clock, tenant } = await createRig(t, store)
    const one = createRefusalCounts({ db, clock, log: silentLog })
    const other = createRefusalCounts({ db: (await openAnother()).db, clock, log: silentLog })
    const refused = { tenantId: tenant.id, type: 'authorization.refused', error: 'invalid_scope' }
    for (let round = 0; round < 25; round += 1) {
      one.add(refused)
      other.add(refused)
      await Promise.all([one.flush(), other.flush()])
    }
    const report = await createUsage({ db, clock, flush: one.flush }).report(tenant.id)
    assert.deepEqual(report.refusals, [
      { type: 'authorization.refused', error: 'invalid_scope', count: 50 },
    ])
    assert.equal(report.failedAuthorizations, 50)
  },
)

onEveryDatabase('tables are counted again after five minutes', async (t, store) => {
  verifies(t, 'S3-53')
  const rig = await createRig(t, store)
  const clock = createManualClock()
  const usage = createUsage({ db: rig.db, clock, flush: async () => {} })
  assert.equal((await usage.tableRows())['clients'], 0)
  await register(rig)
  await clock.advance(299_999)
  assert.equal((await usage.tableRows())['clients'], 0)
  await clock.advance(1)
  assert.equal((await usage.tableRows())['clients'], 1)
})

async function addExpiredCodes(
  { db, clock, tenant }: Awaited<ReturnType<typeof createRig>>,
  clientId: string,
  count: number,
): Promise<void> {
  const at = clock.now()
  const common = { tenant_id: tenant.id, client_id: clientId, created_at: at }
  await db
    .insertInto('grants')
    .values({ ...common, id: 'grt_codes', resource: 'r', scope: '', use_count: 0 })
    .execute()
  await db
    .insertInto('codes')
    .values(
      Array.from({ length: count }, (_, index) => ({
        ...common,
        code_digest: `digest-${index}`,
        grant_id: 'grt_codes',
        redirect_uri: 'https://app.test/cb',
        code_challenge: 'c',
        expires_at: at,
      })),
    )
    .execute()
}
