// Trusted issuers by an administrator's hand, and which of their subjects is which person. What is taken away ends at
// once: every grant that the issuer spoke for and may no longer.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import { cutPage, foreignCursor, limitOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { EntryData, EntryType, Journal } from '../journal/entries.ts'
import type { Identities, Identity } from '../people/identities.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { TrustedIssuerRow } from '../store/schema.ts'
import { actorOf, requireAdministrator } from './administrator.ts'
import type { ClientMaker } from './administrator.ts'
import { endGrants } from './grants.ts'
import type { Resources } from './resources.ts'
import { describeChange, describeTrustedIssuer } from './trusted-issuer-input.ts'
import type { NewTrustedIssuer, TrustedIssuerChange } from './trusted-issuer-input.ts'
import { holdRow, toTrustedIssuer } from './trusted-issuers.ts'
import type { TrustedIssuer } from './trusted-issuers.ts'

/** Every call throws Fault('forbidden') for a person who is not an administrator. */
export interface TrustedIssuers {
  /** Throws Fault('invalid_input'), or Fault('conflict') for one that is trusted already. */
  readonly create: (by: ClientMaker, input: NewTrustedIssuer) => Promise<TrustedIssuer>
  readonly list: (by: ClientMaker, page?: PageRequest) => Promise<Page<TrustedIssuer>>
  /** Throws Fault('not_found'), as do the calls below. */
  readonly get: (by: ClientMaker, id: string) => Promise<TrustedIssuer>
  /** Throws Fault('invalid_input'). What it may no longer speak for ends at once. */
  readonly update: (
    by: ClientMaker,
    id: string,
    change: TrustedIssuerChange,
  ) => Promise<TrustedIssuer>
  /** Ends every grant that it spoke for. */
  readonly remove: (by: ClientMaker, id: string) => Promise<void>
  /** Lets a subject of it speak for a person. Throws Fault('conflict') when it speaks for another. */
  readonly link: (
    by: ClientMaker,
    id: string,
    identity: { readonly subject: string; readonly userId: string },
  ) => Promise<Identity>
  /** Ends that, with every grant that came of it. */
  readonly unlink: (by: ClientMaker, id: string, subject: string) => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly outbound: Pick<Outbound, 'vet'>
  readonly resources: Resources
  readonly identities: Identities
}

const issuersMax = 100
export const trustedIssuerPageSizes = { usual: 50, most: issuersMax }

/** Makes the administration of all tenants' trusted issuers over one database. */
export function createTrustedIssuers(needs: Needs): TrustedIssuers {
  const { db } = needs
  return {
    create: (by, input) => create(needs, by, input),
    list: async (by, page = {}) => {
      requireAdministrator(by)
      return list(db, by.tenant, page)
    },
    get: async (by, id) => {
      requireAdministrator(by)
      return toTrustedIssuer(await requireRow(db, by.tenant, id))
    },
    update: (by, id, change) => update(needs, by, id, change),
    remove: (by, id) => remove(needs, by, id),
    link: async (by, id, { subject, userId }) => {
      requireAdministrator(by)
      const { issuer } = await requireRow(db, by.tenant, id)
      const facts = { userId, actor: actorOf(by, 'manual') }
      return needs.identities.link(by.tenant, { issuer, subject }, facts)
    },
    unlink: (by, id, subject) => unlink(needs, by, id, subject),
  }
}

async function create(
  needs: Needs,
  by: ClientMaker,
  input: NewTrustedIssuer,
): Promise<TrustedIssuer> {
  requireAdministrator(by)
  const { db, clock, random } = needs
  const { tenant } = by
  const row: TrustedIssuerRow = {
    ...(await describeTrustedIssuer(needs, tenant, input)),
    tenant_id: tenant.id,
    id: randomId(random, 'iss_'),
    created_at: clock.now(),
    disabled_at: null,
  }
  await db.transaction().execute(async (tx) => {
    await requireRoom(tx, tenant)
    const inserted = await tx
      .insertInto('trusted_issuers')
      .values(row)
      .onConflict((conflict) => conflict.columns(['tenant_id', 'issuer']).doNothing())
      .returning('id')
      .executeTakeFirst()
    if (inserted === undefined) {
      throw new Fault('conflict', { because: 'this issuer is trusted already' })
    }
    await note(needs, { tx, by, row }, 'trusted_issuer.created')
  })
  return toTrustedIssuer(row)
}

async function requireRoom(tx: Database, tenant: Tenant): Promise<void> {
  const { count } = await tx
    .selectFrom('trusted_issuers')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenant.id)
    .executeTakeFirstOrThrow()
  if (count < issuersMax) return
  throw new Fault('conflict', {
    because: 'the tenant trusts as many issuers as it may',
    detail: { issuer: `A tenant trusts at most ${issuersMax} issuers. Remove one first.` },
  })
}

/** One page, in the order of their ids; the cursor is the last id. */
async function list(
  db: Database,
  tenant: Tenant,
  request: PageRequest,
): Promise<Page<TrustedIssuer>> {
  const { cursor } = request
  if (cursor !== undefined && !idShape.test(cursor)) throw foreignCursor()
  const limit = limitOf(request, trustedIssuerPageSizes)
  const rows = await db
    .selectFrom('trusted_issuers')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '>', cursor ?? '')
    .orderBy('id')
    .limit(limit + 1)
    .execute()
  const { shown, next } = cutPage(rows, limit, ({ id }) => id)
  return { items: shown.map(toTrustedIssuer), ...next }
}

const idShape = /^iss_\w{1,64}$/

async function requireRow(db: Database, tenant: Tenant, id: string): Promise<TrustedIssuerRow> {
  const row = idShape.test(id)
    ? await db
        .selectFrom('trusted_issuers')
        .selectAll()
        .where('tenant_id', '=', tenant.id)
        .where('id', '=', id)
        .executeTakeFirst()
    : undefined
  return row ?? notFound()
}

async function update(
  needs: Needs,
  by: ClientMaker,
  id: string,
  change: TrustedIssuerChange,
): Promise<TrustedIssuer> {
  requireAdministrator(by)
  const { db, clock } = needs
  const { tenant } = by
  const { disabled, ...described } = change
  const known = await requireRow(db, tenant, id)
  const columns = await describeChange(needs, tenant, described)
  return db.transaction().execute(async (tx) => {
    const before = (await holdRow(tx, tenant, known.id)) ?? notFound()
    const wasOff = before.disabled_at !== null
    const isOff = disabled ?? wasOff
    const row = await tx
      .updateTable('trusted_issuers')
      .set({ ...columns, disabled_at: isOff ? (before.disabled_at ?? clock.now()) : null })
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow()
    await endUnspokenFor(needs, { tx, by, row })
    const changed = Object.keys(described)
    if (changed.length > 0) {
      await note(needs, { tx, by, row }, 'trusted_issuer.updated', { changed })
    }
    if (isOff !== wasOff) {
      const type = isOff ? 'trusted_issuer.disabled' : 'trusted_issuer.enabled'
      await note(needs, { tx, by, row }, type)
    }
    return toTrustedIssuer(row)
  })
}

interface Touched {
  readonly tx: Database
  readonly by: ClientMaker
  readonly row: TrustedIssuerRow
}

/** Ends the grants that the issuer could not bring about any more. */
async function endUnspokenFor(needs: Needs, { tx, by, row }: Touched): Promise<void> {
  const { clientIds, resources, disabled } = toTrustedIssuer(row)
  if (!disabled && clientIds.length === 0 && resources.length === 0) return
  const facts = { reason: 'issuer_ended', actor: actorOf(by, 'manual') } as const
  await endGrants({ ...needs, tx }, by.tenant, facts, (some) => {
    const spokenFor = some.where('trusted_issuer_id', '=', row.id)
    if (disabled) return spokenFor
    return spokenFor.where((is) =>
      is.or([
        ...(clientIds.length === 0 ? [] : [is('client_id', 'not in', clientIds)]),
        ...(resources.length === 0 ? [] : [is('resource', 'not in', resources)]),
      ]),
    )
  })
}

async function remove(needs: Needs, by: ClientMaker, id: string): Promise<void> {
  requireAdministrator(by)
  const { tenant } = by
  const known = await requireRow(needs.db, tenant, id)
  await needs.db.transaction().execute(async (tx) => {
    const row = await tx
      .deleteFrom('trusted_issuers')
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', known.id)
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) return notFound()
    await endUnspokenFor(needs, { tx, by, row: { ...row, disabled_at: needs.clock.now() } })
    await note(needs, { tx, by, row }, 'trusted_issuer.deleted')
  })
}

async function unlink(needs: Needs, by: ClientMaker, id: string, subject: string): Promise<void> {
  requireAdministrator(by)
  const { tenant } = by
  const { issuer } = await requireRow(needs.db, tenant, id)
  const actor = actorOf(by, 'manual')
  await needs.db.transaction().execute(async (tx) => {
    const userId = await needs.identities.unlink(tx, tenant, { issuer, subject }, actor)
    const facts = { reason: 'issuer_ended', actor } as const
    await endGrants({ ...needs, tx }, tenant, facts, (some) =>
      some.where('trusted_issuer_id', '=', id).where('user_id', '=', userId),
    )
  })
}

function note(
  { journal }: Needs,
  { tx, by, row }: Touched,
  type: EntryType,
  data: EntryData = {},
): Promise<void> {
  return journal.record(tx, {
    tenantId: by.tenant.id,
    type,
    actor: actorOf(by, 'manual'),
    subject: { kind: 'trusted_issuer', id: row.id },
    data: { issuer: row.issuer, ...data },
  })
}

function notFound(): never {
  throw new Fault('not_found', { because: 'no such trusted issuer in this tenant' })
}
