// The revocation endpoint: what ends, what is refused, and what is none of the client's business (threats 5, row 35).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoors, runTable } from './doors.ts'
import type { Fields, Scenario } from './doors.ts'
import { basic, isActive, obtainTokens, refresh, register } from './oauth-client.ts'

const path = '/oauth/revoke'
const has = { 'cache-control': 'no-store' } as const

test('the revocation endpoint', async (t) => {
  const doors = await openDoors(t)
  const { ask } = doors
  const browser = await signIn(doors.origin)
  const client = await register(doors, { token_endpoint_auth_method: 'client_secret_post' })
  const foreign = await register(doors)
  const fresh = () => obtainTokens(doors, browser, client)
  const post = (fields: Fields) => ({
    path,
    form: { client_id: client.id, client_secret: client.secret, ...fields },
  })
  const refused = (name: string, fields: Fields, status: number, error: string): Scenario => ({
    name,
    ask: post(fields),
    expect: { status, error, has },
  })

  await runTable(t, doors, [
    refused('no token', {}, 400, 'invalid_request'),
    refused('an empty token', { token: '' }, 400, 'invalid_request'),
    refused('two tokens', { token: ['a', 'b'] }, 400, 'invalid_request'),
    refused('a wrong secret', { token: 'x', client_secret: 'x' }, 401, 'invalid_client'),
    refused('no secret', { token: 'x', client_secret: undefined }, 401, 'invalid_client'),
    refused(
      'no client',
      { token: 'x', client_id: undefined, client_secret: undefined },
      401,
      'invalid_client',
    ),
    {
      name: 'a wrong secret in the header [row 19]',
      ask: { path, form: { token: 'x' }, headers: basic(client.id, 'x') },
      expect: {
        status: 401,
        error: 'invalid_client',
        has: { ...has, 'www-authenticate': /^Basic realm=/ },
      },
    },
    {
      name: 'JSON',
      ask: { path, json: { token: 'x' } },
      expect: { status: 400, error: 'invalid_request', has },
    },
    {
      name: 'GET',
      ask: { path: `${path}?token=x` },
      expect: { status: 405, has: { allow: 'POST' } },
    },
  ])

  await t.test('an unknown token is fine, whatever it looks like [row 35]', async (t) => {
    verifies(t, 'S3-47', 'T-35')
    for (const token of ['x', 'mcp_at_x', 'mcp_rt_x', 'auth_x', 'a b', '€', 'x'.repeat(10_000)]) {
      const answer = await ask(post({ token }))
      assertAnswer(answer, { status: 200, has })
      assert.equal(answer.text, '')
    }
  })

  for (const hint of [undefined, 'access_token', 'refresh_token', 'id_token', 'x']) {
    await t.test(`an access token ends alone, with the hint ${hint} [row 35]`, async (t) => {
      verifies(t, 'S3-47', 'A3-14', 'T-35')
      const { accessToken, refreshToken } = await fresh()
      assertAnswer(await ask(post({ token: accessToken, token_type_hint: hint })), {
        status: 200,
        has,
      })
      assert.equal(await isActive(doors, accessToken), false)
      assertAnswer(await ask(post({ token: accessToken })), { status: 200, has })
      assert.equal((await refresh(doors, client, refreshToken)).status, 200)
    })

    await t.test(`a refresh token ends its grant, with the hint ${hint} [row 35]`, async (t) => {
      verifies(t, 'T-26', 'T-35')
      const { accessToken, refreshToken } = await fresh()
      assertAnswer(await ask(post({ token: refreshToken, token_type_hint: hint })), {
        status: 200,
        has,
      })
      assert.equal(await isActive(doors, accessToken), false)
      const answer = await refresh(doors, client, refreshToken)
      assertAnswer(answer, { status: 400, error: 'invalid_grant' })
    })
  }

  await t.test('a token of another client stays alive [row 35] [P-07]', async (t) => {
    verifies(t, 'S3-47', 'T-35', 'P-07')
    const { accessToken, refreshToken } = await fresh()
    for (const token of [accessToken, refreshToken]) {
      const answer = await ask({ path, form: { client_id: foreign.id, token } })
      assertAnswer(answer, { status: 400, error: 'unauthorized_client', has })
    }
    assert.equal(await isActive(doors, accessToken), true)
    assert.equal((await refresh(doors, client, refreshToken)).status, 200)
  })
})
