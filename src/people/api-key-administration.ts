// API keys by an operator's hand: making one for a person, who has which, ending one whoever it belongs to, and what one is
// worth that somebody found.
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { Database } from '../store/database.ts'
import { endApiKey, storeApiKey, toSummary } from './api-keys.ts'
import type { ApiKeyNeeds, ApiKeySummary, MadeApiKey, NewApiKey } from './api-keys.ts'
import type { Tenant } from './tenants.ts'
import type { User } from './users.ts'

export interface ApiKeyAdministration {
  /** Throws Fault('invalid_input') for an end that is past. */
  readonly create: (tenant: Tenant, owner: User, key: NewApiKey) => Promise<MadeApiKey>
  /** The keys that nobody has ended, oldest first, of one person or of all; at most 10 000. */
  readonly list: (tenant: Tenant, owner?: User) => Promise<readonly ListedApiKey[]>
  /** Ends a key at once. Throws Fault('not_found') for one that is not there or had ended. */
  readonly end: (
    tenant: Tenant,
    id: string,
  ) => Promise<{ readonly name: string; readonly userId: string }>
}

export type ListedApiKey = ApiKeySummary & {
  readonly userId: string
  readonly email: string | undefined
}

const actor = { kind: 'operator' } as const
const listedMax = 10_000

/** Makes the administration of all tenants' API keys over one database. */
export function createApiKeyAdministration(needs: ApiKeyNeeds): ApiKeyAdministration {
  const { db } = needs
  return {
    create: (tenant, { id: userId }, key) => storeApiKey(needs, { tenant, userId, actor }, key),
    list: async (tenant, owner) => {
      const rows = await db
        .selectFrom('api_keys')
        .innerJoin('users', (join) =>
          join
            .onRef('users.tenant_id', '=', 'api_keys.tenant_id')
            .onRef('users.id', '=', 'api_keys.user_id'),
        )
        .selectAll('api_keys')
        .select('users.email')
        .where('api_keys.tenant_id', '=', tenant.id)
        .where('api_keys.revoked_at', 'is', null)
        .$if(owner !== undefined, (some) => some.where('api_keys.user_id', '=', owner?.id ?? ''))
        .orderBy('api_keys.created_at')
        .orderBy('api_keys.id')
        .limit(listedMax)
        .execute()
      return rows.map((row) => {
        const { email, user_id: userId } = row
        return Object.assign(toSummary(row), { userId, email: email ?? undefined })
      })
    },
    end: async (tenant, id) => {
      const ended = await db
        .transaction()
        .execute((tx) => endApiKey({ ...needs, tx }, tenant, { id, actor }))
      return ended ?? noSuchKey()
    },
  }
}

function noSuchKey(): never {
  throw new Fault('not_found', { because: 'no such key in this tenant' })
}

/** The row behind a key, alive or not, with its person. */
export function findApiKeyRow(
  { db, keyring }: { readonly db: Database; readonly keyring: Keyring },
  tenant: Tenant,
  key: Secret,
) {
  return db
    .selectFrom('api_keys')
    .innerJoin('users', (join) =>
      join
        .onRef('users.tenant_id', '=', 'api_keys.tenant_id')
        .onRef('users.id', '=', 'api_keys.user_id'),
    )
    .select(['api_keys.id', 'api_keys.user_id', 'api_keys.scopes', 'api_keys.created_at'])
    .select(['api_keys.last_used_at', 'api_keys.expires_at', 'api_keys.revoked_at'])
    .select(['users.email', 'users.disabled_at as user_disabled_at'])
    .where('api_keys.tenant_id', '=', tenant.id)
    .where('api_keys.key_digest', 'in', keyring.digests('api_key', key))
    .executeTakeFirst()
}
