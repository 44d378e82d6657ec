// Every door there is, taken from the router's own rows: who gets in without a name, what garbage gets for an answer, and
// what other sites and other hosts may read (threats ).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Route } from '../../src/http/route.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { apiKeyScopes } from '../../src/people/api-keys.ts'
import { rows } from '../described-answers.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, assertDecent, openDoors, openDoorsOn } from './doors.ts'
import type { Answer, Ask, Doors } from './doors.ts'

/** All paths with the methods that have a row. */
const paths = Map.groupBy(rows, ({ path }) => path)

/** What anybody may do without a name. A new row of this kind is written down here on purpose. */
const withoutName = [
  'GET /',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/oauth-protected-resource',
  'GET /.well-known/oauth-protected-resource/mcp',
  'GET /.well-known/oauth-protected-resource/{slug}/mcp',
  'GET /.well-known/openid-configuration',
  'GET /api/v1/openapi.json',
  'GET /assets/brand.css',
  'GET /assets/callback.js',
  'GET /assets/connections.js',
  'GET /assets/console.css',
  'GET /assets/copy.js',
  'GET /assets/icon.svg',
  'GET /assets/providers.js',
  'GET /connect/callback/{context}',
  'GET /connect/client-keys/{context}',
  'GET /connect/client-metadata.json',
  'GET /connect/client-metadata/{context}',
  'GET /connect/finished/{flow}',
  'GET /connect/{connection}',
  'GET /connect/{connection}/arrived',
  'GET /console',
  'GET /console/activity',
  'GET /console/api-keys',
  'GET /console/apps',
  'GET /console/attempts',
  'GET /console/attempts/{attempt}',
  'GET /console/clients',
  'GET /console/connect',
  'GET /console/connections',
  'GET /console/journal',
  'GET /console/journal/export',
  'GET /console/people',
  'GET /console/people/{user}',
  'GET /console/providers',
  'GET /console/providers/{provider}',
  'GET /console/scopes',
  'GET /console/scopes/{scope}',
  'GET /console/servers',
  'GET /console/servers/{server}',
  'GET /console/support',
  'GET /console/usage',
  'GET /console/webhooks',
  'GET /console/webhooks/{webhook}',
  'GET /device',
  'GET /healthz',
  'GET /oauth/authorize',
  'GET /oauth/consent',
  'GET /oauth/jwks',
  'GET /readyz',
  'GET /setup',
  'GET /sign-in',
  'GET /sign-in/{provider}/callback',
  'POST /connect/{connection}',
  'POST /device',
  'POST /device/decision',
  'POST /oauth/backchannel-logout/{provider}',
  'POST /oauth/consent',
  'POST /oauth/register',
  'POST /setup',
  'POST /sign-in',
  'POST /sign-in/{provider}',
]

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>) => `${method} ${path}`
const filled = (path: string, value = 'x') => path.replaceAll(/\{\w+\}/g, value)
const isHtml = ({ headers }: Answer) => headers.get('content-type')?.startsWith('text/html')

test('the doors that need no name are these and no others [X-25]', () => {
  const open = rows.filter(({ guard }) => guard === 'open' || guard === 'visitor').map(nameOf)
  assert.deepEqual(open.sort(), withoutName)
})

test('every other door refuses somebody without a name [X-25] [P-40]', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  const claims = { userId: 'usr_x', tenantId: 'ten_x', role: 'admin' }
  for (const row of rows.filter(({ guard }) => guard !== 'open' && guard !== 'visitor')) {
    await t.test(`${nameOf(row)}: 401`, async (t) => {
      verifies(t, 'S4-2', 'S3-42')
      const isWrite = ['POST', 'PUT', 'PATCH'].includes(row.method)
      const body =
        row.guard === 'client'
          ? { form: { grant_type: 'refresh_token', refresh_token: 'x', token: 'x', ...claims } }
          : { json: claims }
      const answer = await ask({
        path: filled(row.path),
        method: row.method,
        ...(isWrite ? body : {}),
        headers: { origin: row.guard === 'client' ? 'https://evil.test' : origin },
      })
      assertAnswer(answer, { status: 401, hasNot: ['set-cookie', 'location'] })
    })
  }
})

test('a user, a key of another scope and the other tenant get in where they may, and nowhere else [X-25]', async (t) => {
  const doors = await openDoors(t)
  await addPerson(doors, 'bob@example.com')
  const ada = await signIn(doors.origin)
  const bob = await signIn(doors.origin, { ...operator, email: 'bob@example.com' })
  const keyOf = async (browser: CookieBrowser, scopes: readonly string[]) => {
    const made = await restAs(browser, doors.origin)('POST', '/api-keys', { name: 'x', scopes })
    return { authorization: `Bearer ${made.body.key}` }
  }
  const [adasKey, bobsKey] = [await keyOf(ada, ['api']), await keyOf(bob, ['api', 'metrics'])]
  const adasOther = await keyOf(
    ada,
    apiKeyScopes.filter((scope) => scope !== 'api'),
  )
  const elsewhere = doors.origin.replace('localhost', '127.0.0.1')
  await doors.store.db
    .insertInto('tenants')
    .values({ id: 'ten_other', slug: 'other', issuer: elsewhere, name: 'Other', created_at: 1 })
    .execute()

  for (const row of rows.filter(({ guard }) =>
    ['session', 'api', 'admin', 'operator'].includes(guard),
  )) {
    const { method, guard, keyScope = 'api' } = row
    const askAs = (who: Partial<Ask>, origin = doors.origin) =>
      doors.ask({
        path: origin + filled(row.path),
        method,
        ...(method === 'GET' || method === 'DELETE' ? {} : { json: {} }),
        ...who,
        headers: { origin, ...who.headers },
      })
    await t.test(nameOf(row), async (t) => {
      verifies(t, 'X-25')
      const isAdmins = guard === 'admin' || guard === 'operator'
      if (isAdmins) assertAnswer(await askAs({ browser: bob }), { status: 403 })
      if (guard !== 'session') {
        const another = keyScope === 'api' ? adasOther : adasKey
        assertAnswer(await askAs({ headers: another }), { status: 403 })
      }
      if (isAdmins) assertAnswer(await askAs({ headers: bobsKey }), { status: 403 })
      // A key is no session; beside one it does not make a person of whoever sends it.
      if (guard === 'session') assertAnswer(await askAs({ headers: bobsKey }), { status: 401 })
      assertAnswer(await askAs({ browser: ada }, elsewhere), { status: 401 })
      const keyElsewhere = await askAs(
        { headers: keyScope === 'api' ? adasKey : adasOther },
        elsewhere,
      )
      assertAnswer(keyElsewhere, { status: 401 })
    })
  }
})

test('another site cannot make a signed-in browser write anything [X-13] [X-25]', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const writes = rows.filter(
    ({ method, guard }) => method !== 'GET' && !['open', 'client', 'bearer'].includes(guard),
  )
  for (const row of writes) {
    await t.test(`${nameOf(row)}: 403`, async () => {
      for (const headers of [
        { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' },
        { origin: 'null', 'sec-fetch-site': 'cross-site' },
        { origin: 'https://evil.test' },
        { 'sec-fetch-site': 'same-site' },
      ]) {
        const answer = await doors.ask({
          path: filled(row.path),
          method: row.method,
          browser,
          json: {},
          headers,
        })
        assertAnswer(answer, {
          status: 403,
          hasNot: ['set-cookie', 'location', 'access-control-allow-origin'],
        })
      }
    })
  }
})

const garbage: readonly (readonly [string, string, string])[] = [
  ['nothing', 'application/json', ''],
  ['half a brace', 'application/json', '{'],
  ['null', 'application/json', 'null'],
  ['a list', 'application/json', '[[[[]]]]'],
  ['a number', 'application/json', '1e999'],
  ['a deep list', 'application/json', '['.repeat(30_000)],
  ['a prototype', 'application/json', '{"__proto__":{"admin":true},"constructor":1}'],
  [
    'a NUL in JSON',
    'application/json',
    '{"serverId":"a\\u0000","name":"\\u0000","url":"https://a\\u0000/","scopes":["\\u0000"],"redirect_uris":["\\u0000"],"client_name":"\\u0000"}',
  ],
  [
    'half a surrogate',
    'application/json',
    '{"serverId":"\\ud800","name":"\\ud800","url":"\\ud800","redirect_uris":["\\ud800"]}',
  ],
  ['a form', 'application/x-www-form-urlencoded', 'a=b&a=b&%zz=%&=&&&__proto__=x'],
  [
    'a NUL in a form',
    'application/x-www-form-urlencoded',
    'form_token=%00&request=%00&user_code=%00&device_code=%00&token=%00&client_id=%00&client_secret=%00&grant_type=refresh_token&refresh_token=%00&email=%00&password=%00&link=%00&decision=%00',
  ],
  [
    'a code with a NUL',
    'application/x-www-form-urlencoded',
    'grant_type=authorization_code&code=%00&client_id=%00&code_verifier=%00',
  ],
  ['many fields', 'application/x-www-form-urlencoded', 'a=b&'.repeat(10_000)],
  ['bytes', 'application/octet-stream', '\u0000\u0001\u00ff\ufffe'],
  ['many parts', 'multipart/form-data; boundary=x', '--x\r\n\r\n--x--'],
  ['an odd type', 'application/json; charset=utf-7', '+AHsAfQ-'],
  ['no type', '', 'x'],
]

const queries = [
  '?',
  '?%00',
  '?a=%00&client_id=%00&redirect_uri=%00&request=%00&state=%00&link=%00&cursor=%00&limit=%00&next=%00&flow=%00',
  '?%ff=%fe&client_id=%ff&request=%ff&state=%ff&subjectId=%00&attempt=%00',
  `?client_id=https://localhost/${'x'.repeat(3000)}`,
  '?__proto__=x&constructor=y&toString=z&client_id=__proto__&request=constructor',
  `?${'a=b&'.repeat(2000)}`,
  '?client_id=%27%20or%201%3D1&cursor=%27&request=req_%27&link=%27',
  '?%F0%9F%98%80=%ED%A0%80&cursor=9007199254740993&limit=-0',
]
const segments = [
  'x',
  '%00',
  '%ff',
  '%ED%A0%80',
  '%F0%9F%98%80',
  '__proto__',
  '%27',
  '..%2f..%2f',
  '%252e',
  'x'.repeat(4000),
]

onEveryDatabase(
  'garbage gets a refusal of ours at every door, never a failure [X-33]',
  async (t, store) => {
    const doors = await openDoorsOn(t, store)
    const browser = await signIn(doors.origin)
    for (const row of rows) {
      await t.test(nameOf(row), async () => {
        for (const request of garbageFor(row, doors, browser)) {
          const answer = await doors.ask(request)
          const seen = `${request.method} ${request.path.slice(0, 200)} ${request.body?.slice(0, 60)}: ${answer.text.slice(0, 300)}`
          assert.ok(answer.status < 500, `${answer.status} ${seen}`)
          assertDecent(answer)
        }
      })
    }
  },
)

function garbageFor(row: Route, { origin }: Doors, browser: CookieBrowser): readonly Ask[] {
  const { method, path } = row
  const targets = path.includes('{') ? segments.map((value) => filled(path, value)) : [path]
  const [target = path] = targets
  const hasBody = ['POST', 'PUT', 'PATCH'].includes(method)
  const requests: Ask[] = []
  for (const person of [{ browser }, {}]) {
    const from = { ...person, method, headers: { origin } }
    const emptyBody = hasBody ? { json: {} } : {}
    for (const one of targets) requests.push({ ...from, ...emptyBody, path: one })
    for (const query of queries) requests.push({ ...from, path: target + query })
    for (const [, type, body] of hasBody ? garbage : []) {
      requests.push({ ...from, path: target, body, headers: { origin, 'content-type': type } })
    }
  }
  return requests
}

test('a method without a row is 405, and Allow names those with one', async (t) => {
  const doors = await openDoors(t)
  for (const [path, served] of paths) {
    await t.test(path, async () => {
      const methods = served.map(({ method }): string => method)
      const others = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'TRACE'].filter(
        (method) => !methods.includes(method),
      )
      for (const method of others) {
        const answer = await doors.ask({ path: filled(path), method })
        assertAnswer(answer, { status: 405, hasNot: ['location', 'set-cookie'] })
        const allowed = (answer.headers.get('allow') ?? '').split(', ')
        assert.deepEqual(
          allowed.sort(),
          [...new Set([...methods, ...(methods.includes('GET') ? ['HEAD'] : [])])].sort(),
        )
      }
    })
  }
})

test('a host that is nobody’s is 421 at every door [row 40] [X-18]', async (t) => {
  verifies(t, 'S4-15')
  const { ask } = await openDoors(t)
  for (const row of rows) {
    const request = {
      path: filled(row.path),
      method: row.method,
      ...(row.method === 'POST' ? { json: {} } : {}),
    }
    const answer = await ask({
      ...request,
      headers: { host: 'evil.test', 'x-forwarded-host': 'localhost' },
    })
    assertAnswer(answer, {
      status: 421,
      hasNot: ['location', 'set-cookie'],
      neverSays: ['evil.test'],
    })
  }
})

test('no answer repeats a host that was claimed [X-18] [X-26] [P-54]', async (t) => {
  const { ask, origin } = await openDoors(t)
  const headers = {
    'x-forwarded-host': 'evil.test',
    'x-forwarded-proto': 'https',
    'x-forwarded-port': '1',
    'x-original-url': '/evil.test',
    'x-rewrite-url': '/evil.test',
    forwarded: 'host=evil.test;proto=https',
  }
  for (const { path } of rows.filter(({ method }) => method === 'GET')) {
    const answer = await ask({ path: filled(path), headers })
    const all = answer.text + JSON.stringify([...answer.headers])
    assert.ok(!all.includes('evil.test'), path)
  }
  const { json } = await ask({ path: '/.well-known/oauth-authorization-server', headers })
  assert.equal(json.issuer, origin)
})

test('other sites may read what is public, and never with cookies [X-30]', async (t) => {
  verifies(t, 'X-30')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  for (const [path, served] of paths) {
    await t.test(path, async (t) => {
      verifies(t, 'S3-44', 'S4-28')
      const isPublic = served.some(({ cors }) => cors === 'public')
      for (const origin of ['https://evil.test', 'null']) {
        const headers = {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        }
        const preflight = await doors.ask({ path: filled(path), method: 'OPTIONS', headers })
        assertCors(preflight, isPublic)
        assert.equal(preflight.status, isPublic ? 204 : 405)
        for (const { method } of served) {
          const answer = await doors.ask({
            path: filled(path),
            method,
            browser,
            headers: { origin },
          })
          assertCors(answer, isPublic)
        }
      }
    })
  }
})

function assertCors({ headers }: Answer, isPublic: boolean): void {
  assert.equal(headers.get('access-control-allow-origin'), isPublic ? '*' : null)
  assert.equal(headers.get('access-control-allow-credentials'), null)
}

test('what is public, and nothing more: no row with a person behind it', () => {
  const shared = rows.filter(({ cors }) => cors === 'public')
  assert.ok(shared.every(({ guard }) => guard === 'open' || guard === 'client'))
  for (const path of [
    '/oauth/token',
    '/oauth/register',
    '/oauth/jwks',
    '/.well-known/oauth-authorization-server',
  ]) {
    assert.ok(
      shared.some((row) => row.path === path),
      path,
    )
  }
})

test('a page comes with its headers, whoever asks and however it ends [X-13] [X-30]', async (t) => {
  verifies(t, 'X-30')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  let count = 0
  for (const row of rows.filter(({ surface }) => surface === 'page')) {
    await t.test(nameOf(row), async () => {
      for (const who of [{ browser }, {}]) {
        const answer = await doors.ask({
          path: filled(row.path),
          method: row.method,
          ...who,
          headers: { origin: doors.origin },
        })
        if (!isHtml(answer)) continue
        count += 1
        assertPageHeaders(answer)
      }
    })
  }
  await t.test('a path that is none is a page like that too', async () => {
    const answer = await doors.ask({ path: '/nothing/<script>alert(1)</script>' })
    assertAnswer(answer, { status: 404, neverSays: [/<script/] })
    assertPageHeaders(answer)
    assert.ok(count > 8, 'there were pages at all')
  })
})

function assertPageHeaders({ headers }: Answer): void {
  const policy = headers.get('content-security-policy') ?? ''
  for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) {
    assert.ok(policy.includes(part), policy)
  }
  assert.doesNotMatch(policy, /unsafe|\*|https?:/)
  assert.equal(headers.get('x-frame-options'), 'DENY')
  assert.equal(headers.get('x-content-type-options'), 'nosniff')
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  assert.match(headers.get('cache-control') ?? '', /no-store/)
}

test('HEAD is GET without the body', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  for (const { path, guard } of rows.filter(({ method }) => method === 'GET')) {
    if (guard === 'bearer') continue // a stream, when it has a body at all
    const [get, head] = [
      await doors.ask({ path: filled(path), browser }),
      await doors.ask({ path: filled(path), method: 'HEAD', browser }),
    ]
    assert.equal(head.status, get.status, path)
    assert.equal(head.text, '', path)
    assert.equal(head.headers.get('content-type'), get.headers.get('content-type'), path)
  }
})

test('the doors of operations say nothing about the inside', async (t) => {
  const { ask } = await openDoors(t)
  assert.deepEqual((await ask({ path: '/healthz' })).json, { status: 'ok' })
  assert.deepEqual((await ask({ path: '/readyz' })).json, { status: 'ready' })
  const every = [...(await ask({ path: '/healthz' })).headers.keys()]
  assert.ok(!every.some((name) => ['server', 'x-powered-by', 'via'].includes(name)))
})
