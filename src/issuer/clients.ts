// The programs that use our authorization server, as rows. How they come in is in client-registration.ts and
// client-documents.ts, how they prove themselves in client-authentication.ts.
import { createHash } from 'node:crypto'
import { callersFault } from '../base/fault.ts'
import type { Fault } from '../base/fault.ts'
import type { ClientMetadata } from '../oauth/client-metadata.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import type { ClientRow } from '../store/schema.ts'
import { authMethods, grantTypeNames, jwtBearer, tokenExchange } from './metadata.ts'
import type { ClientAuthMethod, GrantTypeName } from './metadata.ts'

/** One client of one tenant. */
export interface Client {
  readonly id: string
  /** Made by an administrator, registered by itself (RFC 7591), or described by a document at its own URL (CIMD). */
  readonly kind: 'manual' | 'registered' | 'document'
  readonly name: string
  readonly metadata: OurClientMetadata
  /** Changes when anything changes that a person agreed to. */
  readonly metadataDigest: string
  readonly isDisabled: boolean
  /** For a document: until when it is used without being fetched again. */
  readonly freshUntil: number
}

/** A client's metadata (RFC 7591 §2), cut down to what we support. */
export interface OurClientMetadata extends ClientMetadata {
  readonly grant_types: readonly GrantTypeName[]
  readonly token_endpoint_auth_method: ClientAuthMethod
  /** The resource that this client serves, said by an administrator; it may introspect that resource's tokens. */
  readonly resource?: string
  /** The resources that it may exchange a token for, said by an administrator (RFC 8693). */
  readonly may_reach?: readonly string[]
}

// RFC 6749 appendix A.1: visible characters; a database also must never see a NUL.
const clientIdShape = /^[\x20-\x7E]{1,2048}$/

/** Can there be a client with this id at all? */
export function isClientId(id: string): boolean {
  return clientIdShape.test(id)
}

/** The client with this id, disabled or not; undefined when the tenant has none. */
export async function findClient(
  db: Database,
  tenant: Tenant,
  id: string,
): Promise<Client | undefined> {
  const row = await findClientRow(db, tenant, id)
  return row && toClient(row)
}

/** The row of the client with this id. */
export async function findClientRow(
  db: Database,
  tenant: Tenant,
  id: string,
): Promise<ClientRow | undefined> {
  if (!isClientId(id)) return undefined
  const [row] = await findById(db, { tenantId: tenant.id, id })
  return row
}

// Asked for every token.
const findById = hotQuery(
  (db, { tenantId, id }: { readonly tenantId: string; readonly id: string }) =>
    db.selectFrom('clients').selectAll().where('tenant_id', '=', tenantId).where('id', '=', id),
)

/** Throws Fault('unauthorized_client') for a client that did not register for this grant type (RFC 6749 §5.2). */
export function requireGrantType({ metadata }: Client, name: GrantTypeName): void {
  if (metadata.grant_types.includes(name)) return
  throw callersFault('unauthorized_client', `the client is not registered for ${name}`)
}

/** Cuts metadata down to what we support (RFC 7591 §3.2.1: a server may replace values, and says so in its answer). */
export function ourMetadata(
  metadata: ClientMetadata,
  kind: Client['kind'] = 'registered',
): OurClientMetadata {
  const method = authMethods.find((known) => known === metadata.token_endpoint_auth_method)
  if (method === undefined) throw refused('its way to prove itself is not supported')
  const grantTypes = grantTypeNames.filter(
    (name) => metadata.grant_types.includes(name) && mayHaveGrantType(name, { kind, method }),
  )
  if (grantTypes.every((name) => name === 'refresh_token')) {
    throw refused('none of its grant types is for such a client')
  }
  return {
    ...metadata,
    grant_types: grantTypes,
    token_endpoint_auth_method: method,
  }
}

/**
 * RFC 6749 §4.4: only a client that can prove itself gets anything without a person's answer; and one that let itself in
 * only what a trusted issuer says, for that says it of this very client.
 */
function mayHaveGrantType(
  name: GrantTypeName,
  { kind, method }: { readonly kind: Client['kind']; readonly method: ClientAuthMethod },
): boolean {
  const isConfidential = method !== 'none'
  if (name === jwtBearer) return isConfidential
  if (name === 'client_credentials' || name === tokenExchange) {
    return isConfidential && kind === 'manual'
  }
  return true
}

/** RFC 6749 §4.4: anybody can be a public client, so it gets nothing on its own word. */
export function requireConfidential({ metadata }: Client): void {
  if (metadata.token_endpoint_auth_method !== 'none') return
  throw callersFault('unauthorized_client', 'a public client cannot prove who it is')
}

/** The row of a client that is new or whose document has been read again. */
export function clientRow(facts: {
  readonly tenant: Tenant
  readonly id: string
  readonly kind: Client['kind']
  readonly metadata: OurClientMetadata
  readonly now: number
  readonly createdBy?: string | undefined
  readonly freshUntil?: number
}): ClientRow {
  const { tenant, id, kind, metadata, now, createdBy, freshUntil } = facts
  return {
    tenant_id: tenant.id,
    id,
    kind,
    name: metadata.client_name ?? unnamed,
    metadata: JSON.stringify(metadata),
    metadata_digest: digestOf(metadata),
    token_endpoint_auth_method: metadata.token_endpoint_auth_method,
    created_at: now,
    created_by: createdBy ?? null,
    used_at: null,
    disabled_at: null,
    fresh_until: freshUntil ?? null,
    registration_digest: null,
    registered_at: null,
    registration_token_digest: null,
  }
}

/** The client in a row of `clients`. */
export function toClient(row: ClientRow): Client {
  return {
    id: row.id,
    kind: row.kind as Client['kind'], // only clientRow() writes it
    name: row.name,
    metadata: JSON.parse(row.metadata) as OurClientMetadata, // only clientRow() writes it
    metadataDigest: row.metadata_digest,
    isDisabled: row.disabled_at !== null,
    freshUntil: row.fresh_until ?? 0,
  }
}

const unnamed = 'MCP Client (Auto-registered)'

function digestOf({ client_name, client_uri, redirect_uris }: OurClientMetadata): string {
  const seen = JSON.stringify([client_name, client_uri, redirect_uris.toSorted()])
  return createHash('sha256').update(seen).digest('base64url')
}

function refused(problem: string): Fault {
  return callersFault('invalid_client_metadata', `the client cannot work here: ${problem}`)
}
