// Logs: JSON lines that cannot hold a secret. Fields are redacted by name, and every line once more by what tokens look
// like, at the sink, so that a secret inside an error text is caught too.
import { pino } from 'pino'
import { faultCatalogue, isFault } from './fault.ts'
import { Secret } from './secret.ts'

export interface Log {
  readonly debug: (fields: Fields, message: string) => void
  readonly info: (fields: Fields, message: string) => void
  readonly warn: (fields: Fields, message: string) => void
  readonly error: (fields: Fields, message: string) => void
  readonly child: (fields: Fields) => Log
}

type Fields = Readonly<Record<string, unknown>>

/** Makes a log of this level; each line goes to `write`. */
export function createLog(
  level: string,
  write: (line: string) => void = (line) => void process.stdout.write(line),
): Log {
  const stream = { write: (line: string) => write(scrub(line)) }
  return wrap(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream))
}

/** A log that keeps nothing. */
export const silentLog: Log = createLog('silent', () => {})

const redacted = '[redacted]'

// What tokens look like: ours by prefix, an Authorization value, a JWT. In a line a break is written `\n`, so a letter
// may stand before one.
const tokenPattern =
  /mcp_(?:at|rt|dc|cs|reg)_[\w-]{8,}|(?:\b|(?<=\\[nrt]))(?:lk_[\w-]{8,}|whsec_[A-Za-z0-9+/]{8,}|auth_[\w-]{20,}|(?:Bearer|Basic|DPoP)\s+[\w\-.~+/=]{8,}|eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*)/gi
// The value after a secret's name: in a form, a query or JSON text, plain or inside another JSON text.
const secretParameter =
  '(?:code|state|token|access_token|refresh_token|id_token|client_secret|client_assertion|code_verifier|device_code|user_code|assertion|password|link)'
const formPattern = new RegExp(
  `((?:(?<![\\w.-])|(?<=\\\\[nrt]))${secretParameter}=)[^&\\s"\\\\]+`,
  'gi',
)
const jsonPattern = new RegExp(`(\\\\+"${secretParameter}\\\\+"\\s*:\\s*\\\\+")[^"\\\\]+`, 'gi')
// The password in a URL.
const userInfoPattern = /(:\/\/[^\s/:@"\\]*:)[^\s/@"\\]+(?=@)/g
// A header line inside a text: everything up to the end of the line is its value.
const headerPattern = /((?:proxy-)?authorization|(?:set-)?cookie)(:\s*)[^"\\\r\n]+/gi

/** Takes out whatever looks like a token. */
export function scrub(text: string): string {
  return text
    .replace(tokenPattern, redacted)
    .replace(formPattern, `$1${redacted}`)
    .replace(jsonPattern, `$1${redacted}`)
    .replace(userInfoPattern, `$1${redacted}`)
    .replace(headerPattern, `$1$2${redacted}`)
}

interface PinoLike {
  readonly isLevelEnabled: (level: string) => boolean
  readonly debug: (fields: object, message: string) => void
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
  readonly child: (fields: object) => PinoLike
}

type Level = 'debug' | 'info' | 'warn' | 'error'

function wrap(logger: PinoLike): Log {
  const at = (level: Level) => (fields: Fields, message: string) => {
    if (logger.isLevelEnabled(level)) logger[level](cleanFields(fields), message)
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(logger.child(cleanFields(fields))),
  }
}

const depthMaximum = 6
const entriesMaximum = 50
const secretName =
  /^(?:.*authorization|.*(?:cookie|token|secret|password|credential)s?|passphrase|code|(?:auth|authorization|device|user)_?code|state|.*assertion|.*verifier|.*(?:api|private|master|signing)[-_]?keys?|session(?:[-_]?id)?|location|link|(?:raw)?headers|body)$/i

function cleanFields(fields: Fields): object {
  return Object.fromEntries(cleanEntries(fields, 0))
}

/** A copy without secrets: by name, by type, errors as name, message and stack. */
function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'function') return undefined // a toJSON among them would write in our stead
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Secret || ArrayBuffer.isView(value) || depth > depthMaximum) return redacted
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Error) return cleanError(value, depth)
  if (Array.isArray(value)) {
    return value.slice(0, entriesMaximum).map((item) => clean(item, depth + 1))
  }
  return Object.fromEntries(cleanEntries(value, depth))
}

function cleanEntries(value: object, depth: number): readonly (readonly [string, unknown])[] {
  const entries: readonly (readonly [string, unknown])[] = Object.entries(value)
  return entries
    .slice(0, entriesMaximum)
    .map(([name, item]) => [name, isSecret(name, item) ? redacted : clean(item, depth + 1)])
}

/** Of an error only what every error has: what libraries add to theirs can be a whole request. */
function cleanError(error: Error, depth: number): unknown {
  const code: unknown = Reflect.get(error, 'code')
  return {
    name: error.name,
    ...(isErrorCode(code) ? { code } : {}),
    message: error.message,
    stack: error.stack,
    ...(isFault(error) ? { because: error.because } : {}),
    ...(error instanceof AggregateError ? { errors: clean(error.errors, depth + 1) } : {}),
    ...(error.cause === undefined ? {} : { cause: clean(error.cause, depth + 1) }),
  }
}

function isSecret(name: string, item: unknown): boolean {
  if (item === null || item === undefined || typeof item === 'boolean') return false
  return secretName.test(name) && !(name === 'code' && isErrorCode(item))
}

// Node's, undici's, SQLite's and OpenSSL's names; SQLSTATE (five characters).
const errorCodePattern =
  /^(?:E[A-Z]{3,14}|EAI_[A-Z]{3,10}|(?:UND_)?ERR_[A-Z0-9_]{2,60}|[0-9A-Z]{5})$/

/** `code` names an authorization code in OAuth and an error in Node and in our catalogue. */
function isErrorCode(code: unknown): boolean {
  if (typeof code === 'number') return true
  if (typeof code !== 'string') return false
  return Object.hasOwn(faultCatalogue, code) || errorCodePattern.test(code)
}
