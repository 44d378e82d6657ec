// Redirect URIs: which may be registered, and which registered one a request means (RFC 6749 §3.1.2, RFC 8252 §7,
// RFC 9700 §2.1). The texts stay as they came: they are compared as bytes and never rewritten.

import { browserAgrees, isLoopbackHost, parseHttpUri, parseUri, uriCharsMax } from './uri.ts'

/** What a client says it is (OIDC Dynamic Client Registration §2). */
export type ApplicationType = 'web' | 'native'

/** Whether a redirect URI may be registered; `because` may be shown to the client's developer. */
export type RedirectUriCheck =
  | { readonly ok: true }
  | { readonly ok: false; readonly because: string }

/** Private-use schemes without a dot that MCP clients are known to own; `web` clients may use them too, as Cursor does. */
export const knownPrivateSchemes: readonly string[] = [
  'claude',
  'cursor',
  'vscode',
  'vscode-insiders',
  'vscodium',
  'warp',
  'windsurf',
]

/** Checks a redirect URI at registration (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1.3). */
export function checkRedirectUri(
  uri: string,
  { applicationType }: { readonly applicationType: ApplicationType },
): RedirectUriCheck {
  const because = textProblem(uri) ?? placeProblem(uri, applicationType)
  return because === undefined ? { ok: true } : { ok: false, because }
}

/** The given URI if it is registered byte for byte, or a registered loopback one on another port (RFC 8252 §7.3). */
export function matchRedirectUri(registered: readonly string[], given: string): string | undefined {
  if (registered.includes(given)) return given
  const wanted = splitLoopback(given)
  if (!wanted) return undefined
  const isRegistered = registered.some((uri) => {
    const known = splitLoopback(uri)
    return known?.host === wanted.host && known.rest === wanted.rest
  })
  return isRegistered ? given : undefined
}

/** What a person is shown as the place they return to: the host name, or scheme and host of a private-use URI. */
export function redirectHost(uri: string): string {
  const { protocol, hostname } = new URL(uri)
  if (protocol === 'https:' || protocol === 'http:') return hostname
  return hostname === '' ? protocol : `${protocol}//${hostname}`
}

/** Says whether the answer goes to a program on the person's own machine (RFC 8252 §7.3). */
export function isLoopbackRedirect(uri: string): boolean {
  return parseHttpUri(uri) !== undefined && isLoopbackHost(new URL(uri).hostname)
}

/** Says whether the URI's scheme belongs to an app rather than to the web (RFC 8252 §7.1). */
export function isPrivateUseRedirect(uri: string): boolean {
  const scheme = parseUri(uri)?.scheme ?? ''
  return knownPrivateSchemes.includes(scheme) || reverseDnsScheme.test(scheme)
}

const reverseDnsScheme = /^[a-z][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)+$/

const textRules: readonly (readonly [RegExp, string])[] = [
  [/[^\x21-\x7E]/, 'holds a character other than printable ASCII'],
  [/#/, 'has a fragment'],
  [/\?$/, 'ends with an empty query'],
  [/%(?:2f|5c|00|25)/i, 'hides a slash, a backslash, a NUL or a percent sign'],
  [/\/\.{1,2}(?:[;/?]|$)/, 'has a dot segment'],
]

function textProblem(uri: string): string | undefined {
  if (uri.length > uriCharsMax) return `is longer than ${uriCharsMax} characters`
  const broken = textRules.find(([pattern]) => pattern.test(uri))
  if (broken) return broken[1]
  if (!parseUri(uri)) return 'is not an absolute URI (RFC 3986 §4.3)'
  return browserAgrees(uri) ? undefined : 'is not what a browser would go to'
}

function placeProblem(uri: string, applicationType: ApplicationType): string | undefined {
  const { protocol } = new URL(uri)
  if (protocol === 'https:' || protocol === 'http:') return hostProblem(uri)
  return privateUseProblem(uri, applicationType)
}

function hostProblem(uri: string): string | undefined {
  if (!parseHttpUri(uri)) return 'names a user, or no plain host'
  const { protocol, hostname, port } = new URL(uri)
  if (port === '0') return 'names port 0'
  if (isLoopbackHost(hostname)) return undefined
  if (protocol === 'http:')
    return 'is http; only 127.0.0.1, [::1] and localhost may be (RFC 8252 §7.3)'
  if (hostname.endsWith('.')) return 'has a host that ends with a dot'
  // Other IPv6 literals can spell a loopback or private IPv4 address (NAT64, 6to4); no app is registered by one.
  return hostname.startsWith('[') ? 'has an IPv6 address other than [::1]' : undefined
}

function privateUseProblem(uri: string, applicationType: ApplicationType): string | undefined {
  const { scheme = '', authority = '', path = '' } = parseUri(uri) ?? {}
  const isKnown = knownPrivateSchemes.includes(scheme)
  if (!isKnown && applicationType === 'web')
    return 'is neither https nor loopback, which a web client needs'
  if (!isKnown && !reverseDnsScheme.test(scheme)) {
    return 'has a scheme that is not a reversed domain name (RFC 8252 §7.1)'
  }
  if (authority.includes('@')) return 'names a user'
  return authority !== '' || path.startsWith('/') ? undefined : 'has no path after its scheme'
}

const loopbackParts = /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(?::([1-9]\d{0,4}))?(\/.*)?$/

function splitLoopback(uri: string): { host: string; rest: string } | undefined {
  const [, host, port = '80', rest = ''] = loopbackParts.exec(uri) ?? []
  if (host === undefined || Number(port) > 65_535) return undefined
  return { host, rest }
}
