// The people of a tenant as a list, for who looks after them: a page at a time, all or those that a search finds, and when
// each last signed in.
import { sql } from 'kysely'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { lastEntries } from '../journal/last-entries.ts'
import type { Database } from '../store/database.ts'
import type { UserRow } from '../store/schema.ts'
import { requireAdmin } from './principal.ts'
import type { Principal } from './principal.ts'
import { toUser } from './users.ts'
import type { User } from './users.ts'

export type ListedUser = User & { readonly createdAt: number; readonly disabled: boolean }

/** Which people: those in whose e-mail, name or id this is. */
export interface UserSearch {
  readonly search?: string | undefined
}

export const searchMaxCharacters = 100

/** One page, oldest first. Throws Fault('invalid_input') for a cursor that is not ours. */
export async function listUsers(
  db: Database,
  by: Principal,
  page: PageRequest,
  { search = '' }: UserSearch,
): Promise<Page<ListedUser>> {
  requireAdmin(by)
  const { createdAt, id } = positionOf(page)
  const part = partOf(search)
  const rows = await db
    .selectFrom('users')
    .selectAll()
    .where('tenant_id', '=', by.tenant.id)
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(createdAt, id)))
    .$if(part !== undefined, (some) =>
      some.where((is) =>
        is.or([
          sql<boolean>`email like ${part} escape '!'`,
          sql<boolean>`lower(name) like ${part} escape '!'`,
          sql<boolean>`id like ${part} escape '!'`,
        ]),
      ),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(page) + 1)
    .execute()
  return pageOf(rows, page, toListed)
}

/** What `like` looks for; undefined when nothing is searched for. No control characters: Postgres refuses a NUL. */
function partOf(search: string): string | undefined {
  const words = search
    .replaceAll(/\p{Cc}/gu, '')
    .trim()
    .slice(0, searchMaxCharacters)
  if (words === '') return undefined
  return `%${words.toLowerCase().replaceAll(/[%_!]/g, '!$&')}%`
}

/** When each of these last signed in; who never did is not among them. */
export function lastSignIns(
  db: Database,
  by: Principal,
  ids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  requireAdmin(by)
  const { id: tenantId } = by.tenant
  return lastEntries(db, { tenantId, type: 'user.signed_in', subjectIds: ids })
}

/** The person in a row, as administrators see them. */
export function toListed(row: UserRow): ListedUser {
  return { ...toUser(row), createdAt: row.created_at, disabled: row.disabled_at !== null }
}
