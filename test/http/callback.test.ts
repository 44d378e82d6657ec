// Where a sign-in elsewhere comes back to: whatever does not fit touches nothing, and no code goes anywhere before it is
// certain who it is from (threats 5, rows 46–48; ).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import type { Faults } from '../fakes/fault-provider.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { addPerson, assertAnswer, cookiesOf, fieldOn, openDoors, openDoorsOn } from './doors.ts'
import type { Answer, Doors } from './doors.ts'

const page = { 'content-type': /^text\/html/, 'cache-control': 'no-store' } as const
const refused = { status: 400, has: page, hasNot: ['location', 'set-cookie'] } as const
const mark = 'SAIDBYTHEPROVIDER'

interface Begun {
  readonly connectionId: string
  readonly flowId: string
  /** The callback as the provider sent the browser to it. */
  readonly callback: URL
}

async function startOn(t: TestContext, doors: Doors, faults: Partial<Faults> = {}) {
  const provider = await startFaultProvider(faults)
  t.after(async () => {
    doors.alsoSecret(provider.issued())
    await provider.stop()
  })
  const { ask, origin } = doors
  const call = (browser: CookieBrowser, method: string, path: string, json?: unknown) =>
    ask({ method, path: `/api/v1${path}`, browser, json, headers: { origin } })
  const browser = await signIn(origin)
  const added = await call(browser, 'POST', '/servers', { url: provider.mcpUrl })
  assert.equal(added.status, 201, added.text)
  let count = 0
  const begin = async (who = browser): Promise<Begun> => {
    const label = `number ${++count}`
    const made = await call(who, 'POST', '/connections', { serverId: added.json.id, label })
    const begun = await call(who, 'POST', `/connections/${made.json.id}/authorize`, {})
    assert.equal(begun.status, 200, begun.text)
    const sent = await ask({ path: begun.json.authorizeUrl })
    const callback = new URL(sent.headers.get('location') ?? '')
    return { connectionId: made.json.id, flowId: begun.json.flowId, callback }
  }
  const tokenCalls = () => provider.tokenRequests().length
  const flowOf = async ({ flowId }: Begun) => (await call(browser, 'GET', `/flows/${flowId}`)).json
  const open = (callback: URL, who: { browser?: CookieBrowser } = { browser }): Promise<Answer> =>
    ask({ path: callback.href, ...who, headers: { 'sec-fetch-site': 'cross-site' } })
  return { provider, browser, begin, tokenCalls, flowOf, open, call }
}

async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  // Whoever has a connections page open has a browser cookie as well.
  await eve.open(`${doors.origin}/console/connections`)
  return { clock, doors, eve, ...(await startOn(t, doors)) }
}

/** The callback with these parameters instead. */
function changed(callback: URL, changes: Readonly<Record<string, string | undefined>>): URL {
  const url = new URL(callback)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  return url
}

function flipAt(text: string, at: number): string {
  return text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
}

test('a callback that does not fit [row 46]', async (t) => {
  const { doors, browser, eve, begin, open, tokenCalls, flowOf } = await start(t)
  const foreign = await begin(eve)
  const stateOf = ({ callback }: Begun) => callback.searchParams.get('state') ?? ''

  const misfits: readonly (readonly [string, (begun: Begun) => URL])[] = [
    ['no state [X-08]', ({ callback }) => changed(callback, { state: undefined })],
    ['an empty state [X-08]', ({ callback }) => changed(callback, { state: '' })],
    [
      'a state that was made up [X-08]',
      ({ callback }) => changed(callback, { state: 'x'.repeat(43) }),
    ],
    ['a very long state [X-08]', ({ callback }) => changed(callback, { state: 'x'.repeat(8000) })],
    ['a state of dots', ({ callback }) => changed(callback, { state: '...' })],
    [
      'another flow in the state [A2-5]',
      (b) => changed(b.callback, { state: flipAt(stateOf(b), 1) }),
    ],
    [
      'another time in the state [A2-5]',
      (b) => changed(b.callback, { state: flipAt(stateOf(b), stateOf(b).indexOf('.') + 2) }),
    ],
    [
      'another tag [A2-5]',
      (b) => changed(b.callback, { state: flipAt(stateOf(b), stateOf(b).length - 3) }),
    ],
    ['a state with something behind it', (b) => changed(b.callback, { state: `${stateOf(b)}.x` })],
    ['the state of another person [X-09]', (b) => changed(b.callback, { state: stateOf(foreign) })],
    [
      'the redirect URI of another server [X-10]',
      ({ callback }) => new URL(`${doors.origin}/connect/callback/ctx_x${callback.search}`),
    ],
    ['two states', ({ callback }) => new URL(`${callback.href}&state=x`)],
    ['two codes', ({ callback }) => new URL(`${callback.href}&code=x`)],
    ['two issuers', ({ callback }) => new URL(`${callback.href}&iss=x`)],
  ]
  for (const [name, misfit] of misfits) {
    await t.test(`${name}: a page, nothing is sent, and the flow still stands`, async (t) => {
      verifies(t, 'S1-49', 'S2-19', 'A1-11', 'A2-5', 'T-46', 'C17', ...rowsIn(name))
      const begun = await begin()
      const before = tokenCalls()
      assertAnswer(await open(misfit(begun)), refused)
      assert.equal(tokenCalls(), before)
      assert.equal((await flowOf(begun)).status, 'pending')
      assertAnswer(await open(begun.callback), { status: 302 })
    })
  }

  const strangers: readonly (readonly [string, () => Promise<{ browser?: CookieBrowser }>])[] = [
    ['nobody', async () => ({})],
    ['another person [X-09]', async () => ({ browser: eve })],
    [
      'the same person in another browser [X-09]',
      async () => ({ browser: await signIn(doors.origin) }),
    ],
    [
      'a browser where nobody is signed in',
      async () => {
        const fresh = createCookieBrowser()
        await fresh.open(`${doors.origin}/sign-in`)
        return { browser: fresh }
      },
    ],
  ]
  for (const [name, who] of strangers) {
    await t.test(
      `${name}: a page, nothing is sent, and the flow still stands [X-03]`,
      async (t) => {
        verifies(t, 'S2-43', 'A1-11', 'P-21', 'T-46', 'P-92', 'P-93', 'X-03', ...rowsIn(name))
        const begun = await begin()
        const before = tokenCalls()
        assertAnswer(await open(begun.callback, await who()), refused)
        assert.equal(tokenCalls(), before)
        assert.equal((await flowOf(begun)).status, 'pending')
        assertAnswer(await open(begun.callback), { status: 302 })
      },
    )
  }

  await t.test(
    'this browser with the session of another person, and the other way round [X-09]',
    async () => {
      const begun = await begin()
      const before = tokenCalls()
      const pick = (from: CookieBrowser, name: string) =>
        cookiesOf(from)
          .split('; ')
          .filter((one) => one.includes(name))
      for (const [one, other] of [
        [browser, eve],
        [eve, browser],
      ] as const) {
        const cookie = [...pick(one, 'browser'), ...pick(other, 'session')].join('; ')
        assertAnswer(await doors.ask({ path: begun.callback.href, headers: { cookie } }), refused)
      }
      assert.equal(tokenCalls(), before)
    },
  )

  await t.test('a callback counts once, whichever way the first one went', async (t) => {
    verifies(t, 'A1-11', 'A2-5')
    const good = await begin()
    const denied = await begin()
    assertAnswer(await open(good.callback), { status: 302 })
    assertAnswer(
      await open(changed(denied.callback, { code: undefined, error: 'access_denied' })),
      { status: 400 },
    )
    const before = tokenCalls()
    assertAnswer(await open(good.callback), refused)
    assertAnswer(await open(denied.callback), refused)
    assert.equal(tokenCalls(), before)
    assert.equal((await flowOf(good)).status, 'completed')
  })

  await t.test('a POST is 405', async () => {
    const { callback } = await begin()
    const answer = await doors.ask({
      path: callback.pathname,
      form: Object.fromEntries(callback.searchParams),
      browser,
    })
    assertAnswer(answer, { status: 405, has: { allow: 'GET, HEAD' } })
  })
})

test('the last moment of a flow and the first after it [row 46] [X-08]', async (t) => {
  verifies(t, 'S1-46', 'S2-17', 'A1-11', 'A2-5')
  const { clock, begin, open, tokenCalls, flowOf } = await start(t)
  const [inTime, late] = [await begin(), await begin()]
  await clock.advance(299_999)
  assertAnswer(await open(inTime.callback), { status: 302 })
  await clock.advance(1)
  const before = tokenCalls()
  assertAnswer(await open(late.callback), refused)
  assert.equal(tokenCalls(), before)
  assert.equal((await flowOf(late)).status, 'expired')
})

test('who a callback is from [row 47] [X-11]', async (t) => {
  const { provider, begin, open, tokenCalls, flowOf } = await start(t)
  const { issuer } = provider
  const wrong: readonly (readonly [string, string | undefined])[] = [
    ['another issuer', 'https://evil.test'],
    ['a slash more', `${issuer}/`],
    ['another case', issuer.toUpperCase()],
    ['another port', issuer.replace(/:\d+$/, ':1')],
    ['none, though it was promised', undefined],
    ['an empty one, though it was promised', ''],
  ]
  for (const [name, iss] of wrong) {
    await t.test(`${name}: issuer_mismatch, and no code is sent`, async (t) => {
      verifies(t, 'A1-12', 'T-47', 'X-11')
      const begun = await begin()
      const before = tokenCalls()
      const answer = await open(changed(begun.callback, { iss }))
      assertAnswer(answer, { ...refused, neverSays: ['evil.test'] })
      assert.equal(tokenCalls(), before)
      const flow = await flowOf(begun)
      assert.deepEqual([flow.status, flow.error], ['failed', 'issuer_mismatch'])
    })
    await t.test(`an error from ${name}: not even looked at`, async () => {
      const begun = await begin()
      const error = { iss, code: undefined, error: 'access_denied', error_description: mark }
      assertAnswer(await open(changed(begun.callback, error)), {
        ...refused,
        neverSays: [mark, 'access_denied'],
      })
      assert.equal((await flowOf(begun)).error, 'issuer_mismatch')
    })
  }
})

test('a provider that promised no issuer may leave it out, but not give another [X-11]', async (t) => {
  const doors = await openDoors(t)
  const faults = { promisesIssuer: false, callbackIssuer: 'missing' } as const
  const { begin, open, tokenCalls } = await startOn(t, doors, faults)
  const [one, two] = [await begin(), await begin()]
  assertAnswer(await open(one.callback), { status: 302 })
  const before = tokenCalls()
  assertAnswer(await open(changed(two.callback, { iss: 'https://evil.test' })), refused)
  assert.equal(tokenCalls(), before)
})

test('what a provider says when it refuses [row 48]', async (t) => {
  const { begin, open, tokenCalls, flowOf, call, browser } = await start(t)
  const hostile = `<script>alert(1)</script>${mark}`
  const cases: readonly (readonly [string, string])[] = [
    ['access_denied', 'access_denied'],
    ['server_error', 'server_error'],
    ['temporarily_unavailable', 'temporarily_unavailable'],
    ['<img src=x onerror=alert(1)>', 'server_error'],
    [mark, 'server_error'],
    ['__proto__', 'server_error'],
    ['internal', 'server_error'],
  ]
  for (const [error, kept] of cases) {
    await t.test(`error=${error}: a page with our words, kept as ${kept}`, async (t) => {
      verifies(t, 'S1-49', 'S1-56', 'A2-9', 'T-48')
      const begun = await begin()
      const before = tokenCalls()
      const url = changed(begun.callback, {
        error,
        error_description: hostile,
        error_uri: 'https://evil.test/',
      })
      const answer = await open(url)
      assertAnswer(answer, {
        status: 400,
        has: page,
        hasNot: ['location'],
        neverSays: [mark, 'evil.test', /<script>|<img/],
      })
      const policy = answer.headers.get('content-security-policy') ?? ''
      assert.match(policy, /script-src 'self'/)
      assert.doesNotMatch(policy, /unsafe/)
      assert.equal(tokenCalls(), before, 'a code beside an error is not used')
      const flow = await flowOf(begun)
      assert.deepEqual([flow.status, flow.error], ['failed', kept])
      assert.doesNotMatch(JSON.stringify(flow), new RegExp(`${mark}|evil\\.test`))
      const connection = await call(browser, 'GET', `/connections/${begun.connectionId}`)
      assert.doesNotMatch(connection.text, new RegExp(mark))
    })
  }

  await t.test('neither code nor error: a page', async () => {
    const begun = await begin()
    assertAnswer(await open(changed(begun.callback, { code: undefined })), refused)
    assert.equal((await flowOf(begun)).status, 'failed')
  })
})

test('our own page that starts a sign-in elsewhere', async (t) => {
  const { doors, browser, eve, call, begin, tokenCalls } = await start(t)
  const { ask, origin } = doors
  const { connectionId } = await begin()
  const path = `/connect/${connectionId}`
  const post = (who: CookieBrowser, form_token: string | undefined, headers = {}) =>
    ask({ path, browser: who, form: { form_token }, headers: { origin, ...headers } })
  const { html } = await browser.open(origin + path)
  const form_token = fieldOn(html, 'form_token')

  await t.test('nobody is sent to sign in, another person finds nothing [X-09]', async () => {
    assertAnswer(await ask({ path }), {
      status: 303,
      has: { location: /^\/sign-in\?next=%2Fconnect%2F/ },
    })
    assertAnswer(await ask({ path, browser: eve }), { status: 404, has: page })
    assertAnswer(await ask({ path: '/connect/con_x', browser }), { status: 404, has: page })
  })
  await t.test('it starts with a form of this browser only [X-13]', async () => {
    assertAnswer(await post(browser, undefined), { status: 403, hasNot: ['location'] })
    assertAnswer(await post(eve, form_token), { status: 403, hasNot: ['location'] })
    const crossSite = { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }
    assertAnswer(await post(browser, form_token, crossSite), { status: 403, hasNot: ['location'] })
    assertAnswer(await post(browser, form_token), {
      status: 303,
      has: { location: /\/authorize\?/ },
    })
  })
  await t.test(
    'a flow that a key began is bound to the browser of its owner, and to one only [X-09] [P-21]',
    async () => {
      const { json: key } = await call(browser, 'POST', '/api-keys', { name: 'x', scopes: ['api'] })
      const headers = { authorization: `Bearer ${key.key}` }
      const begun = await ask({
        path: `/api/v1/connections/${connectionId}/authorize`,
        json: {},
        headers,
      })
      const { authorizeUrl, flowId } = begun.json
      assert.equal(authorizeUrl, `${origin}${path}?flow=${flowId}`)
      assertAnswer(await ask({ path: authorizeUrl, browser: eve }), { status: 404 })
      const own = await browser.open(authorizeUrl)
      const form = { form_token: fieldOn(own.html, 'form_token'), flow: flowId }
      const started = await ask({ path, browser, form, headers: { origin } })
      assertAnswer(started, { status: 303, has: { location: /\/authorize\?/ } })
      const second = await signIn(origin)
      const drawn = await second.open(authorizeUrl)
      const late = { form_token: fieldOn(drawn.html, 'form_token'), flow: flowId }
      const before = tokenCalls()
      assertAnswer(await ask({ path, browser: second, form: late, headers: { origin } }), {
        status: 400,
        hasNot: ['location'],
      })
      assert.equal(tokenCalls(), before)
    },
  )
  await t.test('a flow of somebody else, or none, is not carried on', async () => {
    const theirs = await begin(eve)
    for (const flow of [theirs.flowId, 'flw_x', '../', '\u0001']) {
      const answer = await ask({ path, browser, form: { form_token, flow }, headers: { origin } })
      assertAnswer(answer, { status: 404, hasNot: ['location'] })
    }
  })
})

test('where a flow may return to [S1-54]', async (t) => {
  verifies(t, 'S1-54')
  const { doors, browser, begin, call, open } = await start(t)
  const { connectionId } = await begin()
  const authorize = async (returnTo: string) => {
    const begun = await call(browser, 'POST', `/connections/${connectionId}/authorize`, {
      returnTo,
    })
    assert.equal(begun.status, 200, begun.text)
    const sent = await doors.ask({ path: begun.json.authorizeUrl })
    const callback = new URL(sent.headers.get('location') ?? '')
    return open(changed(callback, { code: undefined, error: 'access_denied' }))
  }
  for (const returnTo of [
    'https://evil.test/',
    '//evil.test',
    '/\\evil.test',
    'javascript:alert(1)',
    'https://evil.test\\@localhost/',
    ' //evil.test',
    'http://localhost.evil.test/',
  ]) {
    const answer = await authorize(returnTo)
    assertAnswer(answer, { status: 400, hasNot: ['location'], neverSays: ['evil.test'] })
  }
  const answer = await authorize('/console/connections')
  const location = new URL(answer.headers.get('location') ?? '', doors.origin)
  assert.equal(location.origin + location.pathname, `${doors.origin}/console/connections`)
})

onEveryDatabase('fifty callbacks at once: one code is sent', async (t, store) => {
  verifies(t, 'S2-12')
  const doors = await openDoorsOn(t, store)
  const { begin, open, tokenCalls, flowOf } = await startOn(t, doors)
  const begun = await begin()
  const answers = await Promise.all(Array.from({ length: 50 }, () => open(begun.callback)))
  const statuses = answers.map(({ status }) => status).sort((a, b) => a - b)
  assert.deepEqual(statuses, [302, ...Array.from({ length: 49 }, () => 400)])
  assert.equal(tokenCalls(), 1)
  assert.equal((await flowOf(begun)).status, 'completed')
})
