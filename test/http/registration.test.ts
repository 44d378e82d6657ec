// The door at which a client manages its own registration (RFC 7592): who may come in, and how it is told otherwise.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAnswer, openDoors } from './doors.ts'
import type { Answer } from './doors.ts'
import { authorizePath, obtainTokens, isActive, redirectUri } from './oauth-client.ts'
import { signIn } from '../harness.ts'

const words = { client_name: 'An app', redirect_uris: [redirectUri] }
const json = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const

test('a client reads, changes and ends its registration', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  const made = await ask({ path: '/oauth/register', json: words })
  const { client_id: id, client_secret: secret } = made.json
  const { registration_client_uri: path, registration_access_token: token } = made.json
  assert.equal(path, `${origin}/oauth/register/${id}`)
  const headers = { authorization: `Bearer ${token}` }

  await t.test('GET', async () => {
    const answer = await ask({ path, headers })
    assertAnswer(answer, { status: 200, has: { ...json, 'access-control-allow-origin': '*' } })
    const { client_secret: _, client_secret_expires_at: __, ...rest } = made.json
    assert.deepEqual(answer.json, rest)
  })
  await t.test('PUT', async () => {
    const update = { ...words, client_id: id, client_name: 'Renamed' }
    const answer = await ask({ method: 'PUT', path, headers, json: update })
    assertAnswer(answer, { status: 200, has: json })
    assert.equal(answer.json.client_name, 'Renamed')
    assert.equal((await ask({ path, headers })).json.client_name, 'Renamed')
  })
  const refused: readonly (readonly [string, unknown, string])[] = [
    ['another id', { ...words, client_id: 'mcp_oauth_other' }, 'invalid_client_metadata'],
    [
      'a bad address',
      { client_id: id, redirect_uris: ['http://app.test/'] },
      'invalid_redirect_uri',
    ],
    ['a list', [], 'invalid_client_metadata'],
  ]
  for (const [name, body, error] of refused) {
    await t.test(`PUT with ${name}: ${error}`, async () => {
      const answer = await ask({ method: 'PUT', path, headers, json: body })
      assertAnswer(answer, { status: 400, error, has: json, hasNot: ['www-authenticate'] })
    })
  }
  await t.test('PUT that is no JSON', async () => {
    const body = 'client_id=x'
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await ask({ method: 'PUT', path, headers: { ...headers, ...type }, body })
    assertAnswer(answer, { status: 400, error: 'invalid_client_metadata', has: json })
  })
  await t.test('a browser’s page may ask whether it may', async () => {
    const answer = await ask({ method: 'OPTIONS', path })
    const allowed = answer.headers.get('access-control-allow-methods') ?? ''
    for (const method of ['GET', 'PUT', 'DELETE']) assert.ok(allowed.includes(method), method)
    assert.match(answer.headers.get('access-control-allow-headers') ?? '', /authorization/)
  })
  await t.test('POST and PATCH are 405', async () => {
    for (const method of ['POST', 'PATCH']) {
      const answer = await ask({ method, path, headers, json: {} })
      assertAnswer(answer, { status: 405, has: { allow: /\bPUT\b/ } })
    }
  })
  await t.test('DELETE, and what is left of it', async () => {
    const browser = await signIn(origin)
    const client = { id, secret, redirectUri }
    const basicAsIs = {
      authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
    }
    assertAnswer(await ask({ method: 'DELETE', path, headers: basicAsIs }), { status: 401 })
    const gone = await ask({ method: 'DELETE', path, headers })
    assertAnswer(gone, { status: 204, has: { 'cache-control': 'no-store' } })
    assert.equal(gone.text, '')
    for (const method of ['GET', 'DELETE']) {
      assertAnswer(await ask({ method, path, headers }), { status: 401, error: 'invalid_token' })
    }
    const page = await ask({ path: authorizePath(client), browser })
    assertAnswer(page, {
      status: 400,
      has: { 'content-type': /^text\/html/ },
      hasNot: ['location'],
      says: /not known here/,
    })
  })
})

test('a removed client’s tokens stop at once', async (t) => {
  const doors = await openDoors(t)
  const { ask, origin } = doors
  const method = 'client_secret_post'
  const made = await ask({
    path: '/oauth/register',
    json: { ...words, token_endpoint_auth_method: method },
  })
  const { client_id: id, client_secret: secret, registration_access_token: token } = made.json
  const client = { id, secret, redirectUri }
  const browser = await signIn(origin)
  const { accessToken } = await obtainTokens(doors, browser, client)
  assert.equal(await isActive(doors, accessToken), true)
  const path = `/oauth/register/${id}`
  const headers = { authorization: `Bearer ${token}` }
  assertAnswer(await ask({ method: 'DELETE', path, headers }), { status: 204 })
  assert.equal(await isActive(doors, accessToken), false)
})

test('who has no registration token, or another’s, is told the same everywhere', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const mine = (await ask({ path: '/oauth/register', json: words })).json
  const other = (await ask({ path: '/oauth/register', json: words })).json
  const open = (
    await ask({ path: '/oauth/register', json: { ...words, token_endpoint_auth_method: 'none' } })
  ).json
  assert.equal('registration_access_token' in open, false)
  const ids = [mine.client_id, open.client_id, 'mcp_oauth_unknown', 'x']
  const faceOf = ({ status, text, headers }: Answer) => [
    status,
    text,
    headers.get('www-authenticate'),
    headers.get('cache-control'),
  ]

  for (const method of ['GET', 'PUT', 'DELETE']) {
    await t.test(`${method} with a wrong token`, async () => {
      const headers = { authorization: `Bearer ${other.registration_access_token}` }
      const faces = []
      for (const id of ids) {
        const body = method === 'PUT' ? { json: { ...words, client_id: id } } : {}
        const answer = await ask({ method, path: `/oauth/register/${id}`, headers, ...body })
        assertAnswer(answer, {
          status: 401,
          error: 'invalid_token',
          has: { ...json, 'www-authenticate': 'Bearer error="invalid_token"' },
        })
        faces.push(JSON.stringify(faceOf(answer)))
      }
      assert.equal(new Set(faces).size, 1)
    })
    await t.test(`${method} without a token`, async () => {
      for (const id of ids) {
        const answer = await ask({ method, path: `/oauth/register/${id}` })
        assertAnswer(answer, { status: 401, has: { ...json, 'www-authenticate': 'Bearer' } })
      }
    })
  }
})
