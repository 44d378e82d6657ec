// Registers a test once per engine, each time with a fresh, migrated database of its own: a SQLite file, and a schema in
// one Postgres (the run's, or one that this file's process starts for itself).
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { PGliteDialect } from 'kysely'
import { openStore, storeOn } from '../src/store/database.ts'
import type { Place, Store } from '../src/store/database.ts'
import { migrate } from '../src/store/migrate.ts'
import { makeDatabaseFolder } from './database-folder.ts'
import { pgliteUrl, startPostgres } from './postgres-server.ts'
import type { NoPostgres, PostgresServer } from './postgres-server.ts'
import { asOwner, copyTemplateDatabase, copyTemplateFile } from './templates.ts'

/** Opens another store on the same database, as a second process would; it is closed when the test ends. */
export type OpenAnother = () => Promise<Store>

type Run = (t: TestContext, store: Store, openAnother: OpenAnother) => void | Promise<void>

interface Options {
  /** A test that has two connections at work at once cannot run where PGlite stands in for Postgres. */
  readonly needsConnections?: boolean
}

/** Runs the test on SQLite and on Postgres. */
export function onEveryDatabase(name: string, run: Run, options: Options = {}): void {
  const runMigrated: Run = async (t, store, openAnother) => {
    await migrate(store)
    await run(t, store, openAnother)
  }
  register(name, runMigrated, { ...options, isMigrated: true })
}

/** The same before any migration. */
export function onEveryEmptyDatabase(name: string, run: Run, options: Options = {}): void {
  register(name, run, { ...options, isMigrated: false })
}

type Chosen = Options & { readonly isMigrated: boolean }

function register(name: string, run: Run, options: Chosen): void {
  void test(`${name} (sqlite)`, async (t) => {
    const folder = makeDatabaseFolder('test')
    const file = join(folder, 'test.db')
    if (options.isMigrated) copyTemplateFile(file)
    const remove = async () => rmSync(folder, { recursive: true, force: true })
    await runOn({ place: { kind: 'sqlite', file }, remove }, t, run)
  })
  void test(`${name} (postgres)`, async (t) => {
    const server = await startOnce()
    if (server.kind === 'none') return t.skip(server.because)
    if (server.kind === 'pglite') return runOnPglite(t, run, options)
    await runOn(await makePlace(server, options), t, run)
  })
}

interface Fresh {
  readonly place: Place
  readonly remove: () => Promise<void>
}

async function runOn({ place, remove }: Fresh, t: TestContext, run: Run): Promise<void> {
  const stores: Store[] = []
  const open = async () => {
    const store = await openStore(place)
    stores.push(store)
    return store
  }
  try {
    await run(t, await open(), open)
  } finally {
    // Hooks run in the order in which they were made, so the test's own are through before its database goes.
    t.after(async () => {
      await Promise.all(stores.map((store) => store.close()))
      await remove()
    })
  }
}

let server: Promise<PostgresServer | NoPostgres> | undefined

function startOnce(): Promise<PostgresServer | NoPostgres> {
  return (server ??= startPostgres())
}

after(async () => {
  const started = await server
  if (started !== undefined && started.kind !== 'none') await started.stop()
})

async function makePlace({ url }: PostgresServer, { isMigrated }: Chosen): Promise<Fresh> {
  const copy = isMigrated ? await copyTemplateDatabase(url) : undefined
  if (copy !== undefined) return { ...copy, place: { kind: 'postgres', url: copy.url } }
  const schema = `test_${randomBytes(8).toString('hex')}`
  await asOwner(url, `create schema ${schema}`)
  return {
    place: { kind: 'postgres', url, schema },
    remove: () => asOwner(url, `drop schema ${schema} cascade`),
  }
}

const int8 = 20
const numeric = 1700

// One PGlite has one connection, so a second store cannot be opened beside the first.
async function runOnPglite(t: TestContext, run: Run, options: Options): Promise<void> {
  if (options.needsConnections === true) return t.skip('PGlite has one connection')
  const { PGlite } = await import('@electric-sql/pglite')
  const parsers = { [int8]: Number, [numeric]: Number } // as store/postgres.ts reads them
  const pglite = await PGlite.create({ parsers })
  const store = storeOn({
    name: 'postgres',
    dialect: new PGliteDialect({ pglite }),
    isRetryable: () => false,
    close: async () => {
      if (!pglite.closed) await pglite.close()
    },
  })
  t.after(() => store.close())
  t.diagnostic(`${pgliteUrl} stands in for postgres`)
  await run(t, store, async () => store)
}
