// What a client says about itself, at registration (RFC 7591) or in a document at its own URL (CIMD), read into known
// keys. Fetching a document and deciding whom to trust is left to the issuer.

import { z } from 'zod'
import { Fault, callersFault, isFault } from '../base/fault.ts'
import {
  checkRedirectUri,
  isLoopbackRedirect,
  isPrivateUseRedirect,
  type ApplicationType,
} from './redirect-uri.ts'
import { formatScope, isScope, parseScope } from './scope.ts'
import {
  asObject,
  field,
  flag,
  httpsUrl,
  pick,
  shortString,
  shownName,
  type JsonObject,
  type Picked,
} from './shapes.ts'
import { browserAgrees, isLoopbackHost, parseHttpUri } from './uri.ts'

/** The most redirect URIs of one client. */
export const redirectUrisMax = 10

/** The grant types a client may register for (RFC 7591 §2, RFC 8628, RFC 8693, RFC 7523). */
export const knownGrantTypes = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:ietf:params:oauth:grant-type:token-exchange',
  'urn:ietf:params:oauth:grant-type:jwt-bearer',
] as const

/** How a client may prove itself at the token endpoint (RFC 7591 §2, RFC 7523). */
export const knownAuthMethods = [
  'none',
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
] as const

export type GrantType = (typeof knownGrantTypes)[number]
export type AuthMethod = (typeof knownAuthMethods)[number]

/** What we know of a client (RFC 7591 §2, OIDC Dynamic Client Registration §2); frozen, known keys only. */
export interface ClientMetadata extends Picked<typeof descriptiveFields> {
  readonly redirect_uris: readonly string[]
  readonly grant_types: readonly GrantType[]
  readonly response_types: readonly string[]
  readonly token_endpoint_auth_method: AuthMethod
  readonly application_type: ApplicationType
}

/** Reads a registration request with the defaults of RFC 7591 §2; it is refused as a whole or accepted (§3.2.2). */
export function readClientMetadata(json: unknown): ClientMetadata {
  const document = asObject(json) ?? refuse('the metadata is not a JSON object')
  const grants = readGrantTypes(document)
  const redirectUris = readRedirectUris(document, grants)
  const applicationType = readApplicationType(document, redirectUris)
  redirectUris.forEach((uri, index) => requireRedirectUri({ uri, index, applicationType }))
  const metadata: ClientMetadata = {
    ...pick(document, descriptiveFields, (name) => refuse(`${name} is malformed`)),
    redirect_uris: redirectUris,
    ...grants,
    token_endpoint_auth_method:
      readField(document, 'token_endpoint_auth_method', z.enum(knownAuthMethods)) ??
      'client_secret_basic',
    application_type: applicationType,
  }
  requireKeys(metadata)
  return Object.freeze(metadata)
}

/** Reads the document behind a URL used as client id; every refusal is `invalid_client` (CIMD draft §4, MCP authorization). */
export function readClientDocument(json: unknown, url: string): ClientMetadata {
  try {
    return readClientMetadata(requireClientDocument(json, url))
  } catch (error) {
    if (!isFault(error)) throw error
    throw new Fault('invalid_client', {
      because: `the client's document is refused: ${error.because}`,
      cause: error,
    })
  }
}

/** Says whether a client id is the URL of a client's document: https, a path, nothing to normalise (CIMD draft §3). */
export function isClientDocumentUrl(id: string): boolean {
  return checkClientDocumentUrl(id, false)
}

/** The same, where development may also allow plain http on this machine's loopback (CIMD draft §3). */
export function checkClientDocumentUrl(id: string, allowHttpLoopback: boolean): boolean {
  const uri = parseHttpUri(id)
  // A browser resolves dot segments, so a URL that has any does not come back as it was.
  if (!uri || uri.path.length < 2 || !browserAgrees(id)) return false
  const { protocol, hostname } = new URL(id)
  return protocol === 'https:' || (allowHttpLoopback && isLoopbackHost(hostname))
}

// Some clients send '' for a page they don't have.
const webPage = z.union([z.literal('').transform(() => undefined), httpsUrl])
const opaqueText = z.string().min(1).max(255)

const publicKeyFields = {
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: shortString.exactOptional(),
  use: shortString.exactOptional(),
  alg: shortString.exactOptional(),
  crv: shortString.exactOptional(),
  x: shortString.exactOptional(),
  y: shortString.exactOptional(),
  n: shortString.exactOptional(),
  e: shortString.exactOptional(),
  // A private or shared key has no business in a published document (RFC 7517 §9.2).
  d: z.never().exactOptional(),
  k: z.never().exactOptional(),
}

const publicKeys = z.array(z.object(publicKeyFields).readonly()).min(1).max(20).readonly()

/** A set of public keys (RFC 7517 §5); one with a private or shared key in it is none. */
export const publicKeySet = z.object({ keys: publicKeys }).readonly()

const descriptiveFields = {
  client_name: shownName,
  client_uri: webPage,
  logo_uri: webPage,
  policy_uri: webPage,
  tos_uri: webPage,
  jwks_uri: webPage,
  jwks: publicKeySet,
  scope: z
    .string()
    .refine((text) => text === '' || isScope(text))
    .transform((text) => formatScope(parseScope(text)) || undefined),
  contacts: z.array(shortString).max(10).readonly(),
  // RFC 9449 §5.2: every token of this client is bound to a key.
  dpop_bound_access_tokens: flag,
  software_id: opaqueText,
  software_version: opaqueText,
  // RFC 9126 §6.
  require_pushed_authorization_requests: flag,
}

// RFC 7591 §2: only who is answered by a redirect has to say where to.
function readRedirectUris(
  document: JsonObject,
  { response_types: responseTypes }: Pick<ClientMetadata, 'response_types'>,
): readonly string[] {
  const fewest = responseTypes.length === 0 ? 0 : 1
  const list = z.array(z.string()).min(fewest).max(redirectUrisMax).readonly()
  const given = field(document, 'redirect_uris') ?? (fewest === 0 ? [] : undefined)
  const read = list.safeParse(given)
  if (read.success) return read.data
  throw callersFault(
    'invalid_redirect_uri',
    `redirect_uris is not a list of ${fewest} to ${redirectUrisMax} strings`,
  )
}

// OIDC registration's default is `web`; apps that come back to this machine only are native whether they say so or not.
function readApplicationType(
  document: JsonObject,
  redirectUris: readonly string[],
): ApplicationType {
  const said = readField(document, 'application_type', z.enum(['web', 'native']))
  if (said) return said
  const isLocal = (uri: string) => isLoopbackRedirect(uri) || isPrivateUseRedirect(uri)
  return redirectUris.length > 0 && redirectUris.every(isLocal) ? 'native' : 'web'
}

function requireRedirectUri(needs: {
  readonly uri: string
  readonly index: number
  readonly applicationType: ApplicationType
}): void {
  const check = checkRedirectUri(needs.uri, needs)
  if (check.ok) return
  throw callersFault('invalid_redirect_uri', `redirect URI ${needs.index + 1} ${check.because}`)
}

function readGrantTypes(
  document: JsonObject,
): Pick<ClientMetadata, 'grant_types' | 'response_types'> {
  const grants = z.array(z.enum(knownGrantTypes)).min(1).max(knownGrantTypes.length).readonly()
  const grantTypes = readField(document, 'grant_types', grants) ?? ['authorization_code']
  const usesCode = grantTypes.includes('authorization_code')
  const responses = z.array(z.literal('code')).max(1).readonly()
  const responseTypes =
    readField(document, 'response_types', responses) ?? (usesCode ? ['code'] : [])
  // RFC 7591 §2.1: the response type `code` and the grant type `authorization_code` go together.
  if (usesCode !== responseTypes.includes('code')) {
    refuse('grant_types and response_types contradict each other')
  }
  return { grant_types: Object.freeze(grantTypes), response_types: Object.freeze(responseTypes) }
}

// RFC 7591 §2: never both ways of giving keys; RFC 7523 §3: a signature needs one of them.
function requireKeys(metadata: ClientMetadata): void {
  const ways = [metadata.jwks, metadata.jwks_uri].filter((way) => way !== undefined).length
  if (ways > 1) refuse('jwks and jwks_uri are both there')
  if (metadata.token_endpoint_auth_method === 'private_key_jwt' && ways === 0) {
    refuse('private_key_jwt needs jwks or jwks_uri')
  }
}

function requireClientDocument(json: unknown, url: string): JsonObject {
  const document = asObject(json) ?? refuse('it is not a JSON object')
  if (field(document, 'client_id') !== url) refuse('client_id is not the URL it was read from')
  const secrets = ['client_secret', 'client_secret_expires_at']
  if (secrets.some((name) => Object.hasOwn(document, name))) refuse('it holds a client secret')
  if (readField(document, 'client_name', shownName) === undefined) refuse('client_name is missing')
  // CIMD draft §4.1: no secret can be shared through a public document, so only these two can work.
  const methods = z.enum(['none', 'private_key_jwt'])
  const method = readField(document, 'token_endpoint_auth_method', methods) ?? 'none'
  return { ...document, token_endpoint_auth_method: method, grant_types: ourGrantTypes(document) }
}

// A document is written for every authorization server: grant types that we don't have are passed over.
function ourGrantTypes(document: JsonObject): unknown {
  const grantTypes = field(document, 'grant_types')
  if (!Array.isArray(grantTypes)) return grantTypes
  return knownGrantTypes.filter((known) => grantTypes.includes(known))
}

function readField<T>(document: JsonObject, name: string, shape: z.ZodType<T>): T | undefined {
  const value = field(document, name)
  if (value === undefined) return undefined
  const read = shape.safeParse(value)
  return read.success ? read.data : refuse(`${name} is malformed or not supported`)
}

function refuse(because: string): never {
  throw callersFault('invalid_client_metadata', because)
}
