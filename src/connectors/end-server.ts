// The end of everything that was signed in for at a server: sign-ins under way first, then the tokens, which the providers
// are asked to forget as well.
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import type { Upstream } from '../upstream/upstream.ts'

interface Needs {
  readonly upstream: Upstream
}

type Place = Pick<ServerRow, 'tenant_id' | 'id'>

/** Ends it inside the transaction that changes or removes the server, and before that forgets the registrations. */
export async function endServerSignIns(needs: Needs, tx: Database, server: Place): Promise<void> {
  await endServerFlows(needs, tx, server)
  const { upstream } = needs
  const tenantId = server.tenant_id
  for (const connectionId of await connectionsWith(tx, 'credentials', server)) {
    const held = await upstream.vault.remove(tx, { tenant: { id: tenantId }, connectionId })
    await upstream.revocations.add(tx, held)
  }
}

/** Ends the sign-ins that are under way. */
export async function endServerFlows({ upstream }: Needs, tx: Database, server: Place) {
  const connectionIds = await connectionsWith(tx, 'flows', server)
  await upstream.flows.end(tx, { tenantId: server.tenant_id, connectionIds })
}

async function connectionsWith(
  tx: Database,
  table: 'flows' | 'credentials',
  { tenant_id: tenantId, id }: Place,
): Promise<readonly string[]> {
  const rows = tx
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
  const found =
    table === 'flows' ? rows.where('flows.status', '=', 'pending').execute() : rows.execute()
  return (await found).map((row) => row.id)
}
