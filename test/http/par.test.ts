// The endpoint for pushed authorization requests: what it gives, what it refuses in which words, and that nothing of a
// request that cannot be used redirects anybody (RFC 9126).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, encode, openDoors, openDoorsOn } from './doors.ts'
import type { Ask, Fields } from './doors.ts'
import {
  authorizePath,
  basic,
  challenge,
  otherRedirectUri,
  redeem,
  redirectUri,
  register,
} from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const path = '/oauth/par'
const json = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const

/** A good request of this client, with these parameters instead. */
function pushed(client: OAuthClient, changes: Fields = {}): Ask & { readonly form: Fields } {
  return {
    path,
    form: {
      response_type: 'code',
      client_id: client.id,
      client_secret: client.secret,
      redirect_uri: client.redirectUri,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      scope: 'mcp',
      state: 'the-state',
      ...changes,
    },
  }
}

/** The path by which a browser uses what was pushed. */
function usePath(client: OAuthClient, requestUri: string, more: Fields = {}): string {
  return `/oauth/authorize?${encode({ client_id: client.id, request_uri: requestUri, ...more })}`
}

onEveryDatabase('a request that was pushed ends in tokens', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const { ask, origin } = doors
  const client = await register(doors, { token_endpoint_auth_method: 'client_secret_basic' })
  const { id, secret = '' } = client
  const headers = basic(id, secret)
  const answer = await ask({ ...pushed(client, { client_secret: undefined }), headers })
  assertAnswer(answer, { status: 201, has: { ...json, 'access-control-allow-origin': '*' } })
  const { request_uri: requestUri, expires_in: expiresIn, ...rest } = answer.json
  assert.deepEqual(rest, {})
  assert.equal(expiresIn, 90)

  const browser = await signIn(origin)
  browser.setStopAt((url) => url.origin !== origin)
  await browser.open(origin + usePath(client, requestUri, { redirect_uri: 'https://evil.test/' }))
  const reloaded = await browser.open(origin + usePath(client, requestUri))
  assert.match(reloaded.url, /\/oauth\/consent\?request=req_/)
  const { url } = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  assert.equal(new URL(url).searchParams.get('state'), 'the-state')
  const code = new URL(url).searchParams.get('code') ?? ''
  const form = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri,
    code_verifier: 'v'.repeat(64),
  }
  assertAnswer(await ask({ path: '/oauth/token', headers, form }), { status: 200 })
  assertAnswer(await ask({ path: usePath(client, requestUri), browser }), {
    status: 410,
    hasNot: ['location'],
  })
})

test('what is refused when it is pushed', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin, store } = doors
  const client = await register(doors, { token_endpoint_auth_method: 'client_secret_post' })
  const several = await register(doors, { redirect_uris: [redirectUri, otherRedirectUri] })
  const good = pushed(client)
  const wrong: readonly (readonly [string, Fields, string])[] = [
    ['another request inside', { request_uri: 'urn:example:x' }, 'invalid_request'],
    ['a request object', { request: 'e30.e30.' }, 'request_not_supported'],
    ['a foreign address', { redirect_uri: 'https://evil.test/cb' }, 'invalid_request'],
    ['two addresses', { redirect_uri: [redirectUri, redirectUri] }, 'invalid_request'],
    ['no response type', { response_type: undefined }, 'invalid_request'],
    ['response_type=token', { response_type: 'token' }, 'unsupported_response_type'],
    ['no challenge', { code_challenge: undefined }, 'invalid_request'],
    ['method plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['no method', { code_challenge_method: undefined }, 'invalid_request'],
    ['an unknown scope', { scope: 'mcp admin' }, 'invalid_scope'],
    ['an unknown resource', { resource: `${origin}/nobody/mcp` }, 'invalid_target'],
    ['two resources', { resource: [`${origin}/mcp`, `${origin}/x/mcp`] }, 'invalid_target'],
    ['an unknown prompt', { prompt: 'yes' }, 'invalid_request'],
    ['a parameter twice', { state: ['a', 'b'] }, 'invalid_request'],
    ['a state that is too long', { state: 's'.repeat(4097) }, 'invalid_request'],
    ['response_mode=fragment', { response_mode: 'fragment' }, 'invalid_request'],
  ]
  const refusal = { has: json, hasNot: ['location'] } as const
  for (const [name, changes, error] of wrong) {
    await t.test(`${name}: ${error}`, async () => {
      const answer = await ask(pushed(client, changes))
      assertAnswer(answer, { status: 400, error, ...refusal })
    })
  }
  await t.test('no address where several are registered', async () => {
    const answer = await ask(pushed(several, { redirect_uri: undefined }))
    assertAnswer(answer, { status: 400, error: 'invalid_request', ...refusal })
  })

  const unproven: readonly (readonly [string, Ask])[] = [
    ['a wrong secret', pushed(client, { client_secret: 'wrong' })],
    ['no secret', pushed(client, { client_secret: undefined })],
    ['no client', pushed(client, { client_id: undefined })],
    ['an unknown client', pushed(client, { client_id: 'mcp_oauth_unknown' })],
    ['a document that is not there', pushed(client, { client_id: 'https://evil.test/c.json' })],
    [
      'a secret in the header',
      {
        ...pushed(client, { client_secret: undefined }),
        headers: basic(client.id, client.secret ?? ''),
      },
    ],
    [
      'an assertion that is none',
      pushed(client, {
        client_secret: undefined,
        client_assertion: 'x',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      }),
    ],
  ]
  for (const [name, request] of unproven) {
    await t.test(`${name}: invalid_client`, async () => {
      assertAnswer(await ask(request), { status: 401, error: 'invalid_client', ...refusal })
    })
  }
  await t.test('a client that is named in the header alone', async () => {
    const basicClient = await register(doors, { token_endpoint_auth_method: 'client_secret_basic' })
    const answer = await ask({
      ...pushed(basicClient, { client_id: undefined, client_secret: undefined }),
      headers: basic(basicClient.id, basicClient.secret ?? ''),
    })
    assertAnswer(answer, { status: 400, error: 'invalid_request', ...refusal })
  })
  await t.test('two proofs at once', async () => {
    const answer = await ask({ ...good, headers: basic(client.id, client.secret ?? '') })
    assertAnswer(answer, { status: 400, error: 'invalid_request', ...refusal })
  })
  await t.test('JSON', async () => {
    const answer = await ask({ path, json: good.form })
    assertAnswer(answer, { status: 400, error: 'invalid_request', ...refusal })
  })
  await t.test('what is too large (RFC 9126 §2.3)', async () => {
    const answer = await ask(pushed(client, { x: 'x'.repeat(16_384) }))
    assertAnswer(answer, { status: 413, ...refusal })
  })
  await t.test('GET', async () => {
    assertAnswer(await ask({ path }), { status: 405, has: { allow: 'POST' } })
  })
  assert.deepEqual(await store.db.selectFrom('pushed_requests').selectAll().execute(), [])
})

test('what a browser may do with a request that was pushed', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  const client = await register(doors)
  const other = await register(doors, { client_name: 'Another' })
  const browser = await signIn(origin)
  const local = {
    status: 400,
    hasNot: ['location', 'set-cookie'],
    has: { 'content-type': /^text\/html/, 'cache-control': 'no-store' },
  } as const
  const push = async (): Promise<string> => (await ask(pushed(client))).json.request_uri

  await t.test('none of these redirects [X-02]', async () => {
    const uri = await push()
    const unknown = `urn:ietf:params:oauth:request_uri:${'x'.repeat(43)}`
    for (const path of [
      usePath(other, uri),
      usePath(client, unknown),
      usePath(client, unknown, { redirect_uri: redirectUri, response_type: 'code' }),
      usePath(client, 'urn:ietf:params:oauth:request_uri:'),
      authorizePath(client, { request_uri: unknown }),
      `/oauth/authorize?${encode({ request_uri: uri })}`,
    ]) {
      assertAnswer(await ask({ path, browser }), local)
    }
    assertAnswer(await ask({ path: usePath(client, uri), browser }), { status: 302 })
    assertAnswer(await ask({ path: usePath(client, uri) }), local)
  })
  await t.test('a reference to somewhere else is not supported [row 13]', async (t) => {
    verifies(t, 'T-13')
    for (const request_uri of ['https://evil.test/request', 'urn:example:x']) {
      const answer = await ask({ path: authorizePath(client, { request_uri }), browser })
      const location = new URL(answer.headers.get('location') ?? '')
      assert.equal(location.searchParams.get('error'), 'request_uri_not_supported')
    }
  })
  await t.test('a request by hand of a client that pushes', async () => {
    const strict = await register(doors, { require_pushed_authorization_requests: true })
    const answer = await ask({ path: authorizePath(strict), browser })
    const location = new URL(answer.headers.get('location') ?? '')
    assert.equal(location.origin, 'https://app.test')
    assert.equal(location.searchParams.get('error'), 'invalid_request')
  })
  await t.test('the metadata says where to push', async () => {
    const { json } = await ask({ path: '/.well-known/oauth-authorization-server' })
    assert.equal(json.pushed_authorization_request_endpoint, `${origin}/oauth/par`)
    assert.equal(json.require_pushed_authorization_requests, false)
  })
})

test('a client that describes itself may push before it was ever seen', async (t) => {
  const doors = await openDoors(t)
  const { origin, stop } = await listenOnLoopback((at) => (request, response) => {
    const document = {
      client_id: `${at}${request.url}`,
      client_name: 'A described client',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'none',
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(document))
  })
  t.after(stop)
  const client = { id: `${origin}/client.json`, redirectUri }
  const answer = await doors.ask(pushed(client))
  assertAnswer(answer, { status: 201 })
  const browser = await signIn(doors.origin)
  browser.setStopAt((target) => target.origin !== doors.origin)
  await browser.open(doors.origin + usePath(client, answer.json.request_uri))
  const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  const code = new URL(back.url).searchParams.get('code') ?? ''
  assertAnswer(await redeem(doors, client, code), { status: 200 })
})
