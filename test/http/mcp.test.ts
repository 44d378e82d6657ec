// The MCP endpoints: who is let in, what a refusal says to a client, and that nothing of a caller reaches a server
// (threats 5, rows 36–43; ).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { addPerson, addServer, assertAnswer, openDoors } from './doors.ts'
import type { Answer, Ask, Doors } from './doors.ts'
import { obtainCode, obtainProgramToken, obtainTokens, redeem, register } from './oauth-client.ts'

const accept = 'application/json, text/event-stream'
const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'x', version: '1' },
  },
}
const list = { jsonrpc: '2.0', id: 2, method: 'tools/list', params: {} }

/** A platform with one server, and a person's tokens for both of its endpoints. */
async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const server = await startOpenMcpServer({ keepsSessions: true })
  t.after(server.stop)
  const browser = await signIn(doors.origin)
  for (const slug of ['notes', 'other']) await addServer(doors, browser, { url: server.url, slug })
  const client = await register(doors)
  const tokenFor = async (path: string) =>
    (
      await obtainTokens(doors, browser, client, {
        resource: doors.origin + path,
        prompt: 'consent',
      })
    ).accessToken
  const tokens = {
    '/mcp': await tokenFor('/mcp'),
    '/notes/mcp': await tokenFor('/notes/mcp'),
  } as const
  return { clock, doors, server, browser, client, tokens, tokenFor }
}

function call(
  path: string,
  token: string | undefined,
  json: unknown = list,
  headers: Ask['headers'] = {},
): Ask {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return { path, json, headers: { accept, ...authorization, ...headers } }
}

const endpoints = ['/mcp', '/notes/mcp'] as const

/** The challenge of an endpoint (RFC 6750 §3, RFC 9728 §5.1). */
// Clients that read the first challenge only find all that they knew before.
const proofToo = ', DPoP algs="ES256 PS256 RS256 Ed25519 EdDSA"'

function challengeOf({ origin }: Doors, path: string, more = ''): string {
  const metadata = `${origin}/.well-known/oauth-protected-resource${path}`
  return `Bearer resource_metadata="${metadata}", scope="mcp"${more}`
}

function assertRefused(doors: Doors, answer: Answer, path: string, reason: string): void {
  const status = reason === 'invalid_request' ? 400 : reason === 'insufficient_scope' ? 403 : 401
  assertAnswer(answer, {
    status,
    error: reason,
    has: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    hasNot: ['mcp-session-id', 'set-cookie'],
  })
  const challenge = answer.headers.get('www-authenticate') ?? ''
  assert.ok(challenge.startsWith(challengeOf(doors, path)), challenge)
  const error = reason === 'authentication_required' ? undefined : `error="${reason}"`
  assert.equal(
    error === undefined ? !challenge.includes('error') : challenge.includes(error),
    true,
    challenge,
  )
  assert.equal(answer.json.jsonrpc, '2.0')
  assert.equal(typeof answer.json.error.code, 'number')
}

for (const path of endpoints) {
  test(`who is let in at ${path}`, async (t) => {
    const { clock, doors, server, tokens, client, browser } = await start(t)
    const { ask, origin, store } = doors
    const token = tokens[path]
    const foreign = tokens[path === '/mcp' ? '/notes/mcp' : '/mcp']
    const reached = server.calls().length

    await t.test('a good token is', async (t) => {
      verifies(t, 'S3-30')
      assertAnswer(await ask(call(path, token, initialize)), { status: 200 })
    })

    await t.test('a client that closes its connection is not promised that it stays', async () => {
      // RFC 9110 §7.6.1: a proxy that believed the promise would send its next request into a closed door.
      const answer = await ask(call(path, token, initialize, { connection: 'close' }))
      assert.equal(answer.headers.get('connection'), 'close')
    })

    const none: readonly (readonly [string, Ask])[] = [
      ['no token', call(path, undefined)],
      ['another scheme', call(path, undefined, list, { authorization: 'Basic eDp5' })],
      ['a token in the query [row 38] [X-19]', call(`${path}?access_token=${token}`, undefined)],
      [
        'a token in a cookie [X-19]',
        call(path, undefined, list, {
          cookie: `access_token=${token}; __Host-lk_session=${token}`,
        }),
      ],
      ['a signed-in person [X-19]', { ...call(path, undefined), browser }],
      ['GET', { path, headers: { accept: 'text/event-stream' } }],
      ['DELETE', { path, method: 'DELETE', headers: { 'mcp-session-id': 'x' } }],
      ['no JSON', { ...call(path, undefined), body: '{' }],
    ]
    for (const [name, request] of none) {
      await t.test(`${name}: 401 without an error code [row 36]`, async (t) => {
        verifies(t, 'S1-84', 'S3-31', 'S4-20', ...rowsIn(t.name))
        const answer = await ask(request)
        assertRefused(doors, answer, path, 'authentication_required')
        assert.equal(answer.headers.get('www-authenticate'), challengeOf(doors, path, proofToo))
        assert.equal(answer.json.error.code, -32_001)
        assert.equal(answer.json.error.message, 'Authentication required')
      })
    }

    await t.test('a token in the body counts as none [X-19]', async () => {
      const answer = await ask({ path, form: { access_token: token }, headers: { accept } })
      assertRefused(doors, answer, path, 'authentication_required')
    })

    const refreshToken = (await obtainTokens(doors, browser, client, { prompt: 'consent' }))
      .refreshToken
    const code = await obtainCode(doors, browser, client, { prompt: 'consent' })
    const { json: key } = await ask({
      path: '/api/v1/api-keys',
      browser,
      json: { name: 'x', scopes: ['api'] },
      headers: { origin },
    })
    const bad: readonly (readonly [string, string])[] = [
      ['garbage', 'x'],
      ['a token that was never made', 'mcp_at_x'],
      ['a token with a letter more', `${token}x`],
      ['a token with a letter less', token.slice(0, -1)],
      ['a token in another case', token.toUpperCase()],
      ['a token of another server [P-24]', foreign],
      ['a refresh token', refreshToken],
      ['a code', code],
      ['an API key', key.key],
      ['a JWT without a signature [X-21]', 'eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0.'],
    ]
    for (const [name, wrong] of bad) {
      await t.test(`${name}: 401 invalid_token [row 37] [X-17]`, async (t) => {
        verifies(t, 'S1-84', 'S1-86', 'A4-6', ...rowsIn(name))
        assertRefused(doors, await ask(call(path, wrong)), path, 'invalid_token')
      })
    }

    const malformed: readonly (readonly [string, Ask])[] = [
      ['a token in header and query [row 38] [X-19]', call(`${path}?access_token=${token}`, token)],
      ['Bearer and nothing [row 38]', call(path, undefined, list, { authorization: 'Bearer' })],
      ['Bearer and a space [row 38]', call(path, undefined, list, { authorization: 'Bearer ' })],
      [
        'two tokens [row 38]',
        call(path, undefined, list, { authorization: `Bearer ${token} ${token}` }),
      ],
      [
        'two tokens with a comma [row 38]',
        call(path, undefined, list, { authorization: `Bearer ${token}, Bearer ${token}` }),
      ],
      [
        'a token in quotes [row 38]',
        call(path, undefined, list, { authorization: `Bearer "${token}"` }),
      ],
      [
        'a token with odd characters [P-53]',
        call(path, undefined, list, { authorization: 'Bearer \xff' }),
      ],
      ['a very long token', call(path, 'x'.repeat(8193))],
    ]
    for (const [name, request] of malformed) {
      await t.test(`${name}: 400 invalid_request`, async (t) => {
        verifies(t, ...rowsIn(t.name))
        assertRefused(doors, await ask(request), path, 'invalid_request')
      })
    }

    await t.test('a token without the scope: 403 insufficient_scope [row 39]', async (t) => {
      verifies(t, 'S1-84', 'A3-8', 'T-39')
      const digests = async () =>
        (await store.db.selectFrom('access_tokens').select('token_digest').execute()).map(
          ({ token_digest }) => token_digest,
        )
      const before = new Set(await digests())
      const facts = { resource: origin + path, prompt: 'consent' }
      const { accessToken: weak } = await obtainTokens(doors, browser, client, facts)
      const made = (await digests()).find((digest) => !before.has(digest)) ?? ''
      await store.db
        .updateTable('access_tokens')
        .set({ scope: 'memories:read' })
        .where('token_digest', '=', made)
        .execute()
      const answer = await ask(call(path, weak))
      assertRefused(doors, answer, path, 'insufficient_scope')
      assert.match(answer.headers.get('www-authenticate') ?? '', /scope="mcp"/)
      assert.equal(answer.json.id, list.id)
    })

    await t.test(
      'a page of another origin is 403, before the token is looked at [row 40]',
      async (t) => {
        verifies(t, ...rowsIn(t.name))
        for (const other of [
          'https://evil.test',
          'null',
          origin.replace('localhost', '127.0.0.1'),
          `${origin}.evil.test`,
        ]) {
          for (const with_ of [token, undefined, 'x']) {
            const answer = await ask(call(path, with_, list, { origin: other }))
            assertAnswer(answer, {
              status: 403,
              hasNot: ['www-authenticate', 'access-control-allow-origin'],
            })
          }
        }
        assertAnswer(await ask(call(path, token, initialize, { origin })), { status: 200 })
      },
    )

    await t.test(
      'a host that is nobody’s is 421, before the token is looked at [row 40] [X-18]',
      async () => {
        const { port } = new URL(origin)
        for (const host of [
          'evil.test',
          `evil.test:${port}`,
          'localhost',
          `localhost.:${port}`,
          `[::1]:${port}`,
        ]) {
          const answer = await ask(call(path, token, list, { host }))
          assertAnswer(answer, { status: 421, hasNot: ['www-authenticate'] })
        }
        const forwarded = { 'x-forwarded-host': 'evil.test', forwarded: 'host=evil.test' }
        const answer = await ask(call(path, undefined, list, forwarded))
        assert.equal(answer.headers.get('www-authenticate'), challengeOf(doors, path, proofToo))
      },
    )

    await t.test(
      'a token of one tenant is nothing at another [row 37] [X-17] [X-18]',
      async (t) => {
        verifies(t, 'A4-6', 'S4-45')
        const issuer = origin.replace('localhost', '127.0.0.1')
        await store.db
          .insertInto('tenants')
          .values({ id: 'ten_other', slug: 'other', issuer, name: 'Other', created_at: 1 })
          .execute()
        const answer = await ask(call(`${issuer}${path}`, token))
        const isServer = path === '/notes/mcp'
        // The other tenant has no such server at all; `/mcp` it has.
        if (isServer) assertAnswer(answer, { status: 404, hasNot: ['www-authenticate'] })
        else assertRefused({ ...doors, origin: issuer }, answer, path, 'invalid_token')
        const session = await ask({ path: `${issuer}/api/v1/grants`, browser })
        assertAnswer(session, { status: 401 })
        const byKey = await ask({
          path: `${issuer}/api/v1/grants`,
          headers: { authorization: `Bearer ${key.key}` },
        })
        assertAnswer(byKey, { status: 401 })
        assertAnswer(
          await ask({
            path: `${issuer}/oauth/token`,
            form: {
              grant_type: 'refresh_token',
              refresh_token: refreshToken,
              client_id: client.id,
            },
          }),
          {
            status: 401,
            error: 'invalid_client',
          },
        )
      },
    )

    await t.test('its last moment and the first after it [row 37]', async (t) => {
      verifies(t, 'A3-7')
      const again = await signIn(origin)
      const answer = await redeem(
        doors,
        client,
        await obtainCode(doors, again, client, { resource: origin + path, prompt: 'consent' }),
      )
      const fresh = answer.json.access_token
      await clock.advance(3_599_999)
      assertAnswer(await ask(call(path, fresh, initialize)), { status: 200 })
      await clock.advance(1)
      assertRefused(doors, await ask(call(path, fresh)), path, 'invalid_token')
    })

    await t.test('nothing that was refused reached a server', () => {
      const later = server.calls().slice(reached)
      assert.ok(
        later.every(({ method }) => method === 'initialize'),
        JSON.stringify(later.map(({ method }) => method)),
      )
    })
  })
}

test('a program without a person is told at a server what it lacks, and at /mcp it is let in', async (t) => {
  const { clock, doors, server, browser } = await start(t)
  const resource = `${doors.origin}/notes/mcp`
  const token = await obtainProgramToken(doors, browser, { resource })
  const reached = server.calls().length

  const answer = await doors.ask(call('/notes/mcp', token))

  assertAnswer(answer, { status: 403, error: 'person_needed', says: /nobody stands behind/i })
  assert.equal(answer.json.id, list.id)
  // A client answers insufficient_scope with another token of the same kind.
  const challenge = answer.headers.get('www-authenticate') ?? ''
  assert.match(challenge, /^Bearer error_description="[^"]*person[^"]*"$/)
  assert.equal(server.calls().length, reached)
  await clock.advance(50)
  await doors.ask({ path: '/api/v1/attempts', browser })
  const noted = await doors.store.db
    .selectFrom('journal_entries')
    .select(['attempt', 'data'])
    .where('type', '=', 'call.refused')
    .where('data', 'like', '%person_needed%')
    .execute()
  assert.equal(noted.length, 1)
  assert.match(noted[0]?.attempt ?? '', /^att_/)
  assert.match(noted[0]?.data ?? '', /acts for itself/)
  const own = await obtainProgramToken(doors, browser, { resource: `${doors.origin}/mcp` })
  assertAnswer(await doors.ask(call('/mcp', own, initialize)), { status: 200 })
})

test('the metadata that a challenge names [row 36]', async (t) => {
  verifies(t, 'S1-85', 'S4-18')
  const { doors } = await start(t)
  for (const path of endpoints) {
    const refused = await doors.ask(call(path, undefined))
    const named = /resource_metadata="([^"]+)"/.exec(
      refused.headers.get('www-authenticate') ?? '',
    )?.[1]
    const { json, status } = await doors.ask({ path: named ?? '' })
    assert.equal(status, 200)
    assert.equal(json.resource, doors.origin + path)
    assert.deepEqual(json.authorization_servers, [doors.origin])
    assert.deepEqual(json.bearer_methods_supported, ['header'])
    assert.deepEqual(json.scopes_supported, ['mcp'])
  }
  const nobody = await doors.ask({ path: '/.well-known/oauth-protected-resource/nobody/mcp' })
  assertAnswer(nobody, { status: 404 })
})

test('there is one spelling of each endpoint [P-12] [P-31]', async (t) => {
  verifies(t, 'P-12', 'P-31')
  const { doors, tokens } = await start(t)
  const spellings = [
    '/MCP',
    '/mcp/',
    '/mcp-admin',
    '/mcp/x',
    '/Notes/mcp',
    '/notes/MCP',
    '/notes/mcp/',
    '/notes/mcp/x',
    '/notes%2Fmcp',
    '/n%6Ftes/mcp',
    '/notes/mc%70',
    '/notes;x/mcp',
    '/notes//mcp',
    '/nobody/mcp',
    `/${'x'.repeat(37)}/mcp`,
  ]
  for (const path of spellings) {
    for (const token of Object.values(tokens)) {
      const answer = await doors.ask(call(path, token))
      assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`)
    }
  }
})

test('what a call may look like', async (t) => {
  const { doors, tokens, server } = await start(t)
  const { ask } = doors
  const bodies: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['half an object', '{'],
    ['null', 'null'],
    ['a number', '7'],
    ['a string', '"x"'],
    ['an empty object', '{}'],
    ['an empty batch', '[]'],
    ['a batch of numbers', '[1]'],
    ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":7}'],
    ['two objects', `${JSON.stringify(list)}${JSON.stringify(list)}`],
  ]
  for (const path of endpoints) {
    for (const [name, body] of bodies) {
      await t.test(`${name} at ${path}: 400 and a JSON-RPC error`, async () => {
        const answer = await ask({
          ...call(path, tokens[path]),
          json: undefined,
          method: 'POST',
          body,
          headers: { ...call(path, tokens[path]).headers, 'content-type': 'application/json' },
        })
        assertAnswer(answer, {
          status: 400,
          has: { 'content-type': 'application/json' },
          hasNot: ['www-authenticate'],
        })
        assert.equal(answer.json.jsonrpc, '2.0')
        assert.ok([-32_700, -32_600].includes(answer.json.error.code), answer.text)
      })
    }
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
      await t.test(`the type ${type} at ${path}: 415`, async () => {
        assertAnswer(await ask(call(path, tokens[path], list, { 'content-type': type })), {
          status: 415,
        })
      })
    }
    for (const version of ['1999-01-01', '2099-01-01', 'x']) {
      await t.test(`the protocol version "${version}" at ${path}: 400 [row 42]`, async (t) => {
        verifies(t, ...rowsIn(t.name))
        const answer = await ask(
          call(path, tokens[path], list, { 'mcp-protocol-version': version }),
        )
        assertAnswer(answer, { status: 400, hasNot: ['www-authenticate'] })
        assert.equal(typeof answer.json.error.code, 'number')
      })
    }
    for (const wanted of ['text/html', 'image/png']) {
      await t.test(`a wish for ${wanted} at ${path}: 406 [row 42]`, async (t) => {
        verifies(t, ...rowsIn(t.name))
        const answer = await ask(call(path, tokens[path], initialize, { accept: wanted }))
        assertAnswer(answer, { status: 406, hasNot: ['www-authenticate'] })
      })
    }
    for (const method of ['PUT', 'PATCH', 'OPTIONS']) {
      await t.test(`${method} at ${path}: 405 with Allow [row 42]`, async (t) => {
        verifies(t, ...rowsIn(t.name))
        for (const token of [tokens[path], undefined]) {
          const answer = await ask({ ...call(path, token), json: undefined, method })
          assertAnswer(answer, { status: 405, has: { allow: /\bPOST\b/ } })
        }
      })
    }
    await t.test(`a body over the limit at ${path}: 413 [row 43]`, async (t) => {
      verifies(t, ...rowsIn(t.name))
      const huge = { ...list, params: { padding: 'x'.repeat(4 * 1024 * 1024) } }
      assertAnswer(await ask(call(path, tokens[path], huge)), { status: 413 })
    })
    await t.test(
      `a body over the limit at ${path} without a token is not read [row 43]`,
      async (t) => {
        verifies(t, ...rowsIn(t.name))
        const huge = { ...list, params: { padding: 'x'.repeat(4 * 1024 * 1024) } }
        const answer = await ask(call(path, undefined, huge))
        assert.ok([401, 413].includes(answer.status), `${answer.status}`)
      },
    )
  }
  await t.test('an unknown method or tool is the server’s to refuse', async (t) => {
    verifies(t, 'S3-31')
    const answer = await ask(call('/mcp', tokens['/mcp'], { ...list, method: 'nothing/here' }))
    assertAnswer(answer, { status: 200, says: /-32601/ })
  })
  assert.ok(server.calls().every(({ status }) => status < 500))
})

test('whose session it is [row 41]', async (t) => {
  verifies(t, ...rowsIn(t.name))
  const { doors, server, tokens, tokenFor, client } = await start(t)
  const { ask, origin } = doors
  await addPerson(doors, 'eve@example.com')
  const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
  const evesToken = (await obtainTokens(doors, eve, client, { resource: `${origin}/notes/mcp` }))
    .accessToken
  const path = '/notes/mcp'
  const token = tokens[path]
  const begun = await ask(call(path, token, initialize))
  const session = begun.headers.get('mcp-session-id') ?? ''
  const within = (id: string): Ask['headers'] => ({
    'mcp-session-id': id,
    'mcp-protocol-version': '2025-11-25',
  })

  await t.test(
    'it works for the one it was given to, and is not the server’s own id',
    async (t) => {
      verifies(t, 'S4-19')
      assertAnswer(await ask(call(path, token, list, within(session))), {
        status: 200,
        says: /echo/,
      })
      const own = server.calls().at(-1)?.headers['mcp-session-id'] ?? ''
      assert.ok(own !== '' && own !== session)
    },
  )

  const before = server.calls().length
  const own = session.slice(0, session.lastIndexOf('.'))
  const strangers: readonly (readonly [string, Ask])[] = [
    ['an unknown one', call(path, token, list, within('x'))],
    ['one that was made up', call(path, token, list, within('x.y'))],
    ['the server’s own id', call(path, token, list, within(own))],
    ['one with a letter changed', call(path, token, list, within(`x${session}`))],
    ['one of another person', call(path, evesToken, list, within(session))],
    [
      'one of another server',
      call('/other/mcp', await tokenFor('/other/mcp'), list, within(session)),
    ],
    ['a very long one', call(path, token, list, within('x'.repeat(4000)))],
    [
      'an unknown one, with GET',
      { path, headers: { ...call(path, token).headers, ...within('x') } },
    ],
    [
      'one of another person, with DELETE',
      { path, method: 'DELETE', headers: { ...call(path, evesToken).headers, ...within(session) } },
    ],
  ]
  for (const [name, request] of strangers) {
    await t.test(`${name}: 404 and a JSON-RPC error`, async (t) => {
      verifies(t, 'A4-14')
      const answer = await ask(request)
      assertAnswer(answer, { status: 404, error: 'unknown_session', hasNot: ['mcp-session-id'] })
      assert.equal(server.calls().length, before)
    })
  }

  await t.test('none where the server wants one: 400', async () => {
    assertAnswer(await ask(call(path, token, list, { 'mcp-protocol-version': '2025-11-25' })), {
      status: 400,
    })
  })

  await t.test('at our own endpoint an unknown one changes nothing about who calls', async (t) => {
    verifies(t, 'A4-14', 'S4-3')
    const whoami = { ...list, method: 'tools/call', params: { name: 'whoami', arguments: {} } }
    const answer = await ask(call('/mcp', tokens['/mcp'], whoami, within(session)))
    assert.ok([200, 404].includes(answer.status))
    if (answer.status === 200) assert.ok(answer.text.includes(operator.email))
  })

  await t.test('it is still there for its owner', async () => {
    assertAnswer(await ask(call(path, token, list, within(session))), { status: 200 })
  })
})

test('what of a call reaches the server [P-28] [X-29]', async (t) => {
  verifies(t, 'S4-11', 'A4-3')
  const { doors, server, tokens } = await start(t)
  const headers = {
    cookie: 'a=b',
    'x-api-key': 'stolen',
    'x-forwarded-user': 'root',
    'proxy-authorization': 'Basic eDp5',
    forwarded: 'for=10.0.0.1',
    'x-mark': 'MARK',
  }
  const answer = await doors.ask(
    call('/notes/mcp?access=MARK', tokens['/notes/mcp'], initialize, headers),
  )
  assertAnswer(answer, { status: 200, hasNot: ['set-cookie', 'www-authenticate'] })
  const seen = server.calls().at(-1)
  const said = JSON.stringify(seen?.headers)
  assert.doesNotMatch(said, /mcp_at_|MARK|stolen|root|a=b|10\.0\.0\.1|eDp5/)
  assert.equal(seen?.headers['authorization'], undefined)
})
