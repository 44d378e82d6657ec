// The token endpoint: every wrong request and the one error that RFC 6749 §5.2 has for it, and that nothing is spent by a
// request that is refused (threats 5, rows 16–28).
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import type { JWTPayload } from 'jose'
import { createManualClock } from '../../src/base/clock.ts'
import { signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { assertAnswer, encode, openDoors, openDoorsOn, runTable } from './doors.ts'
import type { Answer, Fields, Scenario } from './doors.ts'
import {
  basic,
  isActive,
  obtainCode,
  obtainTokens,
  redeem,
  refresh,
  register,
  verifier,
} from './oauth-client.ts'

const path = '/oauth/token'
const refused = {
  has: { 'content-type': 'application/json', 'cache-control': 'no-store' },
} as const
const challenged = {
  ...refused,
  has: { ...refused.has, 'www-authenticate': /^Basic realm="[^"]+"/ },
}
const unchallenged = { ...refused, hasNot: ['www-authenticate'] }

test('the shape of a token request', async (t) => {
  const doors = await openDoors(t)
  const client = await register(doors)
  const form = encode({ grant_type: 'authorization_code', code: 'auth_x', client_id: client.id })
  const typed = (type: string) => ({
    path,
    method: 'POST',
    body: form,
    headers: { 'content-type': type },
  })
  const post = (fields: Fields) => ({ path, form: { client_id: client.id, ...fields } })
  const bad = { status: 400, error: 'invalid_request', ...refused }
  const methods = ['GET', 'PUT', 'DELETE', 'PATCH'].map((method): Scenario => ({
    name: `${method} [row 16]`,
    ask: { path: `${path}?${form}`, method },
    expect: { status: 405, has: { ...refused.has, allow: 'POST' }, neverSays: ['auth_x'] },
  }))
  const types = [
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded, application/json',
    'application/x-www-form-urlencoded; charset=utf-16',
    'application/x-www-form-urlencodedx',
    '',
  ].map((type): Scenario => ({
    name: `the type "${type}" [row 17]`,
    ask: typed(type),
    expect: bad,
  }))
  await runTable(t, doors, [
    ...methods,
    ...types,
    {
      name: 'JSON [row 17]',
      ask: { path, json: { grant_type: 'authorization_code' } },
      expect: bad,
    },
    { name: 'no body', ask: { path, method: 'POST' }, expect: bad },
    {
      name: 'parameters in the query only',
      ask: { ...typed('application/x-www-form-urlencoded'), path: `${path}?${form}`, body: '' },
      expect: bad,
    },
    { name: 'no grant_type [row 18]', ask: post({ code: 'x' }), expect: bad },
    { name: 'an empty grant_type [row 18]', ask: post({ grant_type: '' }), expect: bad },
    {
      name: 'two grant types [row 10]',
      ask: post({ grant_type: ['refresh_token', 'refresh_token'] }),
      expect: bad,
    },
    {
      name: 'two codes',
      ask: post({ grant_type: 'authorization_code', code: ['a', 'b'] }),
      expect: bad,
    },
    {
      name: 'an unknown parameter twice',
      ask: post({ grant_type: 'authorization_code', code: 'a', x: ['a', 'b'] }),
      expect: bad,
    },
    {
      name: 'no code',
      ask: post({ grant_type: 'authorization_code', code_verifier: verifier }),
      expect: bad,
    },
    { name: 'no refresh token', ask: post({ grant_type: 'refresh_token' }), expect: bad },
    ...['password', 'implicit', 'AUTHORIZATION_CODE', 'constructor', '__proto__'].map(
      (grant_type): Scenario => ({
        name: `the grant type ${grant_type} [row 18]`,
        ask: post({ grant_type }),
        expect: { status: 400, error: 'unsupported_grant_type', ...refused },
      }),
    ),
    {
      name: 'a body over the limit',
      ask: post({ grant_type: 'authorization_code', code: 'x'.repeat(70_000) }),
      expect: { status: 413, error: 'invalid_request', ...refused },
    },
  ])
  await t.test('a charset of UTF-8 is fine', async () => {
    for (const type of [
      'application/x-www-form-urlencoded;charset=UTF-8',
      'Application/X-WWW-Form-Urlencoded',
    ]) {
      assertAnswer(await doors.ask(typed(type)), { status: 400, error: 'invalid_grant' })
    }
  })
})

test('who the client is', async (t) => {
  const doors = await openDoors(t)
  const { ask, store } = doors
  const open = await register(doors)
  const inHeader = await register(doors, { token_endpoint_auth_method: 'client_secret_basic' })
  const inBody = await register(doors, { token_endpoint_auth_method: 'client_secret_post' })
  const codeOnly = await register(doors, { grant_types: ['authorization_code'] })
  const grant = { grant_type: 'refresh_token', refresh_token: 'mcp_rt_x' }
  const secret = inHeader.secret ?? ''
  const bodySecret = inBody.secret ?? ''
  const raw = (text: string) => ({
    authorization: `Basic ${Buffer.from(text, 'latin1').toString('base64')}`,
  })
  const post = (fields: Fields, headers: Readonly<Record<string, string>> = {}) => ({
    path,
    headers,
    form: { ...grant, ...fields },
  })
  const stranger = { status: 401, error: 'invalid_client' }
  const header = (
    name: string,
    headers: Readonly<Record<string, string>>,
    fields: Fields = {},
  ): Scenario => ({
    name,
    ask: post(fields, headers),
    expect: { ...stranger, ...challenged },
  })
  const body = (name: string, fields: Fields): Scenario => ({
    name,
    ask: post(fields),
    expect: { ...stranger, ...unchallenged },
  })
  const twice = (
    name: string,
    fields: Fields,
    headers: Readonly<Record<string, string>> = {},
  ): Scenario => ({
    name,
    ask: post(fields, headers),
    expect: { status: 400, error: 'invalid_request', ...refused },
  })
  await runTable(t, doors, [
    header('a wrong secret in the header [row 19] [P-41]', basic(inHeader.id, `${secret}x`)),
    header('a secret cut short [row 19]', basic(inHeader.id, secret.slice(0, -1))),
    header('an empty secret in the header [row 19]', basic(inHeader.id, '')),
    header('an unknown client in the header [row 19]', basic('mcp_oauth_x', secret)),
    header('the secret of another client [row 19]', basic(inHeader.id, bodySecret)),
    header('credentials that are no base64 [row 20] [P-10]', { authorization: 'Basic !!!' }),
    header('base64 with spaces in it [row 20]', { authorization: 'Basic YTpi YTpi' }),
    header('no credentials [row 20]', { authorization: 'Basic' }),
    header('an empty field [row 20]', { authorization: 'Basic ' }),
    header('no colon [row 20]', raw('justanid')),
    header('nothing before the colon [row 20]', raw(':secret')),
    header('a broken escape [row 20]', raw(`${inHeader.id}:%zz`)),
    header('a NUL [row 20]', raw(`${inHeader.id}\0:${secret}`)),
    header('bytes that are not UTF-8 [row 20] [P-53]', raw(`${inHeader.id}:\xff\xfe`)),
    header('another scheme [row 20]', { authorization: `Bearer ${secret}` }),
    header('a megabyte-like field [row 20]', { authorization: `Basic ${'A'.repeat(8000)}` }),
    header(
      'Basic for a client that posts its secret [row 22] [P-10]',
      basic(inBody.id, bodySecret),
    ),
    header('Basic for a public client [row 22]', basic(open.id, 'x')),
    body('a wrong secret in the body [row 19] [P-41]', {
      client_id: inBody.id,
      client_secret: 'x',
    }),
    body('no secret at all [P-41]', { client_id: inBody.id }),
    body('an empty secret [P-41]', { client_id: inBody.id, client_secret: '' }),
    body('an unknown client [row 19]', { client_id: 'mcp_oauth_x', client_secret: bodySecret }),
    body('no client', {}),
    body('a secret without a client', { client_secret: bodySecret }),
    body('a secret of a public client [row 22]', { client_id: open.id, client_secret: 'x' }),
    body('post for a client of the header [row 22] [P-10]', {
      client_id: inHeader.id,
      client_secret: secret,
    }),
    body('no secret for a client of the header [P-41]', { client_id: inHeader.id }),
    body('an assertion [row 29]', {
      client_id: open.id,
      client_assertion: 'e30.e30.',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    }),
    twice('header and body secret [row 21]', { client_secret: secret }, basic(inHeader.id, secret)),
    twice(
      'header and assertion [row 21]',
      { client_assertion: 'e30.e30.' },
      basic(inHeader.id, secret),
    ),
    twice('body secret and assertion [row 21]', {
      client_id: inBody.id,
      client_secret: bodySecret,
      client_assertion: 'x',
    }),
    twice('two ids that differ [row 21]', { client_id: open.id }, basic(inHeader.id, secret)),
    twice('two client ids', { client_id: [open.id, inBody.id] }),
    {
      name: 'a grant type that the client did not register [row 28]',
      ask: post({ client_id: codeOnly.id }),
      expect: { status: 400, error: 'unauthorized_client', ...refused },
    },
  ])

  await t.test('the right credentials get as far as the grant', async (t) => {
    verifies(t, 'S3-22', 'S3-23')
    for (const request of [
      post({}, basic(inHeader.id, secret)),
      post({ client_id: inHeader.id }, basic(inHeader.id, secret)),
      post({ client_id: inBody.id, client_secret: bodySecret }),
      post({ client_id: open.id }),
    ]) {
      assertAnswer(await ask(request), { status: 400, error: 'invalid_grant' })
    }
  })

  await t.test('a disabled client is one that cannot prove itself [P-41]', async (t) => {
    verifies(t, 'P-41')
    await store.db
      .updateTable('clients')
      .set({ disabled_at: 1 })
      .where('id', '=', inBody.id)
      .execute()
    const request = post({ client_id: inBody.id, client_secret: bodySecret })
    assertAnswer(await ask(request), { ...stranger, ...unchallenged })
  })
})

test('a client that proves itself with a key [row 29]', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const client = await register(doors, {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [await exportJWK(publicKey)] },
  })
  const usual = { iss: client.id, sub: client.id, aud: doors.origin }
  const sign = (claims: JWTPayload = {}) => {
    const nowS = Math.floor(clock.now() / 1000)
    return new SignJWT({ ...usual, jti: randomUUID(), iat: nowS, exp: nowS + 60, ...claims })
      .setProtectedHeader({ alg: 'RS256' })
      .sign(privateKey)
  }
  const prove = (assertion: string) =>
    doors.ask({
      path,
      form: {
        grant_type: 'refresh_token',
        refresh_token: 'mcp_rt_x',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      },
    })
  const [, payload = ''] = (await sign()).split('.')
  const unsigned = new UnsecuredJWT({ ...usual, jti: randomUUID() }).setExpirationTime('1m')
  const pem = Buffer.from(await exportSPKI(publicKey))
  const symmetric = new SignJWT(usual).setJti('x').setExpirationTime('1m')
  const wrong: readonly (readonly [string, string])[] = [
    ['alg none', unsigned.encode()],
    ['alg none and an old payload', `eyJhbGciOiJub25lIn0.${payload}.`],
    [
      'HS256 with the public key [P-27]',
      await symmetric.setProtectedHeader({ alg: 'HS256' }).sign(pem),
    ],
    ['the token endpoint as audience', await sign({ aud: doors.origin + path })],
    ['a list of audiences', await sign({ aud: [doors.origin, 'https://evil.test'] })],
    ['the audience of somebody else', await sign({ aud: 'https://evil.test' })],
  ]
  for (const [name, assertion] of wrong) {
    await t.test(`${name}: invalid_client [row 29]`, async (t) => {
      verifies(t, 'T-29', ...rowsIn(name))
      assertAnswer(await prove(assertion), {
        status: 401,
        error: 'invalid_client',
        ...unchallenged,
      })
    })
  }
  await t.test('a good one counts once [row 29]', async (t) => {
    verifies(t, 'T-29')
    const assertion = await sign()
    assertAnswer(await prove(assertion), { status: 400, error: 'invalid_grant' })
    assertAnswer(await prove(assertion), { status: 401, error: 'invalid_client', ...unchallenged })
    assertAnswer(await prove(await sign()), { status: 400, error: 'invalid_grant' })
  })
})

test('what a code is worth', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const browser = await signIn(doors.origin)
  const client = await register(doors)
  const foreign = await register(doors, { client_name: 'Another app' })
  const fresh = () => obtainCode(doors, browser, client)
  const words = new Set<string>()
  const assertWorthless = (answer: Answer) => {
    assertAnswer(answer, { status: 400, error: 'invalid_grant', ...refused })
    words.add(answer.text)
  }

  const changes: readonly (readonly [string, Fields])[] = [
    ['another redirect URI [row 23]', { redirect_uri: 'https://app.test/other' }],
    ['a redirect URI in another case [row 23]', { redirect_uri: 'https://app.test/CB' }],
    ['no verifier [row 24] [P-02]', { code_verifier: undefined }],
    ['an empty verifier [row 24] [P-02]', { code_verifier: '' }],
    ['another verifier [row 24]', { code_verifier: 'w'.repeat(64) }],
    ['a verifier that is too short [row 24]', { code_verifier: 'v'.repeat(42) }],
    ['a verifier that is too long [row 24]', { code_verifier: 'v'.repeat(129) }],
    ['a verifier with odd characters [row 24]', { code_verifier: `${'v'.repeat(63)}/` }],
  ]
  for (const [name, change] of changes) {
    await t.test(`${name}: invalid_grant, and the code still stands`, async (t) => {
      verifies(t, 'S3-22', 'S3-23', 'A3-6', ...rowsIn(name))
      const code = await fresh()
      assertWorthless(await redeem(doors, client, code, change))
      assert.equal((await redeem(doors, client, code)).status, 200)
    })
  }

  await t.test('an unknown code, a longer one, a shorter one [row 23] [P-06]', async (t) => {
    verifies(t, 'T-23', 'P-06')
    const code = await fresh()
    const similar = ['auth_x', `${code}x`, code.slice(0, -1), code.toUpperCase(), `${code}\0`]
    const tryThem = async () => {
      for (const wrong of similar) assertWorthless(await redeem(doors, client, wrong))
    }
    await tryThem()
    const { status, json } = await redeem(doors, client, code)
    assert.equal(status, 200)
    // Nor are they taken for a replay of the code that they resemble.
    await tryThem()
    assert.equal(await isActive(doors, json.access_token), true)
  })

  await t.test(
    'a code of another client says the same and ends nothing [row 23] [P-06]',
    async (t) => {
      verifies(t, 'T-23', 'P-06')
      const code = await fresh()
      assertWorthless(await redeem(doors, foreign, code))
      const { json } = await redeem(doors, client, code)
      assertWorthless(await redeem(doors, foreign, code))
      assert.equal(await isActive(doors, json.access_token), true)
    },
  )

  await t.test('a resource outside the request spends nothing [P-09] [P-46]', async (t) => {
    verifies(t, 'P-09', 'P-46')
    const code = await fresh()
    for (const resource of [
      'https://evil.test/mcp',
      `${doors.origin}/x/mcp`,
      '/mcp',
      `${doors.origin}/mcp#f`,
    ]) {
      const answer = await redeem(doors, client, code, { resource })
      assertAnswer(answer, { status: 400, error: 'invalid_target', ...refused })
    }
    assert.equal(
      (await redeem(doors, client, code, { resource: `${doors.origin}/mcp` })).status,
      200,
    )
  })

  for (const [name, lateByMs] of [
    ['at once', 0],
    ['after half a minute', 30_000],
    ['after two hours', 7_200_000],
  ] as const) {
    await t.test(
      `replay ${name} is refused and ends what the code gave [row 25] [X-04] [P-06]`,
      async (t) => {
        verifies(t, 'S3-22', 'A3-6', 'T-25', 'X-04', 'P-06')
        const code = await fresh()
        const first = await redeem(doors, client, code)
        await clock.advance(lateByMs)
        assertWorthless(await redeem(doors, client, code))
        assert.equal(await isActive(doors, first.json.access_token), false)
        const late = await refresh(doors, client, first.json.refresh_token)
        assertAnswer(late, { status: 400, error: 'invalid_grant' })
      },
    )
  }

  await t.test('the last moment of a code and the first after it [row 23]', async (t) => {
    verifies(t, 'S3-24', 'T-23')
    const again = await signIn(doors.origin)
    const [inTime, late] = [
      await obtainCode(doors, again, client),
      await obtainCode(doors, again, client),
    ]
    await clock.advance(59_999)
    assert.equal((await redeem(doors, client, inTime)).status, 200)
    await clock.advance(1)
    assertWorthless(await redeem(doors, client, late))
  })

  await t.test('all of these say the same words [row 23]', (t) => {
    verifies(t, 'T-23')
    assert.equal(words.size, 1)
  })
})

test('what a refresh token is worth', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const browser = await signIn(doors.origin)
  const client = await register(doors)
  const foreign = await register(doors, { client_name: 'Another app' })
  const fresh = () => obtainTokens(doors, browser, client)
  const worthless = { status: 400, error: 'invalid_grant', ...refused }

  await t.test('it is good once, and a good answer has the right shape', async (t) => {
    verifies(t, 'S3-20', 'S3-21', 'A3-5')
    const answer = await refresh(doors, client, (await fresh()).refreshToken)
    assertAnswer(answer, { status: 200, has: refused.has })
    const { access_token, refresh_token, ...rest } = answer.json
    assert.match(access_token, /^mcp_at_/)
    assert.match(refresh_token, /^mcp_rt_/)
    assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 3600, scope: 'mcp' })
  })

  const unchanged: readonly (readonly [string, Fields, string])[] = [
    ['a scope more [row 27] [X-38]', { scope: 'mcp memories:read' }, 'invalid_scope'],
    ['a malformed scope [row 27]', { scope: '"' }, 'invalid_scope'],
    ['another resource [row 27] [P-09]', { resource: 'https://evil.test/mcp' }, 'invalid_target'],
    ['a resource that is none [row 27] [P-09]', { resource: 'x' }, 'invalid_target'],
    [
      'two resources [row 27]',
      { resource: ['https://a.test/mcp', 'https://b.test/mcp'] },
      'invalid_target',
    ],
  ]
  for (const [name, changes, error] of unchanged) {
    await t.test(`${name}: ${error}, and nothing is rotated`, async (t) => {
      verifies(t, ...rowsIn(name))
      const { refreshToken } = await fresh()
      const rows = () => doors.store.db.selectFrom('refresh_tokens').selectAll().execute()
      const before = await rows()
      assertAnswer(await refresh(doors, client, refreshToken, changes), {
        status: 400,
        error,
        ...refused,
      })
      assert.deepEqual(await rows(), before)
      assert.equal((await refresh(doors, client, refreshToken)).status, 200)
    })
  }

  await t.test('an unknown one, one that is cut, an access token, a code [row 26]', async (t) => {
    verifies(t, 'T-26')
    const { accessToken, refreshToken } = await fresh()
    for (const token of [
      'mcp_rt_x',
      refreshToken.slice(0, -1),
      `${refreshToken}x`,
      accessToken,
      'auth_x',
    ]) {
      assertAnswer(await refresh(doors, client, token), worthless)
    }
    assert.equal((await refresh(doors, client, refreshToken)).status, 200)
  })

  await t.test('one of another client: refused, and nothing ends [row 26]', async (t) => {
    verifies(t, 'T-26')
    const { accessToken, refreshToken } = await fresh()
    assertAnswer(await refresh(doors, foreign, refreshToken), worthless)
    assert.equal(await isActive(doors, accessToken), true)
    assert.equal((await refresh(doors, client, refreshToken)).status, 200)
  })

  await t.test('a client that has a secret refreshes with it, or not at all [P-41]', async (t) => {
    verifies(t, 'P-41')
    const owner = await register(doors, { token_endpoint_auth_method: 'client_secret_post' })
    const { accessToken, refreshToken } = await obtainTokens(doors, browser, owner)
    const unproven = { status: 401, error: 'invalid_client', ...unchallenged }
    for (const client_secret of [undefined, '', 'x', `${owner.secret}x`]) {
      assertAnswer(await refresh(doors, owner, refreshToken, { client_secret }), unproven)
    }
    const disable = (disabled_at: number | null) =>
      doors.store.db
        .updateTable('clients')
        .set({ disabled_at })
        .where('id', '=', owner.id)
        .execute()
    await disable(1)
    assertAnswer(await refresh(doors, owner, refreshToken), unproven)
    await disable(null)
    assert.equal(await isActive(doors, accessToken), true)
    assertAnswer(await refresh(doors, owner, refreshToken), { status: 200 })
  })

  await t.test('reuse after its successor was used ends the family [row 26] [X-06]', async (t) => {
    verifies(t, 'A3-10', 'T-26', 'X-06')
    const first = await fresh()
    const second = (await refresh(doors, client, first.refreshToken)).json
    const third = (await refresh(doors, client, second.refresh_token)).json
    assertAnswer(await refresh(doors, client, first.refreshToken), worthless)
    assertAnswer(await refresh(doors, client, third.refresh_token), worthless)
    for (const token of [first.accessToken, second.access_token, third.access_token]) {
      assert.equal(await isActive(doors, token), false)
    }
  })

  await t.test(
    'an answer that was lost comes again within half a minute, and not after [row 26]',
    async (t) => {
      verifies(t, 'T-26')
      const { refreshToken } = await fresh()
      const first = await refresh(doors, client, refreshToken)
      await clock.advance(29_999)
      const again = await refresh(doors, client, refreshToken)
      assert.deepEqual(again.json, first.json)
      await clock.advance(1)
      assertAnswer(await refresh(doors, client, refreshToken), worthless)
      assert.equal(await isActive(doors, first.json.access_token), false)
    },
  )

  await t.test('its last moment and the first after it [row 26]', async (t) => {
    verifies(t, 'S3-24', 'A3-10', 'T-26')
    const again = await signIn(doors.origin)
    const [inTime, late] = [
      await obtainTokens(doors, again, client),
      await obtainTokens(doors, again, client),
    ]
    await clock.advance(30 * 24 * 3_600_000 - 1)
    assert.equal((await refresh(doors, client, inTime.refreshToken)).status, 200)
    await clock.advance(1)
    assertAnswer(await refresh(doors, client, late.refreshToken), worthless)
  })
})

onEveryDatabase('fifty at once redeem a code: one gets tokens [X-05] [P-44]', async (t, store) => {
  verifies(t, 'S3-22', 'A3-6', 'X-05', 'P-44')
  const doors = await openDoorsOn(t, store)
  const client = await register(doors)
  const code = await obtainCode(doors, await signIn(doors.origin), client)
  const answers = await Promise.all(Array.from({ length: 50 }, () => redeem(doors, client, code)))
  const won = answers.filter(({ status }) => status === 200)
  assert.equal(won.length, 1)
  for (const lost of answers.filter(({ status }) => status !== 200)) {
    assertAnswer(lost, { status: 400, error: 'invalid_grant', ...refused })
  }
  assert.equal(await isActive(doors, won[0]?.json.access_token), false) // the others were replays
})

onEveryDatabase(
  'fifty at once use a refresh token: one successor [X-06] [P-45]',
  async (t, store) => {
    verifies(t, 'X-06', 'P-45')
    const doors = await openDoorsOn(t, store)
    const client = await register(doors)
    const { refreshToken } = await obtainTokens(doors, await signIn(doors.origin), client)
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => refresh(doors, client, refreshToken)),
    )
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(new Set(answers.map(({ json }) => json.refresh_token)).size, 1)
    const { refresh_token: successor, access_token: token } = answers[0]?.json ?? {}
    assert.equal(await isActive(doors, token), true)
    const rows = await store.db.selectFrom('refresh_tokens').selectAll().execute()
    assert.equal(rows.length, 2)
    assert.equal((await refresh(doors, client, successor)).status, 200)
    assertAnswer(await refresh(doors, client, refreshToken), {
      status: 400,
      error: 'invalid_grant',
    })
    assert.equal(await isActive(doors, token), false)
  },
)
