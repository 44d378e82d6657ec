// Brings a database to the shape in migrations/*.sql: each file once, in order, in one transaction with the note that it
// was applied. A file that changed after it was applied is refused. Several processes may start at once.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import type { Kysely, Transaction } from 'kysely'
import type { Store } from './database.ts'
import type { Schema } from './schema.ts'
import { splitSql } from './split-sql.ts'

/** What was done, or would be: names of migration files without `.sql`. */
export interface MigrationReport {
  readonly applied: readonly string[]
  readonly pending: readonly string[]
}

/** `dryRun` changes nothing and reports what is pending. `folder` is only for tests. */
export interface MigrateOptions {
  readonly dryRun?: boolean
  readonly folder?: URL
}

interface MigrationRow {
  name: string
  checksum: string
  applied_at: number
}

type Migrations = Schema & { migrations: MigrationRow }

interface MigrationFile {
  readonly name: string
  readonly text: string
  readonly checksum: string
}

const ownFolder = new URL('./migrations/', import.meta.url)

/** Applies what is pending. */
export async function migrate(
  store: Store,
  { dryRun = false, folder = ownFolder }: MigrateOptions = {},
): Promise<MigrationReport> {
  const files = await readMigrations(folder)
  const db = store.db.withTables<{ migrations: MigrationRow }>()
  const known = (await hasMigrations(store)) ? await readApplied(db) : new Map<string, string>()
  files.forEach((file) => refuseChanged(file, known.get(file.name)))
  const pending = files.filter((file) => !known.has(file.name))
  if (dryRun) return { applied: [], pending: pending.map((file) => file.name) }
  if (pending.length > 0) await makeMigrationsTable(store)

  const applied: string[] = []
  for (const file of pending) {
    if (await applyOnce(store, file)) applied.push(file.name)
  }
  return { applied, pending: [] }
}

async function readMigrations(folder: URL): Promise<readonly MigrationFile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => {
      const text = (await readFile(new URL(name, folder), 'utf8')).replaceAll('\r\n', '\n')
      const checksum = createHash('sha256').update(text).digest('hex')
      return { name: name.slice(0, -'.sql'.length), text, checksum }
    }),
  )
}

async function hasMigrations({ db, engine }: Store): Promise<boolean> {
  const query =
    engine === 'sqlite'
      ? sql`select name as found from sqlite_master where type = 'table' and name = 'migrations'`
      : sql`select to_regclass('migrations') as found`
  const { rows } = await query.execute(db)
  return rows.some((row) => (row as { found: unknown }).found !== null) // the one column named above
}

async function readApplied(db: Kysely<Migrations>): Promise<ReadonlyMap<string, string>> {
  const rows = await db.selectFrom('migrations').select(['name', 'checksum']).execute()
  return new Map(rows.map((row) => [row.name, row.checksum]))
}

function refuseChanged({ name, checksum }: MigrationFile, applied: string | undefined): void {
  if (applied === undefined || applied === checksum) return
  throw new Error(
    `the migration ${name} was changed after it was applied to this database: put the file back as it was ` +
      'and write the change as a new migration',
  )
}

async function makeMigrationsTable({ db }: Store): Promise<void> {
  try {
    await sql`
      create table if not exists migrations (
        name text not null primary key,
        checksum text not null,
        applied_at bigint not null
      )`.execute(db)
  } catch (error) {
    // On Postgres two at once both find no table; the slower one hears that its name was taken meanwhile.
    if (!isNameTaken(error)) throw error
  }
}

// Which of them depends on how far the other one is: its row, its table or the type of its rows.
const nameTaken: ReadonlySet<unknown> = new Set(['23505', '42P07', '42710'])

function isNameTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && nameTaken.has(error.code)
}

// The note is written first: it is the lock. Another process waits at the same insert until this transaction ends, and
// then finds that nothing is left to do.
async function applyOnce({ db }: Store, file: MigrationFile): Promise<boolean> {
  return db.transaction().execute(async (plain) => {
    const tx = plain.withTables<{ migrations: MigrationRow }>()
    if (!(await note(tx, file))) return false
    for (const statement of splitSql(file.text)) await sql.raw(statement).execute(tx)
    return true
  })
}

async function note(tx: Transaction<Migrations>, file: MigrationFile): Promise<boolean> {
  const { name, checksum } = file
  const noted = await tx
    .insertInto('migrations')
    .values({ name, checksum, applied_at: Date.now() })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('name')
    .executeTakeFirst()
  return noted !== undefined
}
