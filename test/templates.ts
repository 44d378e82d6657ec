// Databases that are migrated once in a run and then copied, because most tests begin with one and making every table
// takes longer than most of them. Tests of the migrations themselves begin with nothing.
import { randomBytes } from 'node:crypto'
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { openStore } from '../src/store/database.ts'
import type { Place } from '../src/store/database.ts'
import { migrate } from '../src/store/migrate.ts'

const fileVariable = 'LATCHKEY_TEST_TEMPLATE_FILE'
const databaseVariable = 'LATCHKEY_TEST_TEMPLATE_DATABASE'

/** Makes them for the processes of this run. `url` is a Postgres in which databases can be made. */
export async function makeTemplates(folder: string, url: string | undefined): Promise<void> {
  const file = join(folder, 'template.db')
  await migrateAt({ kind: 'sqlite', file })
  process.env[fileVariable] = file
  if (url === undefined) return
  const name = `template_${randomBytes(8).toString('hex')}`
  await asOwner(url, `create database ${name}`)
  await migrateAt({ kind: 'postgres', url: databaseUrl(url, name) })
  process.env[databaseVariable] = name
}

async function migrateAt(place: Place): Promise<void> {
  const store = await openStore(place)
  try {
    await migrate(store)
  } finally {
    await store.close()
  }
}

/** The migrated file, if this run has one. */
export function templateFile(): string | undefined {
  const file = process.env[fileVariable]
  return file !== undefined && existsSync(file) ? file : undefined
}

/** Copies it there, if this run has one. */
export function copyTemplateFile(to: string): void {
  const file = templateFile()
  if (file !== undefined) copyFileSync(file, to)
}

/** A database of its own that is migrated already; undefined if this run has no template. */
export async function copyTemplateDatabase(
  url: string,
): Promise<{ readonly url: string; readonly remove: () => Promise<void> } | undefined> {
  const template = process.env[databaseVariable]
  if (template === undefined) return undefined
  const name = `test_${randomBytes(8).toString('hex')}`
  await asOwner(url, `create database ${name} template ${template}`)
  const remove = () => asOwner(url, `drop database ${name} with (force)`)
  return { url: databaseUrl(url, name), remove }
}

/** Where a database of that name is. */
export function databaseUrl(url: string, name: string): string {
  const other = new URL(url)
  other.pathname = `/${name}`
  return other.href
}

/** Runs one statement as the user who may make schemas and databases. */
export async function asOwner(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('set client_min_messages = warning')
    await client.query(sql)
  } finally {
    await client.end()
  }
}
