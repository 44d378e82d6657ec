// The grant of a program that asks for the same again and again without a person: it is the same one every time, so that
// the list of who has access says each thing once.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import { formatScope, parseScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import { toClient } from './clients.ts'
import type { Client } from './clients.ts'
import { newGrantId, storeGrant } from './grants.ts'
import type { Grant } from './grants.ts'
import type { Resource } from './resources.ts'
import { allowedScopes, chooseScopes } from './scopes.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
}

type Facts = Omit<Grant, 'id'> & { readonly clientId: string }

/** A grant that is there, or will be once it is stored. */
export interface StandingGrant {
  readonly grant: Grant
  readonly isGivenAgain: boolean
  /**
   * Stores it inside the caller's transaction if it is new. What an administrator takes away at the same moment waits for
   * that and ends it, or came first: so `requireStill` looks again at what was allowed a moment ago.
   */
  readonly store: (tx: Database, requireStill?: RequireStill) => Promise<void>
}

/** Throws a Fault when the client, as it is now, may not have the grant any more. */
export type RequireStill = (client: Client) => Promise<void> | void

/** The living grant with these facts, or a new one; two requests at once may each make one, which harms nobody. */
export async function standingGrant(
  { db, clock, random, journal }: Needs,
  tenant: Tenant,
  facts: Facts,
): Promise<StandingGrant> {
  const known = await findSame(db, tenant, facts)
  const id = known ?? newGrantId(random)
  return {
    grant: { ...facts, id },
    isGivenAgain: known !== undefined,
    store: async (tx, requireStill) => {
      if (known !== undefined) return
      await requireStill?.(await holdClient(tx, tenant, facts.clientId))
      await storeGrant({ tx, clock, random, journal }, tenant, { ...facts, id })
    },
  }
}

/**
 * What a program may have of a resource without a person in front of it, all of which its grant holds; and what of it a
 * request gets that names no scope. `said` are the scopes that an assertion or a token names, which is asking for them.
 * Throws Fault('invalid_scope') where that is none.
 */
export function standingScopes(
  { metadata }: Client,
  { scopes, usual = scopes }: Resource,
  said?: readonly string[],
): { readonly scopes: readonly string[]; readonly usual: readonly string[] } {
  const known = said === undefined ? scopes : scopes.filter((scope) => said.includes(scope))
  const available = allowedScopes(known, parseScope(metadata.scope))
  const held = chooseScopes([], { usual: available, available })
  const unnamed = said === undefined ? held.filter((scope) => usual.includes(scope)) : held
  // As in `usualAmong`: where nothing is usual, everything is.
  return { scopes: held, usual: unnamed.length === 0 ? held : unnamed }
}

/** The client, written so that nobody changes or removes it before the transaction ends. */
async function holdClient(tx: Database, tenant: Tenant, id: string): Promise<Client> {
  const row = await tx
    .updateTable('clients')
    .set((columns) => ({ name: columns.ref('name') }))
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
  if (row !== undefined) return toClient(row)
  throw new Fault('invalid_client', { because: 'the client went at the same moment' })
}

async function findSame(db: Database, tenant: Tenant, facts: Facts): Promise<string | undefined> {
  const { userId, parentId, trustedIssuerId, clientId, resource } = facts
  const values = { tenantId: tenant.id, clientId, resource, scope: formatScope(facts.scopes) }
  const [row] =
    userId === undefined
      ? await findOwn(db, values)
      : parentId === undefined
        ? await findSpokenFor(db, { ...values, userId, from: trustedIssuerId ?? '' })
        : await findDerived(db, { ...values, userId, from: parentId })
  return row?.id
}

type Same = {
  readonly tenantId: string
  readonly clientId: string
  readonly resource: string
  readonly scope: string
}

type SameForPerson = Same & { readonly userId: string; readonly from: string }

const findOwn = hotQuery((db, values: Same) => same(db, values).where('user_id', 'is', null))

const findDerived = hotQuery((db, { userId, from, ...values }: SameForPerson) =>
  same(db, values).where('user_id', '=', userId).where('parent_grant_id', '=', from),
)

const findSpokenFor = hotQuery((db, { userId, from, ...values }: SameForPerson) =>
  same(db, values).where('user_id', '=', userId).where('trusted_issuer_id', '=', from),
)

function same(db: Database, { tenantId, clientId, resource, scope }: Same) {
  return (
    db
      .selectFrom('grants')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('client_id', '=', clientId)
      .where('resource', '=', resource)
      .where('scope', '=', scope)
      .where('revoked_at', 'is', null)
      .orderBy('created_at')
      // Written out: SQLite sorts in a simpler way when it knows that it needs the first one only.
      .limit(sql.lit(1))
  )
}
