// What an identity provider publishes about itself (OIDC Discovery §4, RFC 8414 §3), for who wants to sign people in there.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import { readAuthorizationServerMetadata } from '../oauth/metadata.ts'
import type { AuthorizationServerMetadata } from '../oauth/metadata.ts'
import { authorizationServerUrls } from '../oauth/well-known.ts'
import { completedMetadata, spelledIssuer } from './adapt.ts'
import { asDiscovery, readDocument } from './protected-resource.ts'
import type { ProviderEndpoints, ProviderKind } from './sign-in-provider.ts'
import { createTrace } from './trace.ts'

/** What was found. */
export interface ProviderMetadata {
  /** As the provider spells it. */
  readonly issuer: string
  readonly endpoints: ProviderEndpoints
  readonly authMethods?: readonly string[] | undefined
  readonly scopes?: readonly string[] | undefined
}

interface Needs {
  readonly outbound: Outbound
  readonly clock: Clock
}

// S4-41: for all requests of one look together.
const lookTimeMs = 10_000

/**
 * Looks. The issuer is compared byte for byte. Throws Fault: insecure_endpoint, discovery_blocked, name_unresolved,
 * server_unreachable, issuer_mismatch, pkce_unsupported, metadata_discovery_failed.
 */
export function findProviderMetadata(
  { outbound, clock }: Needs,
  { kind, issuer }: { readonly kind: ProviderKind; readonly issuer: string },
): Promise<ProviderMetadata> {
  outbound.vet(issuer)
  const tools = { outbound, trace: createTrace(clock), signal: AbortSignal.timeout(lookTimeMs) }
  return asDiscovery(async () => {
    for (const url of inOrder(kind, authorizationServerUrls(issuer))) {
      const document = await readDocument(tools, 'authorization_server_metadata', url)
      if (document === undefined) continue
      const completed = completedMetadata(issuer, document)
      const spelled = spelledIssuer(issuer, completed)
      return described(outbound, kind, readAuthorizationServerMetadata(completed, spelled))
    }
    throw new Fault('metadata_discovery_failed', { because: 'the issuer publishes no metadata' })
  })
}

/** OIDC Discovery §4.1 puts its document behind the path of the issuer; RFC 8414 §3.1 puts its own before it. */
function inOrder(kind: ProviderKind, urls: readonly string[]): readonly string[] {
  const isOpenid = (url: string) => url.includes('openid-configuration')
  const [first, second] = [urls.filter(isOpenid).reverse(), urls.filter((url) => !isOpenid(url))]
  return kind === 'oidc' ? [...first, ...second] : [...second, ...first]
}

async function described(
  outbound: Outbound,
  kind: ProviderKind,
  metadata: AuthorizationServerMetadata,
): Promise<ProviderMetadata> {
  requirePkce(metadata)
  if (kind === 'oidc' && metadata.jwks_uri === undefined) lacks('jwks_uri')
  if (kind === 'oauth2' && metadata.userinfo_endpoint === undefined) lacks('userinfo_endpoint')
  const endpoints: ProviderEndpoints = {
    authorizationEndpoint: metadata.authorization_endpoint,
    tokenEndpoint: metadata.token_endpoint,
    userinfoEndpoint: metadata.userinfo_endpoint,
    jwksUri: metadata.jwks_uri,
    revocationEndpoint: metadata.revocation_endpoint,
    isIssuerExpected: metadata.authorization_response_iss_parameter_supported === true,
  }
  await vetEndpoints(outbound, endpoints)
  return {
    issuer: metadata.issuer,
    endpoints,
    authMethods: metadata.token_endpoint_auth_methods_supported,
    scopes: metadata.scopes_supported,
  }
}

/** Every address that we reach, and the one that a browser does. Throws Fault('insecure_endpoint' | 'discovery_blocked' | …). */
export async function vetEndpoints(
  outbound: Outbound,
  { authorizationEndpoint, isIssuerExpected: _flag, ...ours }: ProviderEndpoints,
): Promise<void> {
  for (const url of Object.values(ours)) if (url !== undefined) outbound.vet(url)
  await outbound.vetResolved(authorizationEndpoint)
}

/** PKCE is always sent (RFC 9700 §2.1.1); who lists methods and not S256 would not honour it. */
function requirePkce({ code_challenge_methods_supported: methods }: AuthorizationServerMetadata) {
  if (methods === undefined || methods.includes('S256')) return
  throw new Fault('pkce_unsupported', {
    because: 'code_challenge_methods_supported does not name S256',
  })
}

function lacks(member: string): never {
  throw new Fault('metadata_discovery_failed', { because: `the metadata have no ${member}` })
}
