// Finds the access token in a request (RFC 6750 §2.1). The Authorization field is the only place where one may stand.
import { Secret } from '../base/secret.ts'

/** What the guard reads of a request: a fetch `Request` and Node's `IncomingMessage` both have it. */
export interface GuardedRequest {
  /** The request target or the whole URL; only its query is looked at. */
  readonly url?: string | undefined
  readonly headers: HeaderLookup | { readonly authorization?: string | undefined }
  /** Name, value, name, value … as received: where two fields of one name can still be told apart. */
  readonly rawHeaders?: readonly string[]
}

interface HeaderLookup {
  readonly get: (name: string) => string | null
}

/** What was found. */
export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'token'; readonly token: Secret }

// RFC 6750 §2.1: one b64token and nothing else.
const bearerPattern = /^bearer +(?<token>[A-Za-z0-9\-._~+/]+=*) *$/i
const bearerScheme = /^bearer(?: |,|$)/i
const authorizationCharsMax = 8192

/** Reads the credentials; more than one, or one in the query besides the header, is malformed (RFC 6750 §3.1). */
export function readCredentials(request: GuardedRequest): Credentials {
  const [field, ...more] = authorizationFields(request)
  // RFC 9700 §4.3.2: a token in the query is not taken, so alone it counts as none.
  if (field === undefined) return { kind: 'none' }
  if (more.length > 0 || hasTokenInQuery(request.url)) return { kind: 'malformed' }
  if (!bearerScheme.test(field)) return { kind: 'none' }
  if (field.length > authorizationCharsMax) return { kind: 'malformed' }
  const token = bearerPattern.exec(field)?.groups?.['token']
  return token === undefined ? { kind: 'malformed' } : { kind: 'token', token: new Secret(token) }
}

function authorizationFields({ headers, rawHeaders }: GuardedRequest): readonly string[] {
  if (rawHeaders) {
    return rawHeaders.filter(
      (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
    )
  }
  const field = isLookup(headers) ? headers.get('authorization') : headers.authorization
  return typeof field === 'string' ? [field] : []
}

function isLookup(headers: GuardedRequest['headers']): headers is HeaderLookup {
  return 'get' in headers && typeof headers.get === 'function'
}

function hasTokenInQuery(url = ''): boolean {
  const start = url.indexOf('?')
  return start !== -1 && new URLSearchParams(url.slice(start)).has('access_token')
}
