// Holding a provider of the tenant, so that nobody takes it away, or starts to count on it, at the same moment.
import type { Database } from '../store/database.ts'
import type { ProviderRow } from '../store/schema.ts'
import type { Tenant } from './tenants.ts'

/** Of two transactions about one provider the second waits here, and then sees what the first did; gives its row. */
export function lockProvider(
  tx: Database,
  { id: tenantId }: Pick<Tenant, 'id'>,
  id: string,
): Promise<Pick<ProviderRow, 'keeps_tokens'> | undefined> {
  return tx
    .updateTable('providers')
    .set((columns) => ({ name: columns.ref('name') }))
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .returning('keeps_tokens')
    .executeTakeFirst()
}
