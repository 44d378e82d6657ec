// Providers over REST, what each wrong thing about one gets for an answer, and which words of a provider are believed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { JWTPayload } from 'jose'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { hashOfToken, startIdentityProvider } from '../fakes/identity-provider.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoors } from './doors.ts'

async function start(t: TestContext) {
  const doors = await openDoors(t)
  const idp = await startIdentityProvider()
  t.after(() => idp.stop())
  const ada = restAs(await signIn(doors.origin), doors.origin)
  const input = { kind: 'oidc', name: 'Fake', issuer: idp.origin, clientId: 'us' }
  return { ...doors, idp, ada, input }
}

test('an administrator sets a provider up over REST, and its secret never comes back', async (t) => {
  verifies(t, 'S4-37', 'S4-38', 'S4-39', 'S4-41', 'S4-44', 'A4-6')
  const { ada, idp, input, origin, store, ...doors } = await start(t)
  const secret = 'a very secret secret of ours'
  const made = await ada('POST', '/providers', { ...input, clientSecret: secret })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id, redirectUri, scopes, hasClientSecret } = made.body
  assert.deepEqual(
    [redirectUri, scopes, hasClientSecret],
    [`${origin}/sign-in/fake/callback`, 'openid profile email', true],
  )
  const one = `/providers/${id}`
  assert.deepEqual((await ada('GET', one)).body, made.body)
  assert.deepEqual((await ada('GET', '/providers')).body, { items: [made.body] })
  const renamed = await ada('PATCH', one, { name: 'Other', clientSecret: '' })
  assert.deepEqual([renamed.body.name, renamed.body.hasClientSecret], ['Other', true])
  const shown = JSON.stringify([made.body, renamed.body])
  assert.ok(!shown.includes(secret))
  const rows = JSON.stringify(await store.db.selectFrom('providers').selectAll().execute())
  assert.ok(!rows.includes(secret), 'it is sealed')

  const taken = await ada('POST', '/providers', { ...input, name: 'Other', slug: 'another' })
  assert.deepEqual([taken.status, taken.body.code], [409, 'conflict'])
  const found = await ada('POST', '/providers/check', { kind: 'oidc', issuer: idp.origin })
  assert.deepEqual([found.status, found.body.jwksUri], [200, `${idp.origin}/jwks`])
  const presets = await ada('GET', '/providers/presets')
  assert.deepEqual(
    presets.body.items.map(({ id: name }: { id: string }) => name),
    ['google', 'microsoft', 'github', 'okta', 'auth0', 'clerk', 'keycloak'],
  )

  const eveId = await addPerson({ store, ...doors }, 'eve@example.com')
  assert.ok(eveId)
  const eve = restAs(await signIn(origin, { ...operator, email: 'eve@example.com' }), origin)
  for (const [method, path, body] of [
    ['GET', '/providers'],
    ['POST', '/providers', input],
    ['POST', '/providers/check', { kind: 'oidc', issuer: idp.origin }],
    ['PATCH', one, { name: 'x' }],
    ['DELETE', one],
  ] as const) {
    assert.equal((await eve(method, path, body)).status, 403)
  }
  assert.equal((await ada('GET', '/providers/prv_x')).status, 404)
  assert.equal((await ada('DELETE', one)).status, 204)
  assert.equal((await ada('GET', one)).status, 404)
})

test('what cannot be a provider is refused with what is wrong', async (t) => {
  verifies(t, 'S4-38', 'S4-41', 'A4-5')
  const { ada, idp, input } = await start(t)
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, number, string])[] = [
    [{ name: '' }, 422, 'invalid_input'],
    [{ name: 'x'.repeat(101) }, 422, 'invalid_input'],
    [{ clientId: 'ü' }, 422, 'invalid_input'],
    [{ scopes: 'profile' }, 422, 'invalid_input'],
    [{ slug: 'Not a slug' }, 422, 'invalid_input'],
    [{ claims: { subject: 'email' } }, 422, 'invalid_input'],
    [{ issuer: 'nonsense' }, 422, 'invalid_input'],
    [{ issuer: 'http://93.184.216.34' }, 422, 'insecure_endpoint'],
    [{ issuer: `${idp.origin}/` }, 422, 'issuer_mismatch'],
    [{ issuer: `${idp.origin}/nothing` }, 422, 'metadata_discovery_failed'],
    [{ issuer: 'http://127.0.0.1:9' }, 502, 'server_unreachable'],
    [{ kind: 'oauth2', tokenEndpoint: `${idp.origin}/token` }, 422, 'invalid_input'],
  ]
  for (const [changes, status, code] of cases) {
    const answer = await ada('POST', '/providers', { ...input, ...changes })
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(changes))
  }
  assert.deepEqual((await ada('GET', '/providers')).body.items, [])
})

test('a secret goes nowhere but where it was said for', async (t) => {
  verifies(t, 'S4-39', 'S4-44')
  const { ada, input } = await start(t)
  const elsewhere = await startIdentityProvider()
  t.after(() => elsewhere.stop())
  const made = await ada('POST', '/providers', { ...input, clientSecret: 'first secret' })
  const one = `/providers/${made.body.id}`
  const moved = await ada('PATCH', one, { issuer: elsewhere.origin })
  assert.deepEqual([moved.status, moved.body.code], [422, 'invalid_input'])
  assert.match(JSON.stringify(moved.body), /secret again/)
  const said = await ada('PATCH', one, { issuer: elsewhere.origin, clientSecret: 'second secret' })
  assert.deepEqual([said.status, said.body.issuer], [200, elsewhere.origin])
})

/** Tries to sign in; says whether somebody is in. */
async function tryIn(origin: string): Promise<boolean> {
  const browser = createCookieBrowser()
  await browser.open(`${origin}/sign-in`)
  const page = await browser.submit({ button: 'Continue with Fake' })
  return new URL(page.url).pathname === '/console/connections'
}

test('an ID token is believed when it is the provider’s, for us, of now and of this sign-in', async (t) => {
  verifies(t, 'S4-46')
  const { ada, idp, input, origin, store } = await start(t)
  assert.equal((await ada('POST', '/providers', input)).status, 201)
  const others = (changes: Readonly<Record<string, unknown>>) => (usual: JWTPayload) => ({
    ...usual,
    ...changes,
  })
  const now = Math.floor(Date.now() / 1000)
  const wrong: readonly Readonly<Record<string, unknown>>[] = [
    { iss: 'https://evil.test' },
    { iss: `${idp.origin}/` },
    { aud: 'them' },
    { aud: ['us', 'them'] },
    { aud: ['us', 'them'], azp: 'them' },
    { azp: 'them' },
    { exp: now - 31 },
    { iat: now - 3600 },
    { iat: now + 3600 },
    { nonce: 'of another' },
    { nonce: undefined },
    { sub: undefined },
    { sub: '' },
    { at_hash: hashOfToken('another token') },
  ]
  for (const changes of wrong) {
    idp.said.claims = others(changes)
    assert.equal(await tryIn(origin), false, JSON.stringify(changes))
  }
  idp.said.claims = (usual) => usual
  idp.said.header = { typ: 'logout+jwt' }
  assert.equal(await tryIn(origin), false, 'another type of token')
  idp.said.header = {}
  const people = await store.db.selectFrom('users').select('email').execute()
  assert.equal(people.length, 1, 'nobody was made')

  for (const right of [{}, { at_hash: hashOfToken() }, { aud: ['us', 'them'], azp: 'us' }]) {
    idp.said.claims = others(right)
    assert.equal(await tryIn(origin), true, JSON.stringify(right))
  }
})

test('a provider changes its key, and is asked for it once a minute at most', async (t) => {
  verifies(t, 'S4-46')
  const { ada, idp, input, origin } = await start(t)
  assert.equal((await ada('POST', '/providers', input)).status, 201)
  assert.equal(await tryIn(origin), true)
  assert.equal(idp.keyFetches(), 1)
  await idp.rotate('ES256')
  await Promise.all(Array.from({ length: 5 }, () => tryIn(origin)))
  assert.equal(idp.keyFetches(), 1, 'the keys are not a minute old')
})

test('a provider without ID tokens says who somebody is by its userinfo, read by a mapping', async (t) => {
  verifies(t, 'S4-14', 'S4-46', 'A4-11')
  const { ada, idp, origin, store } = await start(t)
  const { origin: place } = idp
  const made = await ada('POST', '/providers', {
    kind: 'oauth2',
    name: 'Fake',
    clientId: 'us',
    authorizationEndpoint: `${place}/authorize`,
    tokenEndpoint: `${place}/token`,
    userinfoEndpoint: `${place}/userinfo`,
    emailsEndpoint: `${place}/emails`,
    scopes: 'read:user',
    claims: { subject: 'data.id', name: 'data.login' },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  for (const userInfo of [[], {}, { data: {} }, { data: { id: '' } }, { data: { id: 1.5 } }, 'x']) {
    idp.said.userInfo = userInfo
    assert.equal(await tryIn(origin), false, JSON.stringify(userInfo))
  }
  idp.said.userInfo = { data: { id: 583_231, login: 'octo' } }
  idp.said.emails = [
    { email: 'other@example.com', primary: false, verified: true },
    { email: 'octo@example.com', primary: true, verified: false },
  ]
  assert.equal(await tryIn(origin), true)
  const octo = () =>
    store.db
      .selectFrom('identities')
      .innerJoin('users', 'users.id', 'identities.user_id')
      .select(['subject', 'issuer', 'users.email', 'users.name'])
      .execute()
  const known = { subject: '583231', issuer: place, name: 'octo' }
  assert.deepEqual(await octo(), [{ ...known, email: null }], 'nobody has verified it')
  idp.said.emails = [{ email: 'octo@example.com', primary: true, verified: true }]
  assert.equal(await tryIn(origin), true)
  assert.deepEqual(await octo(), [{ ...known, email: 'octo@example.com' }])

  const closed = await ada('PATCH', `/providers/${made.body.id}`, { emailDomains: ['@corp.test'] })
  assert.deepEqual(closed.body.emailDomains, ['corp.test'])
  assert.equal(await tryIn(origin), false, 'another domain')
})
