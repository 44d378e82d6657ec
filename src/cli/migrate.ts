// `latchkey migrate`: brings the database to the shape that this version needs, or says what it would do.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { readConfig } from '../config.ts'
import { openConfiguredStore } from '../configured-store.ts'
import type { Store } from '../store/database.ts'
import { openStore } from '../store/database.ts'
import { migrate } from '../store/migrate.ts'
import type { MigrationReport } from '../store/migrate.ts'
import { listTables, readSteps } from '../store/migration-steps.ts'
import type { MigrationSteps } from '../store/migration-steps.ts'

/** Runs the migrations and prints what was done; with `dryRun` nothing changes. */
export async function migrateCommand(
  environment: Readonly<Record<string, string | undefined>>,
  { dryRun = false, json = false }: { dryRun?: boolean; json?: boolean },
): Promise<void> {
  const config = readConfig(environment)
  const store = dryRun && isNew(config) ? await openNothing() : await openConfiguredStore(config)
  try {
    const { applied, pending } = await migrate(store, { dryRun })
    const steps = await readSteps([...applied, ...pending])
    const report = { applied, pending, steps, tables: await listTables(store) }
    console.log(json ? JSON.stringify(report) : describe(report, dryRun))
  } finally {
    await store.close()
  }
}

/** An embedded database that was never made: looking at it must not make it. */
function isNew({ databaseUrl, dataFolder }: Config): boolean {
  return databaseUrl === undefined && !existsSync(join(dataFolder, 'latchkey.db'))
}

function openNothing(): Promise<Store> {
  return openStore({ kind: 'sqlite', file: ':memory:' })
}

interface Report extends MigrationReport {
  readonly steps: readonly MigrationSteps[]
  readonly tables: readonly string[]
}

/** What was or would be done, each table and index of it, and the tables that there are now. */
function describe({ applied, pending, steps, tables }: Report, isDryRun: boolean): string {
  const names = isDryRun ? pending : applied
  const done = isDryRun ? 'Would apply' : 'Applied'
  const what = names.length === 0 ? 'Nothing to do.' : `${done}: ${names.join(', ')}.`
  const made = steps.flatMap(({ migration, makes }) => [
    '',
    migration,
    ...makes.map(({ kind, name }) => `  ${kind} ${name}`),
  ])
  const has = `The database has ${tables.length} tables${tables.length === 0 ? '.' : ':'}`
  return [what, ...made, '', has, ...tables.map((name) => `  ${name}`)].join('\n')
}
