// Grants: what one person gave one client, once. Every code and token hangs on its grant, so ending the grant ends them
// all at the next look. Two installs of one client have two grants (P-11).
import type { SelectQueryBuilder } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Page, PageRequest } from '../base/page.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Entry, Journal } from '../journal/entries.ts'
import { formatScope } from '../oauth/scope.ts'
import { actorOf } from '../people/principal.ts'
import type { KeyPrincipal, SessionPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { Schema } from '../store/schema.ts'
import { listGrants } from './grant-list.ts'
import type { GrantSummary } from './grant-list.ts'
import type { Resources } from './resources.ts'
import type { UseNotes } from './use-notes.ts'

/** A person's view of their grants: the apps with access. */
export interface Grants {
  /** One page, newest first. Throws Fault('invalid_input') for a cursor that is not ours. */
  readonly list: (principal: Owner, page?: PageRequest) => Promise<Page<GrantSummary>>
  /** Ends a grant at once. Throws Fault('not_found') for one that is not the caller's or has ended. */
  readonly revoke: (principal: Owner, id: string) => Promise<void>
  /** Ends every grant for a resource that is no more, inside the caller's transaction: its name may be used again. */
  readonly endForResource: (tx: Database, tenant: Tenant, resource: string) => Promise<void>
  /** Ends every grant that hangs on a person's sign-in at a provider, inside the transaction that ends that. */
  readonly endForProviderGrant: (
    tx: Database,
    tenant: Pick<Tenant, 'id'>,
    id: string,
  ) => Promise<void>
  /** Ends every grant of a person by an administrator's hand, inside the caller's transaction; each app asks them anew. */
  readonly endForPerson: (
    tx: Database,
    tenant: Tenant,
    of: { readonly userId: string; readonly actor: Entry['actor'] },
  ) => Promise<void>
  /** Does a grant stand, and the client that has it? */
  readonly stands: (tenant: Tenant, id: string) => Promise<boolean>
}

export type Owner = SessionPrincipal | KeyPrincipal

/** The facts of a grant that its tokens are made from. */
export interface Grant {
  readonly id: string
  readonly userId: string | undefined
  readonly scopes: readonly string[]
  readonly resource: string
  /** The grant whose token was exchanged (RFC 8693); this one ends with it. */
  readonly parentId?: string
  /** The issuer that spoke for the person (ID-JAG). */
  readonly trustedIssuerId?: string
  /** What the person's provider gave; this grant ends with it. */
  readonly providerGrantId?: string | undefined
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
}

interface ListNeeds extends Needs {
  readonly resources: Resources
  readonly uses: Pick<UseNotes, 'write'>
}

/** Makes the grants of all tenants over one database. */
export function createGrants(needs: ListNeeds): Grants {
  return {
    list: async ({ tenant, user }, page = {}) => {
      // What this process has counted is told to the person now, not in a minute.
      await needs.uses.write()
      return listGrants(needs, { tenant, userId: user.id }, page)
    },
    revoke: (principal, id) => revokeOwn(needs, principal, id),
    endForResource: (tx, tenant, resource) => endAll({ ...needs, tx }, tenant, resource),
    endForProviderGrant: (tx, tenant, id) => {
      const facts = { reason: 'provider_ended', actor: { kind: 'system' } } as const
      return endGrants({ ...needs, tx }, tenant, facts, (some) =>
        some.where('provider_grant_id', '=', id),
      )
    },
    endForPerson: (tx, tenant, of) => endForPerson({ ...needs, tx }, tenant, of),
    stands: async (tenant, id) => {
      const standing = await needs.db
        .selectFrom('grants')
        .innerJoin('clients', (join) =>
          join
            .onRef('clients.tenant_id', '=', 'grants.tenant_id')
            .onRef('clients.id', '=', 'grants.client_id'),
        )
        .innerJoin('tenants', 'tenants.id', 'grants.tenant_id')
        .select('grants.id')
        .where('grants.tenant_id', '=', tenant.id)
        .where('grants.id', '=', id)
        .where('grants.revoked_at', 'is', null)
        .where('clients.disabled_at', 'is', null)
        .where('tenants.disabled_at', 'is', null)
        .executeTakeFirst()
      return standing !== undefined
    },
  }
}

/** Stores a new grant inside the caller's transaction and says so in the journal. */
export async function storeGrant(
  { tx, clock, random, journal }: Pick<Needs, 'clock' | 'journal'> & StoreNeeds,
  tenant: Tenant,
  facts: Omit<Grant, 'id'> & {
    /** Its id, when it had to be known before. */
    readonly id?: string
    readonly clientId: string
    readonly attempt?: string
  },
): Promise<string> {
  const { id = newGrantId(random), userId, parentId, trustedIssuerId } = facts
  // Who comes through another grant or another issuer was never asked for by the person in front of us.
  const isByPerson = userId !== undefined && parentId === undefined && trustedIssuerId === undefined
  const now = clock.now()
  await tx
    .insertInto('grants')
    .values({
      tenant_id: tenant.id,
      id,
      user_id: userId ?? null,
      client_id: facts.clientId,
      resource: facts.resource,
      scope: formatScope(facts.scopes),
      created_at: now,
      first_used_at: null,
      last_used_at: null,
      use_count: 0,
      revoked_at: null,
      revoke_reason: null,
      parent_grant_id: parentId ?? null,
      trusted_issuer_id: trustedIssuerId ?? null,
      attempt: facts.attempt ?? null,
      first_call_at: null,
      provider_grant_id: facts.providerGrantId ?? null,
    })
    .execute()
  await tx
    .updateTable('clients')
    .set({ used_at: now })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', facts.clientId)
    .where('used_at', 'is', null)
    .execute()
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'grant.created',
    actor: isByPerson ? { kind: 'user', id: userId } : { kind: 'client', id: facts.clientId },
    ...(userId === undefined ? {} : { userId }),
    subject: { kind: 'grant', id },
    attempt: facts.attempt,
    data: {
      clientId: facts.clientId,
      resource: facts.resource,
      scopes: facts.scopes,
      ...(parentId === undefined ? {} : { parentGrantId: parentId }),
      ...(trustedIssuerId === undefined ? {} : { trustedIssuerId }),
    },
  })
  return id
}

/** What a grant hangs on at the person's provider, if anything. */
export async function providerGrantOf(
  db: Database,
  tenant: Tenant,
  grantId: string,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('grants')
    .select('provider_grant_id')
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', grantId)
    .executeTakeFirst()
  return row?.provider_grant_id ?? undefined
}

/** The id of a grant that is yet to be stored. */
export function newGrantId(random: Random): string {
  return randomId(random, 'grt_')
}

interface StoreNeeds {
  readonly tx: Database
  readonly random: Random
}

/** Why a grant ended; kept with it and in the journal. */
export type EndReason =
  | 'user'
  | 'client'
  | 'operator'
  | MisuseReason
  | 'resource_ended'
  | 'parent_ended'
  | 'reach_ended'
  | 'issuer_ended'
  | 'provider_ended'

/** What came back although it had been spent. */
export type MisuseReason = 'code_replayed' | 'device_code_replayed' | 'refresh_token_reused'

/** Ends a grant, and those made from it, inside the caller's transaction; false when it had ended before. */
export async function endGrant(
  { tx, clock, journal }: Pick<Needs, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Pick<Tenant, 'id'>,
  facts: { readonly grantId: string; readonly reason: EndReason; readonly actor: Entry['actor'] },
): Promise<boolean> {
  const { grantId, reason, actor } = facts
  const ended = await tx
    .updateTable('grants')
    .set({ revoked_at: clock.now(), revoke_reason: reason })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', grantId)
    .where('revoked_at', 'is', null)
    .returning(['user_id', 'client_id'])
    .executeTakeFirst()
  if (ended === undefined) return false
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'grant.revoked',
    actor,
    ...(ended.user_id === null ? {} : { userId: ended.user_id }),
    subject: { kind: 'grant', id: grantId },
    data: { clientId: ended.client_id, reason },
  })
  // Their tokens are dead already (verify.ts); this is for whoever looks at the grants. An exchange has a bounded depth.
  const derived = { reason: 'parent_ended', actor: { kind: 'system' } } as const
  await endGrants({ tx, clock, journal }, tenant, derived, (some) =>
    some.where('parent_grant_id', '=', grantId),
  )
  return true
}

type LiveGrants = SelectQueryBuilder<Schema, 'grants', { readonly id: string }>

/** Ends the grants of a tenant that the filter leaves, inside the caller's transaction. */
export async function endGrants(
  needs: Pick<Needs, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Pick<Tenant, 'id'>,
  facts: { readonly reason: EndReason; readonly actor: Entry['actor'] },
  filter: (live: LiveGrants) => LiveGrants,
): Promise<void> {
  const live = needs.tx
    .selectFrom('grants')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('revoked_at', 'is', null)
  for (const { id } of await filter(live).execute()) {
    await endGrant(needs, tenant, { ...facts, grantId: id })
  }
}

async function endAll(
  needs: Needs & { readonly tx: Database },
  tenant: Tenant,
  resource: string,
): Promise<void> {
  const facts = { reason: 'resource_ended', actor: { kind: 'system' } } as const
  await endGrants(needs, tenant, facts, (some) => some.where('resource', '=', resource))
  await needs.tx
    .deleteFrom('consents')
    .where('tenant_id', '=', tenant.id)
    .where('resource', '=', resource)
    .execute()
}

async function endForPerson(
  needs: Needs & { readonly tx: Database },
  tenant: Tenant,
  { userId, actor }: { readonly userId: string; readonly actor: Entry['actor'] },
): Promise<void> {
  await endGrants(needs, tenant, { reason: 'operator', actor }, (some) =>
    some.where('user_id', '=', userId),
  )
  await needs.tx
    .deleteFrom('consents')
    .where('tenant_id', '=', tenant.id)
    .where('user_id', '=', userId)
    .execute()
}

/** Ends a grant whose spent code or refresh token came back (RFC 6749 §4.1.2, RFC 9700 §4.14.2). */
export async function endMisusedGrant(
  { db, clock, journal }: Needs,
  tenant: Tenant,
  misuse: {
    readonly grantId: string
    readonly clientId: string
    readonly reason: MisuseReason
  },
): Promise<void> {
  const { grantId, clientId, reason } = misuse
  await db.transaction().execute(async (tx) => {
    const actor = { kind: 'client', id: clientId } as const
    const isFirst = await endGrant({ tx, clock, journal }, tenant, { grantId, reason, actor })
    if (!isFirst) return
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'token.reuse_detected',
      actor,
      subject: { kind: 'grant', id: grantId },
      data: { clientId, reason },
    })
  })
}

async function revokeOwn(
  { db, clock, journal }: Needs,
  principal: Owner,
  grantId: string,
): Promise<void> {
  const { tenant, user } = principal
  const own = (await listOwn(db, principal, grantId)) ?? notFound()
  await db.transaction().execute(async (tx) => {
    const actor = actorOf(principal)
    const facts = { grantId, reason: 'user', actor } as const
    if (!(await endGrant({ tx, clock, journal }, tenant, facts))) notFound()
    // Who takes an app's access away wants to be asked before it comes back.
    await tx
      .deleteFrom('consents')
      .where('tenant_id', '=', tenant.id)
      .where('user_id', '=', user.id)
      .where('client_id', '=', own.client_id)
      .execute()
  })
}

function listOwn(db: Database, { tenant, user }: Owner, grantId: string) {
  if (!/^grt_\w{1,64}$/.test(grantId)) return undefined
  return db
    .selectFrom('grants')
    .select('client_id')
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', grantId)
    .where('user_id', '=', user.id)
    .executeTakeFirst()
}

function notFound(): never {
  throw new Fault('not_found', { because: 'no such grant of this person' })
}
