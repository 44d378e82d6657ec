// Tenants by an operator's hand: made, listed, changed, switched off and removed. Operators live in the default tenant, and so
// do the journal's entries about tenants: what a removed one did goes with it, that it was removed stays.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Random } from '../base/random.ts'
import { randomId } from '../base/random.ts'
import type { EntryData, EntryType, Journal } from '../journal/entries.ts'
import { forgetContents } from '../journal/call-contents.ts'
import type { Database } from '../store/database.ts'
import type { TenantRow } from '../store/schema.ts'
import { actorOf, requireOperator } from './principal.ts'
import type { Principal } from './principal.ts'
import type { Setup, SetupLink } from './setup.ts'
import { describeChange, describeNew } from './tenant-input.ts'
import type { NewTenant, TenantChange } from './tenant-input.ts'
import { isDefault, lockTenant, ownerOf, toTenant } from './tenants.ts'
import type { Tenant } from './tenants.ts'

/** Every call throws Fault('forbidden') for whoever is not an operator, which nobody of another tenant can be. */
export interface TenantAdministration {
  /** Throws Fault('invalid_input'), or Fault('conflict') for a slug or an address that is taken. */
  readonly create: (by: Principal, input: NewTenant) => Promise<ListedTenant>
  /** The oldest first. */
  readonly list: (by: Principal, page?: PageRequest) => Promise<Page<ListedTenant>>
  /** Throws Fault('not_found'), as do the calls below. */
  readonly get: (by: Principal, id: string) => Promise<ListedTenant>
  /** Holds from the next request on, on every instance; one that is switched off answers like an unknown host. */
  readonly update: (by: Principal, id: string, change: TenantChange) => Promise<ListedTenant>
  /** A new link for its first administrator; earlier ones end. Throws Fault('conflict') when there is an administrator. */
  readonly setupLink: (by: Principal, id: string) => Promise<SetupLink>
  /** Deletes it with all that it has. Throws Fault('conflict') for the default tenant. */
  readonly remove: (by: Principal, id: string) => Promise<void>
}

export type ListedTenant = Tenant & { readonly disabled: boolean; readonly createdAt: number }

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly setup: Pick<Setup, 'link'>
}

/** Makes the administration of tenants over one database. */
export function createTenantAdministration(needs: Needs): TenantAdministration {
  return {
    create: async (by, input) => {
      requireOperator(by)
      return create(needs, by, input)
    },
    list: async (by, page = {}) => {
      requireOperator(by)
      return list(needs.db, page)
    },
    get: async (by, id) => {
      requireOperator(by)
      return toListed(await requireRow(needs.db, id))
    },
    update: async (by, id, change) => {
      requireOperator(by)
      return update(needs, by, id, change)
    },
    setupLink: async (by, id) => {
      requireOperator(by)
      return setupLink(needs, by, await requireRow(needs.db, id))
    },
    remove: async (by, id) => {
      requireOperator(by)
      await remove(needs, by, id)
    },
  }
}

function toListed(row: TenantRow): ListedTenant {
  return { ...toTenant(row), disabled: row.disabled_at !== null, createdAt: row.created_at }
}

async function create(needs: Needs, by: Principal, input: NewTenant): Promise<ListedTenant> {
  const { db, clock, random } = needs
  const row: TenantRow = {
    ...describeNew(input, by.tenant),
    id: randomId(random, 'ten_'),
    created_at: clock.now(),
    disabled_at: null,
  }
  await db.transaction().execute(async (tx) => {
    await lockTenant(tx, by.tenant)
    await requireFree(tx, row)
    await tx.insertInto('tenants').values(row).execute()
    await note(needs, { tx, by, row }, 'tenant.created')
  })
  return toListed(row)
}

async function requireFree(tx: Database, { id, slug, issuer }: TenantRow): Promise<void> {
  const named = await tx.selectFrom('tenants').select('id').where('slug', '=', slug).execute()
  if (named.some((row) => row.id !== id)) throw taken('slug', `There is a tenant ${slug} already.`)
  const owner = await ownerOf(tx, issuer)
  if (owner === undefined || owner.id === id) return
  throw taken('issuer', `${issuer} is the address of the tenant ${owner.slug}.`)
}

function taken(field: 'slug' | 'issuer', words: string): Fault {
  return new Fault('conflict', { because: `the ${field} is taken`, detail: { [field]: words } })
}

async function list(db: Database, request: PageRequest): Promise<Page<ListedTenant>> {
  const { createdAt, id } = positionOf(request)
  const rows = await db
    .selectFrom('tenants')
    .selectAll()
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(createdAt, id)))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(request) + 1)
    .execute()
  return pageOf(rows, request, toListed)
}

async function requireRow(db: Database, id: string): Promise<TenantRow> {
  const row = idShape.test(id)
    ? await db.selectFrom('tenants').selectAll().where('id', '=', id).executeTakeFirst()
    : undefined
  if (row === undefined) throw new Fault('not_found', { because: 'there is no such tenant' })
  return row
}

const idShape = /^ten_\w{1,64}$/

async function update(
  needs: Needs,
  by: Principal,
  id: string,
  wanted: TenantChange,
): Promise<ListedTenant> {
  const { db, clock } = needs
  const { disabled, ...change } = wanted
  const updated = await db.transaction().execute(async (tx) => {
    await lockTenant(tx, by.tenant)
    const before = await requireRow(tx, id)
    const columns = describeChange(change, { slug: before.slug, home: by.tenant })
    requireAllowed(before, wanted)
    const wasOff = before.disabled_at !== null
    const isOff = disabled ?? wasOff
    const row: TenantRow = {
      ...before,
      ...columns,
      disabled_at: isOff ? (before.disabled_at ?? clock.now()) : null,
    }
    await requireFree(tx, row)
    await tx.updateTable('tenants').set(row).where('id', '=', id).execute()
    const changed = Object.keys(change)
    if (changed.length > 0) await note(needs, { tx, by, row }, 'tenant.updated', { changed })
    if (isOff !== wasOff) {
      await note(needs, { tx, by, row }, isOff ? 'tenant.disabled' : 'tenant.enabled')
    }
    return toListed(row)
  })
  // Nobody reads it from here on. It may be much, so it goes step by step, and what is left with the next sweep.
  if (change.callContentDays === null) await forgetContents(db, id)
  return updated
}

/** Where the operators live is named by the settings, and stays open. */
function requireAllowed(row: TenantRow, { disabled, issuer }: TenantChange): void {
  if (!isDefault(row)) return
  if (disabled === true) throw ofDefault('disabled', 'The default tenant cannot be switched off.')
  if (issuer !== undefined && issuer !== row.issuer) {
    throw ofDefault('issuer', 'LATCHKEY_PUBLIC_URL says where the default tenant is.')
  }
}

function ofDefault(field: string, words: string): Fault {
  return new Fault('conflict', { because: 'it is the default tenant', detail: { [field]: words } })
}

async function setupLink(needs: Needs, by: Principal, row: TenantRow): Promise<SetupLink> {
  const link = await needs.setup.link(toTenant(row))
  if (link === undefined) {
    const words =
      'It has an administrator already; "latchkey users reset" gives one a new password.'
    throw new Fault('conflict', { because: 'the tenant is set up', detail: { id: words } })
  }
  await note(needs, { tx: needs.db, by, row }, 'tenant.setup_link_made')
  return link
}

/** Tables whose rows name a tenant and outlive it, because no foreign key takes them along. */
const tablesWithoutKey = [
  'journal_chain',
  'journal_entries',
  'journal_heads',
  'idempotency_keys',
  'rate_limits',
  'dpop_proofs',
] as const

async function remove(needs: Needs, by: Principal, id: string): Promise<void> {
  await needs.db.transaction().execute(async (tx) => {
    const row = await requireRow(tx, id)
    if (isDefault(row)) throw ofDefault('id', 'The default tenant cannot be removed.')
    // First the row that all others hang on: what would be written under it meanwhile waits, and then finds it gone.
    const gone = await tx.deleteFrom('tenants').where('id', '=', id).returning('id').execute()
    if (gone.length === 0) throw new Fault('not_found', { because: 'it is removed already' })
    for (const table of tablesWithoutKey) {
      await tx.deleteFrom(table).where('tenant_id', '=', id).execute()
    }
    await note(needs, { tx, by, row }, 'tenant.deleted')
  })
}

interface Noted {
  readonly tx: Database
  readonly by: Principal
  readonly row: TenantRow
}

async function note(
  { journal }: Needs,
  { tx, by, row }: Noted,
  type: EntryType,
  data: EntryData = {},
): Promise<void> {
  await journal.record(tx, {
    // An operator's own, which is the default one.
    tenantId: by.tenant.id,
    type,
    actor: actorOf(by),
    subject: { kind: 'tenant', id: row.id },
    data: { slug: row.slug, issuer: row.issuer, ...data },
  })
}
