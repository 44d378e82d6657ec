// What our authorization server says about itself (RFC 8414). The same document serves OIDC discovery, which some MCP
// clients try first.
import { knownAuthMethods, knownGrantTypes } from '../oauth/client-metadata.ts'
import type { AuthMethod, GrantType } from '../oauth/client-metadata.ts'
import { dpopAlgorithms } from '../oauth/dpop-algorithms.ts'
import type { Tenant } from '../people/tenants.ts'
import { identityScopes, toolsScope } from './scopes.ts'

/** The grant type of a device without a browser (RFC 8628 §3.4). */
export const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code' satisfies GrantType
/** One token for another (RFC 8693 §2.1). */
export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange' satisfies GrantType
/** What somebody we trust says about a person for a token (RFC 7523 §2.1). */
export const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer' satisfies GrantType

/** The grant types that we have (RFC 6749 §4.1, §4.4 and §6, RFC 8628, RFC 8693, RFC 7523). */
export const grantTypeNames = knownGrantTypes
export type GrantTypeName = GrantType

/** How a client may prove itself to us (RFC 8414 §2). */
export const authMethods = knownAuthMethods
export type ClientAuthMethod = AuthMethod

/**
 * The signatures that a client's assertion may have (RFC 8725 §3.1): none of them can be made with a public key.
 * `EdDSA` is the older name of `Ed25519` (RFC 9864 §4.1.2).
 */
export const assertionAlgorithms = ['ES256', 'PS256', 'RS256', 'Ed25519', 'EdDSA'] as const

/** The metadata document of one tenant (RFC 8414 §2, OIDC Discovery §3, RFC 9126 §5, RFC 9207 §3, CIMD draft §5). */
export function issuerMetadata({ issuer }: Tenant): Record<string, unknown> {
  const confidential = authMethods.filter((method) => method !== 'none')
  return {
    issuer,
    authorization_endpoint: `${issuer}/oauth/authorize`,
    pushed_authorization_request_endpoint: `${issuer}/oauth/par`,
    require_pushed_authorization_requests: false,
    token_endpoint: `${issuer}/oauth/token`,
    device_authorization_endpoint: `${issuer}/oauth/device_authorization`,
    registration_endpoint: `${issuer}/oauth/register`,
    revocation_endpoint: `${issuer}/oauth/revoke`,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    userinfo_endpoint: `${issuer}/oauth/userinfo`,
    jwks_uri: `${issuer}/oauth/jwks`,
    scopes_supported: [toolsScope, ...Object.values(identityScopes)],
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: grantTypeNames,
    // The one kind of JWT that the JWT bearer grant takes here (ID-JAG draft §7.2).
    authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
    token_endpoint_auth_methods_supported: authMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    introspection_endpoint_auth_methods_supported: confidential,
    introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    dpop_signing_alg_values_supported: dpopAlgorithms,
    code_challenge_methods_supported: ['S256'],
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
    // OIDC Discovery §3: absent would mean true; the only `request_uri` that is taken is one of ours (RFC 9126).
    request_uri_parameter_supported: false,
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    claims_supported: [
      'iss',
      'sub',
      'aud',
      'exp',
      'iat',
      'nonce',
      'name',
      'email',
      'email_verified',
    ],
  }
}
