// API keys by an operator's hand: what one is worth that somebody found, and ending it whoever it belongs to.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { Tenant } from './tenants.ts'

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

/** Ends a key inside the caller's transaction, as the operator; false when it had ended before. */
export async function endApiKey(
  needs: { readonly tx: Database; readonly clock: Clock; readonly journal: Journal },
  tenant: Tenant,
  id: string,
): Promise<boolean> {
  const { tx, clock, journal } = needs
  const ended = await tx
    .updateTable('api_keys')
    .set({ revoked_at: clock.now() })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .returning('user_id')
    .executeTakeFirst()
  if (ended === undefined) return false
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'api_key.revoked',
    actor: { kind: 'operator' },
    userId: ended.user_id,
    subject: { kind: 'api_key', id },
  })
  return true
}
