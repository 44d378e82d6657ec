// the provider has spent the refresh token, and at that moment the database is away: it refuses the write, or it has
// crashed. What was given once is kept until it can be stored, and no second call is made for it.
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBreakablePostgres } from '../postgres-server.ts'
import { asOwner } from '../templates.ts'
import { verifies } from '../requirements.ts'
import { isWhole, tell } from './figures.ts'
import { keepStandbys } from './latchkey-processes.ts'
import { openRefreshes, standingOf } from './outcomes.ts'
import { databases, forAll, openSetting, until } from './setting.ts'
import type { DatabaseKind, Setting } from './setting.ts'

// All of them wait at once for the same answer of one host, which is asked eight at once.
const connections = isWhole ? 8 : 4
const awayMs = isWhole ? 40_000 : 1_000
const limitMs = 10 * 60_000

/** How the database is lost and comes back. */
interface Trouble {
  readonly begin: () => Promise<void>
  readonly end: () => Promise<void>
}

for (const database of databases) {
  for (const isKilled of [false, true]) {
    const title = `R-03 a database that refuses what was refreshed ${isKilled ? 'and a kill then ' : ''}(${database})`
    void test(title, { timeout: limitMs }, async (t) => {
      verifies(t, 'R-03')
      const setting = await open(t, database)
      if (setting === undefined) return t.skip('a second process needs a Postgres server')
      await loseInBetween(setting, {
        trouble: refusing(setting),
        how: `refuses, ${database}`,
        isKilled,
      })
    })
  }
}

for (const isKilled of [false, true]) {
  const title = `R-03 a database that crashes under what was refreshed ${isKilled ? 'and a kill then ' : ''}(postgres)`
  void test(title, { timeout: limitMs }, async (t) => {
    verifies(t, 'R-03')
    const server = await startBreakablePostgres()
    if (server.kind === 'none') return t.skip(server.because)
    t.after(server.stop)
    const setting = await open(t, 'postgres', server.url)
    if (setting === undefined) throw new Error('its own server is there')
    const trouble = { begin: server.crash, end: server.restart }
    await loseInBetween(setting, { trouble, how: 'crashes, postgres', isKilled })
  })
}

function open(t: TestContext, database: DatabaseKind, url?: string) {
  const startLatchkey = keepStandbys(t, 1)
  const place = url === undefined ? {} : { url }
  return openSetting(t, { database, connections, startLatchkey, ...place })
}

async function loseInBetween(
  setting: Setting,
  {
    trouble,
    how,
    isKilled,
  }: { readonly trouble: Trouble; readonly how: string; readonly isKilled: boolean },
): Promise<void> {
  const { ids, provider, rest } = setting
  const latchkey = await setting.start()
  const holds = ids.map(() => provider.hold('refresh', 'worked'))
  const asked = ids.map((id) =>
    rest('POST', `/connections/${id}/refresh`).catch((error: unknown) => error),
  )
  await Promise.all(holds.map(({ arrived }) => arrived))
  await trouble.begin()
  for (const { release } of holds) release()
  await Promise.all(holds.map(({ sent }) => sent))
  await sleep(awayMs)
  if (isKilled) {
    latchkey.kill('SIGKILL')
    await latchkey.ended
  }
  await trouble.end()
  if (isKilled) await setting.start()
  await Promise.all(asked)
  await until('all are stored', async () => (await openRefreshes(setting)) === 0, {
    limitMs: 120_000,
  })

  const calls = provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token').length
  const standings = await forAll(ids, 8, (id) => standingOf(setting, id))
  const lost = standings.filter(({ kind }) => kind !== 'alive')
  tell(
    {
      id: 'R-03',
      what: `the database ${how} for ${awayMs / 1000} s${isKilled ? ', and we are killed' : ''}`,
      measured: `${lost.length} of ${ids.length} lost, ${calls} calls`,
      line: `0 lost, ${ids.length} calls`,
      isKept: lost.length === 0 && calls === ids.length,
    },
    lost.map((one) => JSON.stringify(one)).join('\n'),
  )
}

// Boulder's trick: the database works, and only this one write fails.
function refusing({ databaseUrl, settings }: Setting): Trouble {
  const file = join(settings['LATCHKEY_DATA'] ?? '', 'latchkey.db')
  const run = async (sql: string) => {
    if (databaseUrl !== undefined) return asOwner(databaseUrl, sql)
    const database = new DatabaseSync(file, { timeout: 5_000 })
    database.exec(sql)
    database.close()
  }
  return databaseUrl === undefined
    ? {
        begin: () =>
          run(`create trigger refused before update of refresh_token_sealed on credentials
               begin select raise(abort, 'refused by the rig'); end`),
        end: () => run('drop trigger refused'),
      }
    : {
        begin: () =>
          run(`create function refuse() returns trigger language plpgsql as
               $$ begin raise exception 'refused by the rig'; end $$;
               create trigger refused before update of refresh_token_sealed on credentials
               for each row execute function refuse()`),
        end: () => run('drop trigger refused on credentials'),
      }
}
