// API keys (`lk_…`) for scripts and back ends. A key acts as its person, within its scopes. What an operator does with the
// keys of others is in api-key-administration.ts, by the same two steps: making a row, and ending it.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Random } from '../base/random.ts'
import { randomId, randomSecret } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Actor, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { ApiKeyRow } from '../store/schema.ts'
import { verifiedPrincipal } from './principal.ts'
import type { KeyPrincipal, SessionPrincipal } from './principal.ts'
import type { Tenant } from './tenants.ts'
import { toUser } from './users.ts'

/** What a key may be allowed: to manage things, to be given live upstream tokens, to read the measurements. */
export const apiKeyScopes = ['api', 'connections:token', 'metrics'] as const
export type ApiKeyScope = (typeof apiKeyScopes)[number]
export const apiKeyNameMaxCharacters = 80

export interface NewApiKey {
  readonly name: string
  readonly scopes: readonly ApiKeyScope[]
  /** Without one it works until somebody ends it. */
  readonly expiresAt?: number | undefined
}

/** A key, shown here once. */
export interface MadeApiKey {
  readonly id: string
  readonly key: Secret
  readonly createdAt: number
}

export interface ApiKeys {
  /** Throws Fault('invalid_input') for an end that is past. */
  readonly create: (principal: SessionPrincipal, key: NewApiKey) => Promise<MadeApiKey>
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
  readonly expiresAt?: number
}

export interface ApiKeyNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
}

/** Makes the API keys of all tenants over one database. */
export function createApiKeys(needs: ApiKeyNeeds): ApiKeys {
  const { db, clock, keyring } = needs
  return {
    create: ({ tenant, user }, key) =>
      storeApiKey(needs, { tenant, userId: user.id, actor: { kind: 'user', id: user.id } }, key),
    revoke: (principal, id) => revokeOwn(needs, principal, id),
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

/** Whose key it is, and who does it. */
interface ApiKeyFacts {
  readonly tenant: Tenant
  readonly userId: string
  readonly actor: Actor
}

/** Makes a key for a person. Throws Fault('invalid_input') for an end that is past. */
export async function storeApiKey(
  { db, clock, random, keyring, journal }: ApiKeyNeeds,
  { tenant, userId, actor }: ApiKeyFacts,
  { name, scopes, expiresAt }: NewApiKey,
): Promise<MadeApiKey> {
  const createdAt = clock.now()
  requireReadable({ name, scopes })
  if (expiresAt !== undefined && expiresAt <= createdAt) {
    throw new Fault('invalid_input', {
      because: 'the key would have expired already',
      detail: { expiresAt: 'Say a moment that is still to come.' },
    })
  }
  const id = randomId(random, 'key_')
  const key = randomSecret(random, 'lk_')
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('api_keys')
      .values({
        tenant_id: tenant.id,
        id,
        key_digest: keyring.digest('api_key', key),
        user_id: userId,
        name,
        scopes: JSON.stringify(scopes),
        created_at: createdAt,
        last_used_at: null,
        expires_at: expiresAt ?? null,
        revoked_at: null,
      })
      .execute()
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'api_key.created',
      actor,
      userId,
      subject: { kind: 'api_key', id },
      data: { scopes, ...(expiresAt === undefined ? {} : { expiresAt }) },
    })
  })
  return { id, key, createdAt }
}

const nameShape = new RegExp(`^\\P{Cc}{1,${apiKeyNameMaxCharacters}}$`, 'u')

function requireReadable({ name, scopes }: Pick<NewApiKey, 'name' | 'scopes'>): void {
  const detail = {
    ...(nameShape.test(name)
      ? {}
      : { name: `A name has 1 to ${apiKeyNameMaxCharacters} characters, in one line.` }),
    ...(scopes.length > 0 ? {} : { scopes: 'Say at least one thing that the key may do.' }),
  }
  if (Object.keys(detail).length === 0) return
  throw new Fault('invalid_input', { because: 'a key cannot be described so', detail })
}

async function revokeOwn(
  needs: ApiKeyNeeds,
  { tenant, user }: SessionPrincipal,
  id: string,
): Promise<void> {
  const actor = { kind: 'user', id: user.id } as const
  const ended = await needs.db
    .transaction()
    .execute((tx) => endApiKey({ ...needs, tx }, tenant, { id, ownerId: user.id, actor }))
  if (ended === undefined) throw new Fault('not_found', { because: 'no such key of this person' })
}

/** Ends a key inside the caller's transaction, a certain person's or anybody's; undefined when there is none that lives. */
export async function endApiKey(
  { tx, clock, journal }: Pick<ApiKeyNeeds, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Tenant,
  { id, ownerId, actor }: { readonly id: string; readonly ownerId?: string; readonly actor: Actor },
): Promise<{ readonly name: string; readonly userId: string } | undefined> {
  const ended = await tx
    .updateTable('api_keys')
    .set({ revoked_at: clock.now() })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .$if(ownerId !== undefined, (some) => some.where('user_id', '=', ownerId ?? ''))
    .returning(['name', 'user_id'])
    .executeTakeFirst()
  if (ended === undefined) return undefined
  const { name, user_id: userId } = ended
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'api_key.revoked',
    actor,
    userId,
    subject: { kind: 'api_key', id },
  })
  return { name, userId }
}

/** Ends every key of a person inside the caller's transaction. */
export async function endApiKeysOf(
  needs: Pick<ApiKeyNeeds, 'clock' | 'journal'> & { readonly tx: Database },
  tenant: Tenant,
  { userId, actor }: { readonly userId: string; readonly actor: Actor },
): Promise<void> {
  const living = await needs.tx
    .selectFrom('api_keys')
    .select('id')
    .where('tenant_id', '=', tenant.id)
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .execute()
  for (const { id } of living) await endApiKey(needs, tenant, { id, actor })
}

/** What may be told of a row, in a list. */
export function toSummary({
  id,
  name,
  scopes,
  created_at: createdAt,
  expires_at: expiresAt,
}: Pick<ApiKeyRow, 'id' | 'name' | 'scopes' | 'created_at' | 'expires_at'>): ApiKeySummary {
  const summary = { id, name, scopes: readScopes(scopes), createdAt }
  return expiresAt === null ? summary : { ...summary, expiresAt }
}

async function listKeys(
  db: Database,
  { tenant, user }: SessionPrincipal,
  page: PageRequest,
): Promise<Page<ApiKeySummary>> {
  const { createdAt, id } = positionOf(page)
  const rows = await db
    .selectFrom('api_keys')
    .select(['id', 'name', 'scopes', 'created_at', 'expires_at'])
    .where('tenant_id', '=', tenant.id)
    .where('user_id', '=', user.id)
    .where('revoked_at', 'is', null)
    .where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(createdAt, id)))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limitOf(page) + 1)
    .execute()
  return pageOf(rows, page, toSummary)
}

function readScopes(stored: string): readonly string[] {
  return JSON.parse(stored) as readonly string[] // only storeApiKey() writes it
}
