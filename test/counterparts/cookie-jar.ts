// Owns cookies the way a browser keeps them (RFC 6265bis): by host and path, with Secure, HttpOnly,
// SameSite, expiry and the name prefixes. Loopback counts as secure, as it does in browsers.
// Ports do not separate cookies; `localhost` and `127.0.0.1` are two hosts.

/** One cookie as it is kept. */
export interface Cookie {
  readonly name: string
  readonly value: string
  readonly host: string
  readonly isHostOnly: boolean
  readonly path: string
  readonly isSecure: boolean
  readonly isHttpOnly: boolean
  readonly sameSite: 'strict' | 'lax' | 'none'
  readonly expiresAt: number
}

/** Where a request comes from, for SameSite (RFC 6265bis §5.6.7.1). */
export interface Navigation {
  readonly method: string
  readonly isCrossSite: boolean
}

/** A jar of cookies. */
export interface CookieJar {
  /** Takes the `set-cookie` lines of an answer; what breaks a rule is not kept. */
  readonly store: (url: URL, lines: readonly string[]) => void
  /** The `cookie` header for a request, or undefined when none is due. */
  readonly headerFor: (url: URL, navigation: Navigation) => string | undefined
  readonly all: () => readonly Cookie[]
}

/** Makes an empty jar. */
export function createCookieJar(now: () => number = Date.now): CookieJar {
  const kept = new Map<string, Cookie>()
  const live = () => [...kept.values()].filter((cookie) => cookie.expiresAt > now())
  return {
    store: (url, lines) => {
      for (const line of lines) {
        const cookie = readCookie(url, line, now())
        if (cookie) kept.set(`${cookie.host}|${cookie.path}|${cookie.name}`, cookie)
      }
    },
    headerFor: (url, navigation) => {
      const due = live().filter((cookie) => isDue(cookie, url, navigation))
      const sorted = due.sort((a, b) => b.path.length - a.path.length)
      if (sorted.length === 0) return undefined
      return sorted.map(({ name, value }) => `${name}=${value}`).join('; ')
    },
    all: live,
  }
}

/** Whether a browser treats the URL as trustworthy, so that Secure cookies work there. */
export function isTrustworthy(url: URL): boolean {
  const isLoopback = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || isLoopback
}

function readCookie(url: URL, line: string, now: number): Cookie | undefined {
  const [pair = '', ...rest] = line.split(';')
  const { name, value } = splitPair(pair)
  const attributes = new Map(
    rest.map((part) => splitPair(part)).map(({ name, value }) => [name.toLowerCase(), value]),
  )
  const domain = attributes.get('domain')?.replace(/^\./, '').toLowerCase()
  const cookie: Cookie = {
    name,
    value,
    host: domain || url.hostname,
    isHostOnly: !domain,
    path: attributes.get('path')?.startsWith('/') ? attributes.get('path')! : defaultPath(url), // just checked
    isSecure: attributes.has('secure'),
    isHttpOnly: attributes.has('httponly'),
    sameSite: readSameSite(attributes.get('samesite')),
    expiresAt: readExpiry(attributes, now),
  }
  return mayBeKept(cookie, url, attributes) ? cookie : undefined
}

function splitPair(text: string): { name: string; value: string } {
  const at = text.indexOf('=')
  if (at < 0) return { name: text.trim(), value: '' }
  return { name: text.slice(0, at).trim(), value: text.slice(at + 1).trim() }
}

// RFC 6265 §5.1.4
function defaultPath(url: URL): string {
  const end = url.pathname.lastIndexOf('/')
  return end <= 0 ? '/' : url.pathname.slice(0, end)
}

function readSameSite(text: string | undefined): Cookie['sameSite'] {
  const value = text?.toLowerCase()
  return value === 'strict' || value === 'none' ? value : 'lax'
}

// RFC 6265 §5.3: Max-Age wins over Expires.
function readExpiry(attributes: ReadonlyMap<string, string>, now: number): number {
  const maxAge = attributes.get('max-age')
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return now + Number(maxAge) * 1000
  const expires = Date.parse(attributes.get('expires') ?? '')
  return Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires
}

// RFC 6265bis §5.7: what a browser refuses to keep.
function mayBeKept(cookie: Cookie, url: URL, attributes: ReadonlyMap<string, string>): boolean {
  const prefix = cookie.name.toLowerCase()
  if (cookie.name === '' && cookie.value === '') return false
  if (!hostMatches(cookie, url)) return false
  if (cookie.isSecure && !isTrustworthy(url)) return false
  if (cookie.sameSite === 'none' && !cookie.isSecure) return false
  if (prefix.startsWith('__secure-') && !cookie.isSecure) return false
  const isHostBound = cookie.isSecure && cookie.isHostOnly && attributes.get('path') === '/'
  return !prefix.startsWith('__host-') || isHostBound
}

function isDue(cookie: Cookie, url: URL, navigation: Navigation): boolean {
  if (!hostMatches(cookie, url) || !pathMatches(cookie.path, url.pathname)) return false
  if (cookie.isSecure && !isTrustworthy(url)) return false
  if (!navigation.isCrossSite || cookie.sameSite === 'none') return true
  return cookie.sameSite === 'lax' && navigation.method === 'GET'
}

function hostMatches(cookie: Cookie, url: URL): boolean {
  if (cookie.host === url.hostname) return true
  return !cookie.isHostOnly && url.hostname.endsWith(`.${cookie.host}`)
}

// RFC 6265 §5.1.4
function pathMatches(cookiePath: string, path: string): boolean {
  if (path === cookiePath) return true
  return path.startsWith(cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`)
}
