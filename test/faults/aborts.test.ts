// a thousand callers who go away while their tokens are being refreshed. The refresh is nobody's request: it ends,
// once for each connection, and is stored.
import { test } from 'node:test'
import { verifies } from '../requirements.ts'
import { isWhole, tell } from './figures.ts'
import { keepStandbys } from './latchkey-processes.ts'
import { standingOf } from './outcomes.ts'
import { databases, forAll, makeDue, openSetting, until } from './setting.ts'

// As many as one host is asked at once.
const connections = 8
const callersEach = 125

for (const database of isWhole ? databases : (['sqlite'] as const)) {
  void test(`R-29 callers who go away in the middle leave a refresh that ends (${database})`, async (t) => {
    verifies(t, 'R-29')
    const startLatchkey = keepStandbys(t, 0)
    const setting = await openSetting(t, { database, connections, startLatchkey })
    if (setting === undefined) return t.skip('a second process needs a Postgres server')
    const { db, ids, provider, rest } = setting
    const refreshes = () =>
      provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length
    await setting.start()
    await makeDue(db)
    const holds = ids.map(() => provider.hold('refresh', 'read'))
    const leaving = new AbortController()
    const { signal } = leaving

    const callers = ids.flatMap((id) =>
      Array.from({ length: callersEach }, () =>
        rest('POST', `/connections/${id}/token`, { signal }).then(
          () => 'answered',
          () => 'gone',
        ),
      ),
    )
    await Promise.all(holds.map(({ arrived }) => arrived))
    leaving.abort()
    const gone = (await Promise.all(callers)).filter((how) => how === 'gone').length
    for (const { release } of holds) release()

    const stored = async () => {
      const rows = await db
        .selectFrom('credentials')
        .select('connection_id')
        .where('refresh_count', '=', 1)
        .execute()
      return rows.length
    }
    await until('all are stored', async () => (await stored()) === ids.length)
    const calls = refreshes()
    const standings = await forAll(ids, 8, (id) => standingOf(setting, id))
    const alive = standings.filter(({ kind }) => kind === 'alive').length
    tell({
      id: 'R-29',
      what: `${gone} callers gone in the middle of ${ids.length} refreshes, ${database}`,
      measured: `${calls} calls, ${alive} stored and alive`,
      line: `${ids.length} calls, ${ids.length} alive`,
      isKept: calls === ids.length && alive === ids.length && gone === callers.length,
    })
  })
}
