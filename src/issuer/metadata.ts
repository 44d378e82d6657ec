// What our authorization server says about itself (RFC 8414). The same document serves OIDC discovery, which some MCP
// clients try first.
import type { Tenant } from '../people/tenants.ts'
import { toolsScope } from './scopes.ts'

/** The grant types that we have (RFC 6749 §4.1 and §6). */
export const grantTypeNames = ['authorization_code', 'refresh_token'] as const
export type GrantTypeName = (typeof grantTypeNames)[number]

/** How a client may prove itself to us (RFC 8414 §2). */
export const authMethods = ['none', 'client_secret_basic', 'client_secret_post'] as const
export type ClientAuthMethod = (typeof authMethods)[number]

/** The metadata document of one tenant (RFC 8414 §2, OIDC Discovery §3, RFC 9207 §3, CIMD draft §5). */
export function issuerMetadata({ issuer }: Tenant): Record<string, unknown> {
  return {
    issuer,
    authorization_endpoint: `${issuer}/oauth/authorize`,
    token_endpoint: `${issuer}/oauth/token`,
    registration_endpoint: `${issuer}/oauth/register`,
    revocation_endpoint: `${issuer}/oauth/revoke`,
    jwks_uri: `${issuer}/oauth/jwks`,
    scopes_supported: [toolsScope],
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: grantTypeNames,
    token_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint_auth_methods_supported: authMethods,
    code_challenge_methods_supported: ['S256'],
    prompt_values_supported: ['none', 'login', 'consent'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  }
}
