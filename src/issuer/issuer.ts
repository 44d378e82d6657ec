// Our authorization server (OAuth 2.1 for MCP), put together. What each part owns is said in its own file.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Attempts } from '../journal/attempts.ts'
import type { Journal } from '../journal/entries.ts'
import type { DpopNonces } from '../oauth/dpop.ts'
import type { Identities } from '../people/identities.ts'
import type { ProviderGrants } from '../people/provider-grants.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Users } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { createAuthorizeHub } from './authorize.ts'
import type { AuthorizeHub } from './authorize.ts'
import { createClientAssertions } from './client-assertion.ts'
import { createClientDocuments } from './client-documents.ts'
import type { ClientDocuments } from './client-documents.ts'
import { createClientKeys } from './client-keys.ts'
import { createClients } from './client-administration.ts'
import type { Clients } from './client-administration.ts'
import { registerClient } from './client-registration.ts'
import type { BeginAttempt } from './client-registration.ts'
import { findClient } from './clients.ts'
import type { Client } from './clients.ts'
import { createDeviceAuthorization } from './device-authorization.ts'
import type { StartDevice } from './device-authorization.ts'
import { createDevices } from './device.ts'
import type { Devices } from './device.ts'
import { dpopNonces } from './dpop-nonces.ts'
import type { FormRequest } from './form-request.ts'
import { createGrants } from './grants.ts'
import type { Grants } from './grants.ts'
import { createIntrospection } from './introspection.ts'
import type { Introspect } from './introspection.ts'
import { createKeySets } from '../upstream/key-sets.ts'
import { issuerMetadata } from './metadata.ts'
import { createPushRequest } from './pushed-requests.ts'
import type { PushRequest } from './pushed-requests.ts'
import { defaultPolicy } from './policy.ts'
import type { Policy } from './policy.ts'
import { createRegistrations } from './registration-management.ts'
import type { Registrations } from './registration-management.ts'
import type { Resources } from './resources.ts'
import { revokeToken } from './revocation.ts'
import type { Scopes } from './scope-registry.ts'
import { sweepIssuer } from './sweep.ts'
import type { IssuerSweep } from './sweep.ts'
import { listSigningKeys } from './signing-key-list.ts'
import type { TenantKeys } from './signing-key-list.ts'
import { introduce } from './introduce.ts'
import type { Introduced } from './introduce.ts'
import { createSigningKeys } from './signing-keys.ts'
import type { SigningKeys } from './signing-keys.ts'
import { createTraces } from './traces.ts'
import type { Traces } from './traces.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import { createTokenAdministration } from './token-ending.ts'
import type { TokenAdministration } from './token-ending.ts'
import { createTrustedIssuers } from './trusted-issuer-administration.ts'
import type { TrustedIssuers } from './trusted-issuer-administration.ts'
import { createUserInfo } from './userinfo.ts'
import type { UserInfo } from './userinfo.ts'
import { createUseNotes } from './use-notes.ts'
import { createVerify } from './verify.ts'
import type { Verify } from './verify.ts'

export interface Issuer {
  /** The metadata document (RFC 8414 §2). */
  readonly metadata: (tenant: Tenant) => Record<string, unknown>
  /** Dynamic client registration (RFC 7591 §3). */
  readonly register: (
    tenant: Tenant,
    json: unknown,
    beginAttempt?: BeginAttempt,
  ) => Promise<Record<string, unknown>>
  /** A client's own hand on its registration (RFC 7592). */
  readonly registrations: Registrations
  /** Clients by an administrator's hand. */
  readonly clients: Clients
  /** The identity providers whose word gives a client a token. */
  readonly trustedIssuers: TrustedIssuers
  readonly authorize: AuthorizeHub
  /** Takes a request ahead of the browser (RFC 9126 §2). */
  readonly push: PushRequest
  /** Where a device without a browser begins (RFC 8628 §3.1). */
  readonly startDevice: StartDevice
  /** The side of the person whom a device waits for (RFC 8628 §3.3). */
  readonly devices: Devices
  readonly token: TokenEndpoint
  /** Token revocation (RFC 7009 §2). */
  readonly revoke: (tenant: Tenant, request: FormRequest) => Promise<void>
  /** Token introspection (RFC 7662 §2). */
  readonly introspect: Introspect
  /** Who a person is (OIDC Core §5.3). */
  readonly userInfo: UserInfo
  readonly verify: Verify
  /** Whose attempt a refused request belongs to. */
  readonly traces: Traces
  /** The nonces of the proofs that come with a tenant's tokens (RFC 9449 §9). */
  readonly dpopNonces: (tenant: Tenant) => DpopNonces
  readonly signingKeys: Pick<SigningKeys, 'published' | 'rotate' | 'rotateSoon' | 'rotateDue'> & {
    /** For an operator: the keys of every tenant. */
    readonly list: () => Promise<readonly TenantKeys[]>
  }
  /** Our signed word about who calls, for a server that a call is passed on to. */
  readonly introduce: (introduced: Introduced) => Promise<Secret>
  readonly grants: Grants
  /** Single tokens by an operator's hand. */
  readonly tokens: TokenAdministration
  /** The scopes of a tenant, by an administrator's hand. */
  readonly scopes: Scopes
  /** Writes which grants were used, as far as that is only counted yet. */
  readonly writeUses: () => Promise<void>
  /** Deletes what has expired, of all tenants. */
  readonly sweep: (now: number) => Promise<IssuerSweep>
}

export interface IssuerNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly attempts: Pick<Attempts, 'authorized'>
  readonly outbound: Outbound
  readonly log: Log
  readonly users: Pick<Users, 'byId'>
  readonly identities: Identities
  /** What people's providers gave with their sign-in. */
  readonly providerGrants: Pick<ProviderGrants, 'standing'>
  readonly resources: Resources
  readonly scopes: Scopes
  readonly policy?: Partial<Policy>
  /** Development only: client documents on plain http of this machine. */
  readonly allowLoopbackDocuments?: boolean
}

/** Makes the authorization server of all tenants over one database. */
export function createIssuer(parts: IssuerNeeds): Issuer {
  const documents = createClientDocuments(parts, {
    allowLoopback: parts.allowLoopbackDocuments ?? false,
  })
  const policy = { ...defaultPolicy, ...parts.policy }
  const keySets = createKeySets(parts)
  const keys = createClientKeys({ keySets, documents })
  const needs = {
    ...parts,
    policy,
    keySets,
    signingKeys: createSigningKeys({ ...parts, policy }),
    assertions: createClientAssertions({ ...parts, keys }),
    clientFor: createClientFor(parts.db, documents),
    uses: createUseNotes(parts),
  }
  const verify = createVerify(needs)
  return {
    metadata: issuerMetadata,
    register: (tenant, json, beginAttempt) => registerClient(needs, tenant, json, beginAttempt),
    registrations: createRegistrations(needs),
    clients: createClients(needs),
    trustedIssuers: createTrustedIssuers(needs),
    authorize: createAuthorizeHub(needs),
    push: createPushRequest({ ...needs, documents }),
    startDevice: createDeviceAuthorization(needs),
    devices: createDevices(needs),
    token: createTokenEndpoint(needs),
    revoke: (tenant, request) => revokeToken(needs, tenant, request),
    introspect: createIntrospection(needs),
    userInfo: createUserInfo({ ...needs, verify }),
    verify,
    traces: createTraces(needs),
    dpopNonces: (tenant) => dpopNonces(parts, tenant),
    signingKeys: { ...needs.signingKeys, list: () => listSigningKeys(parts.db) },
    introduce: (introduced) => introduce(needs, introduced),
    grants: createGrants(needs),
    tokens: createTokenAdministration(needs),
    scopes: parts.scopes,
    writeUses: needs.uses.write,
    sweep: (now) => sweepIssuer(needs.db, now),
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
      throw new Fault('unauthorized_client', {
        because: 'the client is disabled',
        detail: { client: 'An administrator of this server has switched this program off.' },
      })
    }
    return client
  }
}
