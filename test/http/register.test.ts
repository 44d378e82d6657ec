// Dynamic client registration: what may be said, what is refused as a whole, and what a client cannot give itself
// (threats 5, row 32; RFC 7591 §3.2.2).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  acceptableRedirectUris,
  malformedRedirectUris,
} from '../../src/oauth/redirect-uri.corpus.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoors, runTable } from './doors.ts'
import type { Scenario } from './doors.ts'
import { authorizePath } from './oauth-client.ts'

const path = '/oauth/register'
const uri = 'https://app.test/cb'
const good = { client_name: 'An app', redirect_uris: [uri] }
const refused = {
  status: 400,
  has: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  hasNot: ['www-authenticate', 'location'],
} as const
const badMetadata = { ...refused, error: 'invalid_client_metadata' }
const badAddress = { ...refused, error: 'invalid_redirect_uri' }

test('what is refused at registration', async (t) => {
  const doors = await openDoors(t)
  const { ask, store } = doors
  const bad = (name: string, json: unknown): Scenario => ({
    name,
    ask: { path, json },
    expect: badMetadata,
  })
  const wrong = (name: string, fields: object) => bad(`${name} [row 32]`, { ...good, ...fields })
  const addresses = (name: string, redirect_uris: unknown): Scenario => ({
    name: `${name} [row 32]`,
    ask: { path, json: { ...good, redirect_uris } },
    expect: badAddress,
  })
  const raw = (name: string, body: string, type = 'application/json'): Scenario => ({
    name,
    ask: { path, method: 'POST', body, headers: { 'content-type': type } },
    expect: badMetadata,
  })
  const deep = '['.repeat(20_000) + ']'.repeat(20_000)
  const pages = ['logo_uri', 'client_uri', 'policy_uri', 'tos_uri', 'jwks_uri'].flatMap((field) =>
    [
      'javascript:alert(1)',
      'data:text/html,x',
      'http://app.test/x',
      'file:///etc/passwd',
      '//app.test/x',
      'https://user@app.test/',
      7,
    ].map((value) => wrong(`${field} ${value} [P-08]`, { [field]: value })),
  )
  await runTable(t, doors, [
    raw('no JSON', 'hello'),
    raw('an empty body', ''),
    raw('JSON that breaks off', '{"redirect_uris":["https://app.test/cb"]'),
    raw('a form', 'client_name=x', 'application/x-www-form-urlencoded'),
    raw('text that is JSON', JSON.stringify(good), 'text/plain'),
    raw('JSON behind a byte order mark [X-33]', `\ufeff${JSON.stringify(good)}`),
    raw('NaN [X-33]', '{"redirect_uris":["https://app.test/cb"],"default_max_age":NaN}'),
    raw('a thousand levels [X-33]', `{"redirect_uris":["${uri}"],"contacts":${deep}}`),
    bad('a list', [good]),
    bad('null', null),
    bad('a number', 7),
    bad('a string', 'client'),
    addresses('no addresses', undefined),
    addresses('an empty list', []),
    addresses('an address that is no list', uri),
    addresses('an object that looks like a list [X-33]', { 0: uri, length: 1 }),
    addresses('an address that is a number', [7]),
    addresses('a list in the list', [[uri]]),
    addresses('one bad among good', [uri, 'javascript:alert(1)']),
    addresses(
      'eleven addresses',
      Array.from({ length: 11 }, (_, at) => `${uri}/${at}`),
    ),
    wrong('an unknown way of authentication', { token_endpoint_auth_method: 'client_secret_jwt' }),
    wrong('a way of authentication that is no text', { token_endpoint_auth_method: ['none'] }),
    wrong('implicit', { grant_types: ['implicit'], response_types: ['token'] }),
    wrong('password', { grant_types: ['password'] }),
    wrong('grant types that are no list', { grant_types: 'authorization_code' }),
    wrong('no grant types', { grant_types: [] }),
    wrong('a response type that does not fit', { response_types: ['token'] }),
    wrong('a response type without its grant', {
      grant_types: ['refresh_token'],
      response_types: ['code'],
    }),
    wrong('a name that is a number', { client_name: 7 }),
    wrong('a scope that is none', { scope: 'a "b"' }),
    wrong('scopes as a list', { scope: ['mcp'] }),
    wrong('contacts that are no list', { contacts: 'a@app.test' }),
    wrong('keys and an address of keys', {
      jwks_uri: 'https://app.test/jwks',
      jwks: { keys: [{ kty: 'EC' }] },
    }),
    wrong('a private key', {
      jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'a', y: 'b', d: 'c' }] },
    }),
    wrong('private_key_jwt without keys', { token_endpoint_auth_method: 'private_key_jwt' }),
    wrong('an unknown application type', { application_type: 'service' }),
    ...pages,
    {
      name: 'a megabyte [X-24]',
      ask: { path, json: { ...good, client_name: 'x'.repeat(1_000_000) } },
      expect: { status: 413, error: 'invalid_request', has: refused.has },
    },
    {
      name: 'GET',
      ask: { path },
      expect: { status: 405, has: { allow: 'POST' } },
    },
  ])

  await t.test('every malformed redirect URI [row 32] [X-01] [P-05] [P-25]', async (t) => {
    verifies(t, 'S3-18', 'S4-21', 'T-32', 'X-01', 'P-05', 'P-25')
    for (const one of malformedRedirectUris) {
      const answer = await ask({ path, json: { ...good, redirect_uris: [one] } })
      assert.equal(answer.status, 400, JSON.stringify(one))
      assert.equal(answer.json.error, 'invalid_redirect_uri', JSON.stringify(one))
    }
  })

  await t.test('none of it left a client behind', async () => {
    const { rows } = { rows: await store.db.selectFrom('clients').selectAll().execute() }
    assert.deepEqual(rows, [])
  })
})

test('what is accepted at registration', async (t) => {
  const doors = await openDoors(t)
  const { ask, store } = doors

  await t.test('the defaults and the shape of the answer', async (t) => {
    verifies(t, 'S4-21', 'S1-81', 'A4')
    const answer = await ask({ path, json: good })
    assertAnswer(answer, {
      status: 201,
      has: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
    const { client_id, client_secret, client_id_issued_at, ...others } = answer.json
    const { registration_access_token: token, ...rest } = others
    assert.match(token, /^mcp_reg_[\w-]{43}$/)
    assert.match(client_id, /^mcp_oauth_\w{20,}$/)
    assert.match(client_secret, /^mcp_cs_[\w-]{43}$/)
    assert.ok(Math.abs(client_id_issued_at - Date.now() / 1000) < 60)
    assert.deepEqual(rest, {
      client_secret_expires_at: 0,
      registration_client_uri: `${doors.origin}/oauth/register/${client_id}`,
      client_name: 'An app',
      redirect_uris: [uri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      application_type: 'web',
    })
  })

  await t.test('a public client has no secret', async (t) => {
    verifies(t, 'S4-21')
    const { json } = await ask({ path, json: { ...good, token_endpoint_auth_method: 'none' } })
    assert.equal('client_secret' in json || 'client_secret_expires_at' in json, false)
  })

  await t.test(
    'what a client says about its own standing is not heard [P-47] [P-40]',
    async (t) => {
      verifies(t, 'P-47')
      const boast = {
        client_id: 'mine',
        client_secret: 'mine',
        client_secret_expires_at: 1,
        tenant_id: 'ten_x',
        owner: 'usr_x',
        userId: 'usr_x',
        role: 'admin',
        kind: 'manual',
        trusted: true,
        first_party: true,
        skip_consent: true,
        require_consent: false,
        scope: 'admin',
      }
      const answer = await ask({ path, json: { ...good, ...boast } })
      assertAnswer(answer, { status: 201 })
      assert.notEqual(answer.json.client_id, boast.client_id)
      assert.notEqual(answer.json.client_secret, boast.client_secret)
      const {
        client_id: _id,
        client_secret: _secret,
        client_secret_expires_at: _expires,
        ...others
      } = boast
      for (const name of Object.keys(others)) assert.equal(name in answer.json, false, name)
      const row = await store.db
        .selectFrom('clients')
        .selectAll()
        .where('id', '=', answer.json.client_id)
        .executeTakeFirstOrThrow()
      assert.equal(row.kind, 'registered')
      assert.doesNotMatch(row.metadata, /skip_consent|trusted|first_party|usr_x|ten_x|admin/)
      const client = { id: row.id, redirectUri: uri }
      const browser = await signIn(doors.origin)
      const asked = await ask({ path: authorizePath(client), browser })
      assertAnswer(asked, { status: 302, has: { location: /^\/oauth\/consent\?/ } })
    },
  )

  await t.test('nobody’s word for a client is heard, whoever signed it [row 32]', async (t) => {
    // Decision 004: no statement is read, so none is refused (RFC 7591 §3.1.1).
    verifies(t, 'T-32')
    const claims = { iss: 'https://evil.test', redirect_uris: ['https://evil.test/cb'] }
    const encoded = Buffer.from(JSON.stringify(claims)).toString('base64url')
    for (const software_statement of [`eyJhbGciOiJub25lIn0.${encoded}.`, 'no statement', 7]) {
      const answer = await ask({ path, json: { ...good, software_statement } })
      assertAnswer(answer, { status: 201, neverSays: ['evil.test', 'software_statement'] })
      assert.deepEqual(answer.json.redirect_uris, [uri])
    }
  })

  await t.test('a token at this door opens nothing more and nothing less [row 33]', async (t) => {
    // Decision 004: registration is open, so there is no initial access token that could be a bad one.
    verifies(t, 'T-33')
    const { registration_access_token: own } = (await ask({ path, json: good })).json
    for (const authorization of ['Bearer x', `Bearer ${own}`, 'Basic !!!', 'Bearer']) {
      const answer = await ask({ path, json: good, headers: { authorization } })
      assertAnswer(answer, { status: 201, hasNot: ['www-authenticate'] })
      assert.notEqual(answer.json.registration_access_token, own)
    }
  })

  await t.test('prototypes and doubled names change nothing [X-33]', async () => {
    const body = `{"redirect_uris":["https://evil.test/cb"],"__proto__":{"token_endpoint_auth_method":"none","admin":true},"constructor":{"prototype":{"admin":true}},"redirect_uris":["${uri}"]}`
    const answer = await ask({
      path,
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    })
    assertAnswer(answer, { status: 201, neverSays: ['evil.test'] })
    assert.deepEqual(answer.json.redirect_uris, [uri])
    assert.equal(answer.json.token_endpoint_auth_method, 'client_secret_basic')
    assert.equal(({} as { admin?: boolean }).admin, undefined)
  })

  await t.test('names are made fit to be shown [X-12]', async () => {
    const names: readonly (readonly [string, string])[] = [
      ['a\u202eb\u0000c', 'abc'],
      ['two\nlines', 'two lines'],
      ['x'.repeat(100), 'x'.repeat(64)],
    ]
    for (const [given, shown] of names) {
      const { json } = await ask({ path, json: { ...good, client_name: given } })
      assert.equal(json.client_name, shown)
    }
  })

  await t.test(
    'two registrations are two clients, and neither is ours elsewhere [P-35]',
    async (t) => {
      verifies(t, 'P-35')
      const provider = await startFaultProvider()
      t.after(provider.stop)
      const own = { clientId: 'our-id-at-their-server', clientSecret: 'our-secret-at-their-server' }
      doors.alsoSecret([own.clientSecret])
      const rest = restAs(await signIn(doors.origin), doors.origin)
      const added = await rest('POST', '/servers', { url: provider.mcpUrl, slug: 'theirs', ...own })
      assert.equal(added.status, 201, JSON.stringify(added.body))
      const neverSays = Object.values(own)
      const answers = []
      for (let count = 0; count < 2; count += 1) {
        const answer = await ask({
          path,
          json: { ...good, resource: `${doors.origin}/theirs/mcp` },
        })
        assertAnswer(answer, { status: 201, neverSays })
        answers.push(answer.json)
      }
      const [one, other] = answers
      assert.notEqual(one.client_id, other.client_id)
      assert.notEqual(one.client_secret, other.client_secret)
    },
  )

  await t.test('the redirect URIs of real clients', async (t) => {
    verifies(t, 'S3-18', 'S3-40', 'A4')
    const statusOf = async (redirect_uri: string, application_type: string) =>
      (await ask({ path, json: { ...good, redirect_uris: [redirect_uri], application_type } }))
        .status
    for (const one of acceptableRedirectUris.everyone) {
      assert.deepEqual([await statusOf(one, 'web'), await statusOf(one, 'native')], [201, 201], one)
    }
    for (const one of acceptableRedirectUris.nativeOnly) {
      assert.deepEqual([await statusOf(one, 'web'), await statusOf(one, 'native')], [400, 201], one)
    }
  })
})
