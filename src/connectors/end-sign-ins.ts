// The end of everything that was signed in for at a server, or by a person: sign-ins under way first, then the tokens,
// which the providers are asked to forget as well.
import type { Database } from '../store/database.ts'
import type { ConnectionRow } from '../store/schema.ts'
import type { Upstream } from '../upstream/upstream.ts'

interface Needs {
  readonly upstream: Upstream
}

/** Whose sign-ins: all of them at one server, or all of one person. */
export type SignIns = Pick<ConnectionRow, 'tenant_id'> &
  (Pick<ConnectionRow, 'server_id'> | Pick<ConnectionRow, 'user_id'>)

/** Ends them inside the transaction that changes or removes the server or the person; the rows of both are still there. */
export async function endSignIns(needs: Needs, tx: Database, signIns: SignIns): Promise<void> {
  await endFlows(needs, tx, signIns)
  const { upstream } = needs
  const tenantId = signIns.tenant_id
  for (const connectionId of await connectionsWith(tx, 'credentials', signIns)) {
    const held = await upstream.vault.remove(tx, { tenant: { id: tenantId }, connectionId })
    await upstream.revocations.add(tx, held)
  }
}

/** How many there are, those under way left out. */
export async function countSignIns(db: Database, signIns: SignIns): Promise<number> {
  return (await connectionsWith(db, 'credentials', signIns)).length
}

/** Ends the sign-ins that are under way. */
export async function endFlows({ upstream }: Needs, tx: Database, signIns: SignIns) {
  const connectionIds = await connectionsWith(tx, 'flows', signIns)
  await upstream.flows.end(tx, { tenantId: signIns.tenant_id, connectionIds })
}

async function connectionsWith(
  tx: Database,
  table: 'flows' | 'credentials',
  signIns: SignIns,
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
    .where('connections.tenant_id', '=', signIns.tenant_id)
    .where(({ eb }) =>
      'server_id' in signIns
        ? eb('connections.server_id', '=', signIns.server_id)
        : eb('connections.user_id', '=', signIns.user_id),
    )
  const found =
    table === 'flows' ? rows.where('flows.status', '=', 'pending').execute() : rows.execute()
  return (await found).map((row) => row.id)
}
