// Logs: JSON lines that cannot hold a secret. Fields are redacted by name, and every line once more by what tokens look
// like, at the sink, so that a secret inside an error text is caught too.
import { pino } from 'pino'
import { Secret } from './secret.ts'

export interface Log {
  readonly debug: (fields: Fields, message: string) => void
  readonly info: (fields: Fields, message: string) => void
  readonly warn: (fields: Fields, message: string) => void
  readonly error: (fields: Fields, message: string) => void
  readonly child: (fields: Fields) => Log
}

type Fields = Readonly<Record<string, unknown>>

const redacted = '[redacted]'
const secretName =
  /^(authorization|proxy-authorization|cookie|set-cookie|.*token|.*secret|password|code|state|assertion|.*verifier|api_?key|location)$/i
const secretPattern =
  /\b(?:mcp_(?:at|rt|dc|cs)_|auth_|lk_)[\w-]{8,}|\b(?:Bearer|Basic|DPoP)\s+[\w\-.~+/=]{8,}|\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*|([?&](?:code|state|token|access_token|refresh_token|link)=)[^&\s"\\]+/gi
const depthMaximum = 6

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

/** Takes out whatever looks like a token. */
export function scrub(text: string): string {
  return text.replace(secretPattern, (_match, parameter?: string) =>
    parameter === undefined ? redacted : `${parameter}${redacted}`,
  )
}

interface PinoLike {
  readonly debug: (fields: object, message: string) => void
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
  readonly child: (fields: object) => PinoLike
}

function wrap(logger: PinoLike): Log {
  return {
    debug: (fields, message) => logger.debug(clean(fields, 0) as object, message),
    info: (fields, message) => logger.info(clean(fields, 0) as object, message),
    warn: (fields, message) => logger.warn(clean(fields, 0) as object, message),
    error: (fields, message) => logger.error(clean(fields, 0) as object, message),
    child: (fields) => wrap(logger.child(clean(fields, 0) as object)),
  }
}

/** A copy without secrets: by name, by type, errors as name, message and stack. */
function clean(value: unknown, depth: number): unknown {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Secret || depth > depthMaximum) return redacted
  if (value instanceof Error) return cleanError(value, depth)
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      secretName.test(name) && !isFaultCode(name, item) ? redacted : clean(item, depth + 1),
    ]),
  )
}

function cleanError(error: Error, depth: number): unknown {
  return {
    name: error.name,
    message: scrub(error.message),
    stack: scrub(error.stack ?? ''),
    ...(error.cause === undefined ? {} : { cause: clean(error.cause, depth + 1) }),
  }
}

/** `code` names an authorization code in OAuth and an error code in Node and in our catalogue. */
function isFaultCode(name: string, item: unknown): boolean {
  return (
    name === 'code' &&
    typeof item === 'string' &&
    /^[A-Za-z_]{2,40}$/.test(item) &&
    !/^auth_/.test(item)
  )
}
