// How tokens for a server are got: a person is sent to sign in there, or we ask without a browser, with a credential of our
// own or with what somebody else says. The name is kept with the server, the rest with the tokens, so that they can be
// asked for again.

/** All of them, by the names that OAuth gives them. */
export const grantTypes = [
  'authorization_code',
  'client_credentials',
  'jwt_bearer',
  'id_jag',
] as const
export type GrantType = (typeof grantTypes)[number]

/** What has to be known to ask without a browser; no secret in it. */
export type OwnGrant =
  | { readonly kind: 'client_credentials' }
  /** With what the platform of this machine says of us, by its name (SEP-1933). */
  | { readonly kind: 'jwt_bearer'; readonly workloadToken: string }
  /** With what the person's identity provider says of them (enterprise-managed authorization, C32). */
  | { readonly kind: 'id_jag'; readonly identityProvider: IdentityProvider }

/** Us as a client of a person's identity provider. */
export interface IdentityProvider {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly clientId: string
}

/** Says whether a person has to sign in. */
export function needsBrowser(grantType: GrantType): grantType is 'authorization_code' {
  return grantType === 'authorization_code'
}

/** Says whether the tokens are for everybody who may use the server, and for no person. */
export function isForEverybody(grantType: GrantType): boolean {
  return grantType === 'client_credentials' || grantType === 'jwt_bearer'
}
