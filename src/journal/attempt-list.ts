// Attempts as an operator reads them: the recent ones in a list, and one with everything that happened in it. What is
// said of one comes from its entries each time; nothing of it is kept beside the journal.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { beforeNewest, cursorOf, cutPage, limitOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest, Position } from '../base/page.ts'
import type { Database } from '../store/database.ts'
import type { AttemptRow } from '../store/schema.ts'
import { diagnose } from './diagnosis.ts'
import type { Diagnosis } from './diagnosis.ts'
import type { EntryData, EntryType, Journal, SealedEntry } from './entries.ts'
import { namesOf } from './names.ts'

export interface AttemptList {
  /** The recent attempts of a tenant, newest first. */
  readonly list: (tenantId: string, page?: PageRequest) => Promise<Page<AttemptSummary>>
  /** One attempt, with the ones that are linked to it. Throws Fault('not_found') when there is nothing of it. */
  readonly read: (tenantId: string, id: string) => Promise<AttemptReading>
  /** The attempts that are one story with this one, itself included. */
  readonly family: (tenantId: string, id: string) => Promise<readonly string[]>
}

/** One attempt in a line. */
export interface AttemptSummary {
  readonly id: string
  readonly beganAt: number
  readonly latestAt: number
  readonly client: { readonly id: string; readonly name: string | undefined } | undefined
  /** What the client calls itself where it is no client of ours yet. */
  readonly agent: string | undefined
  /** The server: the resource that was asked for, or the path of its metadata. */
  readonly server: string | undefined
  readonly person: { readonly id: string; readonly email: string | undefined } | undefined
  readonly outcome: Diagnosis['outcome']
  readonly summary: string
  readonly finding: string | undefined
}

export interface AttemptReading {
  readonly attempt: AttemptSummary
  readonly items: readonly SealedEntry[]
  readonly diagnosis: Diagnosis
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Pick<Journal, 'list'>
  /** Waits until what this process has still to note is noted. */
  readonly settle: () => Promise<void>
}

/** How many attempts a page holds: each is told from all of its entries. */
export const attemptPageSizes = { usual: 20, most: 100 }
const linkedMax = 20
/** The entries of one page of the list, all attempts together. */
const entriesReadMax = 5_000

/** Makes the list over one database. */
export function createAttemptList(needs: Needs): AttemptList {
  const { db, clock, journal, settle } = needs
  return {
    list: async (tenantId, page = {}) => {
      await settle()
      return listAttempts(needs, tenantId, page)
    },
    family: async (tenantId, id) => {
      await settle()
      return findFamily(db, tenantId, id)
    },
    read: async (tenantId, id) => {
      await settle()
      const ids = await findFamily(db, tenantId, id)
      const items = await journal.list({ tenantId, attempt: ids })
      const [first] = items
      if (first === undefined) {
        throw new Fault('not_found', { because: 'nothing is known of such an attempt' })
      }
      const names = await findNames(db, tenantId, items)
      const attempt = summarize({ id, beganAt: first.at, entries: items }, names, clock.now())
      return { attempt, items, diagnosis: diagnose(items, clock.now()) }
    },
  }
}

async function findFamily(db: Database, tenantId: string, id: string): Promise<readonly string[]> {
  const own = await db
    .selectFrom('attempts')
    .select('linked_to')
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .executeTakeFirst()
  const head = own?.linked_to ?? id
  const linked = await db
    .selectFrom('attempts')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('linked_to', '=', head)
    .orderBy('began_at', 'desc')
    .limit(linkedMax)
    .execute()
  return [...new Set([head, id, ...linked.map((row) => row.id)])]
}

interface StoryRow {
  readonly type: EntryType
  readonly at: number
  readonly data: EntryData
  readonly userId?: string | undefined
  readonly subject?: { readonly kind: string; readonly id: string } | undefined
}

interface AttemptStory {
  readonly id: string
  readonly beganAt: number
  readonly entries: readonly StoryRow[]
}

async function listAttempts(
  { db, clock }: Needs,
  tenantId: string,
  page: PageRequest,
): Promise<Page<AttemptSummary>> {
  const limit = limitOf(page, attemptPageSizes)
  const after = positionOf(page, beforeNewest)
  const found = await findHeads(db, tenantId, { limit: limit + 1, after })
  const { shown: heads, next } = cutPage(found, limit, cursorOf)
  const linked = await findLinked(db, tenantId, heads)
  const entries = await findEntries(
    db,
    tenantId,
    [...heads, ...linked].map(({ id }) => id),
  )
  const stories = heads.map(({ id, created_at: beganAt }) => {
    const ids = [id, ...linked.filter((row) => row.linked_to === id).map((row) => row.id)]
    const own = ids.flatMap((each) => entries.get(each) ?? [])
    return { id, beganAt, entries: own.toSorted((one, other) => one.at - other.at) }
  })
  const names = await findNames(
    db,
    tenantId,
    stories.flatMap((story) => story.entries),
  )
  return {
    items: stories
      .filter((story) => story.entries.length > 0)
      .map((story) => summarize(story, names, clock.now())),
    ...next,
  }
}

function findHeads(
  db: Database,
  tenantId: string,
  { limit, after }: { readonly limit: number; readonly after: Position },
) {
  return db
    .selectFrom('attempts')
    .select(['id', 'began_at as created_at'])
    .where('tenant_id', '=', tenantId)
    .where('linked_to', 'is', null)
    .where('began_at', '<=', after.createdAt)
    .where((is) => is.or([is('began_at', '<', after.createdAt), is('id', '<', after.id)]))
    .orderBy('began_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
}

async function findLinked(
  db: Database,
  tenantId: string,
  heads: readonly Pick<AttemptRow, 'id'>[],
): Promise<readonly Pick<AttemptRow, 'id' | 'linked_to'>[]> {
  if (heads.length === 0) return []
  return db
    .selectFrom('attempts')
    .select(['id', 'linked_to'])
    .where('tenant_id', '=', tenantId)
    .where(
      'linked_to',
      'in',
      heads.map(({ id }) => id),
    )
    .orderBy('began_at', 'desc')
    .limit(heads.length * linkedMax)
    .execute()
}

async function findEntries(
  db: Database,
  tenantId: string,
  attempts: readonly string[],
): Promise<ReadonlyMap<string, readonly StoryRow[]>> {
  if (attempts.length === 0) return new Map()
  const rows = await db
    .selectFrom('journal_entries')
    .select(['attempt', 'type', 'at', 'data', 'user_id', 'subject_kind', 'subject_id'])
    .where('tenant_id', '=', tenantId)
    .where('attempt', 'in', [...attempts])
    .orderBy('at')
    .orderBy('id')
    .limit(entriesReadMax)
    .execute()
  const stories = rows.map((row) => ({
    attempt: row.attempt ?? '',
    type: row.type as EntryType, // only the journal writes it
    at: row.at,
    data: JSON.parse(row.data) as EntryData, // likewise
    userId: row.user_id ?? undefined,
    subject:
      row.subject_kind === null || row.subject_id === null
        ? undefined
        : { kind: row.subject_kind, id: row.subject_id },
  }))
  return Map.groupBy(stories, ({ attempt }) => attempt)
}

interface Names {
  readonly clients: ReadonlyMap<string, string>
  readonly people: ReadonlyMap<string, string | undefined>
}

async function findNames(
  db: Database,
  tenantId: string,
  entries: readonly StoryRow[],
): Promise<Names> {
  const clientIds = entries.flatMap((entry) => clientOf(entry) ?? [])
  const userIds = [...new Set(entries.flatMap(({ userId }) => userId ?? []))]
  const people =
    userIds.length === 0
      ? []
      : await db
          .selectFrom('users')
          .select(['id', 'email'])
          .where('tenant_id', '=', tenantId)
          .where('id', 'in', userIds)
          .execute()
  return {
    clients: await namesOf({ db, tenantId }, 'client', clientIds),
    people: new Map(people.map(({ id, email }) => [id, email ?? undefined])),
  }
}

function clientOf({ subject, data }: StoryRow): string | undefined {
  if (subject?.kind === 'client') return subject.id
  const id = data['clientId']
  return typeof id === 'string' ? id : undefined
}

function summarize(
  { id, beganAt, entries }: AttemptStory,
  { clients, people }: Names,
  now: number,
): AttemptSummary {
  const { outcome, summary, findings } = diagnose(entries, now)
  const clientId = lastOf(entries, clientOf)
  const userId = lastOf(entries, (entry) => entry.userId)
  const [first] = entries
  return {
    id,
    beganAt: Math.min(beganAt, first?.at ?? beganAt),
    latestAt: entries.at(-1)?.at ?? beganAt,
    client: clientId === undefined ? undefined : { id: clientId, name: clients.get(clientId) },
    agent: lastOf(entries, ({ data }) => textOf(data['agent'])),
    server:
      lastOf(entries, ({ data }) => textOf(data['resource'])) ??
      lastOf(entries, ({ data }) => textOf(data['server']) ?? textOf(data['document'])),
    person: userId === undefined ? undefined : { id: userId, email: people.get(userId) },
    outcome,
    summary,
    finding: findings[0]?.code,
  }
}

function lastOf<T>(
  entries: readonly StoryRow[],
  read: (entry: StoryRow) => T | undefined,
): T | undefined {
  for (const entry of entries.toReversed()) {
    const found = read(entry)
    if (found !== undefined) return found
  }
  return undefined
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
