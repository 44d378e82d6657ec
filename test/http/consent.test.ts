// The question that a person is asked: only the person it was drawn for, in the browser that began the request, answers
// it, once, and only about what was stored (threats 5, rows 12 and 14, P-04).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { addPerson, assertAnswer, cookiesOf, fieldOn, openDoors, openDoorsOn } from './doors.ts'
import type { Ask, Doors, Fields } from './doors.ts'
import {
  approve,
  authorizePath,
  isActive,
  obtainTokens,
  redirectUri,
  register,
} from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const path = '/oauth/consent'
const page = { 'content-type': /^text\/html/, 'cache-control': 'no-store' } as const
const forbidden = { status: 403, has: page, hasNot: ['location'] } as const

interface Question {
  readonly request: string
  readonly form_token: string
  readonly html: string
}

/** Opens the question in this browser. */
async function open(doors: Doors, browser: CookieBrowser, client: OAuthClient): Promise<Question> {
  browser.setStopAt((url) => url.origin !== doors.origin)
  const { html } = await browser.open(doors.origin + authorizePath(client, { prompt: 'consent' }))
  return { request: fieldOn(html, 'request'), form_token: fieldOn(html, 'form_token'), html }
}

/** What a browser sends when a person presses a button of the question. */
function answerTo(
  { origin }: Doors,
  browser: CookieBrowser,
  { request, form_token }: Question,
  changes: Fields = {},
): Ask {
  return {
    path,
    browser,
    headers: { origin, 'sec-fetch-site': 'same-origin' },
    form: { request, form_token, decision: 'approve', scope: 'mcp', ...changes },
  }
}

async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const client = await register(doors)
  const browser = await signIn(doors.origin)
  await addPerson(doors, 'eve@example.com')
  const other = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  const open_ = () => open(doors, browser, client)
  const codes = () => doors.store.db.selectFrom('codes').selectAll().execute()
  return { clock, doors, client, browser, other, fresh: open_, codes }
}

test('the answer to the question', async (t) => {
  const { clock, doors, client, browser, other, fresh, codes } = await start(t)
  const { ask, origin } = doors

  await t.test('approve sends a code with state and iss, by 303', async (t) => {
    verifies(t, 'S3-27')
    const answer = await ask(answerTo(doors, browser, await fresh()))
    assertAnswer(answer, { status: 303, has: { 'cache-control': 'no-store' } })
    const url = new URL(answer.headers.get('location') ?? '')
    assert.equal(`${url.origin}${url.pathname}`, redirectUri)
    assert.match(url.searchParams.get('code') ?? '', /^auth_/)
    assert.equal(url.searchParams.get('state'), 'the-state')
    assert.equal(url.searchParams.get('iss'), origin)
  })

  await t.test('deny sends access_denied with state and iss [row 12] [X-02]', async (t) => {
    verifies(t, 'S3-27', 'S3-28', 'T-12', 'X-02')
    const before = (await codes()).length
    const answer = await ask(answerTo(doors, browser, await fresh(), { decision: 'deny' }))
    assertAnswer(answer, { status: 303 })
    const given = Object.fromEntries(new URL(answer.headers.get('location') ?? '').searchParams)
    assert.deepEqual(given, {
      error: 'access_denied',
      error_description: 'User denied authorization',
      state: 'the-state',
      iss: origin,
    })
    assert.equal((await codes()).length, before)
  })

  const tampered: readonly (readonly [string, (question: Question) => Ask])[] = [
    ['no form token', (q) => answerTo(doors, browser, q, { form_token: undefined })],
    ['an empty form token', (q) => answerTo(doors, browser, q, { form_token: '' })],
    [
      'a form token with a letter changed',
      (q) => answerTo(doors, browser, q, { form_token: flip(q.form_token) }),
    ],
    ['no decision', (q) => answerTo(doors, browser, q, { decision: undefined })],
    ['another decision', (q) => answerTo(doors, browser, q, { decision: 'Approve' })],
    // Decision 004: what is not in our form as we drew it is not heard, and what is in it wrongly is 403.
    [
      'a scope that was not asked for [P-04]',
      (q) => answerTo(doors, browser, q, { scope: 'memories:write' }),
    ],
    ['another person in another browser [P-22]', (q) => answerTo(doors, other, q)],
    ['no cookies', (q) => ({ ...answerTo(doors, browser, q), headers: { cookie: '' } })],
    [
      'the session without the browser',
      (q) => withCookies(doors, q, browser, (one) => one.includes('session')),
    ],
    [
      'this browser with the session of another person [row 14]',
      (q) => mixed(doors, q, { browser, session: other }),
    ],
    [
      'another browser with the session of this person [P-21]',
      (q) => mixed(doors, q, { browser: other, session: browser }),
    ],
    [
      'a form that another site posts [P-22] [X-13]',
      (q) => ({
        ...answerTo(doors, browser, q),
        headers: { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' },
      }),
    ],
    [
      'the form of one person, posted by another site in the browser of another [P-22]',
      (q) => ({
        ...answerTo(doors, other, q),
        headers: { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' },
      }),
    ],
    [
      'a form that a sibling host posts [X-13]',
      (q) => ({
        ...answerTo(doors, browser, q),
        headers: { origin: 'http://evil.localhost', 'sec-fetch-site': 'same-site' },
      }),
    ],
    [
      'another origin without Fetch Metadata [X-13]',
      (q) => ({
        ...answerTo(doors, browser, q),
        headers: { origin: 'https://evil.test' },
      }),
    ],
    [
      'the origin null without Fetch Metadata [X-13]',
      (q) => ({
        ...answerTo(doors, browser, q),
        headers: { origin: 'null' },
      }),
    ],
  ]
  for (const [name, request] of tampered) {
    await t.test(`${name}: 403, and the question still stands [row 14]`, async (t) => {
      verifies(t, 'S4-45', 'T-14', ...rowsIn(name))
      const question = await fresh()
      const before = (await codes()).length
      const answer = await ask(request(question))
      assertAnswer(answer, forbidden)
      assert.equal((await codes()).length, before)
      assert.deepEqual(answer.headers.getSetCookie(), [], 'P-22: no cookie for the other browser')
      assertAnswer(await ask(answerTo(doors, browser, question)), { status: 303 })
    })
  }

  await t.test('the token of one question does not answer another [row 14] [P-22]', async (t) => {
    verifies(t, 'T-14', 'P-22')
    const [one, two] = [await fresh(), await fresh()]
    assertAnswer(
      await ask(answerTo(doors, browser, one, { form_token: two.form_token })),
      forbidden,
    )
  })

  await t.test('hidden fields are not heard [P-04]', async (t) => {
    verifies(t, 'S3-26', 'P-04')
    const evil = await register(doors, { redirect_uris: ['https://evil.test/cb'] })
    const answer = await ask(
      answerTo(doors, browser, await fresh(), {
        redirect_uri: 'https://evil.test/cb',
        redirectUri: 'https://evil.test/cb',
        client_id: evil.id,
        scopes: 'memories:write',
        state: 'another',
        resource: 'https://evil.test/mcp',
        user_id: 'usr_x',
      }),
    )
    const url = new URL(answer.headers.get('location') ?? '')
    assert.equal(`${url.origin}${url.pathname}`, redirectUri)
    assert.equal(url.searchParams.get('state'), 'the-state')
    const grants = await doors.store.db.selectFrom('grants').selectAll().execute()
    assert.ok(grants.every(({ client_id, scope }) => client_id === client.id && scope === 'mcp'))
  })

  await t.test('an answer counts once; the second is told so, without a redirect', async () => {
    const question = await fresh()
    assertAnswer(await ask(answerTo(doors, browser, question)), { status: 303 })
    for (const decision of ['approve', 'deny']) {
      const again = await ask(answerTo(doors, browser, question, { decision }))
      assertAnswer(again, { status: 410, has: page, hasNot: ['location'] })
    }
    assertAnswer(await ask({ path: `${path}?request=${question.request}`, browser }), {
      status: 410,
      hasNot: ['location'],
    })
  })

  await t.test('loading the question twice breaks neither page [P-34]', async (t) => {
    verifies(t, 'P-34')
    const first = await fresh()
    const again = await ask({ path: `${path}?request=${first.request}`, browser })
    assertAnswer(again, { status: 200 })
    const second = { ...first, form_token: fieldOn(again.text, 'form_token') }
    assertAnswer(await ask(answerTo(doors, browser, first)), { status: 303 })
    // Decision 004: who answers again is told that it is answered, not that the form is wrong.
    for (const question of [first, second]) {
      assertAnswer(await ask(answerTo(doors, browser, question)), {
        status: 410,
        hasNot: ['location'],
      })
    }
  })

  await t.test('GET does not answer, whatever it carries [X-13]', async () => {
    const { request, form_token } = await fresh()
    const before = (await codes()).length
    for (const more of ['decision=approve', 'decision=approve&_method=POST']) {
      const query = `request=${request}&form_token=${encodeURIComponent(form_token)}&${more}`
      const headers = { 'x-http-method-override': 'POST' }
      const answer = await ask({ path: `${path}?${query}`, browser, headers })
      assertAnswer(answer, { status: 200, hasNot: ['location'] })
    }
    assert.equal((await codes()).length, before)
  })

  for (const type of ['text/plain', 'application/json']) {
    await t.test(`a body of ${type} does not answer [X-13]`, async () => {
      const question = await fresh()
      const { form = {}, ...request } = answerTo(doors, browser, question)
      const before = (await codes()).length
      const headers = { ...request.headers, 'content-type': type }
      const answer = await ask({ ...request, headers, body: JSON.stringify(form) })
      assert.ok(answer.status >= 400 && answer.status < 500)
      assert.equal((await codes()).length, before)
    })
  }

  await t.test('the question of another browser is not shown [P-21]', async (t) => {
    verifies(t, 'P-21')
    const { request } = await fresh()
    for (const who of [{ browser: other }, {}]) {
      assertAnswer(await ask({ path: `${path}?request=${request}`, ...who }), forbidden)
    }
  })

  for (const request of [
    '',
    'req_x',
    'x',
    `req_${'x'.repeat(65)}`,
    "req_' or 1=1",
    '../x',
    'req_\0',
  ]) {
    await t.test(
      `the request ${JSON.stringify(request.slice(0, 16))} is 410, whoever asks`,
      async () => {
        const asked = `${path}?request=${encodeURIComponent(request)}`
        for (const who of [{ browser }, {}]) {
          assertAnswer(await ask({ path: asked, ...who }), {
            status: 410,
            has: page,
            hasNot: ['location'],
          })
        }
        const question = { request, form_token: 'x', html: '' }
        assertAnswer(await ask(answerTo(doors, browser, question)), {
          status: 410,
          hasNot: ['location'],
        })
      },
    )
  }

  await t.test('a signed-out person is sent to sign in, and the question waits', async () => {
    const question = await fresh()
    const signedOut = withCookies(doors, question, browser, (one) => one.includes('browser'))
    const answer = await ask(signedOut)
    assertAnswer(answer, { status: 303, has: { location: /^\/sign-in\?next=%2Foauth%2Fconsent/ } })
    assertAnswer(await ask(answerTo(doors, browser, question)), { status: 303 })
  })

  await t.test('the last moment of a question and the first after it', async (t) => {
    verifies(t, 'S1-91')
    const [inTime, late] = [await fresh(), await fresh()]
    await clock.advance(599_999)
    assertAnswer(await ask(answerTo(doors, browser, inTime)), {
      status: 303,
      has: { location: /code=/ },
    })
    await clock.advance(1)
    assertAnswer(await ask(answerTo(doors, browser, late)), { status: 400, hasNot: ['location'] })
  })
})

test('what the question shows [X-12] [X-39]', async (t) => {
  verifies(t, 'S3-25', 'S3-26')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const hostile = await register(doors, {
    client_name: '"><img src=x onerror=alert(1)>\u202egnp.exe</bdi><script>',
    redirect_uris: ['https://claude.ai.evil.test/cb'],
    logo_uri: 'https://evil.test/pixel.png',
    client_uri: 'https://evil.test/?x=%22%3E%3Cscript%3E',
  })
  const { html } = await open(doors, browser, hostile)
  assert.doesNotMatch(html, /<img|<script|\u202e|pixel\.png/)
  assert.match(html, /&lt;img src=x onerror=alert\(1\)&gt;/)
  assert.ok(html.includes('claude.ai.evil.test'))
  assert.ok(html.includes(operator.email))
  assert.match(html, /not verified/)
})

test('a program on this computer is named with where it is answered, and warned of', async (t) => {
  verifies(t, 'A7')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const onlyHere = { redirect_uris: ['http://127.0.0.1:33418/cb'], application_type: 'native' }
  const { html } = await open(doors, browser, await register(doors, onlyHere))
  assert.match(html, /<code>127\.0\.0\.1<\/code>/)
  assert.match(html, /runs on this computer, and any program here can use its name/)

  const elsewhere = await open(doors, browser, await register(doors))
  assert.match(elsewhere.html, /<code>app\.test<\/code>/)
  assert.doesNotMatch(elsewhere.html, /runs on this computer/)
})

test('the headers of the question let nobody frame it or run a script in it [X-13] [X-30]', async (t) => {
  verifies(t, 'S3-42')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const { request } = await open(doors, browser, await register(doors))
  const { headers } = await doors.ask({ path: `${path}?request=${request}`, browser })
  const policy = headers.get('content-security-policy') ?? ''
  for (const directive of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) {
    assert.ok(policy.includes(directive), directive)
  }
  assert.doesNotMatch(policy, /unsafe|script-src/)
  assert.equal(headers.get('x-frame-options'), 'DENY')
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  assert.equal(headers.get('x-content-type-options'), 'nosniff')
  assert.equal(headers.get('access-control-allow-origin'), null)
})

const asks = /^\/oauth\/consent/
const byHand = { 'sec-fetch-site': 'none' } as const

test('what was agreed lets a client in again only when a person asks for it [P-23]', async (t) => {
  const doors = await openDoors(t)
  const client = await register(doors)
  const browser = await signIn(doors.origin)
  await approve(doors, browser, client)
  const locationOf = async (headers: Ask['headers'] = {}, changes: Fields = {}) =>
    (await doors.ask({ path: authorizePath(client, changes), browser, headers })).headers.get(
      'location',
    ) ?? ''
  const lent: readonly NonNullable<Ask['headers']>[] = [
    {},
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-user': '?0' },
    { 'sec-fetch-user': '?1' },
  ]
  for (const headers of lent) {
    await t.test(`${JSON.stringify(headers)}: asked`, async (t) => {
      verifies(t, 'P-23')
      assert.match(await locationOf(headers), asks)
      assert.match(
        await locationOf(headers, { prompt: 'none' }),
        /[?&]error=(?:consent|interaction)_required&/,
      )
    })
  }
  for (const headers of [
    byHand,
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-user': '?1' },
  ]) {
    await t.test(`${JSON.stringify(headers)}: a code`, async (t) => {
      verifies(t, 'P-23')
      assert.match(await locationOf(headers), /[?&]code=auth_/)
      assert.match(await locationOf(headers, { prompt: 'none' }), /[?&]code=auth_/)
    })
  }
})

test('what was agreed is remembered for this person, client and address only [X-34]', async (t) => {
  const doors = await openDoors(t)
  const { ask, store, origin } = doors
  const redirect_uris = ['https://app.test/cb', 'https://other.test/cb']
  const client = await register(doors, { redirect_uris })
  const browser = await signIn(origin)
  await addPerson(doors, 'eve@example.com')
  const other = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const locationOf = async (who: CookieBrowser, changes: Fields = {}) =>
    (
      await ask({ path: authorizePath(client, changes), browser: who, headers: byHand })
    ).headers.get('location') ?? ''
  assert.match(await locationOf(browser), asks)
  const { accessToken } = await obtainTokens(doors, browser, client)

  await t.test('the same again: no question', async () => {
    assert.match(await locationOf(browser), /^https:\/\/app\.test\/cb\?code=/)
  })
  await t.test('another person, another address, prompt=consent: asked', async () => {
    assert.match(await locationOf(other), asks)
    assert.match(await locationOf(browser, { redirect_uri: 'https://other.test/cb' }), asks)
    assert.match(await locationOf(browser, { prompt: 'consent' }), asks)
  })
  await t.test('prompt=login and select_account lead to sign-in, though signed in', async () => {
    for (const prompt of ['login', 'select_account', 'login consent']) {
      assert.match(await locationOf(browser, { prompt }), /^\/sign-in/)
    }
  })
  await t.test('a client that calls itself something else: asked', async () => {
    const row = await store.db.selectFrom('clients').selectAll().executeTakeFirstOrThrow()
    const change = (metadata_digest: string) =>
      store.db.updateTable('clients').set({ metadata_digest }).where('id', '=', client.id).execute()
    await change('another')
    assert.match(await locationOf(browser), asks)
    await change(row.metadata_digest)
  })
  await t.test('access that was taken back: asked, and the token is dead', async (t) => {
    verifies(t, 'S3-47', 'A3-14')
    const cookie = cookiesOf(browser)
    const { json } = await ask({ path: '/api/v1/grants', headers: { cookie } })
    for (const { id } of json.items) {
      const answer = await ask({
        path: `/api/v1/grants/${id}`,
        method: 'DELETE',
        headers: { cookie, origin },
      })
      assertAnswer(answer, { status: 204 })
    }
    assert.equal(await isActive(doors, accessToken), false)
    assert.match(await locationOf(browser), asks)
  })
  await t.test('a client that was disabled meanwhile gets nothing [P-109]', async () => {
    await approve(doors, browser, client)
    await store.db.updateTable('clients').set({ disabled_at: 1 }).execute()
    const location = await locationOf(browser)
    assert.doesNotMatch(location, /code=/)
  })
})

onEveryDatabase('fifty answers at once: one code', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const client = await register(doors)
  const browser = await signIn(doors.origin)
  const question = await open(doors, browser, client)
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) =>
      doors.ask(
        answerTo(doors, browser, question, { decision: at % 2 === 0 ? 'approve' : 'deny' }),
      ),
    ),
  )
  const statuses = answers.map(({ status }) => status).sort((a, b) => a - b)
  assert.deepEqual(statuses, [303, ...Array.from({ length: 49 }, () => 410)])
})

function flip(token: string): string {
  return (token.startsWith('A') ? 'B' : 'A') + token.slice(1)
}

function withCookies(
  doors: Doors,
  question: Question,
  browser: CookieBrowser,
  keep: (cookie: string) => boolean,
): Ask {
  const cookie = cookiesOf(browser).split('; ').filter(keep).join('; ')
  const { browser: _, ...request } = answerTo(doors, browser, question)
  return { ...request, headers: { ...request.headers, cookie } }
}

function mixed(
  doors: Doors,
  question: Question,
  { browser, session }: { readonly browser: CookieBrowser; readonly session: CookieBrowser },
): Ask {
  const pick = (from: CookieBrowser, name: string) =>
    cookiesOf(from)
      .split('; ')
      .filter((one) => one.includes(name))
  const cookie = [...pick(browser, 'browser'), ...pick(session, 'session')].join('; ')
  const { browser: _, ...request } = answerTo(doors, browser, question)
  return { ...request, headers: { ...request.headers, cookie } }
}
