// The rows of `servers`: how a description becomes columns and a row becomes what others see. Secrets of a server go in
// here and come out as names or not at all.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import { isAdmin } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { ProviderTokens } from '../people/provider-tokens.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import { clientKeysUrl, redirectUriOf } from '../upstream/client-document.ts'
import { clientKeyFrom } from '../upstream/client-key.ts'
import type { PublicJwk } from '../upstream/client-key.ts'
import type { GrantType, IdentityProvider } from '../upstream/grant.ts'
import type { Transport } from '../upstream/mcp.ts'
import { appliedQuirks } from '../upstream/quirks.ts'
import type { AppliedQuirk } from '../upstream/quirks.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Discovered } from './decide-auth.ts'
import { readAccess } from './server-access.ts'
import {
  checkCacheMinutes,
  checkHeaders,
  checkIssuer,
  checkScopes,
  checkVisible,
  invalid,
} from './server-input.ts'
import type { Introduce } from './introduce.ts'
import type { ServerAuth, ServerInput, TokenFormat, ToolPolicy, ToolScope } from './server-input.ts'
import { grantSettingsColumn, grantSettingsOf, providerSecretColumn } from './server-grant.ts'
import { checkToolScopes, readToolPolicy, readToolScopes } from './tool-scopes.ts'

/** A server as the rooms know it; no secret in it. */
export interface Server {
  readonly id: string
  readonly tenantId: string
  readonly slug: string
  readonly name: string
  readonly url: string
  readonly auth: ServerAuth
  /** For `provider`: at which one the caller has to be signed in. */
  readonly providerId?: string
  readonly headerNames: readonly string[]
  readonly issuer?: string
  readonly clientId?: string
  readonly scopes?: string
  /** It is told who calls in plain header fields too. */
  readonly identityHeaders: boolean
  /** How its tokens are got, for `oauth`. */
  readonly grantType: GrantType
  readonly tokenFormat: TokenFormat
  /** Absent: what discovery found is used as long as the installation says. */
  readonly metadataCacheMinutes?: number
  /** The scopes of ours that it understands; absent: one opens all of its tools. */
  readonly toolScopes?: readonly ToolScope[]
  /** Which of its tools may be called at all; absent: every one. */
  readonly toolPolicy?: ToolPolicy
  /** The people and roles that may use it; absent: everybody of the tenant. */
  readonly mayUse?: readonly string[]
  /** How it speaks over HTTP; absent until it has answered. */
  readonly transport?: Transport
  /** The last segment of its redirect URI. */
  readonly context: string
}

/** A server as people and programs see it. */
export interface PublicServer {
  readonly id: string
  readonly slug: string
  readonly name: string
  readonly url: string
  readonly auth: ServerAuth
  readonly providerId?: string
  readonly headerNames: readonly string[]
  readonly issuer?: string
  readonly clientId?: string
  readonly hasClientSecret: boolean
  readonly workloadToken?: string
  readonly identityProvider?: IdentityProvider
  /** The public half of our key there, and the address at which others find it. */
  readonly clientKey?: PublicJwk & { readonly jwksUri: string }
  readonly scopes?: string
  readonly identityHeaders: boolean
  readonly grantType: GrantType
  readonly tokenFormat: TokenFormat
  readonly transport?: Transport
  readonly metadataCacheMinutes?: number
  readonly toolScopes?: readonly ToolScope[]
  readonly toolPolicy?: ToolPolicy
  /** Where its authorization server sends people back to; a client that is made there by hand has to name it. */
  readonly redirectUri?: string
  /** For administrators only: who else may use it. */
  readonly mayUse?: readonly string[]
  /** What is done otherwise than the standards say at the named issuer. */
  readonly quirks?: readonly AppliedQuirk[]
  readonly createdAt: number
  readonly updatedAt: number
  /** What was found out, in the answer to the call that looked. */
  readonly discovered?: Discovered
}

export interface ServerNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly outbound: Outbound
  readonly log: Log
  readonly upstream: Upstream
  /** Told, inside the transaction, that this is no server or another one from now on: tokens for it must end. */
  readonly addressEnded: (tx: Database, tenant: Tenant, ended: EndedAddress) => Promise<void>
  /** Out of these scopes those that the tenant has; told by the platform. */
  readonly knownScopes: (tenant: Tenant, names: readonly string[]) => Promise<readonly string[]>
  /** Signs who calls, for servers that are reached so; absent where nobody publishes our keys. */
  readonly introduce?: Introduce | undefined
  /** The tokens of people's own sign-ins at the providers of the tenant. */
  readonly providerTokens: ProviderTokens
}

/** What named a server: its place behind the gateway, or its own URL. */
export type EndedAddress = { readonly slug: string } | { readonly url: string }

/** The column of the scopes that open tools. Throws Fault('invalid_input') for a scope that the tenant does not have. */
export async function toolScopesColumn(
  { knownScopes }: ServerNeeds,
  tenant: Tenant,
  given: readonly ToolScope[],
): Promise<string | null> {
  const checked = checkToolScopes(given)
  if (checked === undefined) return null
  const names = checked.map(({ scope }) => scope)
  const known = await knownScopes(tenant, names)
  if (names.every((name) => known.includes(name))) return JSON.stringify(checked)
  throw invalid('toolScopes', 'One of these scopes does not exist here. Add it first.')
}

/** The columns that are checked and kept as they are. */
export function plainColumns(
  { outbound }: ServerNeeds,
  input: ServerInput,
  { hasKey }: { readonly hasKey: boolean },
) {
  if (input.clientSecret !== undefined && input.clientId === undefined) {
    throw new Fault('invalid_input', {
      because: 'a client secret came without a client id',
      detail: { clientId: 'Enter the client id that the secret belongs to.' },
    })
  }
  const { issuer, clientId, scopes, grantType = 'authorization_code' } = input
  return {
    grant_type: grantType,
    grant_settings: grantSettingsColumn(outbound, input, { hasKey }),
    issuer: issuer === undefined ? null : checkIssuer(outbound, issuer),
    client_id: clientId === undefined ? null : checkVisible('clientId', clientId),
    scopes: scopes === undefined || scopes === '' ? null : checkScopes(scopes),
    metadata_cache_ms: cacheColumn(input),
    identity_headers: input.identityHeaders === true ? 1 : 0,
  }
}

/** The columns of our key there. Throws Fault('invalid_input') for what is no private key that we can use. */
export function keyColumns(
  { keyring, random }: ServerNeeds,
  server: { readonly tenantId: string; readonly id: string },
  given: string | undefined,
) {
  if (given === undefined || given === '')
    return { client_key_sealed: null, client_key_public: null }
  const key = clientKeyFrom(random, given)
  if (key === undefined) {
    throw invalid('clientKey', 'Enter a private key (P-256, Ed25519 or RSA) in PEM or as a JWK.')
  }
  const place = serverPlace(server.tenantId, server.id, 'client_key_sealed')
  return {
    client_key_sealed: keyring.seal(key.jwk, place),
    client_key_public: JSON.stringify(key.publicJwk),
  }
}

const minuteMs = 60_000

function cacheColumn({ metadataCacheMinutes: minutes }: ServerInput): number | null {
  return minutes === undefined || minutes === null ? null : checkCacheMinutes(minutes) * minuteMs
}

/** The same as people say it. */
export function cacheMinutesOf({
  metadata_cache_ms: ms,
}: Pick<ServerRow, 'metadata_cache_ms'>): number | undefined {
  return ms === null ? undefined : ms / minuteMs
}

/** The columns that hold secrets; a server with sign-in has no headers (S2-24). */
export function sealedColumns(
  { keyring }: ServerNeeds,
  server: { readonly tenantId: string; readonly id: string; readonly auth: ServerAuth },
  input: ServerInput,
) {
  const { tenantId, id } = server
  const headers = server.auth === 'headers' ? checkHeaders(input.headers ?? {}) : {}
  const names = Object.keys(headers)
  const { clientSecret } = input
  return {
    provider_secret_sealed: providerSecretColumn({ keyring }, server, input),
    headers_sealed:
      names.length === 0
        ? null
        : keyring.seal(
            new Secret(JSON.stringify(headers)),
            serverPlace(tenantId, id, 'headers_sealed'),
          ),
    header_names: JSON.stringify(names),
    client_secret_sealed:
      clientSecret === undefined
        ? null
        : keyring.seal(
            new Secret(checkVisible('clientSecret', clientSecret)),
            serverPlace(tenantId, id, 'client_secret_sealed'),
          ),
  }
}

export type SealedColumn = 'headers_sealed' | 'client_secret_sealed' | 'client_key_sealed'

/** Where a sealed column of a server lives. */
export function serverPlace(tenant: string, row: string, column: SealedColumn) {
  return { tenant, table: 'servers', row, column }
}

/** The server in a row. */
export function toServer(row: ServerRow): Server {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    slug: row.slug,
    name: row.name,
    url: row.url,
    auth: row.auth as ServerAuth, // only this room writes it
    ...(row.provider_id === null ? {} : { providerId: row.provider_id }),
    headerNames: JSON.parse(row.header_names) as readonly string[], // only this room writes it
    ...(row.issuer === null ? {} : { issuer: row.issuer }),
    ...(row.client_id === null ? {} : { clientId: row.client_id }),
    ...(row.scopes === null ? {} : { scopes: row.scopes }),
    identityHeaders: row.identity_headers === 1,
    grantType: row.grant_type as GrantType, // likewise
    tokenFormat: row.token_format as TokenFormat, // likewise
    ...cacheFact(row),
    ...(row.tool_scopes === null ? {} : { toolScopes: readToolScopes(row.tool_scopes) }),
    ...(row.tool_policy === null ? {} : { toolPolicy: readToolPolicy(row.tool_policy) }),
    ...(row.may_use === null ? {} : { mayUse: readAccess(row.may_use) }),
    ...(row.transport === null ? {} : { transport: row.transport as Transport }), // only this room writes it
    context: row.context,
  }
}

/** The same for whoever looks: who else may use it is told to administrators. */
export function showServer(row: ServerRow, principal: Principal): PublicServer {
  const { mayUse, ...server } = toPublicServer(principal.tenant, row)
  return mayUse === undefined || !isAdmin(principal) ? server : { ...server, mayUse }
}

function cacheFact(row: ServerRow) {
  const metadataCacheMinutes = cacheMinutesOf(row)
  return metadataCacheMinutes === undefined ? {} : { metadataCacheMinutes }
}

/** What of a server leaves this room: never a header's value or a client secret (S2-25). */
export function toPublicServer(tenant: Tenant, row: ServerRow): PublicServer {
  const { tenantId: _ours, context, ...server } = toServer(row)
  return {
    ...server,
    hasClientSecret: row.client_secret_sealed !== null,
    ...grantSettingsOf(row),
    ...(row.client_key_public === null
      ? {}
      : {
          clientKey: {
            ...(JSON.parse(row.client_key_public) as PublicJwk), // only keyColumns() writes it
            jwksUri: clientKeysUrl(tenant, context),
          },
        }),
    ...(server.auth === 'oauth' ? { redirectUri: redirectUriOf(tenant, context) } : {}),
    ...(row.issuer === null ? {} : { quirks: appliedQuirks(row.issuer) }),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
