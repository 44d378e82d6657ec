// Our authorization server (OAuth 2.1 for MCP), put together. What each part owns is said in its own file.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Users } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { createAuthorizeHub } from './authorize.ts'
import type { AuthorizeHub } from './authorize.ts'
import { createClientDocuments } from './client-documents.ts'
import type { ClientDocuments } from './client-documents.ts'
import { createClient, registerClient } from './client-registration.ts'
import type { ClientMaker, MadeClient, NewClient } from './client-registration.ts'
import { findClient } from './clients.ts'
import type { Client } from './clients.ts'
import type { FormRequest } from './form-request.ts'
import { createGrants } from './grants.ts'
import type { Grants } from './grants.ts'
import { issuerMetadata } from './metadata.ts'
import { defaultPolicy } from './policy.ts'
import type { Policy } from './policy.ts'
import type { Resources } from './resources.ts'
import { revokeToken } from './revocation.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import { createVerify } from './verify.ts'
import type { Verify } from './verify.ts'

export interface Issuer {
  /** The metadata document (RFC 8414 §2). */
  readonly metadata: (tenant: Tenant) => Record<string, unknown>
  /** Dynamic client registration (RFC 7591 §3). */
  readonly register: (tenant: Tenant, json: unknown) => Promise<Record<string, unknown>>
  readonly createClient: (by: ClientMaker, client: NewClient) => Promise<MadeClient>
  readonly authorize: AuthorizeHub
  readonly token: TokenEndpoint
  /** Token revocation (RFC 7009 §2). */
  readonly revoke: (tenant: Tenant, request: FormRequest) => Promise<void>
  readonly verify: Verify
  readonly grants: Grants
}

export interface IssuerNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly outbound: Outbound
  readonly log: Log
  readonly users: Pick<Users, 'byId'>
  readonly resources: Resources
  readonly policy?: Partial<Policy>
  /** Development only: client documents on plain http of this machine. */
  readonly allowLoopbackDocuments?: boolean
}

/** Makes the authorization server of all tenants over one database. */
export function createIssuer(parts: IssuerNeeds): Issuer {
  const documents = createClientDocuments(parts, {
    allowLoopback: parts.allowLoopbackDocuments ?? false,
  })
  const needs = {
    ...parts,
    policy: { ...defaultPolicy, ...parts.policy },
    clientFor: createClientFor(parts.db, documents),
  }
  return {
    metadata: issuerMetadata,
    register: (tenant, json) => registerClient(needs, tenant, json),
    createClient: (by, client) => createClient(needs, by, client),
    authorize: createAuthorizeHub(needs),
    token: createTokenEndpoint(needs),
    revoke: (tenant, request) => revokeToken(needs, tenant, request),
    verify: createVerify(needs),
    grants: createGrants(needs),
  }
}

/** The client that a request names: ids of ours never look like a URL, so a URL is a document's (CIMD draft §3). */
function createClientFor(db: Database, documents: ClientDocuments) {
  return async (tenant: Tenant, id: string): Promise<Client> => {
    const isUrl = /^https?:/i.test(id)
    const client = isUrl ? await documents.find(tenant, id) : await findClient(db, tenant, id)
    if (client === undefined) {
      throw new Fault('invalid_client', { because: 'there is no such client' })
    }
    if (client.isDisabled) {
      throw new Fault('unauthorized_client', { because: 'the client is disabled' })
    }
    return client
  }
}
