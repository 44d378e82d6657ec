// The provider of the tenant that a server with `provider` names. Whoever names one and whoever takes one away hold its row
// first, so that of two at once the second sees what the first did.
import { Fault } from '../base/fault.ts'
import { lockProvider } from '../people/provider-lock.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import { invalid } from './server-input.ts'
import type { ServerAuth, ServerInput } from './server-input.ts'

/** The column of the provider. Throws Fault('invalid_input') where it is missing, or where nothing would use it (S4-13). */
export function providerColumn(
  auth: ServerAuth,
  { providerId }: Pick<ServerInput, 'providerId'>,
): string | null {
  if (auth === 'provider') {
    if (providerId !== undefined) return providerId
    throw invalid('providerId', 'Name the provider whose sign-in this server takes.')
  }
  if (providerId === undefined) return null
  throw invalid('providerId', 'Only a server with auth "provider" has one.')
}

/** Holds the provider until the transaction ends. Throws Fault('not_found'), also for another tenant's (A4-6). */
export async function requireProvider(
  tx: Database,
  { tenant_id: id, provider_id: providerId }: Pick<ServerRow, 'tenant_id' | 'provider_id'>,
): Promise<void> {
  if (providerId === null) return
  const provider = await lockProvider(tx, { id }, providerId)
  if (provider === undefined) {
    throw new Fault('not_found', {
      because: 'no such provider in this tenant',
      detail: { providerId: 'There is no such provider here.' },
    })
  }
  if (provider.keeps_tokens === 1) return
  throw invalid('providerId', 'This provider keeps no tokens. Set keepsTokens of it first.')
}

/** Is a server of this tenant reached with its tokens? */
export async function isProviderUsed(
  tx: Database,
  { id }: Pick<Tenant, 'id'>,
  providerId: string,
): Promise<boolean> {
  const server = await tx
    .selectFrom('servers')
    .select('id')
    .where('tenant_id', '=', id)
    .where('provider_id', '=', providerId)
    .limit(1)
    .executeTakeFirst()
  return server !== undefined
}

/** How many servers are reached with the tokens of each provider; one that none uses is not among them. */
export async function countByProvider(
  db: Database,
  { id }: Pick<Tenant, 'id'>,
): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('servers')
    .select(({ fn }) => ['provider_id', fn.countAll<number | string>().as('count')])
    .where('tenant_id', '=', id)
    .where('provider_id', 'is not', null)
    .groupBy('provider_id')
    .execute()
  return new Map(rows.map(({ provider_id: provider, count }) => [provider ?? '', Number(count)]))
}
