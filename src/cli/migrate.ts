// `latchkey migrate`: brings the database to the shape that this version needs, or says what it would do.
import { readConfig } from '../config.ts'
import { openConfiguredStore } from '../platform.ts'
import { migrate } from '../store/migrate.ts'

/** Runs the migrations and prints what was done; with `dryRun` nothing changes. */
export async function migrateCommand(
  environment: Readonly<Record<string, string | undefined>>,
  { dryRun = false, json = false }: { dryRun?: boolean; json?: boolean },
): Promise<void> {
  const store = await openConfiguredStore(readConfig(environment))
  try {
    const report = await migrate(store, { dryRun })
    if (json) console.log(JSON.stringify(report))
    else console.log(describe(report, dryRun))
  } finally {
    await store.close()
  }
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
