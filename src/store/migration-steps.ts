// What the migrations make, told from their text, for whoever wants to see it before or after; and which tables there are.
import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import type { Store } from './database.ts'
import { splitSql } from './split-sql.ts'

/** One migration with what it makes, in order. */
export interface MigrationSteps {
  readonly migration: string
  readonly makes: readonly MadeThing[]
}

export interface MadeThing {
  readonly kind: 'table' | 'index' | 'column'
  /** Of a column with its table: `codes.nonce`. */
  readonly name: string
}

const ownFolder = new URL('./migrations/', import.meta.url)

/** The steps of these migrations. */
export function readSteps(migrations: readonly string[]): Promise<readonly MigrationSteps[]> {
  return Promise.all(
    migrations.map(async (migration) => {
      const text = await readFile(new URL(`${migration}.sql`, ownFolder), 'utf8')
      return { migration, makes: splitSql(text).flatMap(madeBy) }
    }),
  )
}

const shapes: readonly (readonly [MadeThing['kind'], RegExp])[] = [
  ['table', /^create table (?:if not exists )?(?<name>\w+)/i],
  ['index', /^create (?:unique )?index (?:if not exists )?(?<name>\w+)/i],
  ['column', /^alter table (?<table>\w+)\s+add column (?<name>\w+)/i],
]

/** What one statement makes; nothing for one that changes rows. */
function madeBy(statement: string): readonly MadeThing[] {
  const bare = statement.replaceAll(/^\s*--.*$/gm, '').trim()
  return shapes.flatMap(([kind, shape]) => {
    const { name, table } = shape.exec(bare)?.groups ?? {}
    if (name === undefined) return []
    return [{ kind, name: table === undefined ? name : `${table}.${name}` }]
  })
}

/** The tables that the database has, by name. */
export async function listTables({ db, engine }: Store): Promise<readonly string[]> {
  const query =
    engine === 'sqlite'
      ? sql<{ name: string }>`
          select name from sqlite_master where type = 'table' and name not like 'sqlite_%'`
      : sql<{ name: string }>`
          select table_name as name from information_schema.tables
          where table_schema = current_schema() and table_type = 'BASE TABLE'`
  const { rows } = await query.execute(db)
  return rows.map(({ name }) => name).toSorted()
}
