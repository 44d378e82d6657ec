// What comes before every sign-in, with a browser or without: discovery, our registration there, and the scopes to ask for.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ConnectionRow, ServerRow } from '../store/schema.ts'
import type { Discovery } from '../upstream/discover.ts'
import { needsBrowser } from '../upstream/grant.ts'
import type { GrantType } from '../upstream/grant.ts'
import type { Preregistered, Registration } from '../upstream/register.ts'
import { chooseScopes, unionScopes } from '../upstream/scopes.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { grantSettingsOf, providerSecretOf } from './server-grant.ts'
import { forgetStaleClient } from './stale-client.ts'
import { serverPlace } from './server-rows.ts'

export interface PrepareNeeds {
  readonly clock: Clock
  readonly db: Database
  readonly keyring: Keyring
  readonly journal: Journal
  readonly upstream: Upstream
}

export interface Prepared {
  readonly discovery: Discovery
  readonly registration: Registration
  readonly scopes: readonly string[]
}

/** The server of a connection. */
export function readServer(
  { db }: Pick<PrepareNeeds, 'db'>,
  connection: Pick<ConnectionRow, 'tenant_id' | 'server_id'>,
): Promise<ServerRow> {
  return db
    .selectFrom('servers')
    .selectAll()
    .where('tenant_id', '=', connection.tenant_id)
    .where('id', '=', connection.server_id)
    .executeTakeFirstOrThrow()
}

/** What is known before a person is sent there, or tokens are asked for. */
export interface Preparation {
  readonly tenant: Tenant
  readonly server: ServerRow
  readonly connection: Pick<ConnectionRow, 'id' | 'status' | 'status_reason'>
  readonly additional: readonly string[]
  /** An app's own page that takes the callback. */
  readonly appUri?: string | undefined
}

/** Finds out how to sign in and becomes a client there; forgets the finding when that fails, so that the next try looks anew. */
export async function prepare(needs: PrepareNeeds, facts: Preparation): Promise<Prepared> {
  const { upstream } = needs
  const { tenant, server, connection, additional, appUri } = facts
  const issuer = server.issuer ?? undefined
  const isForPrograms = !needsBrowser(server.grant_type as GrantType) // only this room writes it
  // A connection that was signed in once may be here because its server moved: then what is cached is the old place.
  const isAgain = connection.status !== 'disconnected' || connection.status_reason !== null
  const discovery = await upstream.discover.discover({
    tenant,
    serverUrl: server.url,
    issuer,
    fresh: isAgain,
    cacheMs: server.metadata_cache_ms ?? undefined,
    isForPrograms,
  })
  const before = await upstream.vault.binding({ tenant, connectionId: connection.id })
  const scopes = chooseScopes(discovery, {
    configured: server.scopes ?? undefined,
    additional,
    previous: before?.requestedScopes ?? [],
    mayStay: !isForPrograms,
  })
  await becomeProvidersClient(needs, { tenant, server })
  // Some providers hold a client to the scopes that it registered with: what the server lists may be asked for later.
  const listed = discovery.protectedResource?.scopes_supported ?? []
  const client = { tenant, server, discovery, scopes: unionScopes(scopes, listed), appUri }
  const registration = await becomeClient(needs, client)
  return { discovery, registration, scopes }
}

/** C32: at the identity provider we are the client that an administrator gave, and no other. */
async function becomeProvidersClient(
  needs: PrepareNeeds,
  { tenant, server }: { readonly tenant: Tenant; readonly server: ServerRow },
): Promise<void> {
  const { identityProvider } = grantSettingsOf(server)
  if (identityProvider === undefined) return
  const { issuer, clientId } = identityProvider
  const clientSecret = providerSecretOf(needs, server)
  await needs.upstream.register.registrationFor({
    tenant,
    server,
    discovery: { issuer, metadata: {} },
    scopes: [],
    preregistered: { issuer, clientId, clientSecret },
  })
}

/** Our client at the authorization server that was found; made there if need be. */
export async function becomeClient(
  needs: PrepareNeeds,
  facts: {
    readonly tenant: Tenant
    readonly server: ServerRow
    readonly discovery: Discovery
    readonly scopes: readonly string[]
    readonly appUri?: string | undefined
  },
): Promise<Registration> {
  const { discover, register } = needs.upstream
  const { tenant, server, discovery } = facts
  try {
    const preregistered = givenClient(needs, server)
    const clientKey = ownKey(needs, server)
    if (preregistered === undefined) await forgetStaleClient(needs, server, discovery.issuer)
    return await register.registrationFor({ ...facts, preregistered, clientKey })
  } catch (thrown) {
    // What the caller asked for says nothing about what was found.
    if (!isFault(thrown) || thrown.code === 'invalid_input') throw thrown
    await discover.forget(tenant, server.url)
    await noteRefusal(needs, server, { issuer: discovery.issuer, error: thrown.code })
    throw thrown
  }
}

async function noteRefusal(
  { db, journal }: Pick<PrepareNeeds, 'db' | 'journal'>,
  { tenant_id: tenantId, id }: ServerRow,
  data: { readonly issuer: string; readonly error: string },
): Promise<void> {
  await db.transaction().execute((tx) =>
    journal.record(tx, {
      tenantId,
      type: 'registration.failed',
      actor: { kind: 'system' },
      subject: { kind: 'server', id },
      data,
    }),
  )
}

function givenClient(
  { keyring }: Pick<PrepareNeeds, 'keyring'>,
  server: ServerRow,
): Preregistered | undefined {
  const { client_id: clientId, client_secret_sealed: sealed, issuer } = server
  if (clientId === null) return undefined
  const place = serverPlace(server.tenant_id, server.id, 'client_secret_sealed')
  return {
    clientId,
    ...(issuer === null ? {} : { issuer }),
    ...(sealed === null ? {} : { clientSecret: keyring.open(sealed, place) }),
  }
}

function ownKey({ keyring }: Pick<PrepareNeeds, 'keyring'>, server: ServerRow): Secret | undefined {
  const { tenant_id: tenantId, id, client_key_sealed: sealed } = server
  if (sealed === null) return undefined
  return keyring.open(sealed, serverPlace(tenantId, id, 'client_key_sealed'))
}
