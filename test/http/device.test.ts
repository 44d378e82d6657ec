// Devices without a browser at the doors: the exact errors of RFC 8628 §3.5, and the page on which a person lets one in,
// which nobody else can answer and no link can answer for them (threats 5, row 30, P-48).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { rowsIn, verifies } from '../requirements.ts'
import {
  addPerson,
  assertAnswer,
  cookiesOf,
  encode,
  fieldOn,
  openDoors,
  openDoorsOn,
  runTable,
} from './doors.ts'
import type { Answer, Ask, Doors, Fields, Scenario } from './doors.ts'
import { basic, isActive, postToken, register } from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const path = '/oauth/device_authorization'
const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code'
const forDevices = {
  client_name: 'A television',
  redirect_uris: [],
  grant_types: [deviceCodeGrant, 'refresh_token'],
}
const refused = {
  has: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  hasNot: ['set-cookie', 'location'],
} as const
const page = { 'content-type': /^text\/html/, 'cache-control': 'no-store' } as const

interface Codes {
  readonly device_code: string
  readonly user_code: string
}

async function start({ ask }: Doors, client: OAuthClient, changes: Fields = {}): Promise<Codes> {
  const answer = await ask({ path, form: { client_id: client.id, ...changes } })
  assertAnswer(answer, { status: 200, has: refused.has })
  return answer.json
}

function poll(doors: Doors, client: OAuthClient, { device_code }: Codes): Promise<Answer> {
  return postToken(doors, client, { grant_type: deviceCodeGrant, device_code })
}

/** Types a code on the page. */
async function type({ origin }: Doors, browser: CookieBrowser, code: string) {
  await browser.open(`${origin}/device`)
  return browser.submit({ fields: { user_code: code } })
}

function press(browser: CookieBrowser, decision: 'approve' | 'deny') {
  return browser.submit({ button: { name: 'decision', value: decision } })
}

async function open(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const client = await register(doors, forDevices)
  const browser = await signIn(doors.origin)
  return { clock, doors, client, browser }
}

test('how a device begins, and what it is refused', async (t) => {
  const { doors, client } = await open(t)
  const { ask, origin } = doors
  const ordinary = await register(doors)
  const secret = await register(doors, {
    ...forDevices,
    token_endpoint_auth_method: 'client_secret_basic',
  })
  const post = (fields: Fields): Ask => ({ path, form: { client_id: client.id, ...fields } })
  const bad = (error: string) => ({ status: 400, error, ...refused })
  const scenarios: readonly Scenario[] = [
    ...['GET', 'PUT', 'DELETE'].map((method): Scenario => ({
      name: method,
      ask: { path: `${path}?client_id=${client.id}`, method },
      expect: { status: 405, has: { allow: 'POST' } },
    })),
    {
      name: 'JSON',
      ask: { path, json: { client_id: client.id } },
      expect: bad('invalid_request'),
    },
    {
      name: 'a parameter twice',
      ask: post({ scope: ['mcp', 'mcp'] }),
      expect: bad('invalid_request'),
    },
    {
      name: 'no client',
      ask: post({ client_id: undefined }),
      expect: { status: 401, error: 'invalid_client', ...refused },
    },
    {
      name: 'an unknown client',
      ask: post({ client_id: 'mcp_oauth_x' }),
      expect: { status: 401, error: 'invalid_client', ...refused },
    },
    {
      name: 'a client with a secret, without it',
      ask: post({ client_id: secret.id }),
      expect: { status: 401, error: 'invalid_client', ...refused },
    },
    {
      name: 'a wrong secret in the header',
      ask: { path, form: { scope: 'mcp' }, headers: basic(secret.id, 'x') },
      expect: { status: 401, error: 'invalid_client', has: { 'www-authenticate': /^Basic/ } },
    },
    {
      name: 'a client that did not register for it [X-23]',
      ask: post({ client_id: ordinary.id }),
      expect: bad('unauthorized_client'),
    },
    { name: 'an unknown scope', ask: post({ scope: 'x' }), expect: bad('invalid_scope') },
    {
      name: 'an unknown resource',
      ask: post({ resource: 'https://evil.test/mcp' }),
      expect: bad('invalid_target'),
    },
    {
      name: 'two resources',
      ask: post({ resource: [`${origin}/mcp`, `${origin}/x/mcp`] }),
      expect: bad('invalid_target'),
    },
  ]
  await runTable(t, doors, scenarios)

  await t.test('the answer of RFC 8628 §3.2, and no link that carries the code', async (t) => {
    verifies(t, 'S3-51', 'X-23')
    const proof = basic(secret.id, secret.secret ?? '')
    for (const headers of [{}, proof]) {
      const form = headers === proof ? {} : { client_id: client.id }
      const answer = await ask({ path, form, headers })
      assertAnswer(answer, { status: 200, has: refused.has })
      const { device_code, user_code, ...rest } = answer.json
      assert.match(device_code, /^mcp_dc_/)
      assert.match(user_code, /^[A-Z]{4}-[A-Z]{4}$/)
      assert.deepEqual(rest, {
        verification_uri: `${origin}/device`,
        expires_in: 600,
        interval: 5,
      })
    }
  })

  await t.test('the metadata says so (RFC 8628 §4)', async () => {
    const { json } = await ask({ path: '/.well-known/oauth-authorization-server' })
    assert.equal(json.device_authorization_endpoint, origin + path)
    assert.ok(json.grant_types_supported.includes(deviceCodeGrant))
  })
})

test('what a device hears while it waits [row 30]', async (t) => {
  const { clock, doors, client, browser } = await open(t)
  const expect = (error: string) => ({ status: 400, error, ...refused })

  await t.test('pending, too fast, then the tokens', async (t) => {
    verifies(t, 'S3-51', 'T-30')
    const codes = await start(doors, client)
    assertAnswer(await poll(doors, client, codes), expect('authorization_pending'))
    await clock.advance(4999)
    assertAnswer(await poll(doors, client, codes), expect('slow_down'))
    await clock.advance(10_000)
    assertAnswer(await poll(doors, client, codes), expect('authorization_pending'))
    await type(doors, browser, codes.user_code)
    await press(browser, 'approve')
    const answer = await poll(doors, client, codes)
    assertAnswer(answer, { status: 200, has: refused.has })
    assert.match(answer.json.refresh_token, /^mcp_rt_/)
    assert.equal(await isActive(doors, answer.json.access_token), true)
    assertAnswer(await poll(doors, client, codes), expect('invalid_grant'))
    assert.equal(await isActive(doors, answer.json.access_token), false)
  })

  await t.test('denied', async (t) => {
    verifies(t, 'T-30')
    const codes = await start(doors, client)
    await type(doors, browser, codes.user_code)
    await press(browser, 'deny')
    assertAnswer(await poll(doors, client, codes), expect('access_denied'))
  })

  await t.test('expired', async (t) => {
    verifies(t, 'T-30')
    const codes = await start(doors, client)
    await clock.advance(600_000)
    assertAnswer(await poll(doors, client, codes), expect('expired_token'))
  })

  await t.test('somebody else’s code, and none', async (t) => {
    verifies(t, 'X-23')
    const codes = await start(doors, client)
    const other = await register(doors, { ...forDevices, client_name: 'Another' })
    assertAnswer(await poll(doors, other, codes), expect('invalid_grant'))
    const nothing = { ...codes, device_code: 'mcp_dc_x' }
    assertAnswer(await poll(doors, client, nothing), expect('invalid_grant'))
    const none = await postToken(doors, client, { grant_type: deviceCodeGrant })
    assertAnswer(none, expect('invalid_request'))
  })
})

test('the page for people', async (t) => {
  const { doors, client, browser } = await open(t)
  const { ask, origin } = doors

  await t.test('from the code to the end, and the code is in no address', async (t) => {
    verifies(t, 'S3-25', 'X-23')
    const { user_code: code } = await start(doors, client)
    const typed = ` ${code.toLowerCase().replace('-', ' ')}`
    const question = await type(doors, browser, typed)
    assert.equal(question.status, 200)
    for (const words of ['A television', code, operator.email, `${origin}/mcp`, 'just now']) {
      assert.ok(question.html.includes(words), words)
    }
    assert.match(question.html, /Did you start this yourself, on a device in front of you\?/)
    assert.match(question.html, /not verified who makes this program/)
    const done = await press(browser, 'approve')
    assert.match(done.html, /Device connected/)
    for (const url of [...question.trail, ...done.trail]) {
      for (const secret of [code, code.replace('-', '')]) {
        assert.ok(!url.toUpperCase().includes(secret), url)
      }
    }
  })

  await t.test('a link cannot type the code, let alone answer [X-13] [X-23]', async (t) => {
    verifies(t, 'X-13', 'X-23')
    const codes = await start(doors, client)
    const before = await takenOf(doors)
    const queries: readonly Fields[] = [
      { user_code: codes.user_code },
      { user_code: codes.user_code, decision: 'approve', _method: 'POST' },
      { code: codes.user_code, request: codes.user_code },
    ]
    for (const fields of queries) {
      for (const headers of [{}, { 'x-http-method-override': 'POST' }]) {
        const answer = await ask({ path: `/device?${encode(fields)}`, browser, headers })
        assertAnswer(answer, { status: 200, neverSays: [codes.user_code, /name="decision"/] })
      }
    }
    assert.equal(await takenOf(doors), before)
    assert.equal((await poll(doors, client, codes)).json.error, 'authorization_pending')
  })

  await t.test('a name that is markup is shown as text [X-12]', async () => {
    const hostile = await register(doors, { ...forDevices, client_name: '"><img src=x><script>' })
    const answer = await ask({
      path,
      form: { client_id: hostile.id },
      headers: { 'user-agent': '<b>Trust me</b>' },
    })
    const { html } = await type(doors, browser, answer.json.user_code)
    assert.doesNotMatch(html, /<img|<script|<b>/)
    assert.match(html, /&lt;b&gt;Trust me/)
  })

  await t.test('what is typed is given back as text, and not the rest of it', async () => {
    const { status, html } = await type(doors, browser, `"><script>${'x'.repeat(2000)}`)
    assert.equal(status, 422)
    assert.doesNotMatch(html, /<script/)
    assert.ok(!html.includes('x'.repeat(100)))
  })

  await t.test('who is not signed in signs in first, and comes back', async () => {
    const anybody = createCookieBrowser()
    const asked = await anybody.open(`${origin}/device`)
    assert.equal(new URL(asked.url).pathname, '/sign-in')
    const { email, password } = operator
    const back = await anybody.submit({ fields: { email, password } })
    assert.equal(new URL(back.url).pathname, '/device')
  })

  await t.test(
    'whose session ended meanwhile signs in again; the code is kept nowhere',
    async () => {
      const { user_code: code } = await start(doors, client)
      const leaving = await signIn(origin)
      await leaving.open(`${origin}/device`)
      const form = { user_code: code, form_token: fieldOn(leaving.current().html, 'form_token') }
      const cookie = onlyCookie(leaving, 'browser')
      const answer = await ask({ path: '/device', form, headers: { cookie, origin } })
      assertAnswer(answer, { status: 303, has: { location: '/sign-in?next=%2Fdevice' } })
      const decided = await ask({
        path: '/device/decision',
        form: { request: 'dvc_x', decision: 'approve', form_token: 'x' },
        headers: { cookie, origin },
      })
      assertAnswer(decided, { status: 303, has: { location: /^\/sign-in\?next=%2Fdevice%3F/ } })
    },
  )

  await t.test('wrong codes run out, with the time to wait [X-23]', async (t) => {
    verifies(t, 'X-23')
    await addPerson(doors, 'eve@example.com')
    const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
    for (let wrong = 0; wrong < 5; wrong += 1) {
      const { status, html } = await type(doors, eve, 'BBBB-BBBB')
      assert.equal(status, 422)
      assert.match(html, /No device waits with this code/)
    }
    const { status, headers, html } = await type(doors, eve, 'BBBB-BBBB')
    assert.equal(status, 429)
    assert.equal(headers.get('retry-after'), '600')
    assert.match(html, /Wait 10 minutes/)
  })
})

test('only the form that was drawn, in the session that typed the code [X-13] [P-48]', async (t) => {
  const { doors, client, browser } = await open(t)
  const { ask, origin } = doors
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const same = { origin, 'sec-fetch-site': 'same-origin' }

  const fresh = async () => {
    const codes = await start(doors, client)
    const { html } = await type(doors, browser, codes.user_code)
    return { codes, request: fieldOn(html, 'request'), form_token: fieldOn(html, 'form_token') }
  }
  type Question = Awaited<ReturnType<typeof fresh>>
  const answerTo = ({ request, form_token }: Question, changes: Partial<Ask> = {}): Ask => ({
    path: '/device/decision',
    browser,
    headers: same,
    form: { request, form_token, decision: 'approve', scope: 'mcp' },
    ...changes,
  })
  const withField = (question: Question, changes: Fields): Ask => {
    const { request, form_token } = question
    return answerTo(question, {
      form: { request, form_token, decision: 'approve', scope: 'mcp', ...changes },
    })
  }
  const forgeries: readonly (readonly [string, (question: Question) => Ask])[] = [
    ['no form token', (q) => withField(q, { form_token: undefined })],
    ['another form token', (q) => withField(q, { form_token: `${q.form_token}x` })],
    ['no decision', (q) => withField(q, { decision: undefined })],
    ['another decision', (q) => withField(q, { decision: 'Approve' })],
    ['another person [P-48]', (q) => answerTo(q, { browser: eve })],
    [
      'another person who says no [P-48]',
      (q) => ({ ...withField(q, { decision: 'deny' }), browser: eve }),
    ],
    [
      'another person in the same browser [P-48]',
      (q) => {
        const cookie = [onlyCookie(browser, 'browser'), onlyCookie(eve, 'session')].join('; ')
        const { browser: _, ...rest } = answerTo(q)
        return { ...rest, headers: { ...same, cookie } }
      },
    ],
    [
      'another site',
      (q) =>
        answerTo(q, { headers: { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' } }),
    ],
    ['a sibling host', (q) => answerTo(q, { headers: { origin, 'sec-fetch-site': 'same-site' } })],
    ['another origin', (q) => answerTo(q, { headers: { origin: 'https://evil.test' } })],
  ]
  for (const [name, forge] of forgeries) {
    await t.test(`${name}: 403, and the question still stands`, async (t) => {
      verifies(t, 'X-13', ...rowsIn(name))
      const question = await fresh()
      assertAnswer(await ask(forge(question)), { status: 403, hasNot: ['location', 'set-cookie'] })
      const waiting = await poll(doors, client, question.codes)
      assert.equal(waiting.json.error, 'authorization_pending')
      assertAnswer(await ask(answerTo(question)), { status: 303 })
      assertAnswer(await poll(doors, client, question.codes), { status: 200 })
    })
  }

  await t.test('nobody else sees the question', async (t) => {
    verifies(t, 'P-48')
    const { request } = await fresh()
    const seen = await ask({ path: `/device?request=${request}`, browser: eve })
    assertAnswer(seen, { status: 200, neverSays: ['A television', request, /name="decision"/] })
  })

  await t.test('an answer counts once', async () => {
    const question = await fresh()
    assertAnswer(await ask(answerTo(question)), { status: 303 })
    for (const decision of ['approve', 'deny']) {
      assertAnswer(await ask(withField(question, { decision })), { status: 410, has: page })
    }
  })

  for (const type of ['text/plain', 'application/json']) {
    await t.test(`a body of ${type} answers nothing`, async () => {
      const question = await fresh()
      const { form, ...request } = answerTo(question)
      const headers = { ...same, 'content-type': type }
      const answer = await ask({ ...request, headers, body: JSON.stringify(form) })
      assert.ok(answer.status >= 400 && answer.status < 500)
      assert.equal((await poll(doors, client, question.codes)).json.error, 'authorization_pending')
    })
  }

  await t.test('another site cannot type a code into a signed-in browser', async (t) => {
    verifies(t, 'X-13', 'P-48')
    const { user_code } = await start(doors, client)
    const before = await takenOf(doors)
    await browser.open(`${origin}/device`)
    const form_token = fieldOn(browser.current().html, 'form_token')
    await eve.open(`${origin}/device`)
    const foreign = fieldOn(eve.current().html, 'form_token')
    const tries: readonly Partial<Ask>[] = [
      { headers: { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' } },
      { form: { user_code } },
      { form: { user_code, form_token: foreign } },
      { form: { user_code, form_token: `${form_token}x` } },
    ]
    for (const changes of tries) {
      const good: Ask = { path: '/device', browser, headers: same, form: { user_code, form_token } }
      assertAnswer(await ask({ ...good, ...changes }), { status: 403, hasNot: ['location'] })
    }
    assert.equal(await takenOf(doors), before)
  })
})

test('a grant of a device is an app with access, and can be taken back', async (t) => {
  verifies(t, 'S3-47')
  const { doors, client, browser } = await open(t)
  const codes = await start(doors, client)
  await type(doors, browser, codes.user_code)
  await press(browser, 'approve')
  const { json } = await poll(doors, client, codes)
  const rest = restAs(browser, doors.origin)
  const { items } = (await rest('GET', '/grants')).body
  assert.deepEqual(
    items.map(({ clientName }: { clientName: string }) => clientName),
    ['A television'],
  )
  assert.equal((await rest('DELETE', `/grants/${items[0].id}`)).status, 204)
  assert.equal(await isActive(doors, json.access_token), false)
})

test('an administrator makes a client for devices over REST', async (t) => {
  verifies(t, 'S3-51')
  const { doors, browser } = await open(t)
  const rest = restAs(browser, doors.origin)
  const input = { name: 'Press', redirectUris: [], grantTypes: [deviceCodeGrant, 'refresh_token'] }
  const made = await rest('POST', '/clients', input)
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id, clientSecret } = made.body
  const answer = await doors.ask({ path, form: {}, headers: basic(id, clientSecret) })
  assertAnswer(answer, { status: 200 })
  const { html } = await type(doors, browser, answer.json.user_code)
  assert.doesNotMatch(html, /not verified/)
})

onEveryDatabase('a device gets in on both databases', async (t, store) => {
  verifies(t, 'S3-51')
  const doors = await openDoorsOn(t, store)
  const client = await register(doors, forDevices)
  const browser = await signIn(doors.origin)
  const codes = await start(doors, client)
  await type(doors, browser, codes.user_code)
  await press(browser, 'approve')
  const { json } = await poll(doors, client, codes)
  assert.equal(await isActive(doors, json.access_token), true)
})

/** How many codes were ever typed. */
async function takenOf({ store }: Doors): Promise<number> {
  const rows = await store.db
    .selectFrom('device_codes')
    .select('id')
    .where('session_digest', 'is not', null)
    .execute()
  return rows.length
}

function onlyCookie(browser: CookieBrowser, name: string): string {
  const cookies = cookiesOf(browser).split('; ')
  return cookies.filter((one) => one.includes(name)).join('; ')
}

test('an operator sees what became of a device, and why it was refused', async (t) => {
  verifies(t, 'S3-39')
  const { clock, doors, client, browser } = await open(t)
  const attempts = async () => {
    const { json } = await doors.ask({ path: '/api/v1/attempts', browser })
    return json.items.map(
      (item: { outcome: string; finding?: string; client?: { id: string } }) => [
        item.outcome,
        item.finding,
        item.client?.id,
      ],
    )
  }
  const codes = await start(doors, client)
  await type(doors, browser, codes.user_code)
  await press(browser, 'approve')
  await clock.advance(5_000)
  const tokens = await poll(doors, client, codes)
  assertAnswer(tokens, { status: 200 })
  assert.deepEqual(
    await attempts(),
    [['waiting', undefined, client.id]],
    'one story, from its first step',
  )

  await clock.advance(60_000)
  const late = await start(doors, client)
  await clock.advance(600_000)
  assertAnswer(await poll(doors, client, late), { status: 400, error: 'expired_token' })
  const [newest] = await attempts()
  assert.deepEqual(newest, ['failed', 'token_refused', client.id])
})
