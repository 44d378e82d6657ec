// A platform whose doors are asked raw, without following redirects, and the comparison of an answer with what the
// standard says it has to be. Used by the tables of this folder.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { randomId } from '../../src/base/random.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openStore } from '../../src/store/database.ts'
import type { Store } from '../../src/store/database.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { fetchOverHttp } from '../counterparts/cookie-browser.ts'
import { makeDatabaseFolder } from '../database-folder.ts'
import { assertDescribed } from '../described-answers.ts'
import { startTestPlatform } from '../harness.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { copyTemplateFile } from '../templates.ts'
import type { TestPlatform, TestPlatformOptions } from '../harness.ts'

export interface Doors extends TestPlatform {
  readonly store: Store
  readonly ask: (request: Ask) => Promise<Answer>
}

/** One request, as it goes over the wire. */
export interface Ask {
  readonly method?: string
  /** Path and query, or a whole URL. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** A form body; a name may come twice. */
  readonly form?: Fields
  readonly json?: unknown
  /** Whose cookies go with it. */
  readonly browser?: CookieBrowser
}

/** Parameters of a query or a form: undefined leaves one out, a list repeats it. */
export type Fields = Readonly<Record<string, string | readonly string[] | undefined>>

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // Tests look into many shapes; what they find there they assert.
  readonly json: any // oxlint-disable-line typescript/no-explicit-any
}

/** What an answer has to be. */
export interface Expected {
  readonly status: number
  /** `error` of an OAuth answer, `code` of a problem (RFC 9457), `reason` of a JSON-RPC error. */
  readonly error?: string
  readonly has?: Readonly<Record<string, string | RegExp>>
  readonly hasNot?: readonly string[]
  readonly says?: RegExp
  readonly neverSays?: readonly (string | RegExp)[]
}

/** One row of a table: `name` carries the threat rows that it proves. */
export interface Scenario {
  readonly name: string
  readonly ask: Ask
  readonly expect: Expected
}

/** Starts a platform on a SQLite store of its own. */
export async function openDoors(t: TestContext, options: TestPlatformOptions = {}): Promise<Doors> {
  const folder = makeDatabaseFolder('doors')
  const file = join(folder, 'doors.db')
  copyTemplateFile(file)
  const store = await openStore({ kind: 'sqlite', file })
  const doors = await openDoorsOn(t, store, options)
  t.after(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return doors
}

/** Starts a platform on this store. */
export async function openDoorsOn(
  t: TestContext,
  store: Store,
  options: TestPlatformOptions = {},
): Promise<Doors> {
  const started = await startTestPlatform(t, store, options)
  return { ...started, store, ask: (request) => ask(started.origin, request) }
}

/** Runs a table, a subtest for each row. */
export async function runTable(
  t: TestContext,
  doors: Doors,
  scenarios: readonly Scenario[],
): Promise<void> {
  for (const { name, ask: request, expect } of scenarios) {
    await t.test(name, async (t) => {
      verifies(t, ...rowsIn(name))
      assertAnswer(await doors.ask(request), expect)
    })
  }
}

/** Fails unless the answer is what it has to be; what holds for every answer is looked at too. */
export function assertAnswer(answer: Answer, expected: Expected): void {
  const { status, error, has = {}, hasNot = [], says, neverSays = [] } = expected
  const seen = describe(answer)
  assert.equal(answer.status, status, seen)
  if (error !== undefined) assert.equal(errorOf(answer), error, seen)
  for (const [name, value] of Object.entries(has)) {
    const given = answer.headers.get(name) ?? ''
    if (typeof value === 'string') assert.equal(given, value, `${name}: ${seen}`)
    else assert.match(given, value, `${name}: ${seen}`)
  }
  for (const name of hasNot) assert.equal(answer.headers.get(name), null, `${name}: ${seen}`)
  if (says !== undefined) assert.match(answer.text, says)
  for (const words of neverSays) assertNever(answer.text, words)
  assertDecent(answer)
}

function describe({ status, headers, text }: Answer): string {
  const words = text
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 300)
  return `${status} ${JSON.stringify(Object.fromEntries(headers))} ${words}`
}

function assertNever(text: string, words: string | RegExp): void {
  if (typeof words === 'string') assert.ok(!text.includes(words), `says ${words}: ${text}`)
  else assert.doesNotMatch(text, words)
}

const insides =
  /\bat .+\.(?:ts|js):\d+|node_modules|\bSQLITE_|\bselect .+ from\b|TypeError|\[object /i

/** What no answer may show, and how every OAuth error is shaped (RFC 6749 §5.2). */
export function assertDecent(answer: Answer): void {
  assert.doesNotMatch(answer.text, insides)
  assert.notEqual(answer.status, 307, 'RFC 9700 §4.12')
  if (answer.status >= 400) assert.match(answer.headers.get('cache-control') ?? '', /no-store/)
  const description: unknown = answer.json?.error_description
  if (typeof description === 'string') assert.match(description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/)
}

/** The error code of an answer, in whichever shape its door has. */
export function errorOf({ json }: Answer): unknown {
  const { error, code } = json ?? {}
  return typeof error === 'object' ? error?.data?.reason : (error ?? code)
}

/** The parameters as a query or a form body. */
export function encode(fields: Fields): string {
  const pairs = Object.entries(fields).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [value].flat().map((one) => [name, one]),
  )
  return new URLSearchParams(pairs).toString()
}

/** The cookies of a browser as a request header. */
export function cookiesOf(browser: CookieBrowser): string {
  return browser
    .cookies()
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ')
}

/** The value of a hidden field on a page. */
export function fieldOn(html: string, name: string): string {
  const value = new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1]
  assert.ok(value !== undefined, `there is no field ${name} on the page: ${html.slice(0, 600)}`)
  return value
}

/** Adds a person with the operator's password, so that no second password has to be hashed. */
export async function addPerson(
  { store, platform }: Pick<Doors, 'store' | 'platform'>,
  email: string,
): Promise<string> {
  const id = randomId(systemRandom, 'usr_')
  const { db } = store
  const known = await db.selectFrom('passwords').selectAll().executeTakeFirstOrThrow()
  const first = await db.selectFrom('users').selectAll().executeTakeFirstOrThrow()
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('users')
      .values({ ...first, tenant_id: platform.tenant.id, id, email, role: 'user' })
      .execute()
    await tx
      .insertInto('passwords')
      .values({ ...known, user_id: id })
      .execute()
  })
  return id
}

export type Call = (
  method: string,
  path: string,
  json?: unknown,
  headers?: Ask['headers'],
) => Promise<Answer>

/** REST as a page of ours would call it for the person in this browser. */
export function callAs({ ask, origin }: Doors, browser: CookieBrowser): Call {
  return (method, path, json, headers = {}) =>
    ask({
      method,
      path: `/api/v1${path}`,
      browser,
      json,
      headers: { origin: new URL(origin).origin, ...headers },
    })
}

/** Adds an open server, as an administrator who is signed in in this browser. */
export async function addServer(
  doors: Doors,
  browser: CookieBrowser,
  server: { readonly url: string; readonly slug: string; readonly mayUse?: readonly string[] },
): Promise<void> {
  const added = await callAs(doors, browser)('POST', '/servers', { ...server, auth: 'none' })
  assert.equal(added.status, 201, added.text)
}

/** Sends one request to the doors of a tenant, whose issuer may have a path. */
export async function ask(issuer: string, request: Ask): Promise<Answer> {
  const { form, json, browser } = request
  const body =
    request.body ??
    (form && encode(form)) ??
    (json === undefined ? undefined : JSON.stringify(json))
  const type = form === undefined ? 'application/json' : 'application/x-www-form-urlencoded'
  const method = request.method ?? (body === undefined ? 'GET' : 'POST')
  const answer = await fetchOverHttp(new URL(baseOf(issuer) + request.path, issuer).href, {
    method,
    headers: {
      ...(form === undefined && json === undefined ? {} : { 'content-type': type }),
      // Node frames the body of some methods only when it is told its length.
      ...(body === undefined ? {} : { 'content-length': `${Buffer.byteLength(body)}` }),
      ...(browser === undefined ? {} : { cookie: cookiesOf(browser) }),
      ...request.headers,
    },
    ...(body === undefined ? {} : { body }),
  })
  const text = await answer.text()
  const { status, headers } = answer
  assertDescribed({ method, path: request.path, status, type: headers.get('content-type'), text })
  return { status, headers, text, json: parse(text) }
}

function baseOf(issuer: string): string {
  const { pathname } = new URL(issuer)
  return pathname === '/' ? '' : pathname
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // a page, or nothing
  }
}
