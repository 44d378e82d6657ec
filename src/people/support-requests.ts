// What people ask for help with: one verified person asks, and administrators look after it. Whether a tenant takes such
// requests is its own to say; until it does, it takes none.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Actor, EntryData, EntryType, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { SupportRequestRow } from '../store/schema.ts'
import { actorOf, requireAdmin } from './principal.ts'
import type { Principal, TokenPrincipal } from './principal.ts'
import type { Tenant } from './tenants.ts'

export const supportStatuses = [
  'needs_email',
  'pending',
  'in_progress',
  'resolved',
  'closed',
] as const
export type SupportStatus = (typeof supportStatuses)[number]

export const supportPriorities = ['low', 'medium', 'high'] as const
export type SupportPriority = (typeof supportPriorities)[number]

/** Where requests for help go: to nobody, or to our own administrators. */
export const supportKinds = ['none', 'dashboard'] as const
export type SupportKind = (typeof supportKinds)[number]

/** One request for help. */
export interface SupportRequest {
  readonly id: string
  readonly userId: string
  readonly clientId: string
  readonly title: string
  readonly description: string
  readonly context?: string
  readonly email?: string
  /** Whether somebody else has proven that the address is the person's. */
  readonly emailVerified: boolean
  readonly status: SupportStatus
  readonly priority: SupportPriority
  readonly createdAt: number
  readonly updatedAt: number
}

export interface SupportQuestion {
  readonly title: string
  readonly description: string
  readonly context?: string
}

export interface SupportRequests {
  readonly isOn: (tenant: Tenant) => Promise<boolean>
  readonly settings: (by: Principal) => Promise<{ readonly support: SupportKind }>
  readonly change: (
    by: Principal,
    support: SupportKind,
  ) => Promise<{ readonly support: SupportKind }>
  /**
   * Asks for the person who calls, and for nobody else. Undefined where nobody could answer: no person, or no address.
   * Throws Fault('forbidden') where the tenant takes none, Fault('too_many_requests') for the eleventh within an hour.
   */
  readonly ask: (
    by: TokenPrincipal,
    question: SupportQuestion,
  ) => Promise<SupportRequest | undefined>
  /** For administrators, newest last, as the calls below. */
  readonly list: (
    by: Principal,
    page?: PageRequest,
    which?: { readonly status?: SupportStatus | undefined },
  ) => Promise<Page<SupportRequest>>
  /** Throws Fault('not_found'). */
  readonly get: (by: Principal, id: string) => Promise<SupportRequest>
  /** Throws Fault('not_found'). */
  readonly update: (by: Principal, id: string, change: SupportChange) => Promise<SupportRequest>
}

export interface SupportChange {
  readonly status?: SupportStatus | undefined
  readonly priority?: SupportPriority | undefined
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Pick<Journal, 'record'>
}

const perHourMax = 10
const hourMs = 3_600_000

/** Makes the support requests of all tenants over one database. */
export function createSupportRequests(needs: Needs): SupportRequests {
  const { db } = needs
  return {
    isOn: async (tenant) => (await kindOf(db, tenant)) !== 'none',
    settings: async (by) => {
      requireAdmin(by)
      return { support: await kindOf(db, by.tenant) }
    },
    change: (by, support) => changeKind(needs, by, support),
    ask: (by, question) => ask(needs, by, question),
    list: (by, page = {}, { status } = {}) => list(db, by, page, status),
    get: async (by, id) => {
      requireAdmin(by)
      return toRequest(await requireRow(db, by.tenant, id))
    },
    update: (by, id, change) => update(needs, by, id, change),
  }
}

async function kindOf(db: Database, { id }: Tenant): Promise<SupportKind> {
  const row = await db
    .selectFrom('support_settings')
    .select('support')
    .where('tenant_id', '=', id)
    .executeTakeFirst()
  return supportKinds.find((kind) => kind === row?.support) ?? 'none'
}

async function changeKind(needs: Needs, by: Principal, support: SupportKind) {
  requireAdmin(by)
  const { tenant } = by
  const facts = { support, updated_at: needs.clock.now() }
  await needs.db.transaction().execute(async (tx) => {
    await tx
      .insertInto('support_settings')
      .values({ tenant_id: tenant.id, ...facts })
      .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet(facts))
      .execute()
    await needs.journal.record(tx, {
      tenantId: tenant.id,
      type: 'support.changed',
      actor: actorOf(by),
      data: { support },
    })
  })
  return { support }
}

/** S4-5: the address is that of the one person who was verified; nothing else of the request says who asks. */
async function ask(
  needs: Needs,
  by: TokenPrincipal,
  { title, description, context }: SupportQuestion,
): Promise<SupportRequest | undefined> {
  const { tenant, user, clientId } = by
  if ((await kindOf(needs.db, tenant)) === 'none') {
    throw new Fault('forbidden', { because: 'the tenant takes no requests for help' })
  }
  if (user?.email === undefined) return undefined
  const now = needs.clock.now()
  const row: SupportRequestRow = {
    tenant_id: tenant.id,
    id: randomId(needs.random, 'sr_'),
    user_id: user.id,
    client_id: clientId,
    title,
    description,
    context: context ?? null,
    email: user.email,
    email_verified: user.emailVerified ? 1 : 0,
    status: 'pending',
    priority: 'medium',
    created_at: now,
    updated_at: now,
  }
  await requireRoom(needs, row)
  await needs.db.transaction().execute(async (tx) => {
    await tx.insertInto('support_requests').values(row).execute()
    await note(needs, tx, 'support_request.created', { row, actor: actorOf(by) })
  })
  return toRequest(row)
}

/** A model in a loop must not bury the administrators; a few more at once do no harm. */
async function requireRoom({ db, clock }: Needs, row: SupportRequestRow): Promise<void> {
  const { count } = await db
    .selectFrom('support_requests')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', row.tenant_id)
    .where('user_id', '=', row.user_id)
    .where('created_at', '>', clock.now() - hourMs)
    .executeTakeFirstOrThrow()
  if (count < perHourMax) return
  const because = `the person has asked ${perHourMax} times within an hour`
  throw new Fault('too_many_requests', { because, retryAfterS: hourMs / 1000 })
}

async function list(
  db: Database,
  by: Principal,
  page: PageRequest,
  status: SupportStatus | undefined,
): Promise<Page<SupportRequest>> {
  requireAdmin(by)
  const { createdAt, id } = positionOf(page)
  const rows = await db
    .selectFrom('support_requests')
    .selectAll()
    .where('tenant_id', '=', by.tenant.id)
    .$if(status !== undefined, (some) => some.where('status', '=', status ?? ''))
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(createdAt, id)))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(page) + 1)
    .execute()
  return pageOf(rows, page, toRequest)
}

async function requireRow(db: Database, tenant: Tenant, id: string): Promise<SupportRequestRow> {
  const row = await db
    .selectFrom('support_requests')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .executeTakeFirst()
  if (row !== undefined) return row
  throw new Fault('not_found', { because: 'no such support request in this tenant' })
}

async function update(
  needs: Needs,
  by: Principal,
  id: string,
  { status, priority }: SupportChange,
): Promise<SupportRequest> {
  requireAdmin(by)
  const before = await requireRow(needs.db, by.tenant, id)
  return needs.db.transaction().execute(async (tx) => {
    const row = await tx
      .updateTable('support_requests')
      .set({
        status: status ?? before.status,
        priority: priority ?? before.priority,
        updated_at: needs.clock.now(),
      })
      .where('tenant_id', '=', by.tenant.id)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) {
      throw new Fault('not_found', { because: 'the support request is gone meanwhile' })
    }
    await note(needs, tx, 'support_request.changed', { row, actor: actorOf(by) })
    return toRequest(row)
  })
}

/** Never the words of the person: whoever is told looks the request up. */
function note(
  { journal }: Needs,
  tx: Database,
  type: EntryType,
  { row, actor }: { readonly row: SupportRequestRow; readonly actor: Actor },
): Promise<void> {
  const data: EntryData = { status: row.status, priority: row.priority }
  return journal.record(tx, {
    tenantId: row.tenant_id,
    type,
    actor,
    userId: row.user_id,
    subject: { kind: 'support_request', id: row.id },
    data,
  })
}

function toRequest(row: SupportRequestRow): SupportRequest {
  return {
    id: row.id,
    userId: row.user_id,
    clientId: row.client_id,
    title: row.title,
    description: row.description,
    ...(row.context === null ? {} : { context: row.context }),
    ...(row.email === null ? {} : { email: row.email }),
    emailVerified: row.email_verified === 1,
    status: row.status as SupportStatus, // only this file writes it
    priority: row.priority as SupportPriority, // likewise
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
