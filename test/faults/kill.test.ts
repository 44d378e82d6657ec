// a Latchkey that is killed in the middle of refreshes. At a provider that takes a spent refresh token a while longer
// nothing may be lost; at one that does not, what is lost has to say so.
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../requirements.ts'
import { roundsOf, isWhole, tell } from './figures.ts'
import { keepStandbys } from './latchkey-processes.ts'
import { openRefreshes, standingOf } from './outcomes.ts'
import type { Standing } from './outcomes.ts'
import { forAll, openSetting, until } from './setting.ts'
import type { DatabaseKind, Setting } from './setting.ts'

// A kill comes anywhere from before the request is routed to after its answer, however slow the machine is.
const killWithin = 1.25
const latencyMs = [0, 40] as const
const atOnce = 4
const leaseMs = 20_000
const standbys = isWhole ? 2 : 1

interface Kills {
  readonly database: DatabaseKind
  readonly rotation: 'tolerant' | 'strict'
  readonly few: number
  readonly whole: number
}

const plans: readonly Kills[] = [
  { database: 'sqlite', rotation: 'tolerant', few: 6, whole: 600 },
  { database: 'postgres', rotation: 'tolerant', few: 4, whole: 400 },
  { database: 'sqlite', rotation: 'strict', few: 3, whole: 100 },
  { database: 'postgres', rotation: 'strict', few: 3, whole: 100 },
]

await describe('R-01', { concurrency: !isWhole }, () => {
  for (const plan of plans) {
    const { database, rotation } = plan
    void test(`R-01 kills at random moments of refreshes, ${rotation} provider (${database})`, (t) =>
      killAtRandom(t, plan))
  }
})

async function killAtRandom(t: TestContext, { database, rotation, few, whole }: Kills) {
  verifies(t, 'R-01')
  const kills = roundsOf({ few, whole })
  // A strict provider ends what a kill hits, so that each is hit once.
  const perKill = rotation === 'strict' ? 1 : atOnce
  const connections = rotation === 'strict' ? kills : Math.min(200, kills * perKill)
  const startLatchkey = keepStandbys(t, standbys)
  // The few take their time on a machine that does much else; the many keep what providers give.
  const faults = { rotation, latencyMs, toleranceS: isWhole ? 30 : 300 }
  const setting = await openSetting(t, { database, connections, faults, startLatchkey })
  if (setting === undefined) return t.skip('a second process needs a Postgres server')
  const usualMs = await measureOnce(setting)
  const startedAt = performance.now()
  let hits = 0
  for (let kill = 0; kill < kills; kill += 1) {
    const at = kill * perKill
    const batch = Array.from({ length: perKill }, (_, more) => at + more)
    const ids = batch.map((index) => setting.ids[index % connections] ?? '')
    if (await killOnce(setting, ids, Math.random() * killWithin * usualMs)) hits += 1
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const standings = await recovered(setting)
  const what = `${kills} kills, ${hits} of them in the middle, ${rotation} provider, ${database}, ${seconds} s`
  tellStandings(what, rotation, standings)
}

/** How long the first refreshes of a process take. */
async function measureOnce(setting: Setting): Promise<number> {
  const latchkey = await setting.start()
  const ids = setting.ids.slice(0, atOnce)
  const startedAt = performance.now()
  await Promise.all(ids.map((id) => setting.rest('POST', `/connections/${id}/refresh`)))
  const tookMs = performance.now() - startedAt
  latchkey.kill('SIGTERM')
  await latchkey.ended
  return tookMs
}

/** One process lives from one kill to the next. Says whether the kill left a refresh without an outcome. */
async function killOnce(
  setting: Setting,
  ids: readonly string[],
  afterMs: number,
): Promise<boolean> {
  const latchkey = await setting.start()
  await until('what the last ones left is taken up', async () => (await leasesOver(setting)) === 0)
  const asked = ids.map((id) => setting.rest('POST', `/connections/${id}/refresh`))
  const settled = Promise.allSettled(asked)
  await sleep(afterMs)
  latchkey.kill('SIGKILL')
  await latchkey.ended
  await settled
  const open = await setting.db
    .selectFrom('credentials')
    .select('connection_id')
    .where('connection_id', 'in', ids)
    .where('intent_generation', 'is not', null)
    .execute()
  return open.length > 0
}

/** How many refreshes have no outcome though their lease is over: nobody works on them yet. */
async function leasesOver({ db }: Setting): Promise<number> {
  const rows = await db
    .selectFrom('credentials')
    .select('connection_id')
    .where('lease_until', '<=', Date.now())
    .execute()
  return rows.length
}

/** A last process takes up what is left, by itself; then everybody is asked. */
async function recovered(setting: Setting): Promise<readonly Standing[]> {
  const latchkey = await setting.start()
  const limitMs = leaseMs + 70_000
  await until('all have an outcome', async () => (await openRefreshes(setting)) === 0, { limitMs })
  const standings = await forAll(setting.ids, 8, (id) => standingOf(setting, id))
  latchkey.kill('SIGTERM')
  await latchkey.ended
  return standings
}

function tellStandings(
  what: string,
  rotation: Kills['rotation'],
  standings: readonly Standing[],
): void {
  const told = standings.filter(({ kind }) => kind === 'told')
  const silent = standings.filter(({ kind }) => kind === 'silent')
  const misnamed = told.filter((one) => one.kind === 'told' && one.reason !== 'refresh_interrupted')
  const details = [...silent, ...misnamed].map((one) => JSON.stringify(one)).join('\n')
  const figure = { id: 'R-01', what }
  if (rotation === 'tolerant') {
    const measured = `${told.length + silent.length} of ${standings.length} lost`
    tell(
      { ...figure, measured, line: '0 lost', isKept: told.length + silent.length === 0 },
      details,
    )
    return
  }
  const measured = `${told.length} of ${standings.length} asked to sign in again, ${silent.length} silent`
  const isKept = silent.length === 0 && misnamed.length === 0
  tell({ ...figure, measured, line: '0 silent', isKept }, details)
}
