// Resource indicators (RFC 8707): which texts name a resource, and when two of them name the same one.
// Whether we know the resource is decided by the issuer.

import { callersFault } from '../base/fault.ts'
import { parseHttpUri, type Uri } from './uri.ts'

/** Reads a `resource` value: an absolute http(s) URI without fragment, returned as it came (RFC 8707 §2). */
export function parseResource(text: string): string | undefined {
  return parseHttpUri(text) ? text : undefined
}

/**
 * The one spelling of an MCP server's URI: scheme and host in lower case, no fragment, no slash after a bare origin;
 * all else as it came (RFC 8707 §2; MCP authorization, "Canonical Server URI").
 */
export function canonicalResource(url: string): string {
  const uri = parseHttpUri(url.split('#', 1)[0] ?? '')
  if (!uri) throw callersFault('invalid_target', 'the resource is not an absolute http(s) URI')
  return canonicalOf(uri)
}

/** Says whether two URIs name one resource; only scheme and host forgive case (RFC 3986 §6.2.2.1, RFC 9728 §3.3). */
export function sameResource(first: string, second: string): boolean {
  const [one, other] = [parseHttpUri(first), parseHttpUri(second)]
  if (!one || !other) return false
  return canonicalOf(one) === canonicalOf(other)
}

function canonicalOf({ scheme, authority = '', path, query }: Uri): string {
  const origin = `${scheme}://${authority}`.toLowerCase()
  if (query !== undefined) return `${origin}${path}?${query}`
  // RFC 3986 §6.2.3: an empty path and "/" are the same request; nothing longer is touched.
  return path === '/' ? origin : `${origin}${path}`
}
