// What may be said about a server: checks and defaults, without a database and without a network.
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { GrantType } from '../upstream/grant.ts'

/** How a server is reached. */
export const serverAuths = ['none', 'headers', 'oauth', 'provider', 'assertion'] as const
export type ServerAuth = (typeof serverAuths)[number]

/** How the access tokens that we make for a server look: random, or signed for it to read (RFC 9068). */
export const tokenFormats = ['opaque', 'jwt'] as const
export type TokenFormat = (typeof tokenFormats)[number]
/** One scope and what it opens. */
export interface ToolScope {
  readonly scope: string
  /** Names of tools; one that ends in `*` stands for all that begin so. */
  readonly tools: readonly string[]
}

/** Which tools of a server may be called at all, whatever the scopes are. */
export interface ToolPolicy {
  /** Names of tools, as in a scope; absent: all of them. */
  readonly allow?: readonly string[] | undefined
  /** Closed, also where the other list opens them. */
  readonly deny?: readonly string[] | undefined
  /** Only those that say of themselves that they change nothing. */
  readonly readOnly?: boolean | undefined
}

/** A server as somebody describes it. */
export interface ServerInput {
  readonly url: string
  readonly name?: string | undefined
  readonly slug?: string | undefined
  readonly auth?: ServerAuth | undefined
  /** For `provider`: the provider of the tenant whose token it takes. */
  readonly providerId?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly issuer?: string | undefined
  readonly clientId?: string | undefined
  readonly clientSecret?: string | undefined
  /** A private key that proves this client, in PEM or as a JWK; `generate` makes one, and an empty text takes it away. */
  readonly clientKey?: string | undefined
  /** How its tokens are got; by a person who signs in, unless said. */
  readonly grantType?: GrantType | undefined
  /** For `jwt_bearer`: which of the tokens that the platform of this machine keeps for us. */
  readonly workloadToken?: string | undefined
  /** For `id_jag`: where people sign in, and us as a client there. */
  readonly identityProvider?: IdentityProviderInput | undefined
  /** What to ask for where people sign in to it. */
  readonly scopes?: string | undefined
  readonly tokenFormat?: TokenFormat | undefined
  /** How long what discovery found is used again; null: as long as the installation says. */
  readonly metadataCacheMinutes?: number | null | undefined
  /** What clients of ours need for its tools; none: one scope opens all. */
  readonly toolScopes?: readonly ToolScope[] | undefined
  /** Tells the server who calls in plain header fields too. */
  readonly identityHeaders?: boolean | undefined
  /** Which of its tools may be called at all; null: every one. */
  readonly toolPolicy?: ToolPolicy | null | undefined
  /** Ids of people and names of roles that may use it; none: everybody of the tenant. */
  readonly mayUse?: readonly string[] | undefined
}

export interface IdentityProviderInput {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly clientId: string
  readonly clientSecret?: string | undefined
}

const urlCharsMax = 500
const nameCharsMax = 80
const headersMax = 20
const headerValueCharsMax = 4096

/** A URL that we may reach, as it was given. Throws Fault('invalid_input' | 'insecure_endpoint' | 'discovery_blocked'). */
export function checkUrl(outbound: Outbound, given: string): string {
  const url = given.trim()
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (url.length > urlCharsMax || parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw invalid('url', `Enter an https address of at most ${urlCharsMax} characters.`)
  }
  if (parsed.username !== '' || parsed.password !== '' || parsed.hash !== '') {
    throw invalid('url', 'Leave user, password and fragment out of the address.')
  }
  outbound.vet(url)
  return url
}

/** The issuer that an admin names, byte for byte (RFC 8414 §2). */
export function checkIssuer(outbound: Outbound, issuer: string): string {
  if (!URL.canParse(issuer)) throw invalid('issuer', 'Enter the issuer’s https address.')
  outbound.vet(issuer)
  return issuer
}

export function checkName(given: string): string {
  const name = given.trim()
  const isFine = name !== '' && name.length <= nameCharsMax && !/\p{C}/u.test(name)
  if (isFine) return name
  throw invalid('name', `Enter a name of at most ${nameCharsMax} characters.`)
}

/** The words that begin another path of ours. */
const takenSlugs = new Set([
  'api',
  'assets',
  'connect',
  'console',
  'device',
  'graphql',
  'healthz',
  'mcp',
  'metrics',
  'oauth',
  'readyz',
  'setup',
  'sign-in',
  'sign-out',
  't',
  'well-known',
])
const slugShape = /^[a-z0-9-]{1,36}$/
const slugCharsMax = 36

export function checkSlug(slug: string): string {
  if (!slugShape.test(slug)) {
    throw invalid('slug', 'Use 1 to 36 lower case letters, digits and hyphens.')
  }
  if (takenSlugs.has(slug)) throw invalid('slug', 'This word is used by Latchkey itself.')
  return slug
}

/** Slugs made from a name or a host, the nicest first; a finite list, so that trying them ends. */
export function proposeSlugs({
  name,
  url,
}: {
  readonly name: string | undefined
  readonly url: string
}): readonly string[] {
  const base = [name ?? '', hostWord(url), 'server']
    .map(toSlug)
    .find((slug) => slugShape.test(slug) && !takenSlugs.has(slug))
  const stem = base ?? 'server'
  const numbered = Array.from({ length: 50 }, (_, index) => {
    const tail = `-${index + 2}`
    return stem.slice(0, slugCharsMax - tail.length) + tail
  })
  return [stem, ...numbered]
}

/** The word of a host that a person would call the server by: `linear` of `mcp.linear.app`. */
export function hostWord(url: string): string {
  const { hostname } = new URL(url)
  if (/^[\d.]+$/.test(hostname) || hostname.includes(':')) return hostname
  const labels = hostname.split('.')
  return labels.find((label) => !['mcp', 'www', 'api'].includes(label)) ?? hostname
}

function toSlug(text: string): string {
  const words = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
  return words.replace(/^-+/, '').slice(0, slugCharsMax).replace(/-+$/, '')
}

// RFC 9110 §5.6.2 token; values in visible ASCII, so that no value can end a line or be cut off.
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/
const headerValue = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/
// What belongs to the connection or to MCP itself is not anybody's to set.
const reservedHeaders = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Fixed headers (S2-28). No value is repeated in a refusal. */
export function checkHeaders(
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const entries = Object.entries(headers)
  if (entries.length > headersMax) throw invalid('headers', `Use at most ${headersMax} headers.`)
  const names = new Set(entries.map(([name]) => name.toLowerCase()))
  if (names.size < entries.length) throw invalid('headers', 'Name each header once.')
  for (const [name, value] of entries) {
    if (!headerName.test(name)) throw invalid('headers', 'A header name has a wrong character.')
    if (reservedHeaders.has(name.toLowerCase()) || /^x-latchkey-/i.test(name)) {
      throw invalid('headers', `The header ${name} is not yours to set.`)
    }
    if (value.length > headerValueCharsMax || !headerValue.test(value)) {
      throw invalid('headers', `The value of ${name} is too long or has a wrong character.`)
    }
  }
  return headers
}

// RFC 6749 §3.3 and §2.2: what could not be sent is not kept.
const scopeText = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/
const visibleText = /^[\x20-\x7e]+$/

export function checkScopes(scopes: string): string {
  if (scopeText.test(scopes)) return scopes
  throw invalid('scopes', 'Separate the scopes by single spaces.')
}

/** How long a finding may be used: long enough to spare the server, short enough to notice a change (S1-20). */
export const cacheMinutes = { least: 5, most: 43_200 } as const

export function checkCacheMinutes(minutes: number): number {
  const isFine =
    Number.isInteger(minutes) && minutes >= cacheMinutes.least && minutes <= cacheMinutes.most
  if (isFine) return minutes
  const { least, most } = cacheMinutes
  throw invalid('metadataCacheMinutes', `Use whole minutes from ${least} to ${most}.`)
}

export function checkVisible(field: 'clientId' | 'clientSecret', value: string): string {
  if (visibleText.test(value)) return value
  throw invalid(field, 'Use printable characters only.')
}

/** Refuses one field, in words for the caller. */
export function invalid(field: string, words: string): Fault {
  return new Fault('invalid_input', {
    because: `the field ${field} cannot be used`,
    detail: { [field]: words },
  })
}
