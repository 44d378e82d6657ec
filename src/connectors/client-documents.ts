// Us as a client, in documents that authorization servers read: one for each connection context, one for the tenant, and
// the public half of a context's key.
import type { Tenant } from '../people/tenants.ts'
import {
  clientDocumentUrl,
  contextClientDocument,
  tenantClientDocument,
} from '../upstream/client-document.ts'
import type { ClientDocument } from '../upstream/client-document.ts'
import type { PublicJwk } from '../upstream/client-key.ts'
import type { ServerNeeds } from './server-rows.ts'

export interface ClientDocuments {
  /** Us as a client (CIMD): of one connection context, or of the tenant; undefined for a context that no server has. */
  readonly clientDocument: (tenant: Tenant, context?: string) => Promise<ClientDocument | undefined>
  /** The public key by which we prove ourselves in one connection context (RFC 7517 §5); undefined when there is none. */
  readonly clientKeys: (
    tenant: Tenant,
    context: string,
  ) => Promise<{ readonly keys: readonly PublicJwk[] } | undefined>
}

/** Makes the documents over one database. */
export function createClientDocuments(needs: ServerNeeds): ClientDocuments {
  return {
    clientDocument: async (tenant, context) => {
      if (context === undefined)
        return tenantClientDocument(tenant, await contextsOf(needs, tenant))
      return documentNamed(needs, tenant, context)
    },

    clientKeys: async (tenant, context) => {
      const server = await findContext(needs, tenant, context)
      const key = server?.client_key_public ?? undefined
      return key === undefined ? undefined : { keys: [JSON.parse(key) as PublicJwk] } // keyColumns() wrote it
    },
  }
}

/** The document of a context, or of an app in it, whose name has a mark behind the context. */
async function documentNamed(
  needs: ServerNeeds,
  tenant: Tenant,
  name: string,
): Promise<ClientDocument | undefined> {
  const [context = '', mark] = name.split('.', 2)
  const server = await findContext(needs, tenant, context)
  if (server === undefined) return undefined
  const hasKey = server.client_key_public !== null
  if (mark === undefined) return contextClientDocument(tenant, context, { hasKey })
  const clientId = clientDocumentUrl(tenant, name)
  const client = { tenantId: tenant.id, serverId: server.id, clientId }
  const appUri = await needs.upstream.register.appUriOf(client)
  return appUri === undefined
    ? undefined
    : contextClientDocument(tenant, context, { hasKey, appUri })
}

const contextsMax = 200

async function contextsOf({ db }: ServerNeeds, tenant: Tenant): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('servers')
    .select('context')
    .where('tenant_id', '=', tenant.id)
    .where('auth', '=', 'oauth')
    .orderBy('created_at')
    .limit(contextsMax)
    .execute()
  return rows.map(({ context }) => context)
}

function findContext({ db }: ServerNeeds, { id }: Tenant, context: string) {
  return db
    .selectFrom('servers')
    .select(['id', 'client_key_public'])
    .where('tenant_id', '=', id)
    .where('context', '=', context)
    .executeTakeFirst()
}
