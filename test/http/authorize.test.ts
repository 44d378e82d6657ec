// The authorization endpoint: what is refused on a page of ours and never redirects, and what goes back to the client
// with error, state and iss (threats 5, rows 1–13 and 15).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  mismatchedRedirectUris,
  loopbackRedirectUris,
} from '../../src/oauth/redirect-uri.corpus.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { signIn } from '../harness.ts'
import { rowsIn, verifies } from '../requirements.ts'
import { assertAnswer, openDoors } from './doors.ts'
import type { Answer, Doors, Fields } from './doors.ts'
import {
  approve,
  authorizePath,
  challenge,
  isActive,
  obtainTokens,
  otherRedirectUri,
  redirectUri,
  register,
} from './oauth-client.ts'

const evil = 'https://evil.test/cb'
const localPage = {
  status: 400,
  hasNot: ['location'],
  has: { 'content-type': /^text\/html/, 'cache-control': 'no-store' },
  neverSays: ['evil.test'],
} as const

test('the authorization endpoint before the redirect URI is proven', async (t) => {
  const doors = await openDoors(t)
  const { ask, store } = doors
  const client = await register(doors)
  const several = await register(doors, { redirect_uris: [redirectUri, otherRedirectUri] })
  const browser = await signIn(doors.origin)
  const rowCount = async () => (await store.db.selectFrom('codes').selectAll().execute()).length

  const refused: readonly (readonly [string, Fields])[] = [
    ['an unknown client [row 1] [P-03]', { client_id: 'mcp_oauth_unknown' }],
    ['an unknown client with a foreign address [P-03]', { client_id: 'x', redirect_uri: evil }],
    ['no client', { client_id: undefined }],
    ['an empty client', { client_id: '' }],
    ['a client id with a NUL', { client_id: `${client.id}\0` }],
    ['a client id in another case', { client_id: client.id.toUpperCase() }],
    ['two clients [row 10]', { client_id: [client.id, client.id] }],
    ['an unregistered address [row 2] [P-01]', { redirect_uri: evil }],
    ['two addresses [row 10]', { redirect_uri: [redirectUri, evil] }],
    ['the same address twice [row 10]', { redirect_uri: [redirectUri, redirectUri] }],
    [
      'no address where several are registered [row 2]',
      { client_id: several.id, redirect_uri: undefined },
    ],
    [
      'an empty address where several are registered [row 2]',
      { client_id: several.id, redirect_uri: '' },
    ],
  ]
  for (const [name, changes] of refused) {
    await t.test(`${name} is a page`, async (t) => {
      verifies(t, 'S3-15', 'S3-17', 'S3-18', ...rowsIn(name))
      const answer = await ask({ path: authorizePath(client, changes), browser })
      assertAnswer(answer, localPage)
    })
  }

  const errors: readonly (readonly [string, Fields])[] = [
    ['response_type', { response_type: 'token' }],
    ['no response_type', { response_type: undefined }],
    ['scope', { scope: 'admin' }],
    ['PKCE', { code_challenge: undefined }],
    ['resource', { resource: 'https://evil.test/mcp' }],
    ['prompt=none', { prompt: 'none' }],
    ['request', { request: 'e30.e30.' }],
    ['request_uri', { request_uri: 'https://evil.test/request' }],
  ]
  for (const [name, changes] of errors) {
    await t.test(
      `a bad ${name} never redirects to an address that is not proven [X-02] [P-43]`,
      async (t) => {
        verifies(t, 'X-02', 'P-43')
        for (const redirect_uri of [evil, undefined, '']) {
          const path = authorizePath(several, { ...changes, redirect_uri })
          for (const who of [{ browser }, {}]) assertAnswer(await ask({ path, ...who }), localPage)
        }
      },
    )
  }

  await t.test('a person who agreed before is not sent elsewhere [P-01]', async (t) => {
    verifies(t, 'P-01')
    await approve(doors, browser, client)
    const before = await rowCount()
    // A person's own click: to its own address the client would get a code without a question.
    const headers = { 'sec-fetch-site': 'none' }
    const path = authorizePath(client, { redirect_uri: evil })
    assertAnswer(await ask({ path, browser, headers }), localPage)
    assert.equal(await rowCount(), before)
  })

  await t.test(
    'every look-alike of the registered address is a page [X-01] [P-05] [P-104]',
    async (t) => {
      verifies(t, 'S3-18')
      for (const uri of mismatchedRedirectUris) {
        const answer = await ask({ path: authorizePath(several, { redirect_uri: uri }), browser })
        assert.equal(answer.status, 400, JSON.stringify(uri))
        assert.equal(answer.headers.get('location'), null, JSON.stringify(uri))
      }
    },
  )

  for (const { registered, accept, reject } of loopbackRedirectUris) {
    await t.test(`the any-port rule for ${registered} [X-01]`, async () => {
      const native = await register(doors, { redirect_uris: [registered] })
      const statusOf = async (redirect_uri: string) =>
        (await ask({ path: authorizePath(native, { redirect_uri }), browser })).status
      for (const uri of accept) assert.equal(await statusOf(uri), 302, uri)
      for (const uri of reject) assert.equal(await statusOf(uri), 400, JSON.stringify(uri))
    })
  }
})

test('the authorization endpoint after the redirect URI is proven', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin, store } = doors
  const client = await register(doors)
  const confidential = await register(doors, { token_endpoint_auth_method: 'client_secret_basic' })
  const browser = await signIn(origin)

  const refused: readonly (readonly [string, Fields, string])[] = [
    ['no response_type [row 3]', { response_type: undefined }, 'invalid_request'],
    ['response_type=token [row 4]', { response_type: 'token' }, 'unsupported_response_type'],
    [
      'response_type=code id_token [row 4]',
      { response_type: 'code id_token' },
      'unsupported_response_type',
    ],
    ['no code_challenge [row 5] [P-10]', { code_challenge: undefined }, 'invalid_request'],
    ['method plain [row 6] [P-10]', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['no method [row 6] [P-42]', { code_challenge_method: undefined }, 'invalid_request'],
    ['method S512 [row 6] [P-10]', { code_challenge_method: 'S512' }, 'invalid_request'],
    ['method s256 [row 6]', { code_challenge_method: 's256' }, 'invalid_request'],
    ['a short challenge [row 7]', { code_challenge: challenge.slice(1) }, 'invalid_request'],
    ['a long challenge [row 7]', { code_challenge: `${challenge}A` }, 'invalid_request'],
    [
      'a challenge with padding [row 7]',
      { code_challenge: `${challenge.slice(1)}=` },
      'invalid_request',
    ],
    [
      'a challenge in base64 [row 7]',
      { code_challenge: `${challenge.slice(1)}+` },
      'invalid_request',
    ],
    ['a scope that is none [row 8]', { scope: 'mcp "x"' }, 'invalid_scope'],
    ['an unknown scope [row 8]', { scope: 'mcp admin' }, 'invalid_scope'],
    ['a scope in another case [row 8]', { scope: 'MCP' }, 'invalid_scope'],
    ['a scope of another server [row 8]', { scope: 'memories:read' }, 'invalid_scope'],
    ['a thousand scopes [row 8]', { scope: 'mcp '.repeat(1000).trim() + ' x' }, 'invalid_scope'],
    ['a relative resource [row 9]', { resource: '/mcp' }, 'invalid_target'],
    ['a resource with a fragment [row 9]', { resource: `${origin}/mcp#x` }, 'invalid_target'],
    ['an unknown resource [row 9]', { resource: `${origin}/nobody/mcp` }, 'invalid_target'],
    ['a foreign resource [row 9]', { resource: 'https://evil.test/mcp' }, 'invalid_target'],
    ['a resource in another case [row 9]', { resource: `${origin}/MCP` }, 'invalid_target'],
    ['a resource with a slash more [row 9]', { resource: `${origin}/mcp/` }, 'invalid_target'],
    ['two resources [row 9]', { resource: [`${origin}/mcp`, `${origin}/x/mcp`] }, 'invalid_target'],
    ['state twice [row 10]', { state: ['a', 'b'] }, 'invalid_request'],
    ['scope twice [row 10]', { scope: ['mcp', 'mcp'] }, 'invalid_request'],
    ['an unknown parameter twice [row 10]', { foo: ['a', 'b'] }, 'invalid_request'],
    ['prompt=none without consent [row 11]', { prompt: 'none' }, 'consent_required'],
    ['prompt=none with another prompt [row 11]', { prompt: 'none login' }, 'invalid_request'],
    ['an unknown prompt', { prompt: 'yes' }, 'invalid_request'],
    ['request [row 13]', { request: 'e30.e30.' }, 'request_not_supported'],
    ['request_uri [row 13]', { request_uri: 'urn:example:x' }, 'request_uri_not_supported'],
    ['response_mode=fragment', { response_mode: 'fragment' }, 'invalid_request'],
    ['response_mode=form_post', { response_mode: 'form_post' }, 'invalid_request'],
  ]
  for (const [name, changes, error] of refused) {
    await t.test(`${name}: ${error}`, async (t) => {
      verifies(t, 'S3-14', 'S3-17', ...rowsIn(name))
      const answer = await ask({ path: authorizePath(client, changes), browser })
      assertRefusal(doors, answer, { error, ...(changes['state'] && { state: 'a' }) })
    })
  }

  await t.test('PKCE is asked of a confidential client too [P-02] [P-10]', async (t) => {
    // Decision 004: so there is no code without a challenge that a verifier could come for.
    verifies(t, 'P-02', 'P-10', 'T-24')
    const path = authorizePath(confidential, { code_challenge: undefined })
    assertRefusal(doors, await ask({ path, browser }), { error: 'invalid_request' })
  })

  await t.test('prompt=none without a session: login_required [row 11]', async (t) => {
    verifies(t, 'T-11')
    const answer = await ask({ path: authorizePath(client, { prompt: 'none' }) })
    assertRefusal(doors, answer, { error: 'login_required' })
  })

  await t.test('nothing is stored for a request that is refused', async () => {
    const before = await store.db.selectFrom('authorization_requests').selectAll().execute()
    await ask({ path: authorizePath(client, { scope: 'admin' }), browser })
    const after = await store.db.selectFrom('authorization_requests').selectAll().execute()
    assert.equal(after.length, before.length)
  })

  for (const state of ['', 'a b+c%20&=#?/"<>', 'ü€\u{1F600}', 'x'.repeat(4096)]) {
    await t.test(
      `the state ${JSON.stringify(state.slice(0, 20))} comes back as it was`,
      async (t) => {
        verifies(t, 'S3-27')
        const path = authorizePath(client, { state, scope: 'admin' })
        const location = (await ask({ path, browser })).headers.get('location') ?? ''
        assert.equal(new URL(location).searchParams.get('state') ?? '', state)
      },
    )
  }

  for (const state of ['a\r\nLocation: https://evil.test', 'a\0b', 'x'.repeat(4097)]) {
    await t.test(
      `the state ${JSON.stringify(state.slice(0, 20))} is refused and not repeated`,
      async () => {
        const answer = await ask({ path: authorizePath(client, { state }), browser })
        assertRefusal(doors, answer, { error: 'invalid_request', state: undefined })
      },
    )
  }

  await t.test(
    'a good request leads to sign-in, or for a signed-in person to the question',
    async (t) => {
      verifies(t, 'S3-16', 'A3-3')
      const anonymous = await ask({ path: authorizePath(client) })
      assertAnswer(anonymous, {
        status: 302,
        has: { location: /^\/sign-in\?next=%2Foauth%2Fconsent/ },
      })
      const asked = await ask({ path: authorizePath(client), browser })
      assertAnswer(asked, { status: 302, has: { location: /^\/oauth\/consent\?request=req_/ } })
    },
  )

  await t.test('POST and an unknown method are 405', async () => {
    const answer = await ask({ path: '/oauth/authorize', form: { client_id: client.id } })
    assertAnswer(answer, { status: 405, has: { allow: /\bGET\b/ }, hasNot: ['location'] })
  })
})

test('what the metadata promises is what is done [P-10] [P-42]', async (t) => {
  verifies(t, 'S1-81', 'S3-41', 'P-10', 'P-42')
  const { ask, origin } = await openDoors(t)
  const { json, headers } = await ask({ path: '/.well-known/oauth-authorization-server' })
  assert.equal(json.issuer, origin)
  assert.deepEqual(json.code_challenge_methods_supported, ['S256'])
  assert.deepEqual(json.response_types_supported, ['code'])
  assert.equal(json.authorization_response_iss_parameter_supported, true)
  // A public client is `none` among the ways to prove oneself (S4-21); no signature may be none.
  const algorithms = Object.entries<readonly string[]>(json).filter(([name]) =>
    name.endsWith('_alg_values_supported'),
  )
  assert.equal(algorithms.length, 5)
  for (const [name, values] of algorithms) {
    assert.ok(values.length > 0 && !/none|HS\d/i.test(values.join()), name)
  }
  assert.ok(!json.introspection_endpoint_auth_methods_supported.includes('none'))
  assert.equal(headers.get('access-control-allow-origin'), '*')
  for (const name of ['authorization', 'token', 'registration', 'revocation']) {
    assert.ok(json[`${name}_endpoint`].startsWith(`${origin}/oauth/`), name)
  }
})

test('clients that are described by a document', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const documents = new Map<string, (url: string) => BadDocument>()
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    const document = documents.get(request.url ?? '')?.(`${origin}${request.url}`)
    const { status = 200, headers = {}, body = '' } = document ?? { status: 404 }
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  t.after(stop)
  const good = (url: string) => ({
    client_id: url,
    client_name: 'A document',
    redirect_uris: [redirectUri, otherRedirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  })
  const bad: Readonly<Record<string, (url: string) => BadDocument>> = {
    'is missing': () => ({ status: 404 }),
    'is not there any more': () => ({ status: 410, body: good('x') }),
    redirects: (url) => ({ status: 302, headers: { location: `${url}-2` } }),
    'is HTML': (url) => ({ headers: { 'content-type': 'text/html' }, body: good(url) }),
    'is no JSON': () => ({ body: '{' }),
    'is a list': (url) => ({ body: [good(url)] }),
    'has another client_id': (url) => ({ body: { ...good(url), client_id: `${url}/` } }),
    'has no name': (url) => ({ body: { ...good(url), client_name: undefined } }),
    'has a secret': (url) => ({ body: { ...good(url), client_secret: 'x' } }),
    'wants a shared secret': (url) => ({
      body: { ...good(url), token_endpoint_auth_method: 'client_secret_post' },
    }),
    'has no redirect URI': (url) => ({ body: { ...good(url), redirect_uris: [] } }),
    'has a javascript: address': (url) => ({
      body: { ...good(url), redirect_uris: ['javascript:alert(1)'] },
    }),
    'is over 5 KB': (url) => ({ body: { ...good(url), padding: 'x'.repeat(6000) } }),
    'is too deep': (url) => ({ body: `${'['.repeat(100)}${url}${']'.repeat(100)}` }),
  }
  for (const [name, answer] of Object.entries(bad)) {
    await t.test(
      `a document that ${name}: a page, and invalid_client at the token endpoint [row 15] [X-35]`,
      async (t) => {
        verifies(t, 'T-15', 'X-35')
        const path = `/${name.replaceAll(/\W/g, '-')}`
        documents.set(path, answer)
        const id = `${origin}${path}`
        const page = await ask({ path: authorizePath({ id, redirectUri }) })
        assertAnswer(page, localPage)
        const form = { grant_type: 'authorization_code', code: 'auth_x', client_id: id }
        assertAnswer(await ask({ path: '/oauth/token', form }), {
          status: 401,
          error: 'invalid_client',
        })
      },
    )
  }

  await t.test('a document that cannot be fetched: the same [row 15]', async (t) => {
    verifies(t, 'T-15')
    const { origin: gone, stop: close } = await listenOnLoopback(() => () => undefined)
    await close()
    const id = `${gone}/client.json`
    assertAnswer(await ask({ path: authorizePath({ id, redirectUri }) }), localPage)
    const form = { grant_type: 'authorization_code', code: 'auth_x', client_id: id }
    const refused = { status: 401, error: 'invalid_client' }
    assertAnswer(await ask({ path: '/oauth/token', form }), refused)
  })

  await t.test(
    'two installations share a client id, and each keeps its grant [P-11]',
    async (t) => {
      verifies(t, 'P-11')
      documents.set('/client.json', (url) => ({ body: good(url) }))
      const id = `${origin}/client.json`
      const browser = await signIn(doors.origin)
      const one = await obtainTokens(doors, browser, { id, redirectUri })
      const other = await obtainTokens(doors, browser, { id, redirectUri: otherRedirectUri })
      assert.deepEqual(
        [await isActive(doors, one.accessToken), await isActive(doors, other.accessToken)],
        [true, true],
      )
    },
  )
})

test('a client that anybody can pretend to be is asked about every time [P-20]', async (t) => {
  verifies(t, 'P-20')
  const doors = await openDoors(t)
  const { origin, ask } = doors
  const client = await register(doors, { redirect_uris: ['http://127.0.0.1:3000/cb'] })
  const web = await register(doors, { token_endpoint_auth_method: 'client_secret_post' })
  const browser = await signIn(origin)
  await approve(doors, browser, client)
  await approve(doors, browser, web)

  const again = await ask({ path: authorizePath(client), browser })
  assert.match(again.headers.get('location') ?? '', /^\/oauth\/consent/)
  const quiet = await ask({ path: authorizePath(client, { prompt: 'none' }), browser })
  assertRefusal(doors, quiet, {
    error: 'consent_required',
    redirectUri: client.redirectUri,
  })
})

test('a browser without cookies gets one of its own with the request, and only then', async (t) => {
  const doors = await openDoors(t)
  const client = await register(doors)
  const first = await doors.ask({ path: authorizePath(client) })
  const [cookie = '', ...more] = first.headers.getSetCookie()
  assert.deepEqual(more, [])
  assert.match(cookie, /^__Host-lk_browser=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax$/)
  const browser = createCookieBrowser()
  await browser.open(doors.origin + authorizePath(client))
  const second = await doors.ask({ path: authorizePath(client), browser })
  assert.deepEqual(second.headers.getSetCookie(), [])
})

interface BadDocument {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

interface Refusal {
  readonly error: string
  /** The state that comes back, if it is not the usual one. */
  readonly state?: string | undefined
  readonly redirectUri?: string
}

/** RFC 6749 §4.1.2.1 with RFC 9207: error, state and iss, at the client's own address and nowhere else. */
function assertRefusal(doors: Doors, answer: Answer, expected: Refusal): void {
  assertAnswer(answer, { status: 302, has: { 'cache-control': 'no-store' } })
  const url = new URL(answer.headers.get('location') ?? '')
  const given = Object.fromEntries(url.searchParams)
  assert.equal(`${url.origin}${url.pathname}`, expected.redirectUri ?? redirectUri)
  assert.equal(given['error'], expected.error, url.href)
  assert.equal(given['iss'], doors.origin)
  assert.equal(given['state'], 'state' in expected ? expected.state : 'the-state')
  assert.equal(given['code'], undefined)
  assert.match(given['error_description'] ?? '', /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
}
