// API keys by the hand of who looks after a tenant: making one for a person, who has which, ending one whoever it belongs to,
// and what one is worth that somebody found.
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Secret } from '../base/secret.ts'
import type { Database } from '../store/database.ts'
import { endApiKey, storeApiKey, toSummary } from './api-keys.ts'
import type { ApiKeyNeeds, ApiKeySummary, MadeApiKey, NewApiKey } from './api-keys.ts'
import { actorOf, isOperator, requireAdmin } from './principal.ts'
import type { Principal } from './principal.ts'
import type { Tenant } from './tenants.ts'
import { requireRole } from './user-change.ts'
import type { User } from './users.ts'

export interface ApiKeyAdministration {
  /** Throws Fault('invalid_input') for an end that is past. */
  readonly create: (tenant: Tenant, owner: User, key: NewApiKey) => Promise<MadeApiKey>
  /** The keys that nobody has ended, oldest first, of one person or of all; at most 10 000. */
  readonly list: (tenant: Tenant, owner?: User) => Promise<readonly ListedApiKey[]>
  /** The same a page at a time. Throws Fault('forbidden') for who is no administrator. */
  readonly page: (by: Principal, request?: PageRequest) => Promise<Page<AdministeredApiKey>>
  /**
   * Ends a key at once. Throws Fault('not_found') for one that is not there or had ended, and Fault('forbidden') for who is no
   * administrator, and for an admin who reaches for an operator's.
   */
  readonly end: (
    by: Principal,
    id: string,
  ) => Promise<{ readonly name: string; readonly userId: string }>
}

export type ListedApiKey = ApiKeySummary & {
  readonly userId: string
  readonly email: string | undefined
}

/** A key, and whether who asks may end it. */
export type AdministeredApiKey = ListedApiKey & { readonly mayBeEnded: boolean }

const actor = { kind: 'operator' } as const
const listedMax = 10_000

/** Makes the administration of all tenants' API keys over one database. */
export function createApiKeyAdministration(needs: ApiKeyNeeds): ApiKeyAdministration {
  const { db } = needs
  return {
    create: (tenant, { id: userId }, key) => storeApiKey(needs, { tenant, userId, actor }, key),
    list: async (tenant, owner) => {
      const rows = await livingKeys(db, tenant)
        .$if(owner !== undefined, (some) => some.where('api_keys.user_id', '=', owner?.id ?? ''))
        .limit(listedMax)
        .execute()
      return rows.map(toListedKey)
    },
    page: (by, request = {}) => pageOfKeys(db, by, request),
    end: (by, id) => endOne(needs, by, id),
  }
}

function keysWithOwner(db: Database, tenant: Tenant) {
  return db
    .selectFrom('api_keys')
    .innerJoin('users', (join) =>
      join
        .onRef('users.tenant_id', '=', 'api_keys.tenant_id')
        .onRef('users.id', '=', 'api_keys.user_id'),
    )
    .where('api_keys.tenant_id', '=', tenant.id)
}

function livingKeys(db: Database, tenant: Tenant) {
  return keysWithOwner(db, tenant)
    .selectAll('api_keys')
    .select(['users.email', 'users.role'])
    .where('api_keys.revoked_at', 'is', null)
    .orderBy('api_keys.created_at')
    .orderBy('api_keys.id')
}

type Row = Awaited<ReturnType<ReturnType<typeof livingKeys>['execute']>>[number]

function toListedKey(row: Row): ListedApiKey {
  return { ...toSummary(row), userId: row.user_id, email: row.email ?? undefined }
}

async function pageOfKeys(
  db: Database,
  by: Principal,
  request: PageRequest,
): Promise<Page<AdministeredApiKey>> {
  requireAdmin(by)
  const { createdAt, id } = positionOf(request)
  const rows = await livingKeys(db, by.tenant)
    .where((is) =>
      is(is.refTuple('api_keys.created_at', 'api_keys.id'), '>', is.tuple(createdAt, id)),
    )
    .limit(limitOf(request) + 1)
    .execute()
  const mayEndAll = isOperator(by)
  return pageOf(rows, request, (row) => {
    const mayBeEnded = mayEndAll || row.role !== 'operator'
    return { ...toListedKey(row), mayBeEnded }
  })
}

async function endOne(needs: ApiKeyNeeds, by: Principal, id: string) {
  requireAdmin(by)
  const { tenant } = by
  return needs.db.transaction().execute(async (tx) => {
    const owner = await keysWithOwner(tx, tenant)
      .select('users.role')
      .where('api_keys.id', '=', id)
      .executeTakeFirst()
    if (owner === undefined) throw noSuchKey()
    if (owner.role === 'operator') requireRole(by, owner.role)
    const ended = await endApiKey({ ...needs, tx }, tenant, { id, actor: actorOf(by) })
    if (ended === undefined) throw noSuchKey()
    return ended
  })
}

function noSuchKey(): Fault {
  return new Fault('not_found', { because: 'no such key in this tenant' })
}

/** The row behind a key, alive or not, with its person. */
export function findApiKeyRow(
  { db, keyring }: { readonly db: Database; readonly keyring: Keyring },
  tenant: Tenant,
  key: Secret,
) {
  return keysWithOwner(db, tenant)
    .select(['api_keys.id', 'api_keys.user_id', 'api_keys.scopes', 'api_keys.created_at'])
    .select(['api_keys.last_used_at', 'api_keys.expires_at', 'api_keys.revoked_at'])
    .select(['users.email', 'users.disabled_at as user_disabled_at'])
    .where('api_keys.key_digest', 'in', keyring.digests('api_key', key))
    .executeTakeFirst()
}
