// API keys (`lk_…`) for scripts and back ends. A key acts as the person who made it, within its scopes.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Random } from '../base/random.ts'
import { randomId, randomSecret } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import { verifiedPrincipal } from './principal.ts'
import type { KeyPrincipal, SessionPrincipal } from './principal.ts'
import type { Tenant } from './tenants.ts'
import { toUser } from './users.ts'

/** What a key may be allowed: to manage things, to be given live upstream tokens, to read the measurements. */
export const apiKeyScopes = ['api', 'connections:token', 'metrics'] as const
export type ApiKeyScope = (typeof apiKeyScopes)[number]

export interface ApiKeys {
  /** Makes a key; its value is shown here once. */
  readonly create: (
    principal: SessionPrincipal,
    key: { readonly name: string; readonly scopes: readonly ApiKeyScope[] },
  ) => Promise<{ readonly id: string; readonly key: Secret }>
  readonly find: (tenant: Tenant, key: Secret) => Promise<KeyPrincipal | undefined>
  /** One page, oldest first. Throws Fault('invalid_input') for a cursor that is not ours. */
  readonly list: (principal: SessionPrincipal, page?: PageRequest) => Promise<Page<ApiKeySummary>>
  /** Ends a key at once. Throws Fault('not_found') for one that is not the caller's. */
  readonly revoke: (principal: SessionPrincipal, id: string) => Promise<void>
}

export interface ApiKeySummary {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly createdAt: number
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
}

/** Makes the API keys of all tenants over one database. */
export function createApiKeys(needs: Needs): ApiKeys {
  const { db, clock, keyring } = needs
  return {
    create: (principal, key) => createKey(needs, principal, key),
    revoke: (principal, id) => revokeKey(needs, principal, id),
    list: (principal, page = {}) => listKeys(db, principal, page),

    find: async (tenant, key) => {
      const row = await db
        .selectFrom('api_keys')
        .innerJoin('users', (join) =>
          join
            .onRef('users.tenant_id', '=', 'api_keys.tenant_id')
            .onRef('users.id', '=', 'api_keys.user_id'),
        )
        .selectAll('users')
        .select(['api_keys.id as key_id', 'api_keys.scopes', 'api_keys.expires_at'])
        .where('api_keys.tenant_id', '=', tenant.id)
        .where('api_keys.key_digest', 'in', keyring.digests('api_key', key))
        .where('api_keys.revoked_at', 'is', null)
        .where('users.disabled_at', 'is', null)
        .executeTakeFirst()
      if (row === undefined || (row.expires_at ?? Infinity) <= clock.now()) return undefined
      return verifiedPrincipal<KeyPrincipal>({
        kind: 'key',
        tenant,
        user: toUser(row),
        keyId: row.key_id,
        scopes: readScopes(row.scopes),
      })
    },
  }
}

async function createKey(
  { db, clock, random, keyring, journal }: Needs,
  { tenant, user }: SessionPrincipal,
  { name, scopes }: { readonly name: string; readonly scopes: readonly ApiKeyScope[] },
): Promise<{ readonly id: string; readonly key: Secret }> {
  const id = randomId(random, 'key_')
  const key = randomSecret(random, 'lk_')
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('api_keys')
      .values({
        tenant_id: tenant.id,
        id,
        key_digest: keyring.digest('api_key', key),
        user_id: user.id,
        name,
        scopes: JSON.stringify(scopes),
        created_at: clock.now(),
        last_used_at: null,
        expires_at: null,
        revoked_at: null,
      })
      .execute()
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'api_key.created',
      actor: { kind: 'user', id: user.id },
      userId: user.id,
      subject: { kind: 'api_key', id },
      data: { scopes },
    })
  })
  return { id, key }
}

async function revokeKey(
  { db, clock, journal }: Needs,
  { tenant, user }: SessionPrincipal,
  id: string,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const ended = await tx
      .updateTable('api_keys')
      .set({ revoked_at: clock.now() })
      .where('tenant_id', '=', tenant.id)
      .where('user_id', '=', user.id)
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .returning('id')
      .executeTakeFirst()
    if (ended === undefined) throw new Fault('not_found', { because: 'no such key of this person' })
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'api_key.revoked',
      actor: { kind: 'user', id: user.id },
      userId: user.id,
      subject: { kind: 'api_key', id },
    })
  })
}

async function listKeys(
  db: Database,
  { tenant, user }: SessionPrincipal,
  page: PageRequest,
): Promise<Page<ApiKeySummary>> {
  const { createdAt, id } = positionOf(page)
  const rows = await db
    .selectFrom('api_keys')
    .select(['id', 'name', 'scopes', 'created_at'])
    .where('tenant_id', '=', tenant.id)
    .where('user_id', '=', user.id)
    .where('revoked_at', 'is', null)
    .where((is) =>
      is.or([
        is('created_at', '>', createdAt),
        is.and([is('created_at', '=', createdAt), is('id', '>', id)]),
      ]),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(page) + 1)
    .execute()
  return pageOf(rows, page, (row) => ({
    id: row.id,
    name: row.name,
    scopes: readScopes(row.scopes),
    createdAt: row.created_at,
  }))
}

function readScopes(stored: string): readonly string[] {
  return JSON.parse(stored) as readonly string[] // only create() writes it
}
