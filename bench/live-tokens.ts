// How long it takes to a live token: when nothing is due, through the library and through REST, and when a hundred
// connections are refreshed at once. `node bench/live-tokens.ts` measures only this.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { createConnectors } from '../src/client.ts'
import type { Connectors } from '../src/client.ts'
import { createCookieBrowser } from '../test/counterparts/cookie-browser.ts'
import { listenOnLoopback } from '../test/counterparts/loopback.ts'
import { startFaultProvider } from '../test/fakes/fault-provider.ts'
import { keepStandbys } from '../test/faults/latchkey-processes.ts'
import type { Cleanup } from '../test/faults/latchkey-processes.ts'
import { standingOf } from '../test/faults/outcomes.ts'
import { databases, forAll, openSetting } from '../test/faults/setting.ts'
import type { DatabaseKind, Setting } from '../test/faults/setting.ts'
import { startPostgres } from '../test/postgres-server.ts'
import { asOwner, databaseUrl } from '../test/templates.ts'
import { percentile } from './driver.ts'

export interface LiveTokens {
  readonly database: DatabaseKind
  readonly library: Times
  readonly rest: Times
  readonly refreshes: Refreshes
}

interface Times {
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Refreshes {
  readonly slowestMs: number
  readonly lost: number
}

const counted = 5_000
const warmUps = 500
const connections = 100

if (import.meta.main) await main()

async function main(): Promise<void> {
  const postgres = await startPostgres({ isDurable: true })
  if (postgres.kind === 'none') throw new Error(`no Postgres: ${postgres.because}`)
  try {
    console.log(formatLiveTokens(await measureLiveTokens(postgres.url)))
  } finally {
    await postgres.stop()
  }
}

/** Measures on both databases. */
export async function measureLiveTokens(postgresUrl: string): Promise<readonly LiveTokens[]> {
  const measured: LiveTokens[] = []
  for (const database of databases) {
    const library = await withCleanup((cleanup) => measureLibrary(cleanup, database, postgresUrl))
    const { rest, refreshes } = await withCleanup((cleanup) =>
      measureRest(cleanup, database, postgresUrl),
    )
    measured.push({ database, library, rest, refreshes })
  }
  return measured
}

/** Writes the results as Markdown. */
export function formatLiveTokens(results: readonly LiveTokens[]): string {
  const names: Readonly<Record<DatabaseKind, string>> = {
    sqlite: 'embedded database',
    postgres: 'Postgres',
  }
  const times = ({ p50Ms, p99Ms }: Times) => `${p50Ms.toFixed(2)} | ${p99Ms.toFixed(2)}`
  return [
    '### A live token of somebody else’s server',
    '',
    'Nothing is due; one caller at a time. REST journals each token that it gives out.',
    '',
    '| database | `credentialFor`, p50 ms | p99 ms | `POST …/token`, p50 ms | p99 ms |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...results.map(
      ({ database, library, rest }) =>
        `| ${names[database]} | ${times(library)} | ${times(rest)} |`,
    ),
    '',
    `${connections} connections refreshed at once, at a provider on this machine that answers at once.`,
    '',
    '| database | the slowest, ms | lost |',
    '| --- | ---: | ---: |',
    ...results.map(
      ({ database, refreshes: { slowestMs, lost } }) =>
        `| ${names[database]} | ${Math.round(slowestMs)} | ${lost} |`,
    ),
  ].join('\n')
}

async function withCleanup<T>(work: (cleanup: Cleanup) => Promise<T>): Promise<T> {
  const works: (() => unknown)[] = []
  try {
    return await work({ after: (more) => void works.push(more) })
  } finally {
    for (const one of works.reverse()) await one()
  }
}

/** In the process of an app that embeds the client half. */
async function measureLibrary(
  cleanup: Cleanup,
  database: DatabaseKind,
  postgresUrl: string,
): Promise<Times> {
  const provider = await startFaultProvider()
  cleanup.after(provider.stop)
  const { connectors, origin } = await startApp(
    cleanup,
    database === 'sqlite' ? temporaryFile(cleanup) : await freshDatabase(postgresUrl),
  )
  const server = await connectors.servers.add({ url: provider.mcpUrl })
  const begun = await connectors.begin('ada', server.id)
  if ('alreadyAuthorized' in begun) throw new Error('nobody has signed in yet')
  await createCookieBrowser().open(begun.authorizeUrl)
  return timesOf(async () => {
    const credential = await connectors.credentialFor('ada', begun.connectionId)
    if (credential.kind !== 'bearer') throw new Error(`${origin}: ${credential.kind}`)
  })
}

async function startApp(cleanup: Cleanup, database: string) {
  const embedded: { connectors?: Connectors } = {}
  const listener = getRequestListener(
    async (request) =>
      (await embedded.connectors?.handle(request, { user: 'ada' })) ?? new Response('the app'),
    { overrideGlobalObjects: false },
  )
  const { origin, stop } = await listenOnLoopback(
    () =>
      (...pair) =>
        void listener(...pair),
  )
  cleanup.after(stop)
  const connectors = await createConnectors({
    database,
    key: randomBytes(32).toString('base64url'),
    publicUrl: origin,
    allowPrivateNetworks: ['loopback'],
  })
  embedded.connectors = connectors
  cleanup.after(connectors.close)
  return { connectors, origin }
}

function temporaryFile(cleanup: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'bench-library-'))
  cleanup.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'connectors.db')
}

async function freshDatabase(url: string): Promise<string> {
  const name = `bench_library_${randomBytes(4).toString('hex')}`
  await asOwner(url, `create database ${name}`)
  return databaseUrl(url, name)
}

/** At a server of its own, from another process. */
async function measureRest(
  cleanup: Cleanup,
  database: DatabaseKind,
  url: string,
): Promise<{ readonly rest: Times; readonly refreshes: Refreshes }> {
  const startLatchkey = keepStandbys(cleanup, 0)
  const setting = await openSetting(cleanup, { database, connections, startLatchkey, url })
  if (setting === undefined) throw new Error('no database')
  await setting.start()
  const [id = ''] = setting.ids
  const rest = await timesOf(async () => {
    const { status } = await setting.rest('POST', `/connections/${id}/token`)
    if (status !== 200) throw new Error(`a token was answered with ${status}`)
  })
  return { rest, refreshes: await refreshAll(setting) }
}

async function refreshAll(setting: Setting): Promise<Refreshes> {
  const { ids, rest } = setting
  const took = await Promise.all(
    ids.map(async (id) => {
      const startedAt = performance.now()
      const { status } = await rest('POST', `/connections/${id}/refresh`)
      return { status, ms: performance.now() - startedAt }
    }),
  )
  const standings = await forAll(ids, 8, (id) => standingOf(setting, id))
  const failed = took.filter(({ status }) => status !== 200).length
  const dead = standings.filter(({ kind }) => kind !== 'alive').length
  return { slowestMs: Math.max(...took.map(({ ms }) => ms)), lost: Math.max(failed, dead) }
}

async function timesOf(work: () => Promise<void>): Promise<Times> {
  const took: number[] = []
  for (let done = 0; done < warmUps + counted; done += 1) {
    const startedAt = performance.now()
    await work()
    if (done >= warmUps) took.push(performance.now() - startedAt)
  }
  const sorted = took.toSorted((one, other) => one - other)
  return { p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) }
}
