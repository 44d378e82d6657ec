// How clients come to be: by registering themselves (RFC 7591) or by an administrator's hand. Both are read by the same
// rules; the secret is shown once and kept as a keyed digest.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomId, randomSecret } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { readClientMetadata } from '../oauth/client-metadata.ts'
import { formatScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientRow } from '../store/schema.ts'
import { actorOf, requireAdministrator } from './administrator.ts'
import type { ClientMaker } from './administrator.ts'
import { findRegistration, makeRoom, registrationDigest } from './client-hygiene.ts'
import { clientRow, ourMetadata, toClient } from './clients.ts'
import type { Client, OurClientMetadata } from './clients.ts'
import type { ClientAuthMethod, GrantTypeName } from './metadata.ts'
import { requireKnownScopes, withKnownScope } from './scope-registry.ts'
import type { Scopes } from './scope-registry.ts'

/** What an administrator says about a new client. */
export interface NewClient {
  readonly name: string
  readonly redirectUris: readonly string[]
  /** `client_secret_basic` unless said otherwise. */
  readonly authMethod?: ClientAuthMethod
  /** The scopes it may ask for; all of a resource's when not said. */
  readonly scopes?: readonly string[]
  /** What people need, unless said otherwise: authorization code and refresh token. */
  readonly grantTypes?: readonly GrantTypeName[]
  /** The resource that it serves and whose tokens it may introspect. */
  readonly resource?: string
  /** For the token exchange: the resources that it may get tokens for. */
  readonly mayReach?: readonly string[]
  /** For `private_key_jwt`: its public keys, or where they are (RFC 7591 §2). */
  readonly jwks?: unknown
  readonly jwksUri?: string
  /** Every token that it gets is bound to a key of its own (RFC 9449 §5.2). */
  readonly dpopBoundAccessTokens?: boolean
  /** Who answers for it; whoever makes it unless said otherwise. */
  readonly ownerId?: string
}

const forPeople = ['authorization_code', 'refresh_token'] as const

/** A client that has just been made; the secret is shown here once. */
export interface MadeClient {
  readonly client: Client
  readonly issuedAt: number
  readonly secret: Secret | undefined
}

/** Gives the attempt to connect that a registration belongs to; asked once the registration is known to be good. */
export type BeginAttempt = () => Promise<string | undefined>

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly scopes: Pick<Scopes, 'known'>
}

/**
 * Registers a client that describes itself and answers as RFC 7591 §3.2.1 says; Faults are those of §3.2.2. A public
 * client that has registered in the same words before, and is alive, is found again.
 */
export async function registerClient(
  needs: Needs,
  tenant: Tenant,
  json: unknown,
  beginAttempt?: BeginAttempt,
): Promise<Record<string, unknown>> {
  const description = await withKnownScope(needs.scopes, tenant, readClientMetadata(json))
  const metadata = ourMetadata(description)
  const attempt = await beginAttempt?.()
  return clientInformation(tenant, await storeRegistration(needs, tenant, { metadata, attempt }))
}

/** What a client is told about itself (RFC 7591 §3.2.1); with its token, also where it manages that (RFC 7592 §3). */
export function clientInformation(
  { issuer }: Tenant,
  { client, issuedAt, secret, token }: ClientFacts,
): Record<string, unknown> {
  return {
    client_id: client.id,
    client_id_issued_at: Math.floor(issuedAt / 1000),
    ...(secret === undefined
      ? {}
      : { client_secret: secret.reveal(), client_secret_expires_at: 0 }),
    ...(token === undefined
      ? {}
      : {
          registration_access_token: token.reveal(),
          registration_client_uri: `${issuer}/oauth/register/${client.id}`,
        }),
    ...client.metadata,
    client_name: client.name,
  }
}

interface ClientFacts {
  readonly client: Client
  readonly issuedAt: number
  readonly secret?: Secret | undefined
  /** By which it manages its registration. */
  readonly token?: Secret | undefined
}

/** Makes a client by hand. Throws Fault('forbidden') for a person who is not an administrator. */
export async function createClient(
  needs: Needs,
  by: ClientMaker,
  given: NewClient,
): Promise<MadeClient> {
  const metadata = await describeClient(needs, by, given)
  const row = newRow(needs, { by, kind: 'manual', metadata, ownerId: given.ownerId })
  const secret = newSecret(needs, metadata)
  await needs.db.transaction().execute((tx) => insertClient(needs, { tx, by, row, secret }))
  return { client: toClient(row), issuedAt: row.created_at, secret }
}

/** Reads what is said about a client made by hand. Throws Fault('forbidden') as making it would. */
export async function describeClient(
  needs: Pick<Needs, 'scopes'>,
  by: ClientMaker,
  { name, redirectUris, authMethod, scopes = [], grantTypes = forPeople, ...rest }: NewClient,
): Promise<OurClientMetadata> {
  const { resource, mayReach = [], jwks, jwksUri, dpopBoundAccessTokens } = rest
  requireAdministrator(by)
  const known = await requireKnownScopes(needs.scopes, by.tenant, scopes)
  const description = readClientMetadata({
    client_name: name,
    redirect_uris: redirectUris,
    token_endpoint_auth_method: authMethod ?? 'client_secret_basic',
    grant_types: grantTypes,
    jwks,
    jwks_uri: jwksUri,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
    ...(scopes.length === 0 ? {} : { scope: formatScope(known) }),
  })
  return {
    ...ourMetadata(description, 'manual'),
    ...(resource === undefined ? {} : { resource }),
    ...(mayReach.length === 0 ? {} : { may_reach: mayReach }),
  }
}

async function storeRegistration(
  needs: Needs,
  tenant: Tenant,
  {
    metadata,
    attempt,
  }: { readonly metadata: OurClientMetadata; readonly attempt?: string | undefined },
): Promise<ClientFacts> {
  const by = { tenant }
  const digest = registrationDigest(metadata)
  // A registration that others may be given too is nobody's to manage.
  const token = digest === null ? randomSecret(needs.random, 'mcp_reg_') : undefined
  const made = newRow(needs, { by, kind: 'registered', metadata })
  const row = {
    ...made,
    registration_digest: digest,
    // The same moment until it is asked for again.
    registered_at: made.created_at,
    registration_token_digest: token ? needs.keyring.digest('registration_token', token) : null,
  }
  const secret = newSecret(needs, metadata)
  const stored = await needs.db.transaction().execute(async (tx) => {
    const known = await findRegistration({ ...needs, tx }, tenant, { digest, attempt })
    if (known !== undefined) return known
    await makeRoom({ ...needs, tx }, tenant)
    if (await insertClient(needs, { tx, by, row, secret, attempt })) return row
    // Another one with the same words came in between our look and our insert.
    return findRegistration({ ...needs, tx }, tenant, { digest, attempt })
  })
  if (stored === undefined) {
    throw new Fault('temporarily_unavailable', { because: 'the same registration came and went' })
  }
  return { client: toClient(stored), issuedAt: stored.created_at, secret, token }
}

function newRow(
  { clock, random }: Needs,
  {
    by,
    kind,
    metadata,
    ownerId,
  }: {
    readonly by: ClientMaker
    readonly kind: Client['kind']
    readonly metadata: OurClientMetadata
    readonly ownerId?: string | undefined
  },
): ClientRow {
  const id = randomId(random, 'mcp_oauth_')
  const { tenant, user } = by
  const createdBy = ownerId ?? user?.id
  return clientRow({ tenant, id, kind, metadata, now: clock.now(), createdBy })
}

function newSecret({ random }: Needs, metadata: OurClientMetadata): Secret | undefined {
  // The others prove themselves with a key of their own (RFC 7523), or not at all.
  const hasSecret = metadata.token_endpoint_auth_method.startsWith('client_secret')
  return hasSecret ? randomSecret(random, 'mcp_cs_') : undefined
}

/** Stores the client inside the transaction; false when an identical registration is there already. */
async function insertClient(
  { keyring, journal }: Needs,
  {
    tx,
    by,
    row,
    secret,
    attempt,
  }: {
    readonly tx: Database
    readonly by: ClientMaker
    readonly row: ClientRow
    readonly secret: Secret | undefined
    /** The attempt to connect that it registers itself in. */
    readonly attempt?: string | undefined
  },
): Promise<boolean> {
  const { id, kind, created_at: now, token_endpoint_auth_method: authMethod } = row
  const inserted = await tx
    .insertInto('clients')
    .values(row)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'registration_digest']).doNothing())
    .returning('id')
    .executeTakeFirst()
  if (inserted === undefined) return false
  if (secret !== undefined) {
    const digest = keyring.digest('client_secret', secret)
    await storeSecret(tx, { tenant: by.tenant, id, now }, digest)
  }
  await journal.record(tx, {
    tenantId: by.tenant.id,
    type: 'client.registered',
    actor: actorOf(by, kind),
    subject: { kind: 'client', id },
    attempt,
    // Only facts of ours: the journal refuses what looks like a secret, and a name may look like anything.
    data: { kind, authMethod },
  })
  return true
}

/** Stores a secret's digest inside the caller's transaction; it works until it is replaced. */
export async function storeSecret(
  tx: Database,
  { tenant, id, now }: { readonly tenant: Tenant; readonly id: string; readonly now: number },
  digest: string,
): Promise<void> {
  await tx
    .insertInto('client_secrets')
    .values({
      tenant_id: tenant.id,
      client_id: id,
      secret_digest: digest,
      created_at: now,
      expires_at: null,
    })
    .execute()
}
