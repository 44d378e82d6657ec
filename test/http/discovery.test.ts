// Discovery at the REST door: what saving and testing a server say, and that a server in trouble tells as little as one that
// may not be reached.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { healthy, startFaultProvider } from '../fakes/fault-provider.ts'
import type { Faults } from '../fakes/fault-provider.ts'
import { signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, callAs, openDoors } from './doors.ts'

async function start(t: TestContext) {
  const provider = await startFaultProvider()
  t.after(provider.stop)
  const doors = await openDoors(t)
  return { provider, ada: callAs(doors, await signIn(doors.origin)) }
}

test('a server is looked at when it is saved, and again when it is tested before anybody signed in', async (t) => {
  verifies(t, 'S1-26')
  const { provider, ada } = await start(t)
  const saved = await ada('POST', '/servers', { url: provider.mcpUrl, metadataCacheMinutes: 60 })
  assert.equal(saved.status, 201)
  assert.equal(saved.json.discovered.issuer, provider.issuer)
  assert.equal(saved.json.discovered.registration, 'dcr')
  assert.equal(saved.json.metadataCacheMinutes, 60)
  const path = `/servers/${saved.json.id}/test`
  const seen = () => provider.requests().length
  const before = seen()
  const tested = await ada('POST', path, {})
  assert.equal(tested.json.ok, false)
  assert.equal(tested.json.error, 'authorization_required')
  assert.equal(tested.json.discovered.issuer, provider.issuer)
  assert.ok(seen() > before)

  provider.set({ challengeMethods: ['plain'] })
  const broken = await ada('POST', path, {})
  assert.equal(broken.json.error, 'pkce_unsupported', 'what stands in the way of a sign-in')
  assert.match(broken.json.words, /PKCE with S256/)
  assert.equal(provider.registrations().length, 0)
})

test('a host says where its own doors are, and nobody else’s host says anything', async (t) => {
  verifies(t, 'S4-16', 'S4-17')
  const { ask, origin } = await openDoors(t)
  const path = '/.well-known/oauth-authorization-server'
  const { json, headers } = await ask({ path })
  const doors = {
    authorization_endpoint: '/oauth/authorize',
    token_endpoint: '/oauth/token',
    userinfo_endpoint: '/oauth/userinfo',
    jwks_uri: '/oauth/jwks',
    registration_endpoint: '/oauth/register',
    revocation_endpoint: '/oauth/revoke',
  }
  assert.equal(json.issuer, origin)
  for (const [name, door] of Object.entries(doors)) assert.equal(json[name], origin + door)
  assert.deepEqual(json.response_types_supported, ['code'])
  assert.deepEqual(json.response_modes_supported, ['query'])
  assert.deepEqual(json.code_challenge_methods_supported, ['S256'])
  for (const grant of ['authorization_code', 'refresh_token']) {
    assert.ok(json.grant_types_supported.includes(grant))
  }
  assert.ok(json.scopes_supported.includes('openid'))
  assert.equal(headers.get('access-control-allow-origin'), '*')
  assertAnswer(await ask({ path, headers: { host: 'nobody.test' } }), { status: 421 })
})

test('what the first plan left out is offered, and mutual TLS is not', async (t) => {
  verifies(t, 'S1-82')
  const { ask, origin } = await openDoors(t)
  const { json } = await ask({ path: '/.well-known/oauth-authorization-server' })
  for (const grant of ['client_credentials', 'urn:ietf:params:oauth:grant-type:device_code']) {
    assert.ok(json.grant_types_supported.includes(grant), grant)
  }
  assert.equal(json.issuer, origin, 'we are an authorization server')
  assert.equal(json.introspection_endpoint, `${origin}/oauth/introspect`)
  assert.doesNotMatch(JSON.stringify(json), /tls_client_auth|mtls|certificate_bound/)
  const refused = await ask({
    method: 'POST',
    path: '/oauth/register',
    json: {
      redirect_uris: ['https://app.example/cb'],
      token_endpoint_auth_method: 'tls_client_auth',
    },
  })
  assertAnswer(refused, { status: 400, error: 'invalid_client_metadata' })
})

test('a time that a finding may be used is whole minutes from five on', async (t) => {
  verifies(t, 'S1-20', 'A1-14')
  const { provider, ada } = await start(t)
  for (const metadataCacheMinutes of [4, 43_201, 5.5, '5']) {
    const answer = await ada('POST', '/servers', { url: provider.mcpUrl, metadataCacheMinutes })
    assertAnswer(answer, { status: 422, error: 'invalid_input' })
    assert.ok('metadataCacheMinutes' in answer.json.detail, answer.text)
  }
  const { json } = await ada('POST', '/servers', { url: provider.mcpUrl })
  const change = (minutes: unknown) =>
    ada('PATCH', `/servers/${json.id}`, { metadataCacheMinutes: minutes })
  assert.equal((await change(5)).json.metadataCacheMinutes, 5)
  assert.equal((await change(null)).json.metadataCacheMinutes, undefined)
  assertAnswer(await change(4), { status: 422, error: 'invalid_input' })
})

test('what an allowed address hides is told with one text, and what is too large with one [row 50]', async (t) => {
  verifies(t, 'T-50', 'X-14')
  const { provider, ada } = await start(t)
  const gone = await listenOnLoopback(() => () => {})
  await gone.stop()
  const add = async (url: string, faults: Partial<Faults>) => {
    provider.set({ ...healthy, ...faults })
    return ada('POST', '/servers', { url, auth: 'oauth' })
  }
  const unreachable = [
    await add(`${gone.origin}/mcp`, {}),
    await add(provider.mcpUrl.replace('http:', 'https:'), {}),
    await add(provider.mcpUrl, { answers: { mcp: { kind: 'reset' } } }),
    await add(provider.mcpUrl, { answers: { metadata: { kind: 'status', status: 503 } } }),
    await add(provider.mcpUrl, { answers: { metadata: { kind: 'reset' } } }),
  ]
  for (const answer of unreachable) {
    assertAnswer(answer, { status: 502, error: 'server_unreachable' })
  }
  assert.equal(new Set(unreachable.map(({ text }) => text)).size, 1)

  const large = [
    await add(provider.mcpUrl, { answers: { metadata: { kind: 'gzip-bomb' } } }),
    await add(provider.mcpUrl, { answers: { metadata: { kind: 'oversize', bytes: 100_000 } } }),
    await add(provider.mcpUrl, { answers: { mcp: { kind: 'oversize', bytes: 2_000_000 } } }),
  ]
  for (const answer of large) assertAnswer(answer, { status: 422, error: 'discovery_blocked' })
  assert.equal(new Set(large.map(({ text }) => text)).size, 1)
})
