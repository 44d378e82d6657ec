// How tokens for a server are got: a person is sent to sign in there, or we ask without a browser, with a credential of our
// own. The name is kept with the server, the rest with the tokens, so that they can be asked for again.

/** All of them, by the names that OAuth gives them. */
export const grantTypes = ['authorization_code', 'client_credentials'] as const
export type GrantType = (typeof grantTypes)[number]

/** What has to be known to ask without a browser; no secret in it. */
export type OwnGrant = { readonly kind: 'client_credentials' }

/** Says whether a person has to sign in. */
export function needsBrowser(grantType: GrantType): grantType is 'authorization_code' {
  return grantType === 'authorization_code'
}
