// How a server speaks over HTTP, as it was found out. It is no setting: nobody is asked for it.
import type { Database } from '../store/database.ts'
import type { Transport } from '../upstream/mcp.ts'
import type { Server } from './server-rows.ts'

/** Keeps it for the server at this URL; undefined: it is not known any more. */
export async function noteTransport(
  { db }: { readonly db: Database },
  { tenantId, id, url }: Pick<Server, 'tenantId' | 'id' | 'url'>,
  transport: Transport | undefined,
): Promise<void> {
  await db
    .updateTable('servers')
    .set({ transport: transport ?? null })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('url', '=', url) // What was found at the old address says nothing of a new one.
    .execute()
}
