// `latchkey migrate`: brings the database to the shape that this version needs, or says what it would do.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { readConfig } from '../config.ts'
import { openConfiguredStore } from '../platform.ts'
import type { Store } from '../store/database.ts'
import { openStore } from '../store/database.ts'
import { migrate } from '../store/migrate.ts'

/** Runs the migrations and prints what was done; with `dryRun` nothing changes. */
export async function migrateCommand(
  environment: Readonly<Record<string, string | undefined>>,
  { dryRun = false, json = false }: { dryRun?: boolean; json?: boolean },
): Promise<void> {
  const config = readConfig(environment)
  const store = dryRun && isNew(config) ? await openNothing() : await openConfiguredStore(config)
  try {
    const report = await migrate(store, { dryRun })
    if (json) console.log(JSON.stringify(report))
    else console.log(describe(report, dryRun))
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

function describe(
  {
    applied,
    pending,
  }: { readonly applied: readonly string[]; readonly pending: readonly string[] },
  dryRun: boolean,
): string {
  if (dryRun) {
    return pending.length === 0 ? 'Nothing to do.' : `Would apply: ${pending.join(', ')}.`
  }
  return applied.length === 0 ? 'Nothing to do.' : `Applied: ${applied.join(', ')}.`
}
