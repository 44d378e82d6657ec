// two Latchkey processes on one database, and many callers at both whose token has just run out. The provider is asked
// once. A process that stands still for longer than its lease may cost a second call, and nothing else.
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { freePort } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { isWhole, roundsOf, tell } from './figures.ts'
import { keepStandbys } from './latchkey-processes.ts'
import type { LatchkeyProcess } from './latchkey-processes.ts'
import { standingOf } from './outcomes.ts'
import { databases, endLeases, forAll, makeDue, openSetting } from './setting.ts'
import type { DatabaseKind, Setting } from './setting.ts'

const rounds = roundsOf({ few: 5, whole: 200 })
const callersEach = isWhole ? 50 : 20
// All of them wait at once for the same host, which is asked eight at once.
const stopped = roundsOf({ few: 3, whole: 8 })
const limitMs = 15 * 60_000

for (const database of databases) {
  const title = `R-02 two processes race for one refresh, and one of them stands still (${database})`
  void test(title, { timeout: limitMs }, async (t) => {
    verifies(t, 'R-02')
    const faults = { rotation: 'strict', latencyMs: [0, isWhole ? 300 : 30] } as const
    const setting = await openPair(t, database, faults)
    if (setting === undefined) return t.skip('a second process needs a Postgres server')
    await race(setting, database)
    setting.provider.set({ rotation: 'tolerant', toleranceS: 300, latencyMs: [0, 0] })
    await standStill(setting, database)
  })
}

interface Pair extends Setting {
  readonly one: LatchkeyProcess
  readonly otherPort: number
}

async function openPair(
  t: TestContext,
  database: DatabaseKind,
  faults: NonNullable<Parameters<typeof openSetting>[1]['faults']>,
): Promise<Pair | undefined> {
  const startLatchkey = keepStandbys(t, 1)
  const setting = await openSetting(t, { database, connections: stopped, faults, startLatchkey })
  if (setting === undefined) return undefined
  const otherPort = await freePort()
  const one = await setting.start()
  await setting.start({ LATCHKEY_LISTEN: `127.0.0.1:${otherPort}` })
  return { ...setting, one, otherPort }
}

async function race(setting: Pair, database: DatabaseKind): Promise<void> {
  const { db, ids, provider, otherPort, rest } = setting
  const [id = ''] = ids
  const slips: string[] = []
  for (let round = 1; round <= rounds; round += 1) {
    await makeDue(db, [id])
    const before = refreshesOf(setting)
    const answers = await Promise.all(
      Array.from({ length: 2 * callersEach }, (_, caller) =>
        rest('POST', `/connections/${id}/token`, caller % 2 === 0 ? {} : { port: otherPort }),
      ),
    )
    const calls = refreshesOf(setting) - before
    const tokens = new Set(
      answers.map(({ status, body }) => (status === 200 ? body.accessToken : status)),
    )
    const [token] = tokens
    const isOne = tokens.size === 1 && typeof token === 'string' && provider.isLive(token)
    if (calls !== 1 || !isOne) slips.push(`round ${round}: ${calls} calls, ${tokens.size} answers`)
  }
  tell(
    {
      id: 'R-02',
      what: `two processes × ${callersEach} callers × ${rounds} rounds, strict provider, ${database}`,
      measured: `one call and one token in ${rounds - slips.length} of ${rounds}`,
      line: 'in all',
      isKept: slips.length === 0,
    },
    slips.join('\n'),
  )
}

/** The first process has its answers on the way when it is stopped; the second does the work again. */
async function standStill(setting: Pair, database: DatabaseKind): Promise<void> {
  const { db, ids, provider, one, otherPort, rest } = setting
  await makeDue(db)
  const before = refreshesOf(setting)
  const holds = ids.map(() => provider.hold('refresh', 'worked'))
  const waiting = ids.map((id) => rest('POST', `/connections/${id}/token`))
  await Promise.all(holds.map(({ arrived }) => arrived))
  one.kill('SIGSTOP')
  if (!isWhole) await endLeases(db)
  const others = await forAll(ids, ids.length, (id) =>
    rest('POST', `/connections/${id}/token`, { port: otherPort }),
  )
  for (const { release } of holds) release()
  one.kill('SIGCONT')
  const late = await Promise.all(waiting)

  const calls = refreshesOf(setting) - before
  const given = [...others, ...late].filter(
    ({ status, body }) => status === 200 && provider.isLive(body.accessToken),
  ).length
  const isSame = late.every(({ body }, at) => body.accessToken === others[at]?.body.accessToken)
  // To the first process the host was silent while it stood still itself, so it lets it rest; the other one knows better.
  const atOther: Setting = {
    ...setting,
    rest: (method, path, more) => rest(method, path, { ...more, port: otherPort }),
  }
  const standings = await forAll(ids, 8, (id) => standingOf(atOther, id))
  const dead = standings.filter(({ kind }) => kind !== 'alive')
  tell(
    {
      id: 'R-02',
      what: `${ids.length} refreshes of a process that stands still past its lease, ${database}`,
      measured: `${calls / ids.length} calls each, ${isSame ? 'the newest token' : 'another token'} kept, ${dead.length} dead`,
      line: 'at most 2, the newest, 0 dead',
      isKept: calls <= 2 * ids.length && isSame && dead.length === 0 && given === 2 * ids.length,
    },
    JSON.stringify({ dead, given }),
  )
}

function refreshesOf({ provider }: Setting): number {
  return provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length
}
