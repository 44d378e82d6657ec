// A whole Latchkey on a loopback port over a given database, as the flow tests use it: real doors, real guards, secrets
// that carry a marker, and a record of everything it logged, answered and stored.
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { Clock } from '../src/base/clock.ts'
import { createLog } from '../src/base/log.ts'
import type { Random } from '../src/base/random.ts'
import { readConfig } from '../src/config.ts'
import { createPlatform } from '../src/platform.ts'
import type { Platform, World } from '../src/platform.ts'
import type { Store } from '../src/store/database.ts'
import { createCookieBrowser } from './counterparts/cookie-browser.ts'
import type { CookieBrowser } from './counterparts/cookie-browser.ts'
import { makeDatabaseFolder } from './database-folder.ts'
import { assertDescribed } from './described-answers.ts'
import { startRecorder } from './record.ts'

export interface TestPlatform {
  readonly origin: string
  readonly platform: Platform
  /** Secrets of others that must not leak either. */
  readonly alsoSecret: (secrets: readonly string[]) => void
}

export const operator = { email: 'ada@example.com', password: 'correct horse battery staple' }

/** Every secret that a platform under test makes begins with this, after its prefix. */
export const secretMarker = 'LEAKmarkLEAK'

/** Chance as usual, with the marker at the start of every secret. */
export const markedRandom: Random = {
  bytes: randomBytes,
  secretBytes: (count) => {
    const marker = Buffer.from(secretMarker, 'base64url')
    return Buffer.concat([marker, randomBytes(count)]).subarray(0, count)
  },
}

export interface TestPlatformOptions extends Pick<World, 'resolve' | 'connect'> {
  readonly clock?: Clock
  readonly settings?: Readonly<Record<string, string>>
}

/** Starts a platform on this store; it stops with the test. */
export async function startTestPlatform(
  t: TestContext,
  store: Store,
  options: TestPlatformOptions = {},
): Promise<TestPlatform> {
  // One folder for all tries: the key in it is what the store was made with.
  const folder = makeDatabaseFolder('platform')
  for (let triesLeft = 5; ; triesLeft -= 1) {
    try {
      return await startOn({ port: await freePort(), folder }, t, store, options)
    } catch (error) {
      // Another test file may have taken the port since it was found free.
      const isTaken = error instanceof Error && /is taken/.test(error.message)
      if (isTaken && triesLeft > 0) continue
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }
}

async function startOn(
  { port, folder }: { readonly port: number; readonly folder: string },
  t: TestContext,
  store: Store,
  { settings = {}, ...world }: TestPlatformOptions,
): Promise<TestPlatform> {
  const origin = `http://localhost:${port}`
  const recorder = startRecorder(port, store)
  const config = readConfig({
    LATCHKEY_LISTEN: `127.0.0.1:${port}`,
    LATCHKEY_DATA: folder,
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
    LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback',
    // A test asks more in a second than a person in an hour. The limits run, but none is met unless a test sets its own.
    LATCHKEY_LIMIT_SCALE: '100',
    ...settings,
  })
  const platform = await createPlatform(config, {
    random: markedRandom,
    store,
    log: createLog('debug', recorder.writeLog),
    opensPort: true,
    ...world,
  })
  t.after(async () => {
    await recorder.finish()
    await platform.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return { origin, platform, alsoSecret: recorder.alsoSecret }
}

/** A browser in which a person is signed in through the sign-in page. */
export async function signIn(
  origin: string,
  { email, password } = operator,
): Promise<CookieBrowser> {
  const browser = createCookieBrowser()
  await browser.open(`${origin}/sign-in`)
  await browser.submit({ fields: { email, password } })
  return browser
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // a TCP listener has one
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface RestAnswer {
  readonly status: number
  // Tests look into many shapes; what they find there they assert.
  readonly body: any // oxlint-disable-line typescript/no-explicit-any
}

/** REST as the person who is signed in in a browser, as a page of ours would call it. */
export function restAs(browser: CookieBrowser, issuer: string) {
  const { origin } = new URL(issuer)
  const cookie = () =>
    browser
      .cookies()
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  return (method: string, path: string, body?: unknown): Promise<RestAnswer> =>
    rest(`${issuer}/api/v1${path}`, { method, headers: { cookie: cookie(), origin } }, body)
}

/** REST with an API key. */
export function restWithKey(key: string, origin: string) {
  return (method: string, path: string, body?: unknown): Promise<RestAnswer> =>
    rest(`${origin}/api/v1${path}`, { method, headers: { authorization: `Bearer ${key}` } }, body)
}

async function rest(
  url: string,
  { method, headers }: { readonly method: string; readonly headers: Record<string, string> },
  body: unknown,
): Promise<RestAnswer> {
  const answer = await fetch(url, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  const type = answer.headers.get('content-type')
  const path = url.slice(url.indexOf('/api/v1'))
  assertDescribed({ method, path, status: answer.status, type, text })
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
}
