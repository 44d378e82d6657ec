// every way in which a provider's answer to a refresh can go wrong, for many connections at once. None may be marked
// dead, a provider in trouble is asked once in each step of the back-off, and all are fresh when it is well again.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createBench, signIn, turning } from '../../src/connectors/bench.rig.ts'
import type { Bench } from '../../src/connectors/bench.rig.ts'
import type { Store } from '../../src/store/database.ts'
import { healthy, startFaultProvider } from '../fakes/fault-provider.ts'
import type { BadAnswer, FaultProvider, Faults } from '../fakes/fault-provider.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { copyConnections } from './copies.ts'
import { isWhole, roundsOf, tell } from './figures.ts'

const minuteMs = 60_000
const backoffMs = 30_000
const afterRestMs = 15_000
const afterRestRounds = 4
const connections = roundsOf({ few: 5, whole: 50 })

interface Row {
  readonly name: string
  readonly faults: Partial<Faults>
  /** A wrong answer that can be understood is none: the tokens are taken. */
  readonly isUnderstood?: boolean
  readonly waitsMs?: number
  /** Ends by the clock of the network, which nobody turns. */
  readonly isSlow?: boolean
}

const badAnswer = (name: string, answer: BadAnswer, more: Partial<Row> = {}): Row => ({
  name,
  faults: { answers: { refresh: answer } },
  ...more,
})
const wrongMember = (
  name: string,
  tokenFields: Faults['tokenFields'],
  isUnderstood: boolean,
): Row => ({
  name,
  faults: { tokenFields },
  isUnderstood,
})
const status = (code: number, headers: Readonly<Record<string, string>> = {}): BadAnswer => ({
  kind: 'status',
  status: code,
  headers,
})

const rows: readonly Row[] = [
  badAnswer('429', status(429)),
  badAnswer('429, Retry-After: 60', status(429, { 'retry-after': '60' }), { waitsMs: 60_000 }),
  badAnswer('500', status(500)),
  badAnswer('503, Retry-After: 45', status(503, { 'retry-after': '45' }), { waitsMs: 45_000 }),
  badAnswer('a redirect', status(302, { location: 'https://elsewhere.example/token' })),
  badAnswer('no answer', { kind: 'hang' }, { isSlow: true }),
  badAnswer('a body a byte at a time', { kind: 'slow-body' }, { isSlow: true }),
  badAnswer('reset', { kind: 'reset' }),
  badAnswer('reset before it is read', { kind: 'reset-unread' }),
  badAnswer('the answer lost', { kind: 'lost' }),
  badAnswer('the answer cut', { kind: 'cut' }),
  badAnswer('a gzip bomb', { kind: 'gzip-bomb' }),
  badAnswer('a megabyte', { kind: 'oversize', bytes: 1_000_000 }),
  badAnswer('HTML', { kind: 'html' }),
  badAnswer('JSON that is none', { kind: 'status', status: 200, body: '{"access_token":' }),
  badAnswer('a list', { kind: 'json', body: [] }),
  badAnswer('200 with error', { kind: 'json', body: { error: 'temporarily_unavailable' } }),
  badAnswer('an error nobody knows', { kind: 'oauth-error', error: 'computer_says_no' }),
  wrongMember('a number as token', { access_token: 7 }, false),
  wrongMember('CR and LF in the token', { access_token: 'a\r\nx-evil: 1' }, false),
  wrongMember('no token', { access_token: undefined }, false),
  wrongMember('expires_in: "3600"', { expires_in: '3600' }, true),
  wrongMember('expires_in: -1', { expires_in: -1 }, true),
  wrongMember('expires_in: 1e99', { expires_in: 1e99 }, true),
  wrongMember('expires_in in milliseconds', { expires_in: 3_600_000 }, true),
  wrongMember('no expires_in', { expires_in: undefined }, true),
]

onEveryDatabase(
  'R-07 no fault of a provider but invalid_grant ends a connection',
  async (t, store) => {
    verifies(t, 'R-07')
    const setting = await setUp(t, store)
    const slips: string[] = []
    const chosen = isWhole ? rows : rows.filter(({ isSlow }) => isSlow !== true)
    for (const row of chosen) slips.push(...(await tryRow(setting, row)))
    const what = `${chosen.length} faults × ${connections} connections, ${setting.engine}`
    const measured = slips.length === 0 ? 'all fresh after it' : `${slips.length} slips`
    const line = 'none dead, one call a step, fresh again'
    tell({ id: 'R-07', what, measured, line, isKept: slips.length === 0 }, slips.join('\n'))
  },
)

async function setUp(t: TestContext, store: Store) {
  const provider = await startFaultProvider({ rotation: 'tolerant' })
  t.after(provider.stop)
  const bench = await createBench(t, store)
  const ada = await bench.person('ada')
  const { connection } = await bench.connect(ada, provider.mcpUrl)
  assert.equal((await signIn(bench, ada, connection.id)).kind, 'completed')
  const engine = store.engine
  return { provider, bench, sample: connection.id, engine }
}

interface Setting {
  readonly provider: FaultProvider
  readonly bench: Bench
  readonly sample: string
}

/** What was not as it has to be. */
async function tryRow(setting: Setting, row: Row): Promise<readonly string[]> {
  const { provider, bench, sample } = setting
  const { clock, upstream, db } = bench
  provider.set({ ...healthy, rotation: 'tolerant' })
  const copying = { db, vault: upstream.vault, provider, id: sample, now: clock.now() }
  const ids = await copyConnections(copying, connections)
  const slips: string[] = []
  const calls = callsSince(provider)
  let asked = ids.length
  // A host that is busy or silent rests as a whole: who was not asked at first is asked when it is well again.
  const mayRest = row.waitsMs !== undefined || row.isSlow === true || row.name.startsWith('429')
  const expect = async (when: string, called: number, isFresh: boolean) => {
    const seen = await look(bench, ids, row.waitsMs !== undefined)
    const isCalled = mayRest ? calls() <= called : calls() === called
    if (!isCalled) slips.push(`${row.name}, ${when}: ${calls()} calls, not ${called}`)
    if (seen.dead > 0) slips.push(`${row.name}, ${when}: ${seen.dead} dead`)
    const fresh = isFresh ? ids.length : 0
    const unasked = mayRest && !isFresh ? ids.length - asked : 0
    if (seen.fresh < fresh || seen.fresh > fresh + unasked)
      slips.push(`${row.name}, ${when}: ${seen.fresh} fresh, not ${fresh}`)
  }

  // Due, and good for four minutes yet.
  await clock.advance(56 * minuteMs)
  provider.set(row.faults)
  const failedAt = clock.now()
  await expect('at first', ids.length, row.isUnderstood === true)
  asked = calls()
  if (row.isUnderstood === true) return slips
  await expect('at once again', ids.length, false)
  provider.set(healthy)
  provider.set({ rotation: 'tolerant' })
  const waitsMs = row.waitsMs ?? backoffMs
  await clock.advance(failedAt + waitsMs - 1 - clock.now())
  await expect('before its step', ids.length, false)
  await clock.advance(1)
  // At a host that rested one call asks how it is, and who was turned away meanwhile has a step of their own.
  const restRounds = mayRest ? afterRestRounds : 0
  for (let round = 0; round < restRounds; round += 1) {
    await look(bench, ids, row.waitsMs !== undefined)
    await clock.advance(afterRestMs)
  }
  await expect(mayRest ? 'soon after its step' : 'at its step', 2 * ids.length, true)
  return slips
}

/** Asks for all tokens as callers do, and counts what came. Who waits for a host that rests waits by the clock. */
async function look(bench: Bench, ids: readonly string[], isWaitedFor: boolean) {
  const { upstream, tenant, db } = bench
  const ask = (connectionId: string) => upstream.refresh.liveToken({ tenant, connectionId })
  const asked = Promise.all(ids.map((id) => ask(id).catch(() => undefined)))
  const found = await (isWaitedFor ? turning(bench, asked, 250) : asked)
  const dead = found.filter((one) => one?.kind !== 'live').length
  const fresh = await db
    .selectFrom('credentials')
    .select('connection_id')
    .where('connection_id', 'in', ids)
    .where('refresh_count', '=', 1)
    .execute()
  return { dead, fresh: fresh.length }
}

/** How often the token endpoint was asked since; what was cut before it was read counts too. */
function callsSince(provider: FaultProvider): () => number {
  const count = () => provider.requests().filter(({ path }) => path === '/token').length
  const before = count()
  return () => count() - before
}
