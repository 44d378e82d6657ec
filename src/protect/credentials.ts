// Finds the access token in a request (RFC 6750 §2.1, RFC 9449 §7.1). The Authorization field is the only place where one
// may stand; what a DPoP field beside it is worth is not judged here.
import { Secret } from '../base/secret.ts'

/** What the guard reads of a request: a fetch `Request` and Node's `IncomingMessage` both have it. */
export interface GuardedRequest {
  /** The request target or the whole URL; only its query is looked at. */
  readonly url?: string | undefined
  /** Needed where DPoP is taken: a proof is for one method. */
  readonly method?: string | undefined
  readonly headers: HeaderLookup | HeaderFields
  /** Name, value, name, value … as received: where two fields of one name can still be told apart. */
  readonly rawHeaders?: readonly string[]
}

interface HeaderLookup {
  readonly get: (name: string) => string | null
}

interface HeaderFields {
  readonly authorization?: string | undefined
  readonly dpop?: string | readonly string[] | undefined
}

/** What was found. */
export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly scheme: Scheme }
  | { readonly kind: 'token'; readonly scheme: 'Bearer'; readonly token: Secret }
  | {
      readonly kind: 'token'
      readonly scheme: 'DPoP'
      readonly token: Secret
      /** The DPoP fields, each as it was received. */
      readonly proofs: readonly string[]
    }

export type Scheme = 'Bearer' | 'DPoP'

const schemePattern = /^(?<scheme>bearer|dpop)(?: |,|$)/i
// RFC 6750 §2.1, RFC 9449 §7.1: one token68 and nothing else.
const tokenPattern = /^\w+ +(?<token>[A-Za-z0-9\-._~+/]+=*) *$/
const authorizationCharsMax = 8192

/**
 * Reads the credentials in one of these schemes; more than one, or one in the query besides the header, is malformed
 * (RFC 6750 §3.1).
 */
export function readCredentials(request: GuardedRequest, schemes: readonly Scheme[]): Credentials {
  const [field, ...more] = fieldsOf(request, 'authorization')
  // RFC 9700 §4.3.2: a token in the query is not taken, so alone it counts as none.
  if (field === undefined) return { kind: 'none' }
  const scheme = schemeOf(field, schemes)
  if (more.length > 0 || hasTokenInQuery(request.url)) {
    return { kind: 'malformed', scheme: scheme ?? 'Bearer' }
  }
  if (scheme === undefined) return { kind: 'none' }
  if (field.length > authorizationCharsMax) return { kind: 'malformed', scheme }
  const text = tokenPattern.exec(field)?.groups?.['token']
  if (text === undefined) return { kind: 'malformed', scheme }
  const token = new Secret(text)
  if (scheme === 'Bearer') return { kind: 'token', scheme, token }
  return { kind: 'token', scheme, token, proofs: fieldsOf(request, 'dpop') }
}

function schemeOf(field: string, schemes: readonly Scheme[]): Scheme | undefined {
  const word = schemePattern.exec(field)?.groups?.['scheme']?.toLowerCase()
  return schemes.find((scheme) => scheme.toLowerCase() === word)
}

function fieldsOf(
  { headers, rawHeaders }: GuardedRequest,
  name: 'authorization' | 'dpop',
): readonly string[] {
  if (rawHeaders) {
    return rawHeaders.filter(
      (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name,
    )
  }
  const field = isLookup(headers) ? headers.get(name) : headers[name]
  if (field === null || field === undefined) return []
  return typeof field === 'string' ? [field] : field
}

function isLookup(headers: GuardedRequest['headers']): headers is HeaderLookup {
  return 'get' in headers && typeof headers.get === 'function'
}

function hasTokenInQuery(url = ''): boolean {
  const start = url.indexOf('?')
  return start !== -1 && new URLSearchParams(url.slice(start)).has('access_token')
}
