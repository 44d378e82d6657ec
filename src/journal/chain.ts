// The hash chain over the entries of each tenant: numbers what is new, and finds what was changed since. Whoever cannot
// use our key cannot forge a link; who can cut the end off the tables and put the head back as it was then is found only
// by comparing with a copy kept elsewhere.
import { sql } from 'kysely'
import type { Keyring } from '../base/keyring.ts'
import type { Database } from '../store/database.ts'
import type { JournalEntryRow, JournalHeadRow } from '../store/schema.ts'

/** What `verify` finds; `seq` is the first link that does not hold. */
export type Verdict =
  | { readonly ok: true; readonly count: number }
  | { readonly ok: false; readonly seq: number; readonly because: string }

/** The chains of all tenants. */
export interface Chain {
  /** Numbers and chains what is new in one tenant and says how much that was. */
  readonly seal: (tenantId: string) => Promise<number>
  readonly verify: (tenantId: string) => Promise<Verdict>
  readonly heads: () => Promise<readonly JournalHeadRow[]>
  /** The last seq of one tenant, 0 before the first. */
  readonly head: (tenantId: string) => Promise<number>
  /** The tenants that have entries which are not sealed yet. */
  readonly pendingTenantIds: () => Promise<readonly string[]>
}

interface Needs {
  readonly db: Database
  readonly keyring: Keyring
}

const batchEntries = 500
const batchesMax = 1_000
const signPurpose = 'journal_chain'

/** Makes the chains over one database. */
export function createChain(needs: Needs): Chain {
  const { db } = needs
  return {
    seal: async (tenantId) => {
      // Most of the time there is nothing new, and a read costs no lock.
      const isNew = (await findPending(db, tenantId, 1)).length > 0
      return isNew ? sealAll(needs, tenantId) : 0
    },
    verify: (tenantId) => verify(needs, tenantId),
    heads: () => db.selectFrom('journal_heads').selectAll().execute(),
    head: async (tenantId) => (await findHead(db, tenantId)).seq,
    pendingTenantIds: () => findPendingTenantIds(db),
  }
}

function findPending(
  db: Database,
  tenantId: string,
  limit: number,
): Promise<readonly JournalEntryRow[]> {
  return db
    .selectFrom('journal_entries')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where(isPending)
    .orderBy('at')
    .orderBy('id')
    .limit(limit)
    .execute()
}

// Written out, not as a parameter: only so does a planner know that the index of the pending ones is enough.
const isPending = sql<boolean>`is_pending = 1`

async function sealAll(needs: Needs, tenantId: string): Promise<number> {
  let sealed = 0
  for (let batch = 0; batch < batchesMax; batch += 1) {
    const count = await sealBatch(needs, tenantId)
    sealed += count
    if (count < batchEntries) break
  }
  return sealed
}

async function sealBatch({ db, keyring }: Needs, tenantId: string): Promise<number> {
  return db.transaction().execute(async (tx) => {
    // Under the lock of the head: what another process sealed before is seen, what it seals next waits.
    const head = await lockHead(tx, tenantId)
    const entries = await findPending(tx, tenantId, batchEntries)
    if (entries.length === 0) return 0
    const links = chainOn(keyring, head, entries)
    const { seq, hash } = links.at(-1) ?? head
    await tx
      .insertInto('journal_chain')
      .values([...links])
      .execute()
    await tx
      .updateTable('journal_heads')
      .set({ seq, hash })
      .where('tenant_id', '=', tenantId)
      .execute()
    const ids = entries.map(({ id }) => id)
    await tx
      .updateTable('journal_entries')
      .set({ is_pending: 0 })
      .where('tenant_id', '=', tenantId)
      .where('id', 'in', ids)
      .execute()
    return links.length
  })
}

async function lockHead(tx: Database, tenantId: string): Promise<JournalHeadRow> {
  await tx
    .insertInto('journal_heads')
    .values({ tenant_id: tenantId, seq: 0, hash: '' })
    .onConflict((conflict) => conflict.column('tenant_id').doNothing())
    .execute()
  return tx
    .updateTable('journal_heads')
    .set((head) => ({ seq: head.ref('seq') }))
    .where('tenant_id', '=', tenantId)
    .returningAll()
    .executeTakeFirstOrThrow()
}

function chainOn(keyring: Keyring, head: JournalHeadRow, entries: readonly JournalEntryRow[]) {
  let { seq, hash } = head
  return entries.map((entry) => {
    seq += 1
    hash = keyring.sign(signPurpose, linkText({ before: hash, seq, entry }))
    return { tenant_id: head.tenant_id, seq, entry_id: entry.id, hash }
  })
}

interface Link {
  readonly before: string
  readonly seq: number
  readonly entry: JournalEntryRow
}

// The order of this list is part of every stored hash.
function linkText({ before, seq, entry }: Link): string {
  return JSON.stringify([
    before,
    seq,
    entry.tenant_id,
    entry.id,
    entry.at,
    entry.type,
    entry.actor_kind,
    entry.actor_id,
    entry.user_id,
    entry.subject_kind,
    entry.subject_id,
    entry.attempt,
    entry.data,
  ])
}

async function verify({ db, keyring }: Needs, tenantId: string): Promise<Verdict> {
  // The head as it is before the walk: what is sealed meanwhile only makes the chain longer.
  const head = await findHead(db, tenantId)
  let last = { seq: 0, hash: '' }
  let hashAtHead = ''
  for (;;) {
    const rows = await readLinks(db, tenantId, last.seq)
    for (const row of rows) {
      const because = problemOf(keyring, last, row)
      if (because !== undefined) return { ok: false, seq: last.seq + 1, because }
      last = { seq: row.seq, hash: row.hash }
      if (row.seq === head.seq) hashAtHead = row.hash
    }
    if (rows.length < batchEntries) break
  }
  if (last.seq < head.seq) return bad(last.seq + 1, 'the end of the chain is missing')
  if (hashAtHead !== head.hash) return bad(head.seq, 'the head does not match the chain')
  const headNow = await findHead(db, tenantId)
  if (last.seq > headNow.seq) return bad(headNow.seq + 1, 'the chain goes on after its head')
  return { ok: true, count: last.seq }
}

function bad(seq: number, because: string): Verdict {
  return { ok: false, seq, because }
}

async function findHead(
  db: Database,
  tenantId: string,
): Promise<Omit<JournalHeadRow, 'tenant_id'>> {
  const head = await db
    .selectFrom('journal_heads')
    .select(['seq', 'hash'])
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst()
  return head ?? { seq: 0, hash: '' }
}

function readLinks(db: Database, tenantId: string, after: number) {
  return db
    .selectFrom('journal_chain as chain')
    .leftJoin('journal_entries as entry', (join) =>
      join
        .onRef('entry.tenant_id', '=', 'chain.tenant_id')
        .onRef('entry.id', '=', 'chain.entry_id'),
    )
    .selectAll('entry')
    .select(['chain.seq', 'chain.hash'])
    .where('chain.tenant_id', '=', tenantId)
    .where('chain.seq', '>', after)
    .orderBy('chain.seq')
    .limit(batchEntries)
    .execute()
}

type LinkRow = Awaited<ReturnType<typeof readLinks>>[number]

function problemOf(
  keyring: Keyring,
  last: { readonly seq: number; readonly hash: string },
  { seq, hash, ...entry }: LinkRow,
): string | undefined {
  if (seq !== last.seq + 1) return 'a link of the chain is missing'
  if (entry.id === null) return 'the entry was deleted'
  const text = linkText({ before: last.hash, seq, entry: entry as JournalEntryRow }) // all there when its id is
  if (keyring.verify(signPurpose, text, hash)) return undefined
  return 'the entry, its place or its hash was changed'
}

async function findPendingTenantIds(db: Database): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('journal_entries')
    .select('tenant_id')
    .distinct()
    .where(isPending)
    .execute()
  return rows.map((row) => row.tenant_id)
}
