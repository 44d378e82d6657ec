// The end of everything that was signed in for at a server: sign-ins under way first, then the tokens, which the providers
// are asked to forget as well.
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** Ends it inside the transaction that changes or removes the server, and before that forgets the registrations. */
export async function endServerSignIns(
  { upstream }: { readonly upstream: Upstream },
  tx: Database,
  { tenant_id: tenantId, id }: Pick<ServerRow, 'tenant_id' | 'id'>,
): Promise<void> {
  const ofServer = (table: 'flows' | 'credentials') =>
    tx
      .selectFrom(table)
      .innerJoin('connections', (join) =>
        join
          .onRef('connections.tenant_id', '=', `${table}.tenant_id`)
          .onRef('connections.id', '=', `${table}.connection_id`),
      )
      .select('connections.id')
      .distinct()
      .where('connections.tenant_id', '=', tenantId)
      .where('connections.server_id', '=', id)
  const pending = await ofServer('flows').where('flows.status', '=', 'pending').execute()
  await upstream.flows.end(tx, { tenantId, connectionIds: pending.map((row) => row.id) })
  for (const { id: connectionId } of await ofServer('credentials').execute()) {
    const held = await upstream.vault.remove(tx, { tenant: { id: tenantId }, connectionId })
    await upstream.revocations.add(tx, held)
  }
}
