// What a hostile browser, page or program tries at the doors of the authorization server, beyond one row of a table: each
// test is an attack that once worked.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKeyring } from '../../src/base/keyring.ts'
import { createManualClock } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import { Fault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Connections } from '../../src/connectors/connections.ts'
import { connectionRoutes } from '../../src/http/api/connections.ts'
import { json } from '../../src/http/answers.ts'
import { createApp } from '../../src/http/app.ts'
import { createIdempotency } from '../../src/http/idempotency.ts'
import { unlimited } from '../../src/http/meter.ts'
import { route } from '../../src/http/route.ts'
import type { Route } from '../../src/http/route.ts'
import { verifiedPrincipal } from '../../src/people/principal.ts'
import type { KeyPrincipal } from '../../src/people/principal.ts'
import type { Store } from '../../src/store/database.ts'
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
  for (const email of ['a\0@example.com', 'a\u0001@example.com']) {
    assertAnswer(await signInAs(email), { status: 401, hasNot: ['set-cookie'] })
  }
  const path = '/console/connections'
  const page = await doors.ask({ path, browser })
  const form = { form_token: fieldOn(page.text, 'form_token'), server: 'srv_\0' }
  assertAnswer(await doors.ask({ path, browser, headers, form }), { status: 422 })
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
  let isRevoked = false
  const token: Connections['token'] = async () => {
    if (isRevoked) throw new Fault('authorization_required', { because: 'it was revoked' })
    return { accessToken: 'theirs', tokenType: 'Bearer', scopes: [] }
  }
  const routes = connectionRoutes({ connections: { token } as unknown as Connections }) // the one call that is made
  const post = postingApp(store, createManualClock(1), routes)
  assert.equal((await post('/api/v1/connections/con_1/token')).status, 200)
  isRevoked = true
  assert.notEqual((await post('/api/v1/connections/con_1/token')).status, 200)
  assert.deepEqual(await store.db.selectFrom('idempotency_keys').selectAll().execute(), [])
})

for (const end of ['answer', 'refusal'] as const) {
  onEveryDatabase(
    `a write that was taken for dead does not undo its successor by a late ${end}`,
    async (_t, store) => {
      const clock = createManualClock(1)
      const late = Promise.withResolvers<Response>()
      const answers = [late.promise, Promise.resolve(json({ run: 2 }))]
      const isRunning = Promise.withResolvers<void>()
      let runs = 0
      const write = route({
        method: 'POST',
        path: '/api/v1/writes',
        guard: 'api',
        surface: 'api',
        words: 'A write.',
        run: () => {
          isRunning.resolve()
          return answers[runs++] ?? assert.fail('it ran a third time')
        },
      })
      const post = postingApp(store, clock, [write])
      const first = post('/api/v1/writes')
      await isRunning.promise
      await clock.advance(120_000)
      assert.deepEqual(await (await post('/api/v1/writes')).json(), { run: 2 })
      if (end === 'answer') late.resolve(json({ run: 1 }))
      else late.reject(new Fault('conflict', { because: 'it was too late' }))
      await first
      assert.deepEqual(await (await post('/api/v1/writes')).json(), { run: 2 })
    },
  )
}

/** These rows alone, for one API key that always sends the same Idempotency-Key. */
function postingApp({ db }: Store, clock: Clock, routes: readonly Route[]) {
  const tenant = { id: 'ten_1', slug: 'one', issuer: 'http://localhost:1', name: 'One' }
  const user = { id: 'usr_1', tenantId: tenant.id, emailVerified: false, role: 'user' as const }
  const scopes = ['api', 'connections:token']
  const facts = { kind: 'key' as const, tenant, user, keyId: 'key_1', scopes }
  const keyring = createKeyring({ random: systemRandom }, [{ id: 'k', key: Buffer.alloc(32, 1) }])
  const find = async () => tenant
  const app = createApp({
    tenants: { byHost: find, byId: find, ensureDefault: find, default: find },
    admit: async () => ({ principal: verifiedPrincipal<KeyPrincipal>(facts) }),
    idempotency: createIdempotency({ db, clock, keyring, random: systemRandom }),
    meterOf: () => unlimited,
    routes,
    log: silentLog,
  })
  const headers = { 'idempotency-key': 'one' }
  return (path: string) => app(new Request(tenant.issuer + path, { method: 'POST', headers }))
}
