// The documents an authorization server and a protected resource publish about themselves (RFC 8414, RFC 9728), read
// into known keys. Whether an address in them may be reached is for base/outbound to say.

import type { z } from 'zod'
import { Fault } from '../base/fault.ts'
import {
  asObject,
  field,
  flag,
  httpUrl,
  pick,
  scopeList,
  shortString,
  shownName,
  stringList,
  type JsonObject,
  type Picked,
} from './shapes.ts'
import { parseResource } from './resource.ts'
import { parseHttpUri } from './uri.ts'

/** Authorization server metadata (RFC 8414 §2, OIDC Discovery §3); frozen, known keys only. */
export interface AuthorizationServerMetadata extends Picked<typeof authorizationServerFields> {
  readonly issuer: string
  readonly authorization_endpoint: string
  readonly token_endpoint: string
  readonly response_types_supported: readonly string[]
  readonly authorization_response_iss_parameter_supported?: boolean
}

/** Protected resource metadata (RFC 9728 §2); frozen, known keys only. */
export interface ProtectedResourceMetadata extends Picked<typeof protectedResourceFields> {
  readonly resource: string
  readonly authorization_servers?: readonly string[]
}

/** Reads authorization server metadata whose issuer is, byte for byte, the one asked for (RFC 8414 §3.3). */
export function readAuthorizationServerMetadata(
  json: unknown,
  issuer: string,
): AuthorizationServerMetadata {
  const document = asObject(json) ?? refuse('the document is not a JSON object')
  requireIssuer(document, issuer)
  const metadata: AuthorizationServerMetadata = {
    ...pick(document, authorizationServerFields),
    issuer,
    authorization_endpoint: requireEndpoint(document, 'authorization_endpoint'),
    token_endpoint: requireEndpoint(document, 'token_endpoint'),
    response_types_supported: requireField(document, 'response_types_supported', stringList),
    ...readIssuerFlag(document),
  }
  return Object.freeze(metadata)
}

/** Refuses a server that does not say it knows S256; an absent list is no promise (MCP authorization; OAuth 2.1 §7.5). */
export function requireS256(metadata: AuthorizationServerMetadata): void {
  if (metadata.code_challenge_methods_supported?.includes('S256')) return
  throw new Fault('pkce_unsupported', {
    because: 'code_challenge_methods_supported does not name S256',
  })
}

/** Reads protected resource metadata; comparing `resource` with the server's URI is the caller's step (RFC 9728 §3.3). */
export function readProtectedResourceMetadata(json: unknown): ProtectedResourceMetadata {
  const document = asObject(json) ?? refuse('the document is not a JSON object')
  const resource = field(document, 'resource')
  if (typeof resource !== 'string' || parseResource(resource) === undefined) {
    return refuse('resource is missing or not an absolute http(s) URI')
  }
  return Object.freeze({ ...pick(document, protectedResourceFields), resource })
}

const authorizationServerFields = {
  registration_endpoint: httpUrl,
  revocation_endpoint: httpUrl,
  introspection_endpoint: httpUrl,
  userinfo_endpoint: httpUrl,
  pushed_authorization_request_endpoint: httpUrl,
  jwks_uri: httpUrl,
  scopes_supported: scopeList,
  grant_types_supported: stringList,
  token_endpoint_auth_methods_supported: stringList,
  token_endpoint_auth_signing_alg_values_supported: stringList,
  revocation_endpoint_auth_methods_supported: stringList,
  id_token_signing_alg_values_supported: stringList,
  code_challenge_methods_supported: stringList,
  authorization_grant_profiles_supported: stringList,
  client_id_metadata_document_supported: flag,
  dpop_signing_alg_values_supported: stringList,
  require_pushed_authorization_requests: flag,
}

/** The most authorization servers of one resource that are looked at. */
const authorizationServersMax = 20

const issuerList = stringList.transform((issuers) =>
  Object.freeze(issuers.filter(isIssuer).slice(0, authorizationServersMax)),
)

const protectedResourceFields = {
  authorization_servers: issuerList,
  scopes_supported: scopeList,
  bearer_methods_supported: stringList,
  dpop_signing_alg_values_supported: stringList,
  dpop_bound_access_tokens_required: flag,
  resource_name: shownName,
  resource_documentation: httpUrl,
  jwks_uri: httpUrl,
}

// RFC 8414 §2: an issuer has neither query nor fragment.
function isIssuer(text: string): boolean {
  const uri = parseHttpUri(text)
  return uri !== undefined && uri.query === undefined
}

function requireIssuer(document: JsonObject, issuer: string): void {
  const found = field(document, 'issuer')
  if (typeof found !== 'string') refuse('issuer is missing')
  if (found === issuer) return
  throw new Fault('issuer_mismatch', {
    because: `the document is of issuer ${JSON.stringify(found.slice(0, 200))}, asked was ${issuer}`,
  })
}

function requireEndpoint(document: JsonObject, name: string): string {
  const url = requireField(document, name, shortString)
  if (parseHttpUri(url)) return url
  if (!otherScheme.test(url)) return refuse(`${name} is not an absolute URL`)
  throw new Fault('insecure_endpoint', { because: `${name} is not an http(s) URL` })
}

const otherScheme = /^(?!https?:)[a-z][a-z0-9+.-]*:/i

function requireField<T>(document: JsonObject, name: string, shape: z.ZodType<T>): T {
  const read = shape.safeParse(field(document, name))
  return read.success ? read.data : refuse(`${name} is missing or malformed`)
}

// RFC 9207 §3: read as "no", a malformed flag would switch the mix-up defence off; so it is not read at all.
function readIssuerFlag(document: JsonObject): {
  authorization_response_iss_parameter_supported?: boolean
} {
  const name = 'authorization_response_iss_parameter_supported'
  return pick(document, { [name]: flag }, () => refuse(`${name} is not a boolean`))
}

function refuse(because: string): never {
  throw new Fault('metadata_discovery_failed', { because })
}
