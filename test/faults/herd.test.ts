// ten thousand connections are due in the same second, at a provider that bears a hundred calls a second. All become
// fresh in time, few at once, in little memory, and whoever asks something else meanwhile notices nothing.
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../requirements.ts'
import { isWhole, roundsOf, tell } from './figures.ts'
import { keepStandbys } from './latchkey-processes.ts'
import type { LatchkeyProcess } from './latchkey-processes.ts'
import { databases, openSetting, until } from './setting.ts'
import type { DatabaseKind, Setting } from './setting.ts'

const connections = roundsOf({ few: 80, whole: 10_000 })
const tokenRequestsPerSecond = 100
const atOnceMax = 8
const lines = { freshS: 150, memoryMib: 300, answerMs: 200 }
const limitMs = 15 * 60_000
// Due, and good for a little longer than all of them may take.
const leftMs = 200_000

for (const database of databases) {
  void test(
    `R-09 ${connections} due in the same second (${database})`,
    { timeout: limitMs },
    async (t) => {
      verifies(t, 'R-09')
      const startLatchkey = keepStandbys(t, 0)
      const faults = { tokenRequestsPerSecond, latencyMs: [5, 20] } as const
      const setting = await openSetting(t, { database, connections, faults, startLatchkey })
      if (setting === undefined) return t.skip('a second process needs a Postgres server')
      await letAllBeDue(setting)
      const startedAt = performance.now()
      const watched = new AbortController()
      const latchkey = await setting.start()
      const watching = watch(setting, latchkey, watched.signal)
      const waiting = { limitMs: limitMs / 2, everyMs: 500 }
      await until('all are fresh', async () => (await stale(setting)) === 0, waiting)
      const tookS = Math.round((performance.now() - startedAt) / 1000)
      watched.abort()
      tellHerd(setting, { database, tookS, ...(await watching) })
    },
  )
}

async function letAllBeDue({ db }: Setting): Promise<void> {
  const now = Date.now()
  const due = { next_refresh_at: now, expires_at: now + leftMs }
  await db.updateTable('credentials').set(due).execute()
}

async function stale({ db }: Setting): Promise<number> {
  const { count } = await db
    .selectFrom('credentials')
    .select((row) => row.fn.countAll<number>().as('count'))
    .where('refresh_count', '=', 0)
    .executeTakeFirstOrThrow()
  return count
}

interface Watched {
  readonly memoryMib: number
  readonly p99Ms: number
  readonly refused: number
}

/** Asks for connections as people do meanwhile, and looks at the memory. */
async function watch(
  { rest, ids }: Setting,
  latchkey: LatchkeyProcess,
  signal: AbortSignal,
): Promise<Watched> {
  const answersMs: number[] = []
  let [memoryMib, refused] = [0, 0]
  for (let asked = 0; !signal.aborted; asked += 1) {
    const startedAt = performance.now()
    const id = ids[(asked * 7919) % ids.length] ?? ''
    const { status } = await rest('GET', `/connections/${id}`)
    answersMs.push(performance.now() - startedAt)
    if (status !== 200) refused += 1
    if (asked % 10 === 0) {
      memoryMib = Math.max(memoryMib, (await latchkey.memoryBytes()) / 2 ** 20)
    }
    await sleep(20)
  }
  const sorted = answersMs.toSorted((one, other) => one - other)
  return { memoryMib, p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? NaN, refused }
}

function tellHerd(
  { provider }: Setting,
  seen: Watched & { readonly database: DatabaseKind; readonly tookS: number },
): void {
  const { database, tookS, memoryMib, p99Ms, refused } = seen
  const refreshes = provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  const limited = refreshes.filter(({ outcome }) => outcome === 'limited').length
  const atOnce = provider.mostAtOnce()
  const figure = { id: 'R-09', what: `${connections} due at once, ${database}` }
  const isQuick = p99Ms <= lines.answerMs
  const isFresh = tookS <= lines.freshS
  const isSmall = memoryMib <= lines.memoryMib
  tell({
    ...figure,
    measured: `all fresh in ${tookS} s (${limited} answers of 429), ${atOnce} at once, ${Math.round(memoryMib)} MiB, other answers p99 ${Math.round(p99Ms)} ms`,
    line: `${lines.freshS} s, ${atOnceMax} at once, ${lines.memoryMib} MiB, ${lines.answerMs} ms`,
    // How fast and how large it is tells something only where nothing else runs.
    isKept: refused === 0 && atOnce <= atOnceMax && (!isWhole || (isQuick && isFresh && isSmall)),
  })
}
