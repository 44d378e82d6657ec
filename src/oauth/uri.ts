// A URI read as text (RFC 3986 appendix B) without changing one byte of it. What a browser makes of the same text is
// only asked whether it agrees; which URI is fit for which use is decided by the files that own the use.

/** The parts of a URI as they stand in the text (RFC 3986 §3); a part that is missing is undefined, not empty. */
export interface Uri {
  readonly scheme: string
  readonly authority: string | undefined
  readonly path: string
  readonly query: string | undefined
  readonly fragment: string | undefined
}

/** The longest URI that is read at all. */
export const uriCharsMax = 2048

const uriCharacters = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/
const uriParts = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/
const hostAndPort = /^(?:[A-Za-z0-9\-._]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

/** Reads an absolute URI of RFC 3986 characters, or nothing. */
export function parseUri(text: string): Uri | undefined {
  if (text.length > uriCharsMax || !uriCharacters.test(text)) return undefined
  const parts = uriParts.exec(text)
  if (!parts) return undefined
  const [, scheme = '', authority, path = '', query, fragment] = parts
  return { scheme, authority, path, query, fragment }
}

/** Reads an absolute http(s) URI with a plain host: no user, no fragment (RFC 8414 §2, RFC 8707 §2). */
export function parseHttpUri(text: string): Uri | undefined {
  const uri = parseUri(text)
  if (!uri || !/^https?$/i.test(uri.scheme)) return undefined
  if (uri.fragment !== undefined || !hostAndPort.test(uri.authority ?? '')) return undefined
  return URL.canParse(text) ? uri : undefined
}

/** Says whether a browser would go to exactly these bytes; a bare origin may lack its closing slash. */
export function browserAgrees(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { href, pathname, search } = new URL(text)
  return href === text || (href === `${text}/` && pathname === '/' && search === '')
}

/** The hosts that only this machine answers on (RFC 8252 §7.3), as a browser writes them. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === '127.0.0.1' || hostname === '[::1]' || hostname === 'localhost'
}
