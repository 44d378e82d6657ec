// a Latchkey that is killed at each named point of a refresh. The provider and the database hold it there; nothing in
// the product knows of it.
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { verifies } from '../requirements.ts'
import { isWhole, tell } from './figures.ts'
import { keepStandbys } from './latchkey-processes.ts'
import type { LatchkeyProcess } from './latchkey-processes.ts'
import { openRefreshes, standingOf } from './outcomes.ts'
import type { Standing } from './outcomes.ts'
import { pauseDatabase } from './paused-database.ts'
import { databases, endLeases, openSetting, until } from './setting.ts'
import type { DatabaseKind, Setting } from './setting.ts'

interface Run {
  readonly setting: Setting
  readonly id: string
  readonly latchkey: LatchkeyProcess
}

/** Brings a refresh to its point; the process is dead when it is through. */
type Point = (run: Run) => Promise<void>

/** In the order of a refresh; only between what is sent and what is stored can a strict provider's tokens be lost. */
const points: Readonly<Record<string, { readonly reach: Point; readonly mayLose: boolean }>> = {
  'before the intent': { reach: beforeIntent, mayLose: false },
  'after the send': { reach: atProvider('read'), mayLose: true },
  'after the provider’s work': { reach: atProvider('worked'), mayLose: true },
  'after the first byte': { reach: atProvider('first-byte'), mayLose: true },
  'before the commit': { reach: beforeCommit, mayLose: true },
  'after the commit': { reach: afterCommit, mayLose: false },
}

// What differs between the two is the provider's doing; the strict one shows which points can lose tokens.
const rotations = isWhole ? (['tolerant', 'strict'] as const) : (['strict'] as const)

await describe('R-01', { concurrency: !isWhole }, () => {
  for (const database of databases) {
    for (const rotation of rotations) {
      void test(`R-01 kills at the named points of a refresh, ${rotation} provider (${database})`, (t) =>
        killAtPoints(t, database, rotation))
    }
  }
})

for (const database of databases) {
  void test(`R-01 what a kill left is taken up by itself (${database})`, (t) =>
    takeUpAlone(t, database, 'in its place'))
}

// Half a minute of real time, which only a whole run has.
for (const database of isWhole ? (['postgres'] as const) : []) {
  void test(`R-01 what a kill left is taken up elsewhere (${database})`, (t) =>
    takeUpAlone(t, database, 'elsewhere'))
}

/**
 * A new process is there at once, and nobody asks it for anything. In the place of the dead one it inherits its leases;
 * elsewhere it waits until they are over.
 */
async function takeUpAlone(
  t: TestContext,
  database: DatabaseKind,
  where: 'in its place' | 'elsewhere',
): Promise<void> {
  const startLatchkey = keepStandbys(t)
  const faults = { rotation: 'tolerant' } as const
  const setting = await openSetting(t, { database, connections: 1, faults, startLatchkey })
  if (setting === undefined) return t.skip('a second process needs a Postgres server')
  const [id = ''] = setting.ids
  const latchkey = await setting.start()
  await atProvider('worked')({ setting, id, latchkey })
  const killedAt = performance.now()
  const { LATCHKEY_DATA: place } = setting.settings
  await setting.start(where === 'elsewhere' ? { LATCHKEY_DATA: `${place}-elsewhere` } : {})
  await until('it has an outcome', async () => (await openRefreshes(setting)) === 0, {
    limitMs: 90_000,
  })
  const seconds = Math.round((performance.now() - killedAt) / 1000)
  const { kind } = await standingOf(setting, id)
  tell({
    id: 'R-01',
    what: `killed once and started again ${where}, nobody asks, ${database}`,
    measured: `${kind} after ${seconds} s`,
    line: 'alive within the 30 s that a provider is tolerant',
    isKept: kind === 'alive' && seconds < 30,
  })
}

async function killAtPoints(
  t: TestContext,
  database: DatabaseKind,
  rotation: 'tolerant' | 'strict',
) {
  verifies(t, 'R-01')
  const names = Object.keys(points)
  const startLatchkey = keepStandbys(t)
  const plan = { database, connections: names.length, faults: { rotation }, startLatchkey }
  const setting = await openSetting(t, plan)
  if (setting === undefined) return t.skip('a second process needs a Postgres server')
  for (const [at, { reach }] of Object.values(points).entries()) {
    const latchkey = await setting.start()
    await reach({ setting, id: setting.ids[at] ?? '', latchkey })
    await keepLeases(setting)
  }
  // What the dead ones began is nobody's until their leases are over.
  await endLeases(setting.db)
  const latchkey = await setting.start()
  await until('all have an outcome', async () => (await openRefreshes(setting)) === 0)
  const seen: Seen[] = []
  for (const [at, name] of names.entries()) {
    const standing = await standingOf(setting, setting.ids[at] ?? '')
    const mayLose = rotation === 'strict' && points[name]?.mayLose === true
    seen.push({ name, standing, line: mayLose ? 'refresh_interrupted' : 'alive' })
  }
  latchkey.kill('SIGKILL')
  tellSeen(`killed at ${names.length} named points, ${rotation} provider, ${database}`, seen)
}

interface Seen {
  readonly name: string
  readonly standing: Standing
  readonly line: 'alive' | 'refresh_interrupted'
}

function tellSeen(what: string, seen: readonly Seen[]): void {
  const word = ({ standing }: Seen) => (standing.kind === 'told' ? standing.reason : standing.kind)
  const tally = (words: readonly string[]) =>
    Object.entries(Object.groupBy(words, (one) => one))
      .map(([one, all]) => `${all?.length} ${one}`)
      .toSorted()
      .join(', ')
  const missed = seen.filter((one) => word(one) !== one.line)
  const details = missed.map((one) => JSON.stringify(one)).join('\n')
  const figure = { id: 'R-01', what, isKept: missed.length === 0 }
  const line = tally(seen.map((one) => one.line))
  tell({ ...figure, measured: tally(seen.map(word)), line }, details)
}

/** A later process would take up what an earlier one left, and die of another point. */
async function keepLeases({ db }: Setting): Promise<void> {
  const later = Date.now() + 3_600_000
  await db
    .updateTable('credentials')
    .set({ lease_owner: 'run_nobody', lease_until: later, next_refresh_at: later })
    .where('lease_until', 'is not', null)
    .execute()
}

function ask({ setting, id }: Run): Promise<unknown> {
  return setting.rest('POST', `/connections/${id}/refresh`).catch((error: unknown) => error)
}

async function kill({ latchkey }: Run): Promise<void> {
  latchkey.kill('SIGKILL')
  await latchkey.ended
}

async function beforeIntent(run: Run): Promise<void> {
  const paused = await pauseDatabase(run.setting, run.id)
  const sent = refreshesOf(run)
  const asking = ask(run)
  await paused.waitedFor()
  await kill(run)
  await paused.release()
  await asking
  if (refreshesOf(run) !== sent) throw new Error('it was sent before it was written down')
}

function atProvider(moment: 'read' | 'worked' | 'first-byte'): Point {
  return async (run) => {
    const hold = run.setting.provider.hold('refresh', moment)
    const asking = ask(run)
    await hold.arrived
    await kill(run)
    hold.release()
    await asking
  }
}

async function beforeCommit(run: Run): Promise<void> {
  const hold = run.setting.provider.hold('refresh', 'worked')
  const asking = ask(run)
  await hold.arrived
  const paused = await pauseDatabase(run.setting, run.id)
  hold.release()
  await hold.sent
  await paused.waitedFor()
  await kill(run)
  await paused.release()
  await asking
}

async function afterCommit(run: Run): Promise<void> {
  const { db } = run.setting
  const generation = async () => {
    const row = await db
      .selectFrom('credentials')
      .select('generation')
      .where('connection_id', '=', run.id)
      .executeTakeFirstOrThrow()
    return row.generation
  }
  const before = await generation()
  const asking = ask(run)
  await until('the commit is seen', async () => (await generation()) > before, { everyMs: 1 })
  await kill(run)
  await asking
}

function refreshesOf({ setting }: Run): number {
  return setting.provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length
}
