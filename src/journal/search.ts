// The journal as people look through it: the newest first, by what happened, to whom, with what and when. It only ever grows, so
// a page looks through so much of it and no more, and says how far it came.
import { cursorOf, cutPage, limitOf, positionOf } from '../base/page.ts'
import { beforeNewest } from '../base/page.ts'
import type { Page, PageRequest, Position } from '../base/page.ts'
import type { Database } from '../store/database.ts'
import { toSealedEntry } from './entries.ts'
import type { EntryType, Journal, SealedEntry } from './entries.ts'
import { namesOfAll } from './names.ts'
import type { Names } from './names.ts'

/** What is looked for; whatever is left out may be anything. */
export interface JournalAsked {
  readonly types?: readonly EntryType[] | undefined
  /** Who did it, or whose business it is: an e-mail address or an id. */
  readonly person?: string | undefined
  /** What it is about, or what did it: an id of anything, or the slug of a server. */
  readonly thing?: string | undefined
  /** Whose business it is: a narrower question than `person`, and found at once however long the journal is. */
  readonly userId?: string | undefined
  /** From this moment on. */
  readonly from?: number | undefined
  /** Until just before this moment. */
  readonly until?: number | undefined
}

/** A page of what was found. */
export interface FoundEntries extends Page<SealedEntry> {
  /** What the ids in it are called. */
  readonly names: Names
  /** Where a page is not full though there may be more: up to which moment back it looked. */
  readonly lookedBackTo?: number
}

export type SearchJournal = (
  tenantId: string,
  asked: JournalAsked,
  page?: PageRequest,
) => Promise<FoundEntries>

interface Needs {
  readonly db: Database
  readonly journal: Pick<Journal, 'head'>
}

/** How many entries one question to the database looks through, and how many such questions a page asks. */
export const stretch = { entries: 5_000, perPage: 10 }

/** Makes the search over one database. */
export function createJournalSearch({ db, journal }: Needs, length = stretch): SearchJournal {
  return async (tenantId, asked, request = {}) => {
    const limit = limitOf(request)
    const begin = beginning(asked, positionOf(request, beforeNewest))
    // What has not got its number yet gets it, so that the newest are found too.
    await journal.head(tenantId)
    const query = { db, tenantId, asked, ids: await idsOf(db, tenantId, asked), length }
    const { rows, stoppedAt } = await walk(query, begin, limit)
    const { shown, next } = cutPage(rows, limit, positionText)
    const names = await namesOfAll({ db, tenantId }, shown.flatMap(idsIn))
    if (next.nextCursor !== undefined || stoppedAt === undefined) {
      return { items: shown, names, ...next }
    }
    const further = cursorOf({ created_at: stoppedAt.createdAt, id: stoppedAt.id })
    return { items: shown, names, nextCursor: further, lookedBackTo: stoppedAt.createdAt }
  }
}

/** A time at which it ends comes before a cursor that is later. */
function beginning({ until }: JournalAsked, cursor: Position): Position {
  return until !== undefined && until <= cursor.createdAt ? { createdAt: until, id: '' } : cursor
}

function positionText({ at, id }: SealedEntry): string {
  return cursorOf({ created_at: at, id })
}

function idsIn({ actor, userId, subject, data }: SealedEntry): readonly string[] {
  const { clientId } = data
  const client = typeof clientId === 'string' ? clientId : undefined
  return [actor.id, userId, subject?.id, client].filter((id) => id !== undefined)
}

interface Query {
  readonly db: Database
  readonly tenantId: string
  readonly asked: JournalAsked
  readonly ids: { readonly person: readonly string[]; readonly thing: readonly string[] }
  readonly length: typeof stretch
}

/** What people write, as it stands in entries. Somebody who is gone is still found by their id. */
async function idsOf(
  db: Database,
  tenantId: string,
  { person, thing }: JournalAsked,
): Promise<Query['ids']> {
  const people = person?.includes('@') === true ? await peopleAt(db, tenantId, person) : []
  const servers = thing === undefined ? [] : await serversCalled(db, tenantId, thing)
  return { person: [person ?? '', ...people], thing: [thing ?? '', ...servers] }
}

async function peopleAt(db: Database, tenantId: string, email: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('users')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('email', '=', email.toLowerCase())
    .execute()
  return rows.map(({ id }) => id)
}

async function serversCalled(
  db: Database,
  tenantId: string,
  slug: string,
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('servers')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('slug', '=', slug)
    .execute()
  return rows.map(({ id }) => id)
}

/** Goes back through the journal until there is one more than a page holds, or the page has looked far enough. */
async function walk(query: Query, begin: Position, limit: number) {
  const rows: SealedEntry[] = []
  let before: Position = begin
  for (let count = 0; count < query.length.perPage; count += 1) {
    rows.push(...(await findIn(query, before, limit + 1 - rows.length)))
    if (rows.length > limit) return { rows }
    const end = await endOfStretch(query, before)
    if (end === undefined) return { rows }
    before = end
  }
  return { rows, stoppedAt: before }
}

function stretchBefore({ db, tenantId, asked }: Query, before: Position) {
  const { userId, from } = asked
  return db
    .selectFrom('journal_entries')
    .where('tenant_id', '=', tenantId)
    .where('at', '<=', before.createdAt)
    .where((is) => is.or([is('at', '<', before.createdAt), is('id', '<', before.id)]))
    .$if(userId !== undefined, (some) => some.where('user_id', '=', userId ?? ''))
    .$if(from !== undefined, (some) => some.where('at', '>=', from ?? 0))
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
}

async function findIn(
  query: Query,
  before: Position,
  limit: number,
): Promise<readonly SealedEntry[]> {
  const { db, asked, ids, length } = query
  const { types, person, thing } = asked
  const rows = await db
    .selectFrom(stretchBefore(query, before).selectAll().limit(length.entries).as('entry'))
    .innerJoin('journal_chain as chain', (join) =>
      join
        .onRef('chain.tenant_id', '=', 'entry.tenant_id')
        .onRef('chain.entry_id', '=', 'entry.id'),
    )
    .selectAll('entry')
    .select('chain.seq')
    .$if(types !== undefined, (some) => some.where('entry.type', 'in', [...(types ?? [])]))
    .$if(person !== undefined, (some) =>
      some.where((is) =>
        is.or([is('entry.user_id', 'in', ids.person), is('entry.actor_id', 'in', ids.person)]),
      ),
    )
    .$if(thing !== undefined, (some) =>
      some.where((is) =>
        is.or([
          is('entry.subject_id', 'in', ids.thing),
          is('entry.actor_id', 'in', ids.thing),
          is('entry.attempt', 'in', ids.thing),
        ]),
      ),
    )
    .orderBy('entry.at', 'desc')
    .orderBy('entry.id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(toSealedEntry)
}

/** The last entry of a stretch; undefined where the journal begins before it is full. */
async function endOfStretch(query: Query, before: Position): Promise<Position | undefined> {
  const row = await stretchBefore(query, before)
    .select(['at', 'id'])
    .limit(1)
    .offset(query.length.entries - 1)
    .executeTakeFirst()
  return row && { createdAt: row.at, id: row.id }
}
