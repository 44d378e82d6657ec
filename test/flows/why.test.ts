// One attempt of a client to connect as an operator reads it, from the first call without a token to the first that is
// answered: real clients, two processes over one database, both engines.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { createPlatform } from '../../src/platform.ts'
import type { Platform } from '../../src/platform.ts'
import type { Store } from '../../src/store/database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, restAs, signIn, startTestPlatform } from '../harness.ts'
import { challenge, verifier } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { signInClient } from './signed-in-client.ts'

const connected = [
  'call.refused',
  'discovery.answered',
  'discovery.answered',
  'client.registered',
  'authorization.started',
  'consent.given',
  'grant.created',
  'token.issued',
  'call.completed',
]

onEveryDatabase(
  'a good attempt is one line from the first call to the answer',
  async (t, store) => {
    const { origin } = await startTestPlatform(t, store)
    const browser = createCookieBrowser()
    const { client } = await signInClient({ origin, url: `${origin}/mcp`, browser })
    await client.callTool({ name: 'whoami', arguments: {} })
    await client.callTool({ name: 'whoami', arguments: {} })
    await client.close()
    await untilCalled(store)

    const ada = restAs(await signIn(origin), origin)
    const { body: list } = await ada('GET', '/attempts')
    const [attempt, ...others] = list.items
    assert.deepEqual(others, [])
    assert.match(attempt.id, /^att_/)
    assert.equal(attempt.outcome, 'connected')
    assert.equal(attempt.client.name, 'A test client')
    assert.equal(attempt.person.email, operator.email)
    assert.equal(attempt.server, `${origin}/mcp`)

    const { body } = await ada('GET', `/journal?attempt=${attempt.id}`)
    assert.deepEqual(
      body.items.map(({ type }: { type: string }) => type),
      connected,
    )
    assert.deepEqual([body.diagnosis.outcome, body.diagnosis.findings], ['connected', []])
    const last = body.items.at(-1)
    assert.equal(body.nextCursor, last.seq)
    const rest = await ada('GET', `/journal?attempt=${attempt.id}&cursor=${last.seq - 1}`)
    assert.deepEqual(rest.body.items, [last])
    assert.deepEqual(rest.body.diagnosis, body.diagnosis)

    // Who comes again begins another attempt: this one is over.
    const again = await signInClient({
      origin,
      url: `${origin}/mcp`,
      browser: createCookieBrowser(),
    })
    await again.client.close()
    const { body: after } = await ada('GET', '/attempts')
    assert.equal(after.items.length, 2)
  },
)

onEveryDatabase(
  'steps at two processes are one attempt, joined by the code where nothing else does',
  async (t, store, openAnother) => {
    const [first, second] = await openTwins(t, store, openAnother)
    const client = await registerByHand(store, first)
    // The client's back end: it knows its id already, so nothing but the code will say whose discovery this was.
    await ask(first, '/mcp', { method: 'POST', body: '{}' })
    await aMoment() // What two processes see within a millisecond may stand in either order.
    await ask(second, '/.well-known/oauth-protected-resource/mcp')
    await aMoment()
    await ask(first, '/.well-known/oauth-authorization-server')
    // The person's browser, with another agent: nothing of the back end's is joined to it yet.
    const browser = { cookie: await signInAt(first), 'user-agent': 'browser' }
    const code = await approveAt(second, { client, browser })
    const before = await attemptsOf(store)
    assert.deepEqual(before.map(prefix), ['att_', 'req_'])
    const issued = await ask(first, '/oauth/token', {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: client,
        code,
        code_verifier: verifier,
      }),
    })
    const { access_token: token } = (await issued.json()) as { access_token: string }
    const called = await ask(second, '/mcp', {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    })
    assert.equal(called.status, 200)
    await called.text() // A stream that nobody reads is not over.
    await untilCalled(store)

    const read = (path: string) =>
      ask(second, `/api/v1${path}`, { headers: { cookie: browser.cookie } })
        .then((answer) => answer.json())
        .then((json) => json as { items: { id: string; type: string }[]; diagnosis: unknown })
    const list = await untilOne(() => read('/attempts'))
    assert.deepEqual(list.items.map(prefix), ['req_'])
    const byEither = await Promise.all(
      before.map(({ id }) => read(`/journal?attempt=${id}`).then(({ items }) => items)),
    )
    assert.deepEqual(byEither[0], byEither[1])
    assert.deepEqual(
      byEither[0]?.map(({ type }) => type),
      connected.filter((type) => type !== 'client.registered'),
    )
  },
  { needsConnections: true },
)

const redirectUri = 'https://app.test/cb'
const origin = 'http://localhost:1'

/** Two platforms over one database and key, as two processes would run them. */
async function openTwins(
  t: TestContext,
  store: Store,
  openAnother: () => Promise<Store>,
): Promise<readonly [Platform, Platform]> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-twins-'))
  const config = readConfig({
    LATCHKEY_PUBLIC_URL: origin,
    LATCHKEY_DATA: folder,
    LATCHKEY_OPERATOR_EMAIL: operator.email,
    LATCHKEY_OPERATOR_PASSWORD: operator.password,
  })
  const first = await createPlatform(config, { store })
  const second = await createPlatform(config, { store: await openAnother() })
  t.after(async () => {
    await first.close()
    await second.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return [first, second]
}

interface Plain {
  readonly method?: string
  readonly body?: string | URLSearchParams
  readonly headers?: Readonly<Record<string, string>>
}

function ask(platform: Platform, path: string, init: Plain = {}): Promise<Response> {
  const headers = { 'user-agent': 'backend', ...init.headers }
  return platform.fetch(new Request(origin + path, { ...init, headers }))
}

/** A client that somebody registered long ago. */
async function registerByHand({ db }: Store, platform: Platform): Promise<string> {
  const answer = await ask(platform, '/oauth/register', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'setup' },
    body: JSON.stringify({
      client_name: 'Known',
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
    }),
  })
  const { client_id: id } = (await answer.json()) as { client_id: string }
  await db.deleteFrom('attempts').execute()
  return id
}

async function signInAt(platform: Platform): Promise<string> {
  const page = await ask(platform, '/sign-in')
  const cookies = cookiesOf(page)
  const fields = new URLSearchParams({ ...operator, form_token: fieldOn(await page.text()) })
  const answer = await ask(platform, '/sign-in', {
    method: 'POST',
    body: fields,
    headers: { cookie: cookies, origin },
  })
  assert.equal(answer.status, 303)
  return [cookies, cookiesOf(answer)].join('; ')
}

async function approveAt(
  platform: Platform,
  {
    client,
    browser,
  }: { readonly client: string; readonly browser: Readonly<Record<string, string>> },
): Promise<string> {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client,
    redirect_uri: redirectUri,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  const begun = await ask(platform, `/oauth/authorize?${query.toString()}`, { headers: browser })
  const consent = begun.headers.get('location') ?? ''
  const page = await (await ask(platform, consent, { headers: browser })).text()
  const answered = await ask(platform, '/oauth/consent', {
    method: 'POST',
    headers: { ...browser, origin },
    body: new URLSearchParams({
      request: new URLSearchParams(consent.split('?')[1]).get('request') ?? '',
      form_token: fieldOn(page),
      scope: 'mcp',
      decision: 'approve',
    }),
  })
  const back = new URL(answered.headers.get('location') ?? '')
  return back.searchParams.get('code') ?? assert.fail(back.href)
}

function cookiesOf({ headers }: Response): string {
  return headers
    .getSetCookie()
    .map((cookie) => cookie.split(';', 1)[0])
    .join('; ')
}

function fieldOn(html: string): string {
  return /name="form_token" value="([^"]*)"/.exec(html)?.[1] ?? assert.fail(html)
}

function prefix({ id }: { readonly id: string }): string {
  return id.slice(0, 4)
}

async function attemptsOf({ db }: Store): Promise<readonly { readonly id: string }[]> {
  const made = () => db.selectFrom('attempts').select('id').orderBy('id').execute()
  for (let tries = 0; tries < 100 && (await made()).length < 2; tries += 1) await aMoment()
  return made()
}

/** Calls are journalled, and codes joined, after their answers. */
async function untilCalled({ db }: Store): Promise<void> {
  const called = () =>
    db.selectFrom('grants').select('id').where('first_call_at', 'is not', null).executeTakeFirst()
  for (let tries = 0; tries < 100 && (await called()) === undefined; tries += 1) await aMoment()
}

async function untilOne<T extends { readonly items: readonly unknown[] }>(
  read: () => Promise<T>,
): Promise<T> {
  for (let tries = 0; tries < 100; tries += 1) {
    const found = await read()
    if (found.items.length === 1) return found
    await aMoment()
  }
  return read()
}

function aMoment(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 20)
  })
}
