// What an administrator may say about a provider: checks and defaults, and the columns that come of it. What the provider
// says about itself is looked up by upstream/provider-metadata.ts.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Outbound } from '../base/outbound.ts'
import { Secret } from '../base/secret.ts'
import type { ProviderRow } from '../store/schema.ts'
import { preferredAuthMethod } from '../upstream/dynamic-registration.ts'
import { findProviderMetadata, vetEndpoints } from '../upstream/provider-metadata.ts'
import type { ProviderMetadata } from '../upstream/provider-metadata.ts'
import { usualClaims } from '../upstream/sign-in-provider.ts'
import type { ClaimMapping, ProviderEndpoints, ProviderKind } from '../upstream/sign-in-provider.ts'

/** Where it is: its issuer, whose metadata are looked up; or, for `oauth2`, its addresses. */
export interface ProviderPlace {
  readonly kind: ProviderKind
  readonly issuer?: string | undefined
  readonly authorizationEndpoint?: string | undefined
  readonly tokenEndpoint?: string | undefined
  readonly userinfoEndpoint?: string | undefined
  readonly emailsEndpoint?: string | undefined
}

/** How people sign in there, all of which may change without a look at the provider. */
export interface ProviderManner {
  readonly name?: string | undefined
  readonly clientId?: string | undefined
  /** An empty text leaves the one that is there (S4-39). */
  readonly clientSecret?: string | undefined
  readonly scopes?: string | undefined
  readonly claims?: Partial<ClaimMapping> | undefined
  readonly emailDomains?: readonly string[] | undefined
  readonly emailsAreVerified?: boolean | undefined
  readonly linksVerifiedEmail?: boolean | undefined
  readonly keepsTokens?: boolean | undefined
}

export type NewProvider = ProviderPlace &
  ProviderManner & {
    readonly name: string
    readonly clientId: string
    readonly slug?: string | undefined
  }

/** The kind stays: subjects that one kind names are not those of another. */
export type ProviderChange = Omit<ProviderPlace, 'kind'> & ProviderManner

interface Needs {
  readonly outbound: Outbound
  readonly clock: Clock
}

export const usualScopes = 'openid profile email'
const nameCharsMax = 100
const textCharsMax = 1024
const slugShape = /^[a-z0-9](?:[a-z0-9-]{0,34}[a-z0-9])?$/

/** Looks at the provider, or at the addresses that stand in for its metadata. Throws as findProviderMetadata. */
export async function findPlace(needs: Needs, place: ProviderPlace): Promise<ProviderMetadata> {
  const { kind, authorizationEndpoint, tokenEndpoint, userinfoEndpoint, emailsEndpoint } = place
  const issuer = place.issuer?.trim()
  const isWritten = [authorizationEndpoint, tokenEndpoint, userinfoEndpoint].some(Boolean)
  if (!isWritten) {
    if (issuer === undefined) throw invalid('issuer', 'Enter the address of the provider.')
    return findProviderMetadata(needs, { kind, issuer: checkUrl('issuer', issuer) })
  }
  if (kind === 'oidc') {
    throw invalid('authorizationEndpoint', 'An OpenID provider says its addresses itself.')
  }
  const endpoints: ProviderEndpoints = {
    authorizationEndpoint: checkUrl('authorizationEndpoint', authorizationEndpoint),
    tokenEndpoint: checkUrl('tokenEndpoint', tokenEndpoint),
    userinfoEndpoint: checkUrl('userinfoEndpoint', userinfoEndpoint),
    ...(emailsEndpoint === undefined
      ? {}
      : { emailsEndpoint: checkUrl('emailsEndpoint', emailsEndpoint) }),
    isIssuerExpected: false,
  }
  await vetEndpoints(needs.outbound, endpoints)
  const own = new URL(endpoints.authorizationEndpoint).origin
  return { issuer: issuer === undefined ? own : checkUrl('issuer', issuer), endpoints }
}

/** The columns that say where it is. */
export function placeColumns(
  { issuer, endpoints, authMethods }: ProviderMetadata,
  { hasSecret }: { readonly hasSecret: boolean },
): Pick<ProviderRow, 'issuer' | 'endpoints' | 'token_endpoint_auth_method'> {
  return {
    issuer,
    endpoints: JSON.stringify(endpoints),
    token_endpoint_auth_method: hasSecret
      ? preferredAuthMethod(authMethods, { hasSecret })
      : 'none',
  }
}

type MannerColumns = Pick<
  ProviderRow,
  | 'name'
  | 'client_id'
  | 'scopes'
  | 'claims'
  | 'email_domains'
  | 'emails_are_verified'
  | 'links_verified_email'
  | 'keeps_tokens'
>

/** The columns that say how people sign in there; only those that were said. Throws Fault('invalid_input'). */
export function mannerColumns(kind: ProviderKind, input: ProviderManner): Partial<MannerColumns> {
  const { name, clientId, scopes, claims, emailDomains } = input
  const { emailsAreVerified, linksVerifiedEmail, keepsTokens } = input
  return {
    ...(name === undefined ? {} : { name: checkName(name) }),
    ...(clientId === undefined ? {} : { client_id: checkVisible('clientId', clientId) }),
    ...(scopes === undefined ? {} : { scopes: checkScopes(kind, scopes) }),
    ...(claims === undefined ? {} : { claims: JSON.stringify(checkClaims(kind, claims)) }),
    ...(emailDomains === undefined
      ? {}
      : { email_domains: JSON.stringify(emailDomains.map(checkDomain)) }),
    ...(emailsAreVerified === undefined ? {} : { emails_are_verified: emailsAreVerified ? 1 : 0 }),
    ...(linksVerifiedEmail === undefined
      ? {}
      : { links_verified_email: linksVerifiedEmail ? 1 : 0 }),
    ...(keepsTokens === undefined ? {} : { keeps_tokens: keepsTokens ? 1 : 0 }),
  }
}

/** The same of a new one, whole. */
export function newMannerColumns(input: NewProvider): MannerColumns {
  const usual = {
    scopes: usualScopes,
    claims: {},
    emailDomains: [],
    emailsAreVerified: false,
    linksVerifiedEmail: false,
    keepsTokens: false,
  }
  return mannerColumns(input.kind, { ...usual, ...input }) as MannerColumns // every one was said
}

/** The secret sealed to its place; undefined when none was said. */
export function sealedSecret(
  { keyring }: { readonly keyring: Keyring },
  place: Parameters<Keyring['seal']>[1],
  { clientSecret }: ProviderManner,
): string | undefined {
  if (clientSecret === undefined || clientSecret === '') return undefined
  return keyring.seal(new Secret(checkVisible('clientSecret', clientSecret)), place)
}

/** The word for it in addresses: given, or made from its name. */
export function slugOf({ slug, name }: Pick<NewProvider, 'slug' | 'name'>): string {
  const made = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 36)
    .replaceAll(/^-+|-+$/g, '')
  const wanted = slug ?? (made === '' ? 'provider' : made)
  if (slugShape.test(wanted)) return wanted
  throw invalid('slug', 'Use 1 to 36 lower case letters, digits and hyphens.')
}

function checkName(given: string): string {
  const name = given.trim()
  const isFine = name !== '' && name.length <= nameCharsMax && !/\p{C}/u.test(name)
  if (isFine) return name
  throw invalid('name', `Enter a name of at most ${nameCharsMax} characters.`)
}

function checkVisible(field: string, text: string): string {
  if (/^[\x20-\x7E]+$/.test(text) && text.length <= textCharsMax) return text
  throw invalid(field, `Use at most ${textCharsMax} visible ASCII characters.`)
}

function checkUrl(field: string, given: string | undefined): string {
  const parsed = given !== undefined && URL.canParse(given) ? new URL(given) : undefined
  const isFine =
    parsed !== undefined &&
    /^https?:$/.test(parsed.protocol) &&
    parsed.username === '' &&
    parsed.hash === '' &&
    (given ?? '').length <= textCharsMax
  if (isFine) return given ?? ''
  throw invalid(field, `Enter an https address of at most ${textCharsMax} characters.`)
}

function checkScopes(kind: ProviderKind, given: string): string {
  const scopes = [...new Set(given.split(/\s+/).filter((scope) => scope !== ''))]
  const text = scopes.join(' ')
  const isFine = text.length <= textCharsMax && /^[\x20\x21\x23-\x5B\x5D-\x7E]*$/.test(text)
  if (!isFine) throw invalid('scopes', 'Enter scopes with a space between them.')
  if (kind === 'oidc' && !scopes.includes('openid')) {
    throw invalid('scopes', 'An OpenID provider says who somebody is for the scope openid.')
  }
  return text
}

function checkClaims(kind: ProviderKind, given: Partial<ClaimMapping>): ClaimMapping {
  const claims = { ...usualClaims, ...given }
  for (const [name, path] of Object.entries(claims)) {
    if (!/^[\w:/-]+(?:\.[\w:/-]+){0,4}$/.test(path) || path.length > 100) {
      throw invalid('claims', `Enter the name of a member for ${name}; a dot leads into it.`)
    }
  }
  // OIDC Core §5.7: only `iss` and `sub` together never mean anybody else.
  if (kind === 'oidc' && claims.subject !== 'sub') {
    throw invalid('claims', 'An OpenID provider names a person by sub and nothing else.')
  }
  return claims
}

function checkDomain(given: string): string {
  const domain = given.trim().toLowerCase().replace(/^@/, '')
  if (/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(domain)) return domain
  throw invalid('emailDomains', 'Enter domains such as example.com.')
}

function invalid(field: string, words: string): Fault {
  return new Fault('invalid_input', {
    because: `the ${field} cannot be used`,
    detail: { [field]: words },
  })
}
