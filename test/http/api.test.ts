// REST: who may call, what a problem looks like (RFC 9457), other people's ids, and writes that happen once (threats 5,
// rows 49–52).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import type { Faults } from '../fakes/fault-provider.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { rowsIn, verifies } from '../requirements.ts'
import {
  addPerson,
  assertAnswer,
  callAs,
  cookiesOf,
  openDoors,
  openDoorsOn,
  runTable,
} from './doors.ts'
import type { Answer, Ask, Call, Doors, Expected, Scenario } from './doors.ts'
import { register } from './oauth-client.ts'

const problem = {
  'content-type': 'application/problem+json',
  'cache-control': 'no-store',
} as const

/** REST with an API key. */
function withKey({ ask }: Doors, key: string): Call {
  return (method, path, json, headers = {}) =>
    ask({
      method,
      path: `/api/v1${path}`,
      json,
      headers: { authorization: `Bearer ${key}`, ...headers },
    })
}

/** A platform with an operator, a plain person, and one open server. */
async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  await addPerson(doors, 'eve@example.com')
  const browser = await signIn(doors.origin)
  const eve = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  const ada = callAs(doors, browser)
  const server = await startOpenMcpServer()
  t.after(server.stop)
  const { json } = await ada('POST', '/servers', { url: server.url, auth: 'none', slug: 'open' })
  return { clock, doors, ada, eve: callAs(doors, eve), browser, serverId: json.id as string }
}

function assertProblem(answer: Answer, status: number, code: string): void {
  assertAnswer(answer, { status, error: code, has: problem })
  const { type, title, retryable, reauthorize } = answer.json
  assert.equal(type, 'about:blank')
  assert.equal(answer.json.status, status)
  assert.ok(title.length > 10, 'a problem has words for people')
  assert.deepEqual([typeof retryable, typeof reauthorize], ['boolean', 'boolean'])
}

test('who may call', async (t) => {
  const { doors, ada, eve, browser, serverId } = await start(t)
  const { ask, origin } = doors
  const create = async (scopes: readonly string[], who = ada) =>
    (await who('POST', '/api-keys', { name: 'a key', scopes })).json
  const { key, id: keyId } = await create(['api'])
  const { key: tokenKey } = await create(['connections:token'])
  const { key: eveKey } = await create(['api', 'connections:token'], eve)

  const unknown = [
    'Bearer',
    'Bearer ',
    'Bearer lk_x',
    `Bearer ${key}x`,
    `Bearer ${key.slice(0, -1)}`,
    `Bearer ${key} ${key}`,
    `Bearer ${key}, Bearer ${key}`,
    `Basic ${Buffer.from(`${key}:`).toString('base64')}`,
    key,
    'Bearer mcp_at_x',
    "Bearer lk_' or 1=1",
    `Bearer ${'lk_'.repeat(2000)}`,
  ]
  for (const authorization of unknown) {
    await t.test(
      `${authorization.slice(0, 24).replaceAll(key.slice(3), '…')}: 401 with a challenge [row 51] [P-53]`,
      async () => {
        const answer = await ask({ path: '/api/v1/grants', headers: { authorization } })
        assertProblem(answer, 401, 'not_signed_in')
        assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer realm=/)
      },
    )
  }

  await t.test('a bad key beside a good session is not overlooked [P-53]', async () => {
    const headers = { authorization: 'Bearer lk_x', cookie: cookiesOf(browser), origin }
    assertProblem(await ask({ path: '/api/v1/grants', headers }), 401, 'not_signed_in')
  })

  await t.test('a key in the query or in a cookie is none [X-19]', async () => {
    const inQuery = await ask({ path: `/api/v1/grants?access_token=${key}&api_key=${key}` })
    assertProblem(inQuery, 401, 'not_signed_in')
    const inCookie = await ask({
      path: '/api/v1/grants',
      headers: { cookie: `__Host-lk_session=${key}` },
    })
    assertProblem(inCookie, 401, 'not_signed_in')
  })

  await t.test('a key does what its scopes say', async () => {
    assertAnswer(await withKey(doors, key)('GET', '/connections'), { status: 200 })
    assertProblem(await withKey(doors, tokenKey)('GET', '/connections'), 403, 'forbidden')
    const { json } = await ada('POST', '/connections', { serverId })
    assertProblem(
      await withKey(doors, key)('POST', `/connections/${json.id}/token`),
      403,
      'forbidden',
    )
    assertProblem(await ada('POST', `/connections/${json.id}/token`), 403, 'forbidden')
  })

  await t.test('a key makes no keys and lists none', async () => {
    for (const [method, body] of [
      ['POST', { name: 'x', scopes: ['api'] }],
      ['GET', undefined],
    ] as const) {
      assertProblem(await withKey(doors, key)(method, '/api-keys', body), 401, 'not_signed_in')
    }
    assertProblem(await withKey(doors, key)('DELETE', `/api-keys/${keyId}`), 401, 'not_signed_in')
  })

  await t.test('what is for admins is not for others, nor for their keys [P-40]', async () => {
    const input = { url: 'https://mcp.test/mcp', auth: 'none' }
    for (const who of [eve, withKey(doors, eveKey)]) {
      assertProblem(await who('POST', '/servers', input), 403, 'forbidden')
      assertProblem(await who('PATCH', `/servers/${serverId}`, { name: 'x' }), 403, 'forbidden')
      assertProblem(await who('DELETE', `/servers/${serverId}`), 403, 'forbidden')
      assertProblem(await who('GET', '/journal'), 403, 'forbidden')
    }
    assertAnswer(await eve('GET', `/servers/${serverId}`), { status: 200 })
  })

  await t.test('a key may have an end, which is still to come', async () => {
    const described = { name: 'short', scopes: ['api'], expiresAt: Date.now() + 60_000 }
    const made = await ada('POST', '/api-keys', described)
    assertAnswer(made, { status: 201 })
    assert.equal(made.json.expiresAt, described.expiresAt)
    const { items } = (await ada('GET', '/api-keys')).json
    const listed = items.find(({ id }: { id: string }) => id === made.json.id)
    assert.equal(listed.expiresAt, described.expiresAt)
    const late = await ada('POST', '/api-keys', { ...described, expiresAt: 1 })
    assertProblem(late, 422, 'invalid_input')
    assert.deepEqual(late.json.detail, { expiresAt: 'Say a moment that is still to come.' })
  })

  await t.test('a key that was revoked is dead on the next request', async () => {
    const { key: short, id } = await create(['api'])
    assertAnswer(await withKey(doors, short)('GET', '/grants'), { status: 200 })
    assertAnswer(await ada('DELETE', `/api-keys/${id}`), { status: 204 })
    assertProblem(await withKey(doors, short)('GET', '/grants'), 401, 'not_signed_in')
  })

  const forged: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['another origin', { origin: 'https://evil.test' }],
    ['the origin null', { origin: 'null' }],
    ['a sibling origin', { origin: origin.replace('localhost', 'evil.localhost') }],
    ['another port', { origin: 'http://localhost:1' }],
    ['a cross-site fetch', { 'sec-fetch-site': 'cross-site' }],
    ['a same-site fetch', { 'sec-fetch-site': 'same-site' }],
    [
      'an Authorization that lends itself',
      { origin: 'https://evil.test', authorization: 'Bearer x' },
    ],
    [
      'a Basic header that lends itself',
      { origin: 'https://evil.test', authorization: 'Basic eDp5' },
    ],
  ]
  for (const [name, headers] of forged) {
    await t.test(`${name}: no write with the person's cookies [X-13] [X-30]`, async () => {
      const body = { name: 'stolen', scopes: ['api'] }
      for (const [path, json] of [
        ['/api-keys', body],
        ['/connections', { serverId }],
      ] as const) {
        const answer = await ask({
          path: `/api/v1${path}`,
          json,
          headers: { cookie: cookiesOf(browser), ...headers },
        })
        assert.ok([401, 403].includes(answer.status), `${path}: ${answer.status}`)
      }
      const { json } = await ada('GET', '/api-keys')
      assert.ok(json.items.every((one: { name: string }) => one.name !== 'stolen'))
    })
  }
})

test('each wrong field is named, with what to give instead', async (t) => {
  const { doors, ada } = await start(t)
  const key = { name: 'x', scopes: ['api'] }
  const scope = { name: 'files:read', words: 'Read your files' }
  for (const [path, json, detail] of [
    ['/api-keys', [], { body: 'Give an object here.' }],
    ['/api-keys', null, { body: 'Give an object here.' }],
    ['/api-keys', {}, { name: 'This is needed.', scopes: 'This is needed.' }],
    ['/api-keys', { ...key, name: 7 }, { name: 'Give a text here.' }],
    ['/api-keys', { ...key, name: '' }, { name: 'Do not leave this empty.' }],
    ['/api-keys', { ...key, name: 'x'.repeat(81) }, { name: 'Use at most 80 characters.' }],
    ['/api-keys', { ...key, scopes: 'api' }, { scopes: 'Give a list here.' }],
    ['/api-keys', { ...key, scopes: [] }, { scopes: 'Do not leave this empty.' }],
    [
      '/api-keys',
      { ...key, scopes: ['api', 'all'] },
      { 'scopes.1': 'Use one of api, connections:token, metrics.' },
    ],
    ['/api-keys', { ...key, expiresAt: 1.5 }, { expiresAt: 'Give a whole number here.' }],
    ['/api-keys', { ...key, expiresAt: 0 }, { expiresAt: 'Use a number over 0.' }],
    [
      '/api-keys',
      { ...key, a: 1, __proto__x: 2 },
      { a: 'There is no such field here.', __proto__x: 'There is no such field here.' },
    ],
    ['/scopes', { ...scope, usual: 'yes' }, { usual: 'Give true or false here.' }],
    [
      '/scopes',
      { ...scope, includes: Array.from({ length: 51 }, () => 'a') },
      { includes: 'Use at most 50 entries.' },
    ],
    [
      '/clients',
      { name: 'x', redirectUris: ['https://a.test/cb'], resource: 'notes' },
      { resource: 'Use a whole address, such as https://example.com/.' },
    ],
    ['/servers', { url: 'https://a.test/', headers: [] }, { headers: 'Give an object here.' }],
  ] as const) {
    await t.test(`${path} ${JSON.stringify(json).slice(0, 60)}`, async () => {
      const answer = await ada('POST', path, json)
      assertProblem(answer, 422, 'invalid_input')
      assert.deepEqual(answer.json.detail, detail)
    })
  }
  const { origin } = doors
  const { browser } = await signInAgain(doors)
  const ask = { path: '/api/v1/api-keys', browser, method: 'POST', body: '{"name":' } as const
  const headers = { origin, 'content-type': 'application/json' }
  const broken = await doors.ask({ ...ask, headers })
  assertProblem(broken, 422, 'invalid_input')
  assert.deepEqual(broken.json.detail, { body: 'Send JSON that holds no NUL.' })
})

test('what a call may say', async (t) => {
  const { doors, ada, serverId } = await start(t)
  const { origin } = doors
  const { browser } = await signInAgain(doors)
  const call = (path: string, json: unknown): Ask => ({
    path: `/api/v1${path}`,
    browser,
    headers: { origin },
    json,
  })
  const invalid = (name: string, path: string, json: unknown, field?: string): Scenario => ({
    name: `${name}: 422`,
    ask: call(path, json),
    expect: {
      status: 422,
      error: 'invalid_input',
      has: problem,
      ...(field === undefined ? {} : { says: new RegExp(`"detail":\\{"${field}":"[^"]{5,}`) }),
    },
  })
  const url = 'https://mcp.test/mcp'
  const typed = (type: string | undefined): Scenario => ({
    name: `the type ${type}: 415`,
    ask: {
      ...call('/connections', undefined),
      method: 'POST',
      body: JSON.stringify({ serverId }),
      headers: { origin, ...(type === undefined ? {} : { 'content-type': type }) },
    },
    expect: { status: 415, error: 'unsupported_media_type', has: problem },
  })
  await runTable(t, doors, [
    typed(undefined),
    typed('text/plain'),
    typed('application/x-www-form-urlencoded'),
    typed('application/jsonx'),
    typed('text/plain; application/json'),
    {
      name: 'no JSON: 422',
      ask: { ...typed('application/json').ask, body: '{"serverId":' },
      expect: { status: 422, error: 'invalid_input', has: problem },
    },
    {
      name: 'a body over the limit: 413',
      ask: call('/connections', { serverId, label: 'x'.repeat(70_000) }),
      expect: { status: 413, error: 'payload_too_large', has: problem },
    },
    invalid('null', '/connections', null, 'body'),
    invalid('a list', '/connections', [{ serverId }], 'body'),
    invalid('no server', '/connections', {}, 'serverId'),
    invalid('a server id that is a number', '/connections', { serverId: 7 }, 'serverId'),
    invalid(
      'a field that nobody knows [P-40]',
      '/connections',
      { serverId, userId: 'usr_x' },
      'userId',
    ),
    invalid(
      'a tenant of one’s choice [P-40]',
      '/connections',
      { serverId, tenantId: 'ten_x' },
      'tenantId',
    ),
    invalid('a label of spaces', '/connections', { serverId, label: '  ' }, 'label'),
    invalid(
      'a label that is too long',
      '/connections',
      { serverId, label: 'x'.repeat(81) },
      'label',
    ),
    invalid('a label with a NUL', '/connections', { serverId, label: 'a\0' }),
    invalid('a prototype', '/connections', JSON.parse('{"__proto__":{"serverId":"x"}}'), undefined),
    invalid('no url', '/servers', {}, 'url'),
    ...[
      '',
      'x',
      'javascript:alert(1)',
      'file:///etc/passwd',
      'ftp://mcp.test',
      'https://u:p@mcp.test/',
      'https://mcp.test/#x',
      `https://mcp.test/${'x'.repeat(500)}`,
    ].map((one) =>
      invalid(`the url ${JSON.stringify(one.slice(0, 24))}`, '/servers', { url: one }, 'url'),
    ),
    ...[
      'mcp',
      'api',
      'oauth',
      'connect',
      'well-known',
      'A',
      'a_b',
      '',
      'x'.repeat(37),
      '../x',
      'a/b',
    ].map((slug) =>
      invalid(
        `the slug ${JSON.stringify(slug.slice(0, 12))} [S2-28]`,
        '/servers',
        { url, auth: 'none', slug },
        'slug',
      ),
    ),
    invalid('an unknown auth', '/servers', { url, auth: 'basic' }, 'auth'),
    invalid(
      'a header with a line end [X-28]',
      '/servers',
      { url, auth: 'headers', headers: { 'x-key': 'a\r\nb: c' } },
      'headers',
    ),
    invalid(
      'a header that is ours',
      '/servers',
      { url, auth: 'headers', headers: { Host: 'x' } },
      'headers',
    ),
    invalid(
      'a header with a space in its name',
      '/servers',
      { url, auth: 'headers', headers: { 'x key': 'a' } },
      'headers',
    ),
    invalid('a header value that is a number', '/servers', {
      url,
      auth: 'headers',
      headers: { 'x-key': 7 },
    }),
    invalid(
      'a secret without a client',
      '/servers',
      { url, auth: 'none', clientSecret: 'x' },
      'clientId',
    ),
    invalid('a key without scopes', '/api-keys', { name: 'x', scopes: [] }, 'scopes'),
    invalid('a key with a scope that is none', '/api-keys', { name: 'x', scopes: ['admin'] }),
    invalid('a key without a name', '/api-keys', { name: '', scopes: ['api'] }, 'name'),
    {
      name: 'a server that nobody has: 404',
      ask: call('/connections', { serverId: 'srv_x' }),
      expect: { status: 404, error: 'not_found', has: problem },
    },
    {
      name: 'a slug that is taken: 409',
      ask: call('/servers', { url, auth: 'none', slug: 'open' }),
      expect: { status: 409, error: 'conflict', has: problem },
    },
    {
      name: 'a method that is none here: 405',
      ask: { path: '/api/v1/servers', method: 'DELETE', browser, headers: { origin } },
      expect: {
        status: 405,
        error: 'method_not_allowed',
        has: { ...problem, allow: 'POST, GET, HEAD' },
      },
    },
    {
      name: 'a path that is none: 404',
      ask: { path: '/api/v1/nothing', browser },
      expect: { status: 404, error: 'not_found', has: problem },
    },
  ])

  for (const query of [
    'limit=0',
    'limit=-1',
    'limit=x',
    'limit=1e9',
    'cursor=x',
    'cursor=%00',
    'cursor=',
    "cursor=' or 1=1",
    `cursor=${'x'.repeat(5000)}`,
  ]) {
    await t.test(`a list with ${query.slice(0, 24)} answers or says 422`, async () => {
      for (const path of ['/servers', '/connections', '/journal', '/grants', '/api-keys']) {
        const answer = await ada(
          'GET',
          `${path}?${query.replaceAll("'", '%27').replaceAll(' ', '%20')}`,
        )
        assert.ok([200, 422].includes(answer.status), `${path}: ${answer.status} ${answer.text}`)
      }
    })
  }
})

test('what is somebody else’s is as good as nothing [row 51] [X-25] [X-09]', async (t) => {
  const { doors, ada, eve, serverId } = await start(t)
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const added = await ada('POST', '/servers', { url: provider.mcpUrl })
  assert.equal(added.status, 201, added.text)
  const { json: connection } = await ada('POST', '/connections', { serverId: added.json.id })
  const { json: flow } = await ada('POST', `/connections/${connection.id}/authorize`, {})
  const { json: key } = await ada('POST', '/api-keys', { name: 'x', scopes: ['api'] })
  const { json: eveKey } = await eve('POST', '/api-keys', {
    name: 'x',
    scopes: ['connections:token'],
  })
  await register(doors)

  const calls: readonly (readonly [string, (id: string) => string, unknown?])[] = [
    ['GET', (id) => `/connections/${id}`],
    ['DELETE', (id) => `/connections/${id}`],
    ['POST', (id) => `/connections/${id}/authorize`, {}],
    ['POST', (id) => `/connections/${id}/refresh`],
    ['POST', (id) => `/connections/${id}/revoke`, {}],
  ]
  for (const [method, path, json] of calls) {
    await t.test(
      `${method} ${path('{id}')}: 404, word for word as for one that does not exist`,
      async (t) => {
        verifies(t, 'S1-10', 'S2-21', 'T-51')
        const foreign = await eve(method, path(connection.id), json)
        const missing = await eve(method, path('con_x'), json)
        assertProblem(foreign, 404, 'not_found')
        assert.equal(foreign.text, missing.text)
      },
    )
  }
  await t.test('a live token of somebody else’s connection', async () => {
    const call = withKey(doors, eveKey.key)
    const foreign = await call('POST', `/connections/${connection.id}/token`)
    assertProblem(foreign, 404, 'not_found')
    assert.equal(foreign.text, (await call('POST', '/connections/con_x/token')).text)
  })
  await t.test('a flow, a key', async () => {
    assertProblem(await eve('GET', `/flows/${flow.flowId}`), 404, 'not_found')
    assertProblem(await eve('DELETE', `/api-keys/${key.id}`), 404, 'not_found')
    assertAnswer(await withKey(doors, key.key)('GET', '/grants'), { status: 200 })
  })
  await t.test('lists hold one’s own only', async () => {
    const ofServer = `/connections?serverId=${added.json.id}`
    for (const path of ['/connections', ofServer, '/api-keys', '/grants']) {
      const answer = await eve('GET', path)
      assertAnswer(answer, { status: 200, neverSays: [connection.id, key.id] })
    }
  })
  await t.test('a list of some of one’s own', async () => {
    const listed = async (query: string) =>
      (await ada('GET', `/connections?${query}`)).json.items.map(({ id }: { id: string }) => id)
    assert.deepEqual(await listed(`serverId=${added.json.id}&label=default`), [connection.id])
    assert.deepEqual(await listed(`serverId=${added.json.id}&label=other`), [])
    assert.deepEqual(await listed('label=a%00b'), [])
  })
  await t.test('it is all still there', async () => {
    assertAnswer(await ada('GET', `/connections/${connection.id}`), { status: 200 })
    assertAnswer(await ada('GET', `/flows/${flow.flowId}`), { status: 200 })
  })
  for (const id of [
    'con_x',
    '..',
    '%2e%2e',
    '%00',
    'x'.repeat(3000),
    '%27%20or%201=1',
    '%ff',
    '%F0%9F%98%80',
    '*',
  ]) {
    await t.test(`the id ${id.slice(0, 16)} finds nothing`, async () => {
      for (const path of ['connections', 'flows', 'servers']) {
        const answer = await ada('GET', `/${path}/${id}`)
        assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`)
      }
    })
  }
  await t.test('needs a sign-in: 409 with reauthorize [row 51]', async (t) => {
    verifies(t, 'T-51')
    const { json: own } = await ada('POST', '/api-keys', {
      name: 'y',
      scopes: ['connections:token'],
    })
    const answer = await withKey(doors, own.key)('POST', `/connections/${connection.id}/token`)
    assertProblem(answer, 409, 'authorization_required')
    assert.equal(answer.json.reauthorize, true)
    assert.equal(answer.json.reauthUrl, `${doors.origin}/connect/${connection.id}`)
    assertProblem(
      await ada('POST', `/connections/${connection.id}/refresh`),
      409,
      'authorization_required',
    )
  })
  await t.test('a server without sign-in has nothing to authorize', async () => {
    const { json: plain } = await ada('POST', '/connections', { serverId })
    assertProblem(await ada('POST', `/connections/${plain.id}/authorize`, {}), 422, 'invalid_input')
  })
})

test('what discovery may find [row 49]', async (t) => {
  const { ada } = await start(t)
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const evil = 'http://93.184.216.34'
  const faults: readonly (readonly [string, Partial<Faults>, string])[] = [
    [
      'the resource of another server',
      { resourceMetadataFields: { resource: `${evil}/mcp` } },
      'resource_mismatch',
    ],
    [
      'no resource',
      { resourceMetadataFields: { resource: undefined } },
      'metadata_discovery_failed',
    ],
    ['another issuer', { metadataIssuer: 'https://evil.test' }, 'issuer_mismatch'],
    ['an issuer with a slash more', { metadataIssuer: `${provider.issuer}/` }, 'issuer_mismatch'],
    ['plain PKCE only', { challengeMethods: ['plain'] }, 'pkce_unsupported'],
    ['no word about PKCE [X-07]', { challengeMethods: null }, 'pkce_unsupported'],
    [
      'a token endpoint without https',
      { metadataFields: { token_endpoint: `${evil}/token` } },
      'insecure_endpoint',
    ],
    [
      'an authorization endpoint without https',
      { metadataFields: { authorization_endpoint: `${evil}/authorize` } },
      'insecure_endpoint',
    ],
  ]
  for (const [name, fault, code] of faults) {
    await t.test(`${name}: 422 ${code}`, async (t) => {
      verifies(t, 'T-49', 'S1-24', 'S1-25', 'A1-12', ...rowsIn(name))
      provider.set({
        metadataIssuer: undefined,
        challengeMethods: ['S256'],
        metadataFields: {},
        resourceMetadataFields: {},
        ...fault,
      })
      assertProblem(
        await ada('POST', '/servers', { url: provider.mcpUrl, auth: 'oauth' }),
        422,
        code,
      )
    })
  }
  await t.test('a scheme that opens programs is none either [P-60]', async (t) => {
    verifies(t, 'P-60', 'C27')
    for (const authorization_endpoint of [
      'javascript:alert(1)',
      'file:///etc/passwd',
      'a:$(calc)',
      '--flag',
      'vscode://x',
    ]) {
      provider.set({
        metadataIssuer: undefined,
        challengeMethods: ['S256'],
        resourceMetadataFields: {},
        metadataFields: { authorization_endpoint },
      })
      const answer = await ada('POST', '/servers', { url: provider.mcpUrl, auth: 'oauth' })
      assertAnswer(answer, { status: 422, has: problem })
      assert.match(answer.json.code, /^(?:insecure_endpoint|metadata_discovery_failed)$/)
    }
  })
})

test('addresses that may not be reached all say the same [row 50] [X-14]', async (t) => {
  verifies(t, 'T-50', 'A2-11')
  const connected: string[] = []
  const doors = await openDoors(t, {
    settings: { LATCHKEY_ALLOW_PRIVATE_NETWORKS: '' },
    resolve: async (name) =>
      name === 'mixed.test' ? ['93.184.216.34', '10.0.0.1'] : ['169.254.169.254'],
    connect: ({ address, port, hostname }) => {
      connected.push(address)
      return { address, port, hostname }
    },
  })
  const ada = callAs(doors, await signIn(doors.origin))
  const hosts = [
    '10.0.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '100.100.100.200',
    '192.168.1.1:8443',
    '[::1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::a9fe:a9fe]',
    '[2002:7f00:1::]',
    '[fd00:ec2::254]',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '0',
    'localhost',
    'localhost.',
    'metadata.google.internal',
    'mixed.test',
    'name.test',
    'name.test:22',
  ]
  const seen = new Set<string>()
  for (const host of hosts) {
    const answer = await ada('POST', '/servers', { url: `https://${host}/mcp` })
    assertProblem(answer, 422, 'discovery_blocked')
    assert.equal(answer.json.retryable, false)
    assert.match(answer.json.detail.url, /LATCHKEY_ALLOW_PRIVATE_NETWORKS/)
    seen.add(answer.text)
  }
  assert.equal(seen.size, 1)
  assert.deepEqual(connected, [])
})

test('a name without an address is told to who gave it, and not of the names that a server gives [X-14]', async (t) => {
  const doors = await openDoors(t, {
    settings: { LATCHKEY_ALLOW_PRIVATE_NETWORKS: 'loopback' },
    resolve: async (name) => (name === 'inside.test' ? ['10.0.0.1'] : []),
  })
  const ada = callAs(doors, await signIn(doors.origin))
  const missing = await ada('POST', '/servers', { url: 'https://missing.test/mcp' })
  assertProblem(missing, 422, 'name_unresolved')
  assert.equal(missing.json.retryable, true)

  const tried = await ada('POST', '/servers', { url: 'https://missing.test/mcp', auth: 'none' })
  const tested = await ada('POST', `/servers/${tried.json.id}/test`, {})
  assert.equal(tested.json.error, 'name_unresolved')
  const inside = await ada('POST', '/servers', { url: 'https://inside.test/mcp', auth: 'none' })
  const refused = await ada('POST', `/servers/${inside.json.id}/test`, {})
  assert.equal(refused.json.error, 'discovery_blocked')
  assert.match(refused.json.words, /LATCHKEY_ALLOW_PRIVATE_NETWORKS/)

  const said = new Set<string>()
  for (const name of ['inside.test', 'missing.test']) {
    const authorizationServers = { authorization_servers: [`https://${name}`] }
    const provider = await startFaultProvider({ resourceMetadataFields: authorizationServers })
    t.after(provider.stop)
    const answer = await ada('POST', '/servers', { url: provider.mcpUrl, auth: 'oauth' })
    assertProblem(answer, 422, 'discovery_blocked')
    said.add(answer.text)
  }
  assert.equal(said.size, 1)
})

test('a write with an Idempotency-Key [row 52]', async (t) => {
  const { clock, doors, ada, eve, serverId } = await start(t)
  let count = 0
  const once = (key: string) => ({ 'idempotency-key': key })
  const create = (who: Call, key: string, label: string) =>
    who('POST', '/connections', { serverId, label }, once(key))
  const fresh = () => `key-${++count}`

  await t.test('the same again gets the same answer, and happens once', async () => {
    const key = fresh()
    const first = await create(ada, key, 'one')
    assertAnswer(first, { status: 201 })
    const again = await create(ada, key, 'one')
    assertAnswer(again, {
      status: 201,
      has: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
    assert.equal(again.text, first.text)
  })
  await t.test('another body, another path, another method: 422', async (t) => {
    verifies(t, 'T-52')
    const key = fresh()
    const { json } = await create(ada, key, 'two')
    assertProblem(await create(ada, key, 'three'), 422, 'idempotency_mismatch')
    const others = [
      ['POST', '/api-keys', { name: 'x', scopes: ['api'] }],
      ['DELETE', `/connections/${json.id}`, undefined],
    ] as const
    for (const [method, path, body] of others) {
      assertProblem(await ada(method, path, body, once(key)), 422, 'idempotency_mismatch')
    }
    assertAnswer(await ada('GET', `/connections/${json.id}`), { status: 200 })
  })
  await t.test('the key of one person is not the key of another', async () => {
    const key = fresh()
    const mine = await create(ada, key, 'four')
    const hers = await create(eve, key, 'four')
    assertAnswer(hers, { status: 201 })
    assert.notEqual(hers.json.id, mine.json.id)
  })
  await t.test('a write that was refused may be tried again under its key', async () => {
    const key = fresh()
    assertProblem(await create(ada, key, ' '), 422, 'invalid_input')
    assertAnswer(await create(ada, key, 'five'), { status: 201 })
  })
  await t.test('a read takes no notice', async () => {
    const key = fresh()
    assertAnswer(await ada('GET', '/connections', undefined, once(key)), { status: 200 })
    assertAnswer(await create(ada, key, 'six'), { status: 201 })
  })
  for (const key of ['', 'x'.repeat(256), 'a b']) {
    await t.test(`the key ${JSON.stringify(key.slice(0, 8))} is none: 422`, async () => {
      assertProblem(await create(ada, key, 'seven'), 422, 'invalid_input')
    })
  }
  await t.test('a key of 255 characters is one', async () => {
    assertAnswer(await create(ada, 'x'.repeat(255), 'eight'), { status: 201 })
  })
  await t.test('a day later the key is new', async () => {
    const key = fresh()
    await create(ada, key, 'nine')
    await clock.advance(24 * 3_600_000 - 1)
    const again = callAs(doors, await signIn(doors.origin))
    assertAnswer(await create(again, key, 'nine'), { status: 201 })
    await clock.advance(1)
    assertProblem(await create(again, key, 'nine'), 409, 'conflict')
  })
})

onEveryDatabase('fifty at once with one Idempotency-Key: one write [row 52]', async (t, store) => {
  verifies(t, 'T-52')
  const doors = await openDoorsOn(t, store)
  const ada = callAs(doors, await signIn(doors.origin))
  const body = { name: 'x', scopes: ['api'] }
  const headers = { 'idempotency-key': 'the-same' }
  const expected: readonly Expected[] = [
    { status: 201 },
    { status: 409, error: 'idempotency_in_flight', has: { 'retry-after': '1' } },
  ]
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => ada('POST', '/api-keys', body, headers)),
  )
  for (const answer of answers) {
    assertAnswer(answer, expected.find(({ status }) => status === answer.status) ?? { status: 201 })
  }
  const made = answers.filter(({ status }) => status === 201)
  assert.ok(made.length >= 1)
  assert.equal(new Set(made.map(({ text }) => text)).size, 1)
  const rows = await store.db.selectFrom('api_keys').selectAll().execute()
  assert.equal(rows.length, 1)
  assert.equal((await ada('POST', '/api-keys', body, headers)).text, made[0]?.text)
})

onEveryDatabase('API keys come in pages, oldest first, and one’s own only', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const ada = callAs(doors, await signIn(doors.origin))
  await addPerson(doors, 'eve@example.com')
  const eve = callAs(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  const { id } = (await ada('POST', '/api-keys', { name: 'x', scopes: ['api'] })).json
  await eve('POST', '/api-keys', { name: 'hers', scopes: ['api'] })
  const own = await store.db
    .selectFrom('api_keys')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  // As many as no page holds, most of them of one moment: the order of ids decides among them.
  const more = Array.from({ length: 220 }, (_, index) => ({
    ...own,
    id: `key_${String(index).padStart(3, '0')}`,
    key_digest: `digest ${index}`,
    created_at: own.created_at + (index < 5 ? 1 : 2),
  }))
  await store.db.insertInto('api_keys').values(more).execute()

  const expected = [id, ...more.map((key) => key.id)]
  const first = await ada('GET', '/api-keys')
  assert.deepEqual(idsOf(first), expected.slice(0, 50))
  const second = await ada('GET', `/api-keys?limit=1000&cursor=${first.json.nextCursor}`)
  assert.deepEqual(idsOf(second), expected.slice(50))
  assert.equal('nextCursor' in second.json, false)
  assertProblem(await ada('GET', '/api-keys?cursor=x'), 422, 'invalid_input')
})

function idsOf({ json }: Answer): readonly string[] {
  return json.items.map((one: { readonly id: string }) => one.id)
}

async function signInAgain({ origin }: Doors) {
  return { browser: await signIn(origin) }
}
