// The pages on the way in and out: where they may lead, which cookies they set, and that nobody signs another person in
// (threats; RFC 9700 §4.7 and §4.11).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, cookiesOf, fieldOn, openDoors } from './doors.ts'
import type { Ask, Doors, Fields } from './doors.ts'

const page = { 'content-type': /^text\/html/, 'cache-control': 'no-store' } as const
const home = '/console/connections'

/** Draws the sign-in form in this browser. */
async function draw({ origin }: Doors, browser: CookieBrowser, next?: string): Promise<Fields> {
  const query = next === undefined ? '' : `?next=${encodeURIComponent(next)}`
  const { html } = await browser.open(`${origin}/sign-in${query}`)
  return { ...operator, form_token: fieldOn(html, 'form_token'), next: fieldOn(html, 'next') }
}

function post({ origin }: Doors, browser: CookieBrowser, form: Fields): Ask {
  return { path: '/sign-in', browser, form, headers: { origin, 'sec-fetch-site': 'same-origin' } }
}

const elsewhere = [
  'https://evil.test/',
  'https:evil.test',
  'https:/evil.test',
  'http://localhost/',
  '//evil.test',
  '///evil.test',
  '/\\evil.test',
  '\\/evil.test',
  '\\\\evil.test',
  '/\t/evil.test',
  '/\n/evil.test',
  '\t//evil.test',
  ' //evil.test',
  'javascript:alert(1)',
  'data:text/html,x',
  '@evil.test',
  '.evil.test',
  'evil.test',
  '',
  '/x\r\nSet-Cookie: a=b',
  '/ü',
  '"><script>alert(1)</script>',
]

test('where a sign-in leads', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const browser = createCookieBrowser()
  const form = await draw(doors, browser)

  for (const next of elsewhere) {
    await t.test(`next=${JSON.stringify(next)} leads home [X-02]`, async () => {
      const drawn = await ask({ path: `/sign-in?next=${encodeURIComponent(next)}`, browser })
      assertAnswer(drawn, { status: 200, has: page, neverSays: ['evil.test', /<script/] })
      const answer = await ask(post(doors, browser, { ...form, next }))
      assertAnswer(answer, { status: 303, has: { location: home } })
    })
  }

  for (const next of [home, '/oauth/consent?request=req_x', '/connect/con_x?flow=flw_x', '/']) {
    await t.test(`next=${next} is followed`, async (t) => {
      verifies(t, 'S3-16')
      const answer = await ask(post(doors, browser, await draw(doors, browser, next)))
      assertAnswer(answer, { status: 303, has: { location: next } })
    })
  }
})

test('who may post the sign-in form', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const browser = createCookieBrowser()
  const other = createCookieBrowser()
  const form = await draw(doors, browser)
  const foreign = await draw(doors, other)
  const good = post(doors, browser, form)
  const refused: readonly (readonly [string, Ask])[] = [
    ['no form token', post(doors, browser, { ...form, form_token: undefined })],
    ['a form token that was made up', post(doors, browser, { ...form, form_token: 'x' })],
    [
      'the form token of another browser [X-13]',
      post(doors, browser, { ...form, form_token: foreign['form_token'] }),
    ],
    ['no browser cookie', { ...good, headers: { ...good.headers, cookie: '' } }],
    [
      'two browser cookies (cookie tossing) [X-32]',
      {
        ...good,
        headers: { ...good.headers, cookie: `${cookiesOf(browser)}; ${cookiesOf(other)}` },
      },
    ],
    [
      'another site [X-13]',
      { ...good, headers: { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' } },
    ],
    [
      'another site that hides its name [X-13]',
      { ...good, headers: { origin: 'null', 'sec-fetch-site': 'cross-site' } },
    ],
    ['a sibling site [X-13]', { ...good, headers: { 'sec-fetch-site': 'same-site' } }],
    [
      'another origin from an old browser [X-13]',
      { ...good, headers: { origin: 'https://evil.test' } },
    ],
  ]
  for (const [name, request] of refused) {
    await t.test(`${name}: 403 and no session`, async () => {
      const answer = await ask(request)
      assertAnswer(answer, { status: 403, has: page, hasNot: ['location'] })
      assert.deepEqual(answer.headers.getSetCookie(), [])
    })
  }
  await t.test('the right one signs in', async () => {
    assertAnswer(await ask(good), { status: 303 })
  })
  await t.test(
    'a page without a referrer posts with the origin null, and that is fine',
    async () => {
      const headers = { origin: 'null', 'sec-fetch-site': 'same-origin' }
      assertAnswer(await ask({ ...good, headers }), { status: 303 })
    },
  )
})

test('a wrong password', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const browser = createCookieBrowser()
  const form = await draw(doors, browser)
  const words = new Set<string>()
  const wrong: readonly (readonly [string, Fields])[] = [
    ['a wrong password', { password: 'x' }],
    ['an empty password', { password: '' }],
    ['no password', { password: undefined }],
    ['a password with a space more', { password: `${operator.password} ` }],
    ['a very long password', { password: 'x'.repeat(20_000) }],
    ['nobody of this name [X-20]', { email: 'nobody@example.com' }],
  ]
  for (const [name, changes] of wrong) {
    await t.test(`${name}: 401, the same words, no session`, async () => {
      const answer = await ask(post(doors, browser, { ...form, ...changes }))
      assertAnswer(answer, {
        status: 401,
        has: page,
        hasNot: ['location'],
        neverSays: [operator.password],
      })
      assert.deepEqual(answer.headers.getSetCookie(), [])
      words.add(/role="alert">([^<]*)</.exec(answer.text)?.[1] ?? '')
    })
  }
  await t.test('nobody learns whether the person exists [X-20]', () => {
    assert.equal(words.size, 1)
  })
  await t.test('what was typed comes back escaped', async () => {
    const email = '"><script>alert(1)</script>@x'
    const answer = await ask(post(doors, browser, { ...form, email }))
    assertAnswer(answer, { status: 401, neverSays: [/<script/] })
  })
})

test('the cookies of a session [X-32]', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const { ask, origin } = doors
  const browser = createCookieBrowser()
  const form = await draw(doors, browser)

  await t.test('Secure, HttpOnly, SameSite, host-only, and new at each sign-in', async () => {
    const planted = '__Host-lk_session=planted'
    const cookie = `${cookiesOf(browser)}; ${planted}`
    const request = post(doors, browser, form)
    const first = await ask({ ...request, headers: { ...request.headers, cookie } })
    const second = await ask(request)
    const shape = /^__Host-lk_session=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax$/
    const knownShape =
      /^__Host-lk_known=\w{26}\.[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=15552000$/
    for (const { headers } of [first, second]) {
      const [session = '', known = '', ...others] = headers.getSetCookie()
      assert.match(session, shape)
      assert.match(known, knownShape)
      assert.deepEqual(others, [])
    }
    assert.notEqual(first.headers.getSetCookie()[0], second.headers.getSetCookie()[0])
    assert.doesNotMatch(first.headers.getSetCookie()[0] ?? '', /planted/)
    const fixed = await ask({ path: '/api/v1/grants', headers: { cookie: planted } })
    assertAnswer(fixed, { status: 401, error: 'not_signed_in' })
  })

  await t.test('a session ends with sign-out, at once and on the server', async () => {
    const person = await signIn(origin)
    const cookie = cookiesOf(person)
    assertAnswer(await ask({ path: '/api/v1/grants', headers: { cookie } }), { status: 200 })
    const { html } = await person.open(`${origin}${home}`)
    const tokens = [...html.matchAll(/action="\/sign-out"[^]*?name="form_token" value="([^"]*)"/g)]
    const form_token = tokens[0]?.[1]
    const headers = { cookie, origin, 'sec-fetch-site': 'same-origin' }
    const refused = await ask({ path: '/sign-out', headers, form: { form_token: 'x' } })
    assertAnswer(refused, { status: 403 })
    const answer = await ask({ path: '/sign-out', headers, form: { form_token } })
    assertAnswer(answer, { status: 303, has: { location: '/sign-in' } })
    assert.match(answer.headers.getSetCookie()[0] ?? '', /^__Host-lk_session=; .*Max-Age=0/)
    assertAnswer(await ask({ path: '/api/v1/grants', headers: { cookie } }), { status: 401 })
  })

  await t.test('another site cannot sign a person out [X-13]', async () => {
    const person = await signIn(origin)
    const headers = { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }
    const answer = await ask({
      path: '/sign-out',
      browser: person,
      headers,
      form: { form_token: 'x' },
    })
    assertAnswer(answer, { status: 403, hasNot: ['set-cookie'] })
    assertAnswer(await ask({ path: '/api/v1/grants', browser: person }), { status: 200 })
  })

  await t.test('odd session cookies are nobody', async () => {
    const values = [
      '',
      'x',
      'x'.repeat(600),
      '%00',
      '"quoted"',
      '../',
      "' or 1=1 --",
      'ü'.normalize('NFC'),
    ]
    for (const value of values.slice(0, -1)) {
      const cookie = `__Host-lk_session=${value}`
      assertAnswer(await ask({ path: '/api/v1/grants', headers: { cookie } }), { status: 401 })
    }
  })

  await t.test('two session cookies are nobody (cookie tossing)', async () => {
    const cookie = cookiesOf(await signIn(origin))
    const headers = { cookie: `${cookie}; __Host-lk_session=x` }
    assertAnswer(await ask({ path: '/api/v1/grants', headers }), { status: 401 })
  })

  await t.test('the last moment of a session and the first after it', async () => {
    const person = await signIn(origin)
    await clock.advance(12 * 3_600_000 - 1)
    assertAnswer(await ask({ path: '/api/v1/grants', browser: person }), { status: 200 })
    await clock.advance(1)
    assertAnswer(await ask({ path: '/api/v1/grants', browser: person }), { status: 401 })
  })

  await t.test('a disabled person is signed out everywhere at once [P-109]', async () => {
    const person = await signIn(origin)
    await doors.store.db.updateTable('users').set({ disabled_at: 1 }).execute()
    assertAnswer(await ask({ path: '/api/v1/grants', browser: person }), { status: 401 })
    const again = await ask(post(doors, browser, await draw(doors, browser)))
    assertAnswer(again, { status: 401 })
  })
})

test('the set-up page', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  for (const link of ['', 'x', '../', 'x'.repeat(5000)]) {
    await t.test(
      `the link ${JSON.stringify(link.slice(0, 8))} is gone once somebody exists`,
      async () => {
        assertAnswer(await ask({ path: `/setup?link=${encodeURIComponent(link)}` }), {
          status: 410,
          has: page,
        })
      },
    )
  }
  await t.test('a form token of another page does not make an operator [P-40]', async () => {
    const browser = createCookieBrowser()
    const { form_token } = await draw(doors, browser)
    const form = {
      form_token,
      link: 'x',
      email: 'eve@example.com',
      password: operator.password,
      role: 'operator',
    }
    const answer = await ask({ path: '/setup', browser, form, headers: { origin } })
    assertAnswer(answer, { status: 403 })
    const people = await doors.store.db.selectFrom('users').selectAll().execute()
    assert.equal(people.length, 1)
  })
})
