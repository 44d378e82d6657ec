// The `WWW-Authenticate` field: read from strangers (RFC 9110 §11.6.1) and written by us (RFC 6750 §3, RFC 9728 §5.1,
// RFC 9449 §7.1). Reading walks the text once from left to right, so its time grows with the length and nothing makes it throw.

import { isScopeToken, tidyScope } from './scope.ts'
import { errorDescription } from './shown-text.ts'
import { parseHttpUri } from './uri.ts'

/** One challenge (RFC 9110 §11.3); parameter names are in lower case, the first of a name counts. */
export interface Challenge {
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
  readonly token68?: string
}

/** What a Bearer challenge says (RFC 6750 §3, RFC 9728 §5.1). */
export interface BearerChallenge {
  readonly resourceMetadata?: string
  readonly scope?: string
  readonly error?: string
  readonly errorDescription?: string
}

/** The longest field that is read; a longer one counts as no challenge. */
export const challengeCharsMax = 65_536

/** The most challenges of one field that are read; those after them count as not sent. */
export const challengesMax = 32

/** Reads the challenges of a field value; what breaks the grammar is skipped (RFC 9110 §11.6.1). */
export function parseChallenges(header: string): readonly Challenge[] {
  if (header.length > challengeCharsMax) return []
  const challenges: Challenge[] = []
  let parameters: Record<string, string> | undefined
  for (let at = 0; at < header.length;) {
    const element = readElement(header, at)
    if (element.kind === 'scheme') {
      if (challenges.length === challengesMax) return challenges
      const { scheme, token68 } = element
      parameters = noParameters()
      challenges.push({ scheme, parameters, ...(token68 === undefined ? {} : { token68 }) })
    }
    if (element.kind === 'parameter' && parameters) parameters[element.name] ??= element.value
    at = element.end
  }
  return challenges
}

/** The first Bearer challenge of a field value; an address that is not http(s) is left out (RFC 6750 §3). */
export function bearerChallenge(header: string | null): BearerChallenge | undefined {
  if (header === null) return undefined
  const bearer = parseChallenges(header).find(({ scheme }) => scheme.toLowerCase() === 'bearer')
  return bearer && readTokenChallenge(bearer)
}

/** What a server asks for: what its first challenge for a token says, and how the token may be shown. */
export interface TokenChallenge extends BearerChallenge {
  /** RFC 9449 §7.1: `required` where only proofs are taken, `offered` where they are taken too. */
  readonly proofs?: 'required' | 'offered'
}

/** The same, where a token that is bound to a key is as good (RFC 9449 §7.1); what Bearer says counts first. */
export function tokenChallenge(header: string | null): TokenChallenge | undefined {
  const challenges = parseChallenges(header ?? '')
  const find = (name: string) => challenges.find(({ scheme }) => scheme.toLowerCase() === name)
  const [bearer, dpop] = [find('bearer'), find('dpop')]
  const first = bearer ?? dpop
  if (first === undefined) return undefined
  const read = readTokenChallenge(first)
  if (dpop === undefined) return read
  return { ...read, proofs: bearer === undefined ? 'required' : 'offered' }
}

function readTokenChallenge({ parameters }: Challenge): BearerChallenge {
  const { resource_metadata: url = '', scope = '', error = '' } = parameters
  const { error_description: description = '' } = parameters
  const scopes = tidyScope(scope)
  return {
    ...(parseHttpUri(url) ? { resourceMetadata: url } : {}),
    ...(scopes === undefined ? {} : { scope: scopes }),
    ...(isScopeToken(error) ? { error } : {}),
    ...(description === '' ? {} : { errorDescription: errorDescription(description) }),
  }
}

/** Writes a Bearer challenge (RFC 6750 §3, RFC 9728 §5.1). */
export function formatBearerChallenge(parts: BearerChallenge): string {
  const { resourceMetadata, scope, error, errorDescription: description } = parts
  return format('Bearer', [
    ['resource_metadata', resourceMetadata],
    ['scope', scope],
    ['error', error],
    ['error_description', description === undefined ? undefined : errorDescription(description)],
  ])
}

/** What a DPoP challenge says (RFC 9449 §7.1). */
export interface DpopChallenge {
  readonly error?: string
  readonly errorDescription?: string
  /** The signatures that a proof may have. */
  readonly algorithms: readonly string[]
}

/** Writes a DPoP challenge (RFC 9449 §7.1). */
export function formatDpopChallenge(parts: DpopChallenge): string {
  const { error, errorDescription: description, algorithms } = parts
  return format('DPoP', [
    ['error', error],
    ['error_description', description === undefined ? undefined : errorDescription(description)],
    ['algs', algorithms.join(' ')],
  ])
}

/** One refusal as our two schemes say it. */
export interface Challenges {
  readonly bearer: Omit<BearerChallenge, 'error' | 'errorDescription'>
  /** The signatures that a proof may have; absent where no proof is taken, so that Bearer stands alone. */
  readonly algorithms: readonly string[] | undefined
  /** The scheme that was used. */
  readonly scheme: 'Bearer' | 'DPoP'
  readonly error: Pick<BearerChallenge, 'error' | 'errorDescription'>
}

/**
 * Writes a Bearer challenge and beside it a DPoP one. Many clients read the first only, so Bearer with the way to sign-in
 * always stands there; the error is told to the scheme that was used (RFC 9449 §7.1).
 */
export function formatChallenges({ bearer, algorithms, scheme, error }: Challenges): string {
  const first = formatBearerChallenge({ ...bearer, ...(scheme === 'Bearer' ? error : {}) })
  if (algorithms === undefined) return first
  const second = formatDpopChallenge({ ...(scheme === 'DPoP' ? error : {}), algorithms })
  return `${first}, ${second}`
}

type Parameter = readonly [name: string, value: string | undefined]

function format(scheme: string, parameters: readonly Parameter[]): string {
  const written = parameters.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quote(value)}`],
  )
  return written.length === 0 ? scheme : `${scheme} ${written.join(', ')}`
}

type Element =
  | {
      readonly kind: 'scheme'
      readonly scheme: string
      readonly token68?: string
      readonly end: number
    }
  | {
      readonly kind: 'parameter'
      readonly name: string
      readonly value: string
      readonly end: number
    }
  | { readonly kind: 'noise'; readonly end: number }

// Every pattern is sticky and each part of it ends where the next cannot go on, so none of them tries twice.
const separatorPattern = /[\s,]+/y
const tokenPattern = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const equalsPattern = /[ \t]*=[ \t]*/y
const schemeEndPattern = /[\s,]|$/y
const token68Pattern = /[ \t]+([A-Za-z0-9\-._~+/]+=*)(?=[ \t]*(?:,|$))/y
// RFC 9110 wants quotes around a URL; some servers leave them off, and nothing else could be meant.
const bareValuePattern = /[^\s,"]+/y
const plainTextPattern = /[^"\\]+/y

function readElement(text: string, at: number): Element {
  const separator = matchAt(separatorPattern, text, at)
  if (separator) return { kind: 'noise', end: at + separator[0].length }
  if (text[at] === '"') return { kind: 'noise', end: readQuoted(text, at).end }
  const token = matchAt(tokenPattern, text, at)?.[0]
  if (token === undefined) return { kind: 'noise', end: at + 1 }
  const end = at + token.length
  const equals = matchAt(equalsPattern, text, end)
  if (equals) return readParameter(text, { name: token, valueAt: end + equals[0].length })
  return matchAt(schemeEndPattern, text, end)
    ? readScheme(text, token, end)
    : { kind: 'noise', end }
}

function readScheme(text: string, scheme: string, at: number): Element {
  const found = matchAt(token68Pattern, text, at)
  if (found?.[1] === undefined) return { kind: 'scheme', scheme, end: at }
  return { kind: 'scheme', scheme, token68: found[1], end: at + found[0].length }
}

function readParameter(text: string, start: { name: string; valueAt: number }): Element {
  const { value, end } = readValue(text, start.valueAt)
  if (value === undefined || hasControl.test(value)) return { kind: 'noise', end }
  return { kind: 'parameter', name: start.name.toLowerCase(), value, end }
}

interface Value {
  readonly value?: string
  readonly end: number
}

function readValue(text: string, at: number): Value {
  if (text[at] === '"') return readQuoted(text, at)
  const bare = matchAt(bareValuePattern, text, at)
  return bare ? { value: bare[0], end: at + bare[0].length } : { end: at }
}

// RFC 9110 §5.6.4; a string that is never closed takes the rest of the field with it and has no value.
function readQuoted(text: string, opening: number): Value {
  const pieces: string[] = []
  let at = opening + 1
  while (at < text.length) {
    if (text[at] === '"') return { value: pieces.join(''), end: at + 1 }
    const piece = text[at] === '\\' ? text.slice(at + 1, at + 2) : plainPiece(text, at)
    at += text[at] === '\\' ? 2 : piece.length
    pieces.push(piece)
  }
  return { end: text.length }
}

function plainPiece(text: string, at: number): string {
  return matchAt(plainTextPattern, text, at)?.[0] ?? ''
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

const hasControl = /[\x00-\x08\x0A-\x1F\x7F]/

// Names come from strangers: without a prototype, `constructor` is just a name.
function noParameters(): Record<string, string> {
  return Object.create(null) as Record<string, string> // Object.create is typed as any.
}

function quote(value: string): string {
  const printable = value.replace(/[^\x20-\x7E]/g, '?')
  return `"${printable.replace(/["\\]/g, '\\$&')}"`
}
