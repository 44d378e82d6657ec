// Well-known providers as data: what is the same for everybody who signs people in there. `{tenant}` stands for the part
// of the address that is the customer's own.
import type { ClaimMapping, ProviderKind } from '../upstream/sign-in-provider.ts'

export interface ProviderPreset {
  readonly id: string
  readonly name: string
  readonly kind: ProviderKind
  readonly issuer: string
  /** What `{tenant}` in the issuer is, for people. */
  readonly tenant?: string
  readonly scopes: string
  /** Where it publishes no metadata. */
  readonly endpoints?: {
    readonly authorizationEndpoint: string
    readonly tokenEndpoint: string
    readonly userinfoEndpoint: string
    readonly emailsEndpoint?: string
  }
  readonly claims?: Partial<ClaimMapping>
}

const usual = 'openid profile email'

export const providerPresets: readonly ProviderPreset[] = [
  {
    id: 'google',
    name: 'Google',
    kind: 'oidc',
    issuer: 'https://accounts.google.com',
    scopes: usual,
  },
  {
    // The tenant's own issuer only: `common` tells a different issuer in every token.
    id: 'microsoft',
    name: 'Microsoft',
    kind: 'oidc',
    issuer: 'https://login.microsoftonline.com/{tenant}/v2.0',
    tenant: 'Directory (tenant) ID',
    scopes: usual,
  },
  {
    id: 'github',
    name: 'GitHub',
    kind: 'oauth2',
    issuer: 'https://github.com/login/oauth',
    scopes: 'read:user user:email',
    endpoints: {
      authorizationEndpoint: 'https://github.com/login/oauth/authorize',
      tokenEndpoint: 'https://github.com/login/oauth/access_token',
      userinfoEndpoint: 'https://api.github.com/user',
      emailsEndpoint: 'https://api.github.com/user/emails',
    },
    claims: { subject: 'id' },
  },
  {
    id: 'okta',
    name: 'Okta',
    kind: 'oidc',
    issuer: 'https://{tenant}',
    tenant: 'Okta domain, such as example.okta.com',
    scopes: usual,
  },
  {
    id: 'auth0',
    name: 'Auth0',
    kind: 'oidc',
    issuer: 'https://{tenant}/',
    tenant: 'Auth0 domain, such as example.eu.auth0.com',
    scopes: usual,
  },
  {
    id: 'clerk',
    name: 'Clerk',
    kind: 'oidc',
    issuer: 'https://{tenant}',
    tenant: 'Frontend API host, such as clerk.example.com',
    scopes: usual,
  },
  {
    id: 'keycloak',
    name: 'Keycloak',
    kind: 'oidc',
    issuer: 'https://{tenant}',
    tenant: 'Host and realm, such as id.example.com/realms/people',
    scopes: usual,
  },
]

/** The one with this issuer, where that is the same for everybody. */
export function presetOf(issuer: string | null | undefined): ProviderPreset | undefined {
  return providerPresets.find((one) => one.issuer === issuer)
}
