// Every setting: its name, default, check and words. The only file that reads the environment; everything else is given
// what it needs.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { createAddressRules } from './base/addresses.ts'
import { Secret } from './base/secret.ts'

/** All settings, checked. Times are milliseconds. */
export interface Config {
  /** The default tenant's origin, which is its issuer byte for byte. */
  readonly publicUrl: string
  readonly listen: { readonly host: string; readonly port: number }
  /** Where the measurements are served without a key; nowhere unless said. */
  readonly metricsListen: { readonly host: string; readonly port: number } | undefined
  readonly dataFolder: string
  readonly databaseUrl: Secret | undefined
  readonly key: Secret | undefined
  readonly keyFile: string
  readonly operator: { readonly email: string; readonly password: Secret } | undefined
  readonly allowPrivateNetworks: readonly string[]
  readonly logLevel: string
  readonly accessTokenLifetimeMs: number
  readonly refreshTokenLifetimeMs: number
  readonly codeLifetimeMs: number
  readonly signingKeyLifetimeMs: number
  readonly discoveryCacheMs: number
  readonly workloadTokenFolder: string | undefined
  /** Origins of apps to which a sign-in elsewhere may return, besides our own. */
  readonly returnOrigins: readonly string[]
  /** Networks of proxies whose word about a caller's address is taken. */
  readonly trustedProxies: readonly string[]
  readonly limitScale: number
  readonly callsPerMinute: number
}

/** A setting as `latchkey config` shows it. */
export interface Setting {
  readonly name: string
  readonly fallback: string | undefined
  readonly words: string
  readonly isSecret?: boolean
}

/** All settings in the order in which they are shown. */
const settings = [
  {
    name: 'LATCHKEY_PUBLIC_URL',
    fallback: undefined,
    words:
      'the origin under which people and programs reach this; https unless it is loopback; if not set, localhost with the port of LATCHKEY_LISTEN',
  },
  {
    name: 'LATCHKEY_LISTEN',
    fallback: '127.0.0.1:8787',
    words: 'the address and port to listen on',
  },
  {
    name: 'LATCHKEY_METRICS_LISTEN',
    fallback: undefined,
    words:
      'an address and port for /metrics alone, open to whoever reaches it; otherwise /metrics needs an API key',
  },
  {
    name: 'LATCHKEY_DATA',
    fallback: './data',
    words:
      'the folder of the embedded database and the key, and of refreshed tokens that a database could not take',
  },
  {
    name: 'LATCHKEY_DATABASE_URL',
    fallback: undefined,
    words: 'postgres://… turns the embedded database off',
    isSecret: true,
  },
  {
    name: 'LATCHKEY_KEY',
    fallback: undefined,
    words: 'the master key: 32 bytes in base64url; several, newest first, while rotating',
    isSecret: true,
  },
  {
    name: 'LATCHKEY_KEY_FILE',
    fallback: undefined,
    words:
      'the file with the master key; made in LATCHKEY_DATA at first start, readable by its owner only',
  },
  {
    name: 'LATCHKEY_OPERATOR_EMAIL',
    fallback: undefined,
    words: 'makes the first operator without a browser, together with the password',
  },
  {
    name: 'LATCHKEY_OPERATOR_PASSWORD',
    fallback: undefined,
    words: 'the first operator’s password',
    isSecret: true,
  },
  {
    name: 'LATCHKEY_ALLOW_PRIVATE_NETWORKS',
    fallback: '',
    words:
      'networks of your own that outbound calls may reach: a comma list of CIDRs, `loopback`, or one port of an address such as 127.0.0.1:3000',
  },
  { name: 'LATCHKEY_LOG', fallback: 'info', words: 'debug, info, warn or error; JSON lines' },
  {
    name: 'LATCHKEY_ACCESS_TOKEN_LIFETIME_S',
    fallback: '3600',
    words: 'how long an access token of ours lives, in seconds',
  },
  {
    name: 'LATCHKEY_REFRESH_TOKEN_LIFETIME_S',
    fallback: '2592000',
    words: 'how long a refresh token of ours lives unused, in seconds',
  },
  {
    name: 'LATCHKEY_CODE_LIFETIME_S',
    fallback: '60',
    words: 'how long an authorization code lives, in seconds; at most 600',
  },
  {
    name: 'LATCHKEY_SIGNING_KEY_LIFETIME_S',
    fallback: '7776000',
    words: 'how long a key signs before the next one takes over, in seconds; at least a day',
  },
  {
    name: 'LATCHKEY_DISCOVERY_CACHE_S',
    fallback: '86400',
    words: 'how long what discovery found is used again, in seconds; at least 300',
  },
  {
    name: 'LATCHKEY_WORKLOAD_TOKENS',
    fallback: undefined,
    words:
      'a folder in which the platform of this machine keeps its tokens for us, a file for each authorization server',
  },
  {
    name: 'LATCHKEY_RETURN_ORIGINS',
    fallback: '',
    words:
      'apps of yours to which a sign-in elsewhere may return: a comma list of origins, https unless loopback',
  },
  {
    name: 'LATCHKEY_TRUSTED_PROXIES',
    fallback: '',
    words:
      'proxies of yours in front of this, which say who calls in X-Forwarded-For or Forwarded: a comma list of CIDRs, or `loopback`',
  },
  {
    name: 'LATCHKEY_LIMIT_SCALE',
    fallback: '1',
    words: 'every limit is so many times as large, up to 1000; 0 switches limits off',
  },
  {
    name: 'LATCHKEY_LIMIT_CALLS_PER_MINUTE',
    fallback: '600',
    words: 'how many MCP calls one person may make in a minute',
  },
] as const satisfies readonly Setting[]

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

type SettingName = (typeof settings)[number]['name']
type Values = (name: SettingName) => string | undefined

/** Reads all settings: the environment first, then `latchkey.yaml` in the current folder. Throws an Error in plain words. */
export function readConfig(environment: Environment): Config {
  const values = valuesOf(environment, readFileSettings(environment['LATCHKEY_CONFIG']))
  const dataFolder = required(values, 'LATCHKEY_DATA')
  const listen = readListen('LATCHKEY_LISTEN', required(values, 'LATCHKEY_LISTEN'))
  const metricsListen = values('LATCHKEY_METRICS_LISTEN')
  return {
    publicUrl: readOrigin('LATCHKEY_PUBLIC_URL', values('LATCHKEY_PUBLIC_URL') ?? localUrl(listen)),
    listen,
    metricsListen:
      metricsListen === undefined
        ? undefined
        : readListen('LATCHKEY_METRICS_LISTEN', metricsListen),
    dataFolder,
    databaseUrl: readDatabaseUrl(values('LATCHKEY_DATABASE_URL')),
    key: secret(values('LATCHKEY_KEY')),
    keyFile: values('LATCHKEY_KEY_FILE') ?? join(dataFolder, 'master.key'),
    operator: readOperator(values),
    allowPrivateNetworks: readNetworks(values, 'LATCHKEY_ALLOW_PRIVATE_NETWORKS', {
      takesPlaces: true,
    }),
    logLevel: readLogLevel(required(values, 'LATCHKEY_LOG')),
    accessTokenLifetimeMs: readSeconds(values, 'LATCHKEY_ACCESS_TOKEN_LIFETIME_S', [60, 2_592_000]),
    refreshTokenLifetimeMs: readSeconds(
      values,
      'LATCHKEY_REFRESH_TOKEN_LIFETIME_S',
      [300, 31_536_000],
    ),
    codeLifetimeMs: readSeconds(values, 'LATCHKEY_CODE_LIFETIME_S', [5, 600]),
    signingKeyLifetimeMs: readSeconds(
      values,
      'LATCHKEY_SIGNING_KEY_LIFETIME_S',
      [86_400, 31_536_000],
    ),
    discoveryCacheMs: readSeconds(values, 'LATCHKEY_DISCOVERY_CACHE_S', [300, 2_592_000]),
    workloadTokenFolder: values('LATCHKEY_WORKLOAD_TOKENS'),
    returnOrigins: listOf(values, 'LATCHKEY_RETURN_ORIGINS').map((text) =>
      readOrigin('LATCHKEY_RETURN_ORIGINS', text),
    ),
    trustedProxies: readNetworks(values, 'LATCHKEY_TRUSTED_PROXIES'),
    limitScale: readScale(values),
    callsPerMinute: readWhole(values, 'LATCHKEY_LIMIT_CALLS_PER_MINUTE', [1, 1_000_000]),
  }
}

export interface DescribedSetting extends Setting {
  /** As it is now; only `(set)` for a secret. */
  readonly value: string | undefined
}

/** Every setting with what it is now, wherever that was set. Throws an Error in plain words for one that cannot be used. */
export function describeSettings(environment: Environment): readonly DescribedSetting[] {
  const { publicUrl } = readConfig(environment)
  const values = valuesOf(environment, readFileSettings(environment['LATCHKEY_CONFIG']))
  return settings.map((setting: Setting & { readonly name: SettingName }) => {
    const value = setting.name === 'LATCHKEY_PUBLIC_URL' ? publicUrl : values(setting.name)
    const isHidden = setting.isSecret === true && value !== undefined
    return { ...setting, value: isHidden ? '(set)' : value }
  })
}

/** Is this origin one that only programs on this machine can reach? http is fine there (RFC 8252 §8.3). */
export function isLoopbackOrigin(origin: string): boolean {
  const { hostname } = new URL(origin)
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
}

function valuesOf(environment: Environment, file: FileSettings): Values {
  refuseUnknown(environment, file)
  return (name) => {
    const given = environment[name] ?? file.values[name]
    if (given !== undefined && given !== '') return given
    return settings.find((setting) => setting.name === name)?.fallback
  }
}

/** A setting that nobody reads is a misspelt one, and what it was meant to do would silently not happen. */
function refuseUnknown(environment: Environment, { path, values }: FileSettings): void {
  const known = new Set<string>(['LATCHKEY_CONFIG', ...settings.map(({ name }) => name)])
  const inFile = Object.keys(values).find((name) => !known.has(name))
  if (inFile !== undefined) throw new Error(`${path} has an unknown setting: ${inFile}`)
  const ofTests = /^LATCHKEY_TEST_/
  const inEnvironment = Object.keys(environment).find(
    (name) => name.startsWith('LATCHKEY_') && !known.has(name) && !ofTests.test(name),
  )
  if (inEnvironment !== undefined) throw new Error(`there is no setting ${inEnvironment}`)
}

interface FileSettings {
  readonly path: string
  readonly values: Readonly<Record<string, string>>
}

function readFileSettings(named: string | undefined): FileSettings {
  const path = settingsPath(named === undefined ? {} : { LATCHKEY_CONFIG: named })
  if (!existsSync(path)) {
    if (named === undefined) return { path, values: {} }
    throw new Error(`LATCHKEY_CONFIG names a file that is not there: ${named}`)
  }
  // Beside the settings a file may say which tenants there are, which "latchkey apply" reads.
  const entries = Object.entries(readYaml(path)).filter(([name]) => name !== 'tenants')
  return {
    path,
    values: Object.fromEntries(entries.map(([name, value]) => [name, textOf(path, name, value)])),
  }
}

const usualPath = 'latchkey.yaml'

/** The file with the settings, whether it is there or not. */
export function settingsPath(environment: Environment): string {
  return environment['LATCHKEY_CONFIG'] ?? usualPath
}

/** What a YAML file holds under its names. Throws an Error in plain words. */
export function readYaml(path: string): object {
  let parsed: unknown
  try {
    parsed = parseYaml(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new Error(`${path} is not YAML: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
    })
  }
  if (parsed === null) return {}
  if (typeof parsed === 'object' && !Array.isArray(parsed)) return parsed
  throw new Error(`${path} must hold settings as "NAME: value" lines`)
}

/** A value as the environment would have it: a list is joined with commas. */
function textOf(path: string, name: string, value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return value.map((item) => textOf(path, name, item)).join(',')
  throw new Error(`${path}: ${name} must be a text, a number or a list`)
}

function required(values: Values, name: SettingName): string {
  const value = values(name)
  if (value === undefined) throw new Error(`${name} must be set`)
  return value
}

/** Where a browser on this machine reaches the listener. Throws an Error when it listens for others too. */
function localUrl({ host, port }: Config['listen']): string {
  if (isLocalHost(host)) return `http://localhost:${port}`
  throw new Error(`LATCHKEY_PUBLIC_URL must be set when LATCHKEY_LISTEN is ${host}:${port}`)
}

/** Is this where only this machine can reach what listens there? */
export function isLocalHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function readOrigin(name: SettingName, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new Error(`${name} must be an origin such as https://mcp.example.com, not "${text}"`)
  }
  if (url.origin !== text.replace(/\/$/, '')) {
    throw new Error(`${name} must be written as ${url.origin}`)
  }
  if (url.protocol === 'http:' && !isLoopbackOrigin(url.origin)) {
    throw new Error(
      `${name} must be https, because secrets travel to it; http only works on loopback`,
    )
  }
  return url.origin
}

function readListen(
  name: SettingName,
  text: string,
): { readonly host: string; readonly port: number } {
  const match = /^(?<host>\[[0-9a-f:]+\]|[^:]+):(?<port>\d{1,5})$/i.exec(text)
  const port = Number(match?.groups?.['port'])
  const host = match?.groups?.['host']
  if (host === undefined || port > 65_535) {
    throw new Error(`${name} must be host:port, not "${text}"`)
  }
  return { host: host.replace(/^\[|\]$/g, ''), port }
}

function readDatabaseUrl(text: string | undefined): Secret | undefined {
  if (text !== undefined && !/^postgres(ql)?:\/\//.test(text)) {
    throw new Error('LATCHKEY_DATABASE_URL must begin with postgres://')
  }
  return secret(text)
}

function readOperator(values: Values): Config['operator'] {
  const email = values('LATCHKEY_OPERATOR_EMAIL')
  const password = secret(values('LATCHKEY_OPERATOR_PASSWORD'))
  if (email === undefined && password === undefined) return undefined
  if (email === undefined || password === undefined) {
    throw new Error('LATCHKEY_OPERATOR_EMAIL and LATCHKEY_OPERATOR_PASSWORD go together')
  }
  return { email, password }
}

function readNetworks(
  values: Values,
  name: SettingName,
  kinds: { readonly takesPlaces?: boolean } = {},
): readonly string[] {
  const networks = listOf(values, name)
  try {
    createAddressRules(networks, kinds)
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new Error(`${name}: ${words}`, { cause })
  }
  return networks
}

function listOf(values: Values, name: SettingName): readonly string[] {
  return (values(name) ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function readLogLevel(text: string): string {
  if (['debug', 'info', 'warn', 'error', 'silent'].includes(text)) return text
  throw new Error(`LATCHKEY_LOG must be debug, info, warn, error or silent, not "${text}"`)
}

function readSeconds(values: Values, name: SettingName, bounds: readonly [number, number]): number {
  const seconds = Number(required(values, name))
  const [least, most] = bounds
  if (!Number.isInteger(seconds) || seconds < least || seconds > most) {
    throw new Error(`${name} must be whole seconds from ${least} to ${most}`)
  }
  return seconds * 1000
}

function readWhole(values: Values, name: SettingName, bounds: readonly [number, number]): number {
  const number = Number(required(values, name))
  const [least, most] = bounds
  if (Number.isInteger(number) && number >= least && number <= most) return number
  throw new Error(`${name} must be a whole number from ${least} to ${most}`)
}

const scaleMax = 1000

function readScale(values: Values): number {
  const scale = Number(required(values, 'LATCHKEY_LIMIT_SCALE'))
  if (scale >= 0 && scale <= scaleMax) return scale
  throw new Error(`LATCHKEY_LIMIT_SCALE must be a number from 0 to ${scaleMax}`)
}

function secret(text: string | undefined): Secret | undefined {
  return text === undefined ? undefined : new Secret(text)
}
