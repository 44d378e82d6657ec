// The public keys that a client signs its assertions with: given with its registration, or at its `jwks_uri`
// (RFC 7591 §2). Which key fits a signature is decided by client-assertion.ts.
import type { JWK } from 'jose'
import type { Tenant } from '../people/tenants.ts'
import type { ClientDocuments } from './client-documents.ts'
import type { Client } from './clients.ts'
import type { KeySets, Wanted } from '../upstream/key-sets.ts'

export interface ClientKeys {
  /** The client's keys; `isNewer` asks for those that it may have published since, which is done once a minute. */
  readonly find: (tenant: Tenant, client: Client, wanted?: Wanted) => Promise<readonly JWK[]>
}

interface Needs {
  readonly keySets: KeySets
  readonly documents: Pick<ClientDocuments, 'find'>
}

/** Makes the reader of clients' keys. */
export function createClientKeys({ keySets, documents }: Needs): ClientKeys {
  return {
    find: async (tenant, client, wanted = { isNewer: false }) => {
      // A document is the client's present word about itself, keys included.
      const { metadata } =
        client.kind === 'document' ? await documents.find(tenant, client.id) : client
      const { jwks, jwks_uri: uri } = metadata
      if (jwks !== undefined) return jwks.keys
      return uri === undefined ? [] : keySets.fetch(tenant, uri, wanted)
    },
  }
}
