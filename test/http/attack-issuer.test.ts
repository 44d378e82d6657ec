// What a hostile browser, page or program tries at the doors of the authorization server, beyond one row of a table: each
// test is an attack that once worked.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKeyring } from '../../src/base/keyring.ts'
import { createManualClock } from '../../src/base/clock.ts'
import { Fault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Connections } from '../../src/connectors/connections.ts'
import { connectionRoutes } from '../../src/http/api/connections.ts'
import { createApp } from '../../src/http/app.ts'
import { createIdempotency } from '../../src/http/idempotency.ts'
import { verifiedPrincipal } from '../../src/people/principal.ts'
import type { KeyPrincipal } from '../../src/people/principal.ts'
import { restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { assertAnswer, fieldOn, openDoors, openDoorsOn } from './doors.ts'
import type { Ask } from './doors.ts'
import { approve, authorizePath, register } from './oauth-client.ts'

test('a header that proves nothing does not open a cookie’s doors to other sites [X-13]', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  // A browser that knows Basic credentials for this host sends them along by itself.
  const headers = {
    authorization: 'Basic eDp5',
    origin: 'https://evil.test',
    'sec-fetch-site': 'cross-site',
  }
  const page = await doors.ask({ path: '/sign-in', browser })
  const form = {
    form_token: fieldOn(page.text, 'form_token'),
    email: 'ada@example.com',
    password: 'correct horse battery staple',
  }
  const attacks: readonly (readonly [string, Ask])[] = [
    ['an API key', { path: '/api/v1/api-keys', json: { name: 'x', scopes: ['api'] } }],
    ['the end of an API key', { path: '/api/v1/api-keys/key_x', method: 'DELETE' }],
    ['a sign-in', { path: '/sign-in', form }],
  ]
  for (const [name, ask] of attacks) {
    await t.test(name, async () => {
      const answer = await doors.ask({ ...ask, browser, headers })
      assertAnswer(answer, { status: 403, hasNot: ['set-cookie'] })
    })
  }
  assert.deepEqual(await doors.store.db.selectFrom('api_keys').selectAll().execute(), [])
})

onEveryDatabase('a NUL is refused in words, never a failure', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const rest = restAs(browser, doors.origin)
  const status = async (method: string, path: string, body?: unknown) =>
    (await rest(method, path, body)).status
  assert.equal(await status('POST', '/api-keys', { name: 'a\0b', scopes: ['api'] }), 422)
  assert.equal(await status('POST', '/connections', { serverId: 'srv_\0' }), 422)
  assert.equal(await status('GET', '/journal?attempt=%00'), 422)
  assert.equal(await status('GET', '/journal?subjectId=%00'), 422)

  const { text } = await doors.ask({ path: '/sign-in', browser })
  const headers = { origin: doors.origin, 'sec-fetch-site': 'same-origin' }
  const signInAs = (email: string) => {
    const form = { form_token: fieldOn(text, 'form_token'), email, password: 'y' }
    return doors.ask({ path: '/sign-in', browser, headers, form })
  }
  assertAnswer(await signInAs('a\0@example.com'), { status: 422, hasNot: ['set-cookie'] })
  assertAnswer(await signInAs('a\u0001@example.com'), { status: 401, hasNot: ['set-cookie'] })
})

test('another site cannot fetch a code for a client that a person let in before [P-23]', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const shared = await register(doors)
  await approve(doors, browser, shared)
  const locationFor = async (headers: Readonly<Record<string, string>>, prompt?: string) => {
    const path = authorizePath(shared, { prompt })
    return (await doors.ask({ path, browser, headers })).headers.get('location') ?? ''
  }
  const elsewhere = { 'sec-fetch-site': 'cross-site' }
  const click = { 'sec-fetch-user': '?1' }
  assert.match(await locationFor(elsewhere), /^\/oauth\/consent/, 'sent by another site')
  assert.match(await locationFor({ 'sec-fetch-site': 'same-site' }), /^\/oauth\/consent/)
  assert.match(await locationFor({}), /^\/oauth\/consent/, 'a browser that does not say')
  assert.match(await locationFor(click), /^\/oauth\/consent/, 'half of what a browser says')
  assert.match(await locationFor(elsewhere, 'none'), /[?&]error=consent_required&/)
  assert.match(
    await locationFor({ ...elsewhere, ...click }),
    /[?&]code=/,
    'a click on another site',
  )
  assert.match(await locationFor({ 'sec-fetch-site': 'none' }), /[?&]code=/, 'a typed address')
})

onEveryDatabase('a live token is never replayed by an Idempotency-Key', async (_t, store) => {
  const tenant = { id: 'ten_1', slug: 'one', issuer: 'http://localhost:1', name: 'One' }
  const user = { id: 'usr_1', tenantId: tenant.id, emailVerified: false, role: 'user' as const }
  const scopes = ['connections:token']
  const facts = { kind: 'key' as const, tenant, user, keyId: 'key_1', scopes }
  let isRevoked = false
  const token: Connections['token'] = async () => {
    if (isRevoked) throw new Fault('authorization_required', { because: 'it was revoked' })
    return { accessToken: 'theirs', tokenType: 'Bearer', scopes: [] }
  }
  const keyring = createKeyring({ random: systemRandom }, [{ id: 'k', key: Buffer.alloc(32, 1) }])
  const app = createApp({
    tenants: {
      byHost: async () => tenant,
      byId: async () => tenant,
      ensureDefault: async () => tenant,
    },
    admit: async () => ({ principal: verifiedPrincipal<KeyPrincipal>(facts) }),
    idempotency: createIdempotency({ db: store.db, clock: createManualClock(1), keyring }),
    routes: connectionRoutes({ connections: { token } as unknown as Connections }), // the one call that is made
    log: silentLog,
  })
  const ask = () =>
    app(
      new Request('http://localhost:1/api/v1/connections/con_1/token', {
        method: 'POST',
        headers: { 'idempotency-key': 'one' },
      }),
    )
  assert.equal((await ask()).status, 200)
  isRevoked = true
  assert.notEqual((await ask()).status, 200)
  assert.deepEqual(await store.db.selectFrom('idempotency_keys').selectAll().execute(), [])
})
