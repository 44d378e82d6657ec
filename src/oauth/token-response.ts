// What a token endpoint answers (RFC 6749 §5), read into a token set or an error. Secrets are wrapped before anything
// else looks at them, and no message here ever repeats a value.

import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { tidyScope } from './scope.ts'
import { asObject, field, type JsonObject } from './shapes.ts'
import { errorDescription } from './shown-text.ts'

/** A successful token response (RFC 6749 §5.1); `expiresAt` in ms since 1970, undefined when the server does not say. */
export interface TokenSet {
  readonly accessToken: Secret
  /** `DPoP` for one that is bound to the key that was proven (RFC 9449 §5). */
  readonly tokenType: 'Bearer' | 'DPoP'
  readonly refreshToken?: Secret
  readonly scope?: string
  readonly expiresAt?: number
  readonly idToken?: Secret
}

/** An error response (RFC 6749 §5.2); the texts are the server's own, in safe characters. */
export interface TokenError {
  readonly error: string
  readonly errorDescription?: string
}

/** The longest token that is kept. */
export const tokenCharsMax = 16_384
/** The longest life time that is believed; a longer one is cut to it. */
export const expiresInMaxS = 10 * 365 * 24 * 60 * 60

/** How the token may be of use: as anybody's who holds it, or with a key that was proven. */
export type UsableTypes = 'bearer' | 'bearer_or_bound' | 'bound'

/** Reads a successful answer at the time `now` (RFC 6749 §5.1); refuses what could not be stored or sent safely. */
export function readTokenResponse(
  json: unknown,
  now: number,
  usable: UsableTypes = 'bearer',
): TokenSet {
  const document = asObject(json) ?? refuse('the answer is not a JSON object')
  const tokenType = readType(document, usable)
  const accessToken = readToken(document, 'access_token', headerText)
  const refreshToken = readToken(document, 'refresh_token', visibleText)
  const idToken = readToken(document, 'id_token', headerText)
  const scope = readScope(document)
  const lifetimeS = readLifetimeS(field(document, 'expires_in'))
  return Object.freeze({
    accessToken: accessToken ?? refuse('access_token is missing'),
    tokenType,
    ...(refreshToken ? { refreshToken } : {}),
    ...(scope === undefined ? {} : { scope }),
    ...(lifetimeS === undefined ? {} : { expiresAt: now + lifetimeS * 1000 }),
    ...(idToken ? { idToken } : {}),
  })
}

/** Says whether an answer is a refusal: by its status, or by an `error` in a 200, as GitHub does it. */
export function isTokenError(status: number, json: unknown): boolean {
  if (status < 200 || status > 299) return true
  const document = asObject(json)
  if (!document) return false
  const error = field(document, 'error')
  return error !== undefined && error !== '' && error !== false
}

/** Reads a refusal (RFC 6749 §5.2); without a usable `error` the status gives one that ends nothing. */
export function readTokenError(status: number, json: unknown): TokenError {
  const document = asObject(json) ?? {}
  const error = field(document, 'error')
  const description = field(document, 'error_description')
  return {
    error: typeof error === 'string' && errorName.test(error) ? error : errorOfStatus(status),
    ...(typeof description === 'string' && description !== ''
      ? { errorDescription: errorDescription(description) }
      : {}),
  }
}

// RFC 6749 appendix A allows a space in a token; RFC 6750 §2.1 does not, and one would split the header it is sent in.
const headerText = /^[\x21-\x7E]+$/
const visibleText = /^[\x20-\x7E]+$/
const errorName = /^[A-Za-z0-9_.:/-]{1,100}$/

// RFC 6749 §7.1: a token of a type we don't know must not be used. Some servers leave the type out.
function readType(document: JsonObject, usable: UsableTypes): TokenSet['tokenType'] {
  const type = field(document, 'token_type') ?? 'Bearer'
  const name = typeof type === 'string' ? type.toLowerCase() : ''
  if (name === 'dpop' && usable !== 'bearer') return 'DPoP'
  // RFC 9449 §5: an answer without the protection that was asked for is thrown away where that matters.
  if (name === 'bearer' && usable !== 'bound') return 'Bearer'
  return refuse(usable === 'bound' ? 'token_type is not DPoP' : 'token_type is not Bearer')
}

function readToken(document: JsonObject, name: string, characters: RegExp): Secret | undefined {
  const value = field(document, name)
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string') return refuse(`${name} is not a string`)
  if (value.length > tokenCharsMax) return refuse(`${name} is longer than ${tokenCharsMax}`)
  return characters.test(value) ? new Secret(value) : refuse(`${name} has a forbidden character`)
}

function readScope(document: JsonObject): string | undefined {
  const scope = field(document, 'scope')
  return typeof scope === 'string' ? tidyScope(scope) : undefined
}

// Servers send numbers, numbers as text, and nonsense; a life time that makes no sense is an unknown one.
function readLifetimeS(value: unknown): number | undefined {
  const isNumber = typeof value === 'number' || (typeof value === 'string' && decimal.test(value))
  const seconds = isNumber ? Math.floor(Number(value)) : Number.NaN
  return seconds > 0 ? Math.min(seconds, expiresInMaxS) : undefined
}

const decimal = /^\d{1,15}(?:\.\d{1,15})?$/

function errorOfStatus(status: number): string {
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

function refuse(because: string): never {
  throw new Fault('token_response_invalid', { because })
}
