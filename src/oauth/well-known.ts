// Where the discovery documents of a resource or an issuer are to be found, best place first (RFC 9728, RFC 8414, OIDC
// Discovery). Asking there is left to upstream.

import { Fault } from '../base/fault.ts'
import { parseHttpUri, type Uri } from './uri.ts'

/** The places of protected resource metadata: with the path first, then at the root (RFC 9728 §3.1). */
export function protectedResourceUrls(resource: string): readonly string[] {
  const { path, query, ...uri } = requireHttpUri(resource)
  const root = `${originOf(uri)}/.well-known/oauth-protected-resource`
  const suffix = (path === '/' ? '' : path) + (query === undefined ? '' : `?${query}`)
  return suffix === '' ? [root] : [root + suffix, root]
}

/** The places of authorization server metadata in the order MCP asks for (RFC 8414 §3.1 and §5, OIDC Discovery §4). */
export function authorizationServerUrls(issuer: string): readonly string[] {
  const { path, query, ...uri } = requireHttpUri(issuer)
  if (query !== undefined) refuse('an issuer has no query (RFC 8414 §2)')
  const origin = originOf(uri)
  const suffix = path.endsWith('/') ? path.slice(0, -1) : path
  const inserted = [
    `${origin}/.well-known/oauth-authorization-server${suffix}`,
    `${origin}/.well-known/openid-configuration${suffix}`,
  ]
  return suffix === ''
    ? inserted
    : [...inserted, `${origin}${suffix}/.well-known/openid-configuration`]
}

function requireHttpUri(text: string): Uri {
  return parseHttpUri(text) ?? refuse('not an absolute http(s) URI without fragment')
}

function originOf({ scheme, authority }: Pick<Uri, 'scheme' | 'authority'>): string {
  return `${scheme}://${authority ?? ''}`
}

function refuse(because: string): never {
  throw new Fault('metadata_discovery_failed', { because })
}
