// A provider at which a tenant's people sign in: its addresses, us as a client there, and what of its words is which fact.
// Who may set one up, and what becomes of a person who signed in, is people's business.
import type { Keyring } from '../base/keyring.ts'
import type { Database } from '../store/database.ts'
import type { ProviderRow } from '../store/schema.ts'
import type { AuthMethod } from './dynamic-registration.ts'
import type { Registration } from './register.ts'

/** `oidc`: an ID token says who it is. `oauth2`: userinfo does. */
export const providerKinds = ['oidc', 'oauth2'] as const
export type ProviderKind = (typeof providerKinds)[number]

/** Its addresses; no secret in it. */
export interface ProviderEndpoints {
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly userinfoEndpoint?: string | undefined
  /** Where a list of addresses is to be had that userinfo leaves out, as at GitHub. */
  readonly emailsEndpoint?: string | undefined
  readonly jwksUri?: string | undefined
  readonly revocationEndpoint?: string | undefined
  /** RFC 9207: its answers carry `iss`. */
  readonly isIssuerExpected: boolean
}

/** Which member of what it says is which fact; a dot leads into a member. */
export interface ClaimMapping {
  readonly subject: string
  readonly email: string
  readonly emailVerified: string
  readonly name: string
}

/** The claims of OIDC Core §5.1. */
export const usualClaims: ClaimMapping = {
  subject: 'sub',
  email: 'email',
  emailVerified: 'email_verified',
  name: 'name',
}

export interface SignInProvider {
  readonly tenantId: string
  readonly id: string
  readonly slug: string
  readonly kind: ProviderKind
  readonly name: string
  readonly issuer: string
  readonly endpoints: ProviderEndpoints
  readonly registration: Registration
  readonly scopes: readonly string[]
  readonly claims: ClaimMapping
  /** Whose addresses may sign in; none: everybody's. */
  readonly emailDomains: readonly string[]
  /** It tells no address that it has not verified, and does not say so each time. */
  readonly emailsAreVerified: boolean
  /** Who comes with a verified address is the person here who has it (A4-11). */
  readonly linksVerifiedEmail: boolean
  /** A token without a refresh token is kept too, and what hangs on it ends when it does. */
  readonly keepsTokens: boolean
}

/** Where it sends a browser back to: its own address, so that no answer of another passes for it (RFC 9700 §4.4). */
export function signInRedirectUri(tenant: { readonly issuer: string }, slug: string): string {
  return `${tenant.issuer}/sign-in/${slug}/callback`
}

/** The provider in its row. Throws Fault('decrypt_failed') when its secret was sealed under a key that is not here. */
export function toSignInProvider(
  { keyring }: { readonly keyring: Pick<Keyring, 'open'> },
  tenant: { readonly issuer: string },
  row: ProviderRow,
): SignInProvider {
  const redirectUri = signInRedirectUri(tenant, row.slug)
  return {
    tenantId: row.tenant_id,
    id: row.id,
    slug: row.slug,
    kind: row.kind as ProviderKind, // only people/providers.ts writes it
    name: row.name,
    issuer: row.issuer,
    endpoints: readEndpoints(row),
    registration: providerRegistration({ keyring }, row, redirectUri),
    scopes: row.scopes === '' ? [] : row.scopes.split(' '),
    claims: JSON.parse(row.claims) as ClaimMapping, // likewise
    emailDomains: JSON.parse(row.email_domains) as string[], // likewise
    emailsAreVerified: row.emails_are_verified === 1,
    linksVerifiedEmail: row.links_verified_email === 1,
    keepsTokens: row.keeps_tokens === 1,
  }
}

export function readEndpoints({ endpoints }: Pick<ProviderRow, 'endpoints'>): ProviderEndpoints {
  return JSON.parse(endpoints) as ProviderEndpoints // only people/providers.ts writes it
}

/** The place of our secret there. */
export function providerSecretPlace({ tenant_id, id }: Pick<ProviderRow, 'tenant_id' | 'id'>) {
  return { tenant: tenant_id, table: 'providers', row: id, column: 'client_secret_sealed' }
}

/** Us as a client there. */
export function providerRegistration(
  { keyring }: { readonly keyring: Pick<Keyring, 'open'> },
  row: ProviderRow,
  redirectUri: string,
): Registration {
  const { client_secret_sealed: sealed } = row
  return {
    method: 'preregistered',
    issuer: row.issuer,
    redirectUri,
    clientId: row.client_id,
    ...(sealed === null ? {} : { clientSecret: keyring.open(sealed, providerSecretPlace(row)) }),
    authMethod: row.token_endpoint_auth_method as AuthMethod, // likewise
  }
}

/** The provider of a tenant with this slug. */
export function findProviderRow(
  db: Database,
  tenant: { readonly id: string },
  by: { readonly slug: string } | { readonly id: string },
): Promise<ProviderRow | undefined> {
  const [[column, value]] = Object.entries(by) as [['slug' | 'id', string]] // one or the other
  return db
    .selectFrom('providers')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where(column, '=', value)
    .executeTakeFirst()
}
