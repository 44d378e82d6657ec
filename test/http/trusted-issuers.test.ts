// The doors of the token exchange and of trusted issuers: the shapes, who may call, and what a wrong request gets.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { operator, restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoors, runTable } from './doors.ts'
import type { Fields, Scenario } from './doors.ts'
import { basic, obtainTokens, postToken, register } from './oauth-client.ts'

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const input = { issuer: 'https://idp.test', jwksUri: 'https://idp.test/jwks' }

test('an administrator says whom to trust over REST', async (t) => {
  const { ada, eve, eveId } = await start(t)
  const made = await ada('POST', '/trusted-issuers', { ...input, provisions: true })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id } = made.body
  assert.deepEqual((await ada('GET', '/trusted-issuers')).body, { items: [made.body] })
  assert.deepEqual((await ada('GET', `/trusted-issuers/${id}`)).body, made.body)
  const one = `/trusted-issuers/${id}`
  const linked = await ada('POST', `${one}/identities`, { subject: 'a/b c', userId: eveId })
  assert.equal(linked.status, 201)
  assert.deepEqual([linked.body.subject, linked.body.userId], ['a/b c', eveId])
  assert.equal((await ada('DELETE', `${one}/identities/a%2Fb%20c`)).status, 204)
  assert.equal((await ada('DELETE', `${one}/identities/%E0%A4%A`)).status, 404)
  const off = await ada('PATCH', one, { disabled: true })
  assert.deepEqual([off.status, off.body.disabled], [200, true])

  for (const bad of [
    {},
    { issuer: input.issuer },
    { ...input, issuer: 7 },
    { ...input, id: 'mine' },
    { ...input, disabled: true },
    { ...input, clientIds: 'all' },
  ]) {
    const answer = await ada('POST', '/trusted-issuers', bad)
    assert.deepEqual([answer.status, answer.body.code], [422, 'invalid_input'], answer.body)
  }
  assert.equal((await ada('PATCH', one, { issuer: 'https://other.test' })).status, 422)
  assert.equal((await ada('POST', '/trusted-issuers', input)).status, 409)
  for (const odd of ['x', 'iss_x', '%00']) {
    assert.equal((await ada('GET', `/trusted-issuers/${odd}`)).status, 404)
  }
  for (const [method, path, body] of [
    ['GET', '/trusted-issuers'],
    ['POST', '/trusted-issuers', input],
    ['PATCH', one, { disabled: false }],
    ['POST', `${one}/identities`, { subject: 'x', userId: eveId }],
    ['DELETE', one],
  ] as const) {
    assert.equal((await eve(method, path, body)).status, 403)
  }
  assert.equal((await ada('DELETE', one)).status, 204)
  assert.equal((await ada('GET', one)).status, 404)
})

test('what a wrong exchange or assertion gets', async (t) => {
  verifies(t, 'S3-51', 'X-38')
  const { doors, ada, browser } = await start(t)
  const resource = `${doors.origin}/mcp`
  const described = {
    name: 'Service',
    redirectUris: [],
    grantTypes: [tokenExchange, jwtBearer],
    resource,
  }
  const { body: service } = await ada('POST', '/clients', described)
  const app = await register(doors)
  const { accessToken, refreshToken } = await obtainTokens(doors, browser, app)
  const headers = basic(service.id, service.clientSecret)
  const ask = (form: Fields) => ({ path: '/oauth/token', headers, form })
  const exchange = (changes: Fields = {}) =>
    ask({
      grant_type: tokenExchange,
      subject_token: accessToken,
      subject_token_type: accessTokenType,
      ...changes,
    })
  const refused = (error: string) => ({ status: 400, error, neverSays: [accessToken] })
  const table: readonly Scenario[] = [
    {
      name: 'a resource that it was not let reach',
      ask: exchange(),
      expect: refused('invalid_target'),
    },
    {
      name: 'an audience that is none of ours',
      ask: exchange({ audience: 'https://evil.test' }),
      expect: refused('invalid_target'),
    },
    {
      name: 'no subject token',
      ask: exchange({ subject_token: undefined }),
      expect: refused('invalid_request'),
    },
    {
      name: 'two subject tokens',
      ask: exchange({ subject_token: [accessToken, accessToken] }),
      expect: refused('invalid_request'),
    },
    {
      name: 'a refresh token as subject',
      ask: exchange({ subject_token: refreshToken }),
      expect: refused('invalid_request'),
    },
    {
      name: 'no assertion',
      ask: ask({ grant_type: jwtBearer }),
      expect: refused('invalid_request'),
    },
    {
      name: 'an access token as assertion',
      ask: ask({ grant_type: jwtBearer, assertion: accessToken }),
      expect: refused('invalid_grant'),
    },
    {
      name: 'an assertion of somebody unknown',
      ask: ask({ grant_type: jwtBearer, assertion: 'eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.eA' }),
      expect: refused('invalid_grant'),
    },
  ]
  await runTable(t, doors, table)
  for (const grantType of [tokenExchange, jwtBearer]) {
    const answer = await postToken(doors, app, { grant_type: grantType, assertion: 'x' })
    assert.deepEqual([answer.status, answer.json.error], [400, 'unauthorized_client'])
  }
  const reaching = await ada('PATCH', `/clients/${service.id}`, { mayReach: [resource] })
  assert.deepEqual(reaching.body.mayReach, [resource])
  const given = await doors.ask(exchange())
  assert.deepEqual([given.status, given.headers.get('cache-control')], [200, 'no-store'])
})

/** A platform with an operator and a plain person. */
async function start(t: TestContext) {
  const doors = await openDoors(t)
  const eveId = await addPerson(doors, 'eve@example.com')
  const browser = await signIn(doors.origin)
  const ada = restAs(browser, doors.origin)
  const other = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  return { doors, ada, browser, eve: restAs(other, doors.origin), eveId }
}
