// The limits as callers meet them: the line itself at every door, what a refusal looks like there, who is not touched by
// what others do, and that nothing a caller writes changes who they are counted as.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import { createManualClock } from '../../src/base/clock.ts'
import type { ManualClock } from '../../src/base/clock.ts'
import { readConfig } from '../../src/config.ts'
import { createPlatform } from '../../src/platform.ts'
import type { Platform } from '../../src/platform.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, addServer, assertAnswer, fieldOn, openDoors } from './doors.ts'
import type { Answer, Ask, Doors } from './doors.ts'
import {
  authorizePath,
  basic,
  obtainTokens,
  refresh,
  register as registerClient,
} from './oauth-client.ts'

const here = '203.0.113.7'
const elsewhere = '198.51.100.9'
const proxied = { LATCHKEY_TRUSTED_PROXIES: 'loopback', LATCHKEY_LIMIT_SCALE: '1' }

interface Limited extends Doors {
  readonly clock: ManualClock
}

/** Doors with real limits, behind a proxy that is trusted unless said otherwise. */
async function limited(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
): Promise<Limited> {
  const clock = createManualClock(Date.now())
  return { ...(await openDoors(t, { clock, settings: { ...proxied, ...settings } })), clock }
}

function from(address: string): Readonly<Record<string, string>> {
  return { 'x-forwarded-for': address }
}

const registration = { redirect_uris: ['https://app.test/cb'], token_endpoint_auth_method: 'none' }

function register({ ask }: Doors, address = here, name = 'An app'): Promise<Answer> {
  const json = { ...registration, client_name: name }
  return ask({ path: '/oauth/register', json, headers: from(address) })
}

async function statuses(times: number, run: (step: number) => Promise<Answer>): Promise<number[]> {
  const found: number[] = []
  for (let step = 0; step < times; step += 1) found.push((await run(step)).status)
  return found
}

function times(count: number, status: number): number[] {
  return Array.from({ length: count }, () => status)
}

test('registration', async (t) => {
  const doors = await limited(t)
  const { clock } = doors

  await t.test('twenty in a minute, and not one more [row 33]', async (t) => {
    verifies(t, 'T-33', 'X-24', 'P-13', 'S3-49')
    const first = await register(doors)
    assertAnswer(first, {
      status: 201,
      has: {
        'ratelimit-policy':
          '"register";q=20;w=60, "register-hour";q=100;w=3600, "register-tenant";q=20000;w=3600',
        ratelimit:
          '"register";r=19;t=60, "register-hour";r=99;t=3600, "register-tenant";r=19999;t=3600',
        'access-control-expose-headers': /RateLimit, RateLimit-Policy/,
      },
    })
    assert.deepEqual(await statuses(19, () => register(doors)), times(19, 201))
    await clock.advance(1_500)
    assertAnswer(await register(doors), {
      status: 429,
      error: 'temporarily_unavailable',
      has: {
        'content-type': 'application/json',
        'retry-after': '59',
        ratelimit: '"register";r=0;t=59',
        'ratelimit-policy': '"register";q=20;w=60',
        'access-control-allow-origin': '*',
      },
    })
    await clock.advance(58_499)
    assertAnswer(await register(doors), { status: 429, has: { 'retry-after': '1' } })
    await clock.advance(1)
    assertAnswer(await register(doors), { status: 201 })
  })

  await t.test('somebody elsewhere is not touched', async () => {
    await statuses(20, () => register(doors))
    assertAnswer(await register(doors, elsewhere), { status: 201 })
  })

  await t.test('a hundred in an hour', async (t) => {
    verifies(t, 'X-24')
    await clock.advance(3_600_000)
    for (let minute = 0; minute < 5; minute += 1) {
      assert.deepEqual(await statuses(20, () => register(doors)), times(20, 201))
      await clock.advance(60_000)
    }
    assertAnswer(await register(doors), { status: 429, has: { 'retry-after': '3300' } })
  })
})

test('whom an address stands for [P-49]', async (t) => {
  await t.test('a /64 and a mapped address are one caller', async (t) => {
    verifies(t, 'P-49')
    const doors = await limited(t)
    const rotating = await statuses(25, (step) => register(doors, `2001:db8:0:1:${step}::${step}`))
    assert.deepEqual(rotating, [...times(20, 201), ...times(5, 429)])
    const aliases = ['1.2.3.4', '::ffff:1.2.3.4', '::ffff:102:304']
    const mixed = await statuses(25, (step) => register(doors, aliases[step % 3]))
    assert.deepEqual(mixed, [...times(20, 201), ...times(5, 429)])
  })

  await t.test('who is not a trusted proxy cannot say who they are', async (t) => {
    verifies(t, 'P-49')
    const doors = await limited(t, { LATCHKEY_TRUSTED_PROXIES: '10.0.0.0/8' })
    const forged = await statuses(25, (step) => register(doors, `9.9.9.${step}`))
    assert.deepEqual(forged, [...times(20, 201), ...times(5, 429)])
  })

  await t.test('behind a trusted proxy what the caller wrote stands further left', async (t) => {
    verifies(t, 'P-49')
    const doors = await limited(t)
    const forged = await statuses(25, (step) => register(doors, `9.9.9.${step}, ${here}`))
    assert.deepEqual(forged, [...times(20, 201), ...times(5, 429)])
  })

  const disguises: readonly (readonly [string, (step: number) => string, string])[] = [
    ['from all over a /64', (step) => `2001:db8:0:1:${step}::${step}`, 'loopback'],
    [
      'under each name of an address',
      (step) => ['1.2.3.4', '::ffff:1.2.3.4', '::ffff:102:304'][step % 3] ?? '',
      'loopback',
    ],
    ['with a forged address', (step) => `9.9.9.${step}`, '10.0.0.0/8'],
  ]
  for (const [name, addressAt, trusted] of disguises) {
    await t.test(`who guesses a password ${name} is one caller`, async (t) => {
      verifies(t, 'P-49')
      const doors = await limited(t, { LATCHKEY_TRUSTED_PROXIES: trusted })
      const tries = await statuses(12, (step) =>
        attempt(doors, { password: wrong, address: addressAt(step) }),
      )
      assert.deepEqual(tries, [...times(10, 401), ...times(2, 429)])
    })
  }
})

test('authorization: sixty in a minute, then a page that says so calmly', async (t) => {
  const doors = await limited(t)
  const { ask } = doors
  const client = await registerClient(doors)
  const path = authorizePath(client)
  const asked = await statuses(60, () => ask({ path, headers: from(here) }))
  assert.deepEqual(asked, times(60, 302))
  assertAnswer(await ask({ path, headers: from(here) }), {
    status: 429,
    has: { 'content-type': /^text\/html/, 'retry-after': '60' },
    hasNot: ['location'],
    says: /Too many requests\. Please wait a moment\.[\s\S]*You can try again in 60 seconds\./,
  })
  assertAnswer(await ask({ path, headers: from(elsewhere) }), { status: 302 })
})

const badCode = { grant_type: 'authorization_code', code: `auth_${'x'.repeat(43)}` }

/** The token endpoint with a code that is none, as somebody who names this client. */
function knock(
  { ask }: Doors,
  client: string,
  more: { readonly address?: string; readonly headers?: Ask['headers'] } = {},
): Promise<Answer> {
  const { address = here, headers = {} } = more
  return ask({
    path: '/oauth/token',
    form: { ...badCode, client_id: client },
    headers: { ...from(address), ...headers },
  })
}

test('the token endpoint', async (t) => {
  // Thirty a minute for a client at an address, five failed proofs, six uses of a grant.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.05' })
  const { clock, ask } = doors
  const client = await registerClient(doors)
  const confidential = await doors.ask({
    path: '/oauth/register',
    json: { ...registration, token_endpoint_auth_method: 'client_secret_basic' },
    headers: from('192.0.2.1'),
  })
  const { client_id: id, client_secret: secret } = confidential.json

  await t.test('so many for a client at an address, and not one more [row 31]', async (t) => {
    verifies(t, 'T-31', 'S3-49')
    const first = await knock(doors, client.id)
    assertAnswer(first, {
      status: 400,
      error: 'invalid_grant',
      has: { ratelimit: /^"token";r=29;t=60, "token-place";r=299;t=60$/ },
    })
    assert.deepEqual(await statuses(29, () => knock(doors, client.id)), times(29, 400))
    assertAnswer(await knock(doors, client.id), {
      status: 429,
      error: 'temporarily_unavailable',
      has: { 'retry-after': '60', 'content-type': 'application/json' },
    })
  })

  await t.test('a stranger who names a client does not lock it out elsewhere', async (t) => {
    verifies(t, 'S3-49')
    assertAnswer(await knock(doors, client.id, { address: elsewhere }), { status: 400 })
  })

  await t.test('failed proofs weigh where they are made, and only there', async (t) => {
    verifies(t, 'S3-49')
    const wrong = basic(id, 'wrong')
    const failed = await statuses(5, () => knock(doors, id, { headers: wrong }))
    assert.deepEqual(failed, times(5, 401))
    const right = basic(id, secret)
    assertAnswer(await knock(doors, id, { headers: right }), { status: 429 })
    assertAnswer(await knock(doors, id, { headers: right, address: elsewhere }), { status: 400 })
    await clock.advance(600_000)
    assertAnswer(await knock(doors, id, { headers: right }), { status: 400 })
  })

  await t.test('introspection and revocation are limited likewise', async (t) => {
    verifies(t, 'S3-49')
    for (const [path, address] of [
      ['/oauth/introspect', '9.8.7.6'],
      ['/oauth/revoke', '9.8.7.5'],
    ] as const) {
      const headers = { ...basic(id, 'wrong'), ...from(address) }
      const found = await statuses(6, () => ask({ path, form: { token: 'x' }, headers }))
      assert.deepEqual(found, [...times(5, 401), 429], path)
    }
  })
})

test('who names another client with each request is counted by place', async (t) => {
  verifies(t, 'S3-49')
  // 24 introspections and two requests for tokens in a minute, from one place.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.0002' })
  let made = 0
  const form = () => ({ client_id: `made_up_${(made += 1)}`, token: 'x' })
  for (const [path, quota] of [
    ['/oauth/introspect', 24],
    ['/oauth/revoke', 2],
    ['/oauth/token', 0],
    ['/oauth/par', 0],
    ['/oauth/device_authorization', 0],
  ] as const) {
    const found = await statuses(quota + 2, () =>
      doors.ask({ path, form: form(), headers: from(here) }),
    )
    assert.deepEqual(found.slice(quota), [429, 429], path)
    assert.ok(!found.slice(0, quota).includes(429), path)
  }
})

test('a client has a quota of its own everywhere, which only it can use up', async (t) => {
  verifies(t, 'S3-49')
  // Thirty for a client that has proved itself; one for a name at an address.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.0005' })
  const client = await registerClient(doors, { token_endpoint_auth_method: 'client_secret_basic' })
  const knockWith = (secret: string, network: string) =>
    statuses(30, (step) =>
      knock(doors, client.id, {
        headers: basic(client.id, secret),
        address: `${network}.${step}`,
      }),
    )
  assert.deepEqual(await knockWith('wrong', '192.0.2'), times(30, 401))
  assert.deepEqual(await knockWith(client.secret ?? '', '198.51.100'), times(30, 400))
  const headers = basic(client.id, client.secret ?? '')
  const one = await knock(doors, client.id, { headers, address: '203.0.113.200' })
  assertAnswer(one, { status: 429, error: 'temporarily_unavailable' })
})

test('a client that failed more than a hundred times is found in the journal', async (t) => {
  verifies(t, 'A3-15')
  const doors = await limited(t)
  const browser = await signIn(doors.origin)
  const client = await registerClient(doors, { token_endpoint_auth_method: 'client_secret_basic' })
  const headers = basic(client.id, 'wrong')
  const found = await statuses(101, () => knock(doors, client.id, { headers }))
  assert.deepEqual(found, [...times(100, 401), 429])
  const { json } = await doors.ask({ path: '/api/v1/journal?limit=200', browser })
  const reached = json.items.filter(({ type }: { type: string }) => type === 'limit.reached')
  assert.equal(reached.length, 1)
  const [entry] = reached
  assert.deepEqual(entry.subject, { kind: 'client', id: client.id })
  assert.deepEqual(entry.data, { limit: 'client-failures', quota: 100, windowS: 600 })
})

test('people who share a vendor’s addresses', async (t) => {
  // For one address: six a minute for a client, one failed proof. For a crowd a hundred times that. Two uses of a grant.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.01' })
  const { origin, clock } = doors
  const claude = { address: '160.79.104.10' }
  const client = await registerClient(doors)
  const ada = await signIn(origin)
  const adas = await obtainTokens(doors, ada, client)
  await clock.advance(60_000)
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const eves = await obtainTokens(doors, eve, client)
  await clock.advance(60_000)

  await t.test('one noisy client does not lock another one out', async () => {
    const noisy = await statuses(105, () => knock(doors, 'mcp_oauth_noisy', claude))
    assert.deepEqual(noisy, [...times(100, 401), ...times(5, 429)])
    assertAnswer(await knock(doors, client.id, { address: '160.79.111.20' }), { status: 400 })
  })

  await t.test('nor one noisy person another one of the same client', async () => {
    const noisy = await statuses(5, () => refresh(doors, client, adas.refreshToken))
    assert.deepEqual(noisy, [...times(2, 200), ...times(3, 429)])
    assertAnswer(await refresh(doors, client, eves.refreshToken), { status: 200 })
  })
})

interface Attempt {
  readonly password: string
  readonly email?: string
  readonly address?: string | undefined
  readonly browser?: CookieBrowser
}

/** Posts the sign-in form as somebody at this address. */
async function attempt(
  { ask, origin }: Doors,
  { password, email = operator.email, address = here, browser = createCookieBrowser() }: Attempt,
): Promise<Answer> {
  const { html } = await browser.open(`${origin}/sign-in`)
  return ask({
    path: '/sign-in',
    browser,
    form: { email, password, form_token: fieldOn(html, 'form_token') },
    headers: { origin, ...from(address) },
  })
}

const right = operator.password
const wrong = 'a wrong password'

test('sign-in', async (t) => {
  const doors = await limited(t)
  const { clock, store } = doors

  await t.test('ten wrong passwords, then not even the right one, for ten minutes', async (t) => {
    verifies(t, 'S3-49')
    const tries = await statuses(10, () => attempt(doors, { password: wrong }))
    assert.deepEqual(tries, times(10, 401))
    assertAnswer(await attempt(doors, { password: right }), {
      status: 429,
      has: { 'content-type': /^text\/html/, 'retry-after': '600' },
      hasNot: ['set-cookie'],
      says: /try again in 10 minutes/,
    })
    assertAnswer(await attempt(doors, { password: wrong, email: ' ADA@example.com ' }), {
      status: 429,
    })
  })

  await t.test(
    'the right one works from elsewhere at once, and here when the time is over',
    async () => {
      assertAnswer(await attempt(doors, { password: right, address: elsewhere }), { status: 303 })
      await clock.advance(599_999)
      assertAnswer(await attempt(doors, { password: right }), { status: 429 })
      await clock.advance(1)
      assertAnswer(await attempt(doors, { password: right }), { status: 303 })
    },
  )

  await t.test('right passwords weigh nothing', async () => {
    const signedIn = await statuses(15, () => attempt(doors, { password: right }))
    assert.deepEqual(signedIn, times(15, 303))
    const tries = await statuses(11, () => attempt(doors, { password: wrong }))
    assert.deepEqual(tries, [...times(10, 401), 429])
  })

  await t.test('fifty at once are ten tries', async () => {
    const address = '192.0.2.50'
    const tries = await Promise.all(
      Array.from({ length: 50 }, () => attempt(doors, { password: wrong, address })),
    )
    const found = tries.map(({ status }) => status).toSorted((one, other) => one - other)
    assert.deepEqual(found, [...times(10, 401), ...times(40, 429)])
  })

  await t.test('while the counts cannot be stored each process limits by itself', async () => {
    await clock.advance(600_000)
    await sql`alter table rate_limits rename to away`.execute(store.db)
    const tries = await statuses(12, () => attempt(doors, { password: wrong }))
    assert.deepEqual(tries, [...times(10, 401), 429, 429])
    await clock.advance(600_000)
    assertAnswer(await attempt(doors, { password: right }), { status: 303 })
  })
})

test('guessing at many people, or from many places', async (t) => {
  // Twenty tries from a place, twenty at a person.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.2' })

  await t.test('one place cannot try everybody', async () => {
    const tries = await statuses(21, (step) =>
      attempt(doors, { password: wrong, email: `p${step}@example.com` }),
    )
    assert.deepEqual(tries, [...times(20, 401), 429])
  })

  await t.test(
    'many places cannot try one person for long, and nobody is locked out for longer',
    async () => {
      const email = 'eve@example.com'
      const tries = await statuses(21, (step) =>
        attempt(doors, { password: wrong, email, address: `192.0.2.${step}` }),
      )
      assert.deepEqual(tries, [...times(20, 401), 429])
      await doors.clock.advance(3_600_000)
      assertAnswer(await attempt(doors, { password: wrong, email }), { status: 401 })
    },
  )
})

test('strangers who guess cannot keep a person out of their own browser', async (t) => {
  // Twenty tries at a person from everywhere, two in a browser or from a place.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.2' })
  const { email } = operator
  const browser = await signIn(doors.origin)
  const guesses = await statuses(21, (step) =>
    attempt(doors, { password: wrong, address: `192.0.2.${step}` }),
  )
  assert.equal(guesses.at(-1), 429)

  await t.test('a browser that they have not used is refused for now', async () => {
    assertAnswer(await attempt(doors, { password: right }), { status: 429 })
  })

  await t.test('theirs is not', async () => {
    assertAnswer(await attempt(doors, { password: right, browser }), { status: 303 })
  })

  await t.test('its cookie is good for that person only', async () => {
    await addPerson(doors, 'eve@example.com')
    const eves = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
    assertAnswer(await attempt(doors, { password: right, browser: eves, email }), { status: 429 })
  })

  await t.test('and for few wrong passwords, wherever it is taken', async () => {
    const tries = await statuses(3, (step) =>
      attempt(doors, { password: wrong, browser, address: `198.51.100.${step}` }),
    )
    assert.deepEqual(tries, [401, 401, 429])
  })
})

test('the set-up link cannot be guessed for long', async (t) => {
  const { ask } = await limited(t)
  const guess = (step: number) =>
    ask({ path: `/setup?link=${'x'.repeat(42)}${step}`, headers: from(here) })
  assert.deepEqual(await statuses(21, guess), [...times(20, 410), 429])
})

test('a good token is not refused for what strangers at its address do', async (t) => {
  verifies(t, 'S3-49')
  // In a minute: 15 requests and two strangers at a place, thirty for a token.
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.005' })
  const { ask, origin, clock } = doors
  const browser = await signIn(origin)
  const made = await ask({
    path: '/oauth/register',
    json: { ...registration, token_endpoint_auth_method: 'client_secret_basic' },
  })
  const { registration_client_uri: own, registration_access_token: registrationToken } = made.json
  await clock.advance(3_600_000)
  const client = await registerClient(doors)
  const obtain = async (scope: string) => {
    await clock.advance(60_000)
    const { accessToken } = await obtainTokens(doors, browser, client, { scope })
    return { authorization: `Bearer ${accessToken}` }
  }
  const identity = await obtain('openid')
  const other = await obtain('mcp')

  const doorsOfTokens = [
    ['/oauth/userinfo', 'GET', identity, 200],
    ['/oauth/userinfo', 'POST', other, 403],
    [own, 'GET', { authorization: `Bearer ${registrationToken}` }, 200],
  ] as const
  for (const [path, method, proof, status] of doorsOfTokens) {
    const come = (headers: Ask['headers'], address = here) =>
      ask({ path, method, headers: { ...from(address), ...headers } })

    await t.test(`${method} ${new URL(path, origin).pathname}: ${status}`, async () => {
      await clock.advance(60_000)
      await statuses(16, () => ask({ path: '/oauth/jwks', headers: from(here) }))
      const strangers = [{}, { authorization: 'Bearer mcp_at_nobody' }, {}]
      const found = await statuses(3, (step) => come(strangers[step]))
      assert.deepEqual(found, [401, 401, 429])
      assertAnswer(await come({}), { status: 429, has: { 'retry-after': '60' } })
      assertAnswer(await come(proof), { status })
    })
  }

  await t.test('it has a quota of its own, wherever it comes from', async () => {
    await clock.advance(60_000)
    const come = (step: number) =>
      ask({ path: '/oauth/userinfo', headers: { ...from(`192.0.2.${step}`), ...identity } })
    assert.deepEqual(await statuses(31, come), [...times(30, 200), 429])
  })
})

test('REST: so many for a caller, and the others go on', async (t) => {
  const doors = await limited(t, { LATCHKEY_LIMIT_SCALE: '0.002' })
  const { ask } = doors
  const browser = await signIn(doors.origin)
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  await doors.clock.advance(60_000)
  const path = '/api/v1/grants'
  assertAnswer(await ask({ path, browser }), {
    status: 200,
    has: { 'ratelimit-policy': '"principal";q=12;w=60', ratelimit: '"principal";r=11;t=60' },
  })
  assert.deepEqual(await statuses(11, () => ask({ path, browser })), times(11, 200))
  const refused = await ask({ path, browser, headers: from(elsewhere) })
  assertAnswer(refused, {
    status: 429,
    error: 'too_many_requests',
    has: { 'content-type': 'application/problem+json', 'retry-after': '60' },
  })
  assert.equal(refused.json.retryable, true)
  assertAnswer(await ask({ path, browser: eve }), { status: 200 })
})

const accept = 'application/json, text/event-stream'
const ping = { jsonrpc: '2.0', id: 7, method: 'tools/list', params: {} }

test('MCP calls', async (t) => {
  const doors = await limited(t, {
    LATCHKEY_LIMIT_SCALE: '1',
    LATCHKEY_LIMIT_CALLS_PER_MINUTE: '5',
  })
  const { ask, origin, clock } = doors
  const server = await startOpenMcpServer({ keepsSessions: false })
  t.after(server.stop)
  const browser = await signIn(origin)
  await addServer(doors, browser, { url: server.url, slug: 'notes' })
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const client = await registerClient(doors)

  const refusals = async () => {
    const { rows } = await sql<{ type: string }>`
      select type from journal_entries where type in ('limit.reached', 'call.refused')
    `.execute(doors.store.db)
    return rows
  }

  for (const path of ['/mcp', '/notes/mcp']) {
    const changes = { resource: origin + path, prompt: 'consent' }
    const adas = await obtainTokens(doors, browser, client, changes)
    const eves = await obtainTokens(doors, eve, client, changes)
    const call = (token: string, json: unknown = ping): Promise<Answer> =>
      ask({ path, json, headers: { accept, authorization: `Bearer ${token}`, ...from(here) } })

    await t.test(`${path}: so many for a person, with what is left on each answer`, async (t) => {
      verifies(t, 'S3-35')
      await clock.advance(60_000)
      const reset = `${Math.ceil((clock.now() + 60_000) / 1000)}`
      assertAnswer(await call(adas.accessToken), {
        status: 200,
        has: {
          'x-ratelimit-limit': '5',
          'x-ratelimit-remaining': '4',
          'x-ratelimit-reset': reset,
          ratelimit: '"calls";r=4;t=60',
          'ratelimit-policy': '"calls";q=5;w=60',
        },
      })
      assert.deepEqual(await statuses(4, () => call(adas.accessToken)), times(4, 200))
      const refused = await call(adas.accessToken)
      assertAnswer(refused, {
        status: 429,
        error: 'too_many_requests',
        has: {
          'content-type': 'application/json',
          'retry-after': '60',
          'x-ratelimit-limit': '5',
          'x-ratelimit-remaining': '0',
          'x-ratelimit-reset': reset,
          ratelimit: '"calls";r=0;t=60',
        },
      })
      assert.deepEqual([refused.json.id, refused.json.error.code], [7, -32_002])
    })

    await t.test(`${path}: another person of the same client goes on`, async () => {
      assertAnswer(await call(eves.accessToken), { status: 200 })
    })

    await t.test(`${path}: a batch counts as the calls that are in it`, async () => {
      await clock.advance(60_000)
      await call(
        adas.accessToken,
        Array.from({ length: 4 }, () => ping),
      )
      const { headers } = await call(adas.accessToken)
      assert.equal(headers.get('x-ratelimit-remaining'), '0')
    })

    await t.test(`${path}: a batch larger than the quota is not told to wait`, async () => {
      await clock.advance(60_000)
      const before = await refusals()
      const batchOf = (length: number) =>
        call(
          adas.accessToken,
          Array.from({ length }, () => ping),
        )
      const answer = await batchOf(6)
      assertAnswer(answer, {
        status: 413,
        has: { 'content-type': 'application/json', 'x-ratelimit-remaining': '5' },
        hasNot: ['retry-after'],
      })
      assert.deepEqual(answer.json.error.data, { reason: 'batch_too_large', largest: 5 })
      assert.match(answer.json.error.message, /more than the 5 calls .* smaller batches/)
      assert.equal((await refusals()).length, before.length)
      // It has used up nothing, and one that is not larger passes, once.
      assert.notEqual((await batchOf(5)).status, 429)
      assertAnswer(await batchOf(5), { status: 429, has: { 'retry-after': '60' } })
    })

    await t.test(`${path}: refused calls do not fill the journal`, async () => {
      await clock.advance(60_000)
      const before = await refusals()
      await statuses(20, () => call(adas.accessToken))
      const { length } = (await refusals()).slice(before.length)
      assert.ok(length > 0 && length < 5, `${length} entries`)
    })

    await t.test(`${path}: strangers at an address do not stop a good token there`, async () => {
      await clock.advance(60_000)
      const stranger = () => ask({ path, json: ping, headers: { accept, ...from(here) } })
      const found = await statuses(302, stranger)
      assert.deepEqual(found, [...times(300, 401), 429, 429])
      assertAnswer(await stranger(), {
        status: 429,
        has: { 'retry-after': '60', 'x-ratelimit-remaining': '0' },
      })
      assertAnswer(await call(adas.accessToken), { status: 200 })
    })

    await t.test(`${path}: whatever is wrong with what a stranger sends`, async () => {
      for (const [at, authorization, status] of [
        [path, 'Bearer two tokens', 400],
        [path, 'Bearer mcp_at_nobody', 401],
        ['/no-such-server/mcp', 'Bearer mcp_at_nobody', 404],
      ] as const) {
        await clock.advance(60_000)
        const headers = { accept, authorization, ...from(here) }
        const found = await statuses(301, () => ask({ path: at, json: ping, headers }))
        assert.deepEqual(found, [...times(300, status), 429], `${at} ${authorization}`)
        assertAnswer(await call(adas.accessToken), { status: 200 })
      }
    })
  }
})

onEveryDatabase('two instances over one database share every count', async (t, store, open) => {
  verifies(t, 'S3-49')
  const world = { clock: createManualClock(Date.now()) }
  const publicUrl = 'https://mcp.example'
  const config = readConfig({
    LATCHKEY_PUBLIC_URL: publicUrl,
    LATCHKEY_KEY: Buffer.alloc(32, 7).toString('base64url'),
  })
  const one = await createPlatform(config, { ...world, store })
  const two = await createPlatform(config, { ...world, store: await open() })
  t.after(() => Promise.all([one.close(), two.close()]))
  const registerAt = async ({ fetch }: Platform) => {
    const request = new Request(`${publicUrl}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(registration),
    })
    return (await fetch(request, { remoteAddress: here })).status
  }
  const inTurn: number[] = []
  for (let step = 0; step < 12; step += 1) {
    inTurn.push(await registerAt(one), await registerAt(two))
  }
  assert.deepEqual(inTurn, [...times(20, 201), ...times(4, 429)])
  await world.clock.advance(60_000)
  const atOnce = await Promise.all(
    Array.from({ length: 50 }, (_, step) => registerAt(step % 2 === 0 ? one : two)),
  )
  assert.equal(atOnce.filter((status) => status === 201).length, 20)
})
