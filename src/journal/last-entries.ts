// When something was last told of each of several subjects, such as when a person last signed in.
import type { Database } from '../store/database.ts'
import type { EntryType } from './entries.ts'

interface Asked {
  readonly tenantId: string
  readonly type: EntryType
  /** As many as a page of a list has. */
  readonly subjectIds: readonly string[]
}

/** The moments, by subject; one of which nothing was told is not among them. */
export async function lastEntries(
  db: Database,
  { tenantId, type, subjectIds }: Asked,
): Promise<ReadonlyMap<string, number>> {
  if (subjectIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('journal_entries')
    .select(({ fn }) => ['subject_id', fn.max('at').as('at')])
    .where('tenant_id', '=', tenantId)
    .where('subject_id', 'in', subjectIds)
    .where('type', '=', type)
    .groupBy('subject_id')
    .execute()
  return new Map(rows.map(({ subject_id: id, at }) => [id ?? '', at]))
}
