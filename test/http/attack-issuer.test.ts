// What a hostile browser, page or program tries at the doors of the authorization server, beyond one row of a table: each
// test is an attack that once worked.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createKeyring } from '../../src/base/keyring.ts'
import { createManualClock } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import { Fault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import type { Connector } from '../../src/base/outbound.ts'
import { randomSecret, systemRandom } from '../../src/base/random.ts'
import type { Connections } from '../../src/connectors/connections.ts'
import { connectionRoutes } from '../../src/http/api/connections.ts'
import { json } from '../../src/http/answers.ts'
import { createApp } from '../../src/http/app.ts'
import { createCallerOf } from '../../src/http/callers-address.ts'
import { createIdempotency } from '../../src/http/idempotency.ts'
import { unlimited } from '../../src/http/meter.ts'
import { route } from '../../src/http/route.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import type { Route } from '../../src/http/route.ts'
import { createWitness } from '../../src/http/witness.ts'
import { verifiedPrincipal } from '../../src/people/principal.ts'
import type { KeyPrincipal } from '../../src/people/principal.ts'
import {
  createRig,
  refreshForm,
  refused,
  register as registerAtRig,
} from '../../src/issuer/issuer.rig.ts'
import { openStore } from '../../src/store/database.ts'
import type { Store } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrate.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, cookiesOf, encode, fieldOn, openDoors, openDoorsOn } from './doors.ts'
import type { Ask } from './doors.ts'
import {
  approve,
  authorizePath,
  isActive,
  obtainCode,
  obtainTokens,
  redeem,
  redirectUri,
  refresh,
  register,
} from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

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
  for (const [email, refused] of [
    ['a\0@example.com', 422],
    ['a\u0001@example.com', 401],
  ] as const) {
    assertAnswer(await signInAs(email), { status: refused, hasNot: ['set-cookie'] })
  }
  const path = '/console/connections'
  const page = await doors.ask({ path, browser })
  const form = { form_token: fieldOn(page.text, 'form_token'), url: 'https://mcp.test/\0' }
  const add = { path: '/console/servers', browser, headers, form }
  assertAnswer(await doors.ask(add), { status: 422 })
})

test('another site cannot fetch a code for a client that a person let in before [P-23]', async (t) => {
  verifies(t, 'P-23')
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

test('a reference to a pushed request does not get round the question either [P-23]', async (t) => {
  verifies(t, 'P-23')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const shared = await register(doors)
  await approve(doors, browser, shared)
  const locationFor = async (headers: Readonly<Record<string, string>>) => {
    const form = Object.fromEntries(new URL(authorizePath(shared), doors.origin).searchParams)
    const { json: pushed } = await doors.ask({ path: '/oauth/par', form })
    const query = encode({ client_id: shared.id, request_uri: pushed.request_uri })
    const answer = await doors.ask({ path: `/oauth/authorize?${query}`, browser, headers })
    return answer.headers.get('location') ?? ''
  }
  assert.match(await locationFor({ 'sec-fetch-site': 'cross-site' }), /^\/oauth\/consent/)
  assert.match(await locationFor({}), /^\/oauth\/consent/)
  assert.match(await locationFor({ 'sec-fetch-site': 'none' }), /[?&]code=/)
})

test('a stranger’s client is asked about, however much it looks like one that was let in [P-20]', async (t) => {
  verifies(t, 'P-20')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const byHand = { 'sec-fetch-site': 'none' }
  const words = { token_endpoint_auth_method: 'client_secret_post', client_name: 'Known' }
  const known = await register(doors, words)
  await approve(doors, browser, known)
  const ask = async (client: OAuthClient) => {
    const answer = await doors.ask({ path: authorizePath(client), browser, headers: byHand })
    return answer.headers.get('location') ?? ''
  }
  assert.match(await ask(known), /[?&]code=/)
  const twin = await register(doors, words)
  const elsewhere = await register(doors, { ...words, redirect_uris: ['https://evil.test/cb'] })
  for (const stranger of [twin, elsewhere]) {
    for (let time = 0; time < 2; time += 1) {
      assert.match(await ask(stranger), /^\/oauth\/consent/)
    }
  }
})

test('whatever stands for a person or a client is 256 bits of even chance [P-14]', async (t) => {
  await t.test('every secret that leaves us has them', async (t) => {
    verifies(t, 'P-14')
    const doors = await openDoors(t)
    const browser = await signIn(doors.origin)
    const made = await doors.ask({
      path: '/oauth/register',
      json: { redirect_uris: [redirectUri], token_endpoint_auth_method: 'client_secret_post' },
    })
    const { client_id: id, client_secret: secret, registration_access_token } = made.json
    const client = { id, secret, redirectUri }
    const code = await obtainCode(doors, browser, client)
    const { json: tokens } = await redeem(doors, client, code)
    const given = [code, secret, registration_access_token, tokens.access_token]
    for (const value of given) assert.match(value, /^(?:auth|mcp_(?:cs|reg|at))_[\w-]{43}$/)
    // The mark of a known browser is a keyed tag, not drawn, behind the name that it is made for.
    for (const { value } of browser.cookies()) assert.match(value, /^(?:\w{26}\.)?[\w-]{43}$/)
  })
  await t.test('and every letter of them is as likely as the others', (t) => {
    verifies(t, 'P-14')
    const secrets = 100_000
    const counts = new Map<string, number>()
    for (let drawn = 0; drawn < secrets; drawn += 1) {
      // The 43rd letter has but four bits left to carry.
      for (const letter of randomSecret(systemRandom).reveal().slice(0, 42)) {
        counts.set(letter, (counts.get(letter) ?? 0) + 1)
      }
    }
    const expected = (secrets * 42) / 64
    const distance = (count: number) => (count - expected) ** 2 / expected
    const chiSquare = [...counts.values()].map(distance).reduce((sum, one) => sum + one, 0)
    assert.equal(counts.size, 64)
    // 63 degrees of freedom: by chance beyond this once in some ten million runs.
    assert.ok(chiSquare < 140, `χ² is ${chiSquare}`)
  })
})

test('a refresh of ours asks nobody else, so a server that is down cannot break it [P-15]', async (t) => {
  verifies(t, 'P-15')
  let connects = 0
  // Its address is a public one to us, and nobody listens where that leads.
  const connect: Connector = () => {
    connects += 1
    return { address: '127.0.0.1', port: 1 }
  }
  const doors = await openDoors(t, { connect, resolve: async () => ['93.184.215.14'] })
  const browser = await signIn(doors.origin)
  const rest = restAs(browser, doors.origin)
  const server = { name: 'Down', slug: 'down', url: 'https://down.test/mcp', auth: 'none' }
  const made = await rest('POST', '/servers', server)
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const client = await register(doors)
  const resource = `${doors.origin}/down/mcp`
  const { accessToken, refreshToken } = await obtainTokens(doors, browser, client, { resource })
  const before = connects
  const answer = await refresh(doors, client, refreshToken)
  assertAnswer(answer, { status: 200 })
  assert.equal(connects, before)

  const call = await doors.ask({
    path: '/down/mcp',
    headers: {
      authorization: `Bearer ${answer.json.access_token}`,
      accept: 'application/json, text/event-stream',
    },
    json: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
  })
  assert.ok(connects > before, 'the server was asked, and is down')
  assert.notEqual(call.status, 401, 'which is no reason to refresh')
  assert.notEqual(call.status, 500)
  assert.notEqual(answer.json.access_token, accessToken)
})

onEveryDatabase(
  'the last moments of a refresh token are not a failure [P-16]',
  async (t, store) => {
    verifies(t, 'P-16')
    const clock = createManualClock(Date.now())
    const day = 24 * 3_600_000
    const doors = await openDoorsOn(t, store, { clock })
    const browser = await signIn(doors.origin)
    const client = await register(doors)
    const first = await obtainTokens(doors, browser, client)
    const other = await obtainTokens(doors, browser, client)
    await clock.advance(30 * day - 1)
    const answer = await refresh(doors, client, first.refreshToken)
    assertAnswer(answer, { status: 200 })
    assert.equal(answer.json.expires_in, 3600)
    assert.equal(await isActive(doors, answer.json.access_token), true)
    await clock.advance(1)
    assertAnswer(await refresh(doors, client, other.refreshToken), {
      status: 400,
      error: 'invalid_grant',
    })
  },
)

test('an id that is a hostile address is not markup on our pages [P-29]', async (t) => {
  verifies(t, 'P-29')
  const doors = await openDoors(t)
  const { origin, stop } = await listenOnLoopback((at) => (request, response) => {
    response.setHeader('content-type', 'application/json')
    const document = {
      client_id: `${at}${request.url}`,
      client_name: `<b onclick='x'>${at}${request.url}</b>`,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }
    response.end(JSON.stringify(document))
  })
  t.after(stop)
  // What a URL may hold as it is: enough to leave an attribute in single quotes, and to be read as an entity.
  const id = `${origin}/'onfocus='alert(1)&lt;img&gt;`
  const browser = await signIn(doors.origin)
  const never = [/<b /, /'onfocus='/, /&lt;img&gt;/] as const
  const client = { id, redirectUri }
  const asked = await doors.ask({ path: authorizePath(client), browser })
  const question = await doors.ask({ path: asked.headers.get('location') ?? '', browser })
  assertAnswer(question, { status: 200, says: /&#39;onfocus=&#39;/, neverSays: never })
  for (const client_id of [`"><script>alert(1)</script>`, `${id}-unknown<img>`]) {
    const page = await doors.ask({ path: authorizePath(client, { client_id }), browser })
    assertAnswer(page, {
      status: 400,
      hasNot: ['location'],
      neverSays: [...never, /<script>|<img/],
    })
  }
})

test('what a person agreed to is not kept in their browser [P-32]', async (t) => {
  verifies(t, 'P-32')
  const doors = await openDoors(t)
  const { db } = doors.store
  const browser = await signIn(doors.origin)
  const first = await register(doors, { token_endpoint_auth_method: 'client_secret_post' })
  await approve(doors, browser, first)
  const before = cookiesOf(browser)
  const row = await db.selectFrom('clients').selectAll().executeTakeFirstOrThrow()
  const ids = Array.from({ length: 200 }, (_, at) => `mcp_oauth_copy${at}`)
  await db
    .insertInto('clients')
    .values(ids.map((id) => ({ ...row, id, registration_token_digest: null })))
    .execute()
  for (const id of ids) await approve(doors, browser, { id, redirectUri })
  assert.equal((await db.selectFrom('consents').selectAll().execute()).length, 201)
  assert.equal(cookiesOf(browser), before)
  assert.ok(before.length < 4096)
})

test('strangers who guess leave nothing behind in memory [P-33]', async (t) => {
  verifies(t, 'P-33')
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-guesses-'))
  const store = await openStore({ kind: 'sqlite', file: join(folder, 'guesses.db') })
  t.after(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await migrate(store)
  const rig = await createRig(t, store)
  const client = await registerAtRig(rig)
  const guess = async (count: number) => {
    for (let made = 0; made < count; made += 1) {
      const token = randomSecret(systemRandom, 'mcp_rt_').reveal()
      await refused(rig.issuer.token(rig.tenant, refreshForm(client, token)), 'invalid_grant')
    }
  }
  const guesses = 10_000
  const grown: number[] = []
  for (let round = 0; round < 3; round += 1) {
    const before = heapBytes()
    await guess(guesses)
    grown.push(heapBytes() - before)
  }
  // One entry of a map for each of them would be some hundred bytes, in every round; the engine's own is there but once.
  assert.ok(Math.min(...grown) < guesses * 60, `${grown.join(', ')} bytes for ${guesses} guesses`)
})

/** What is alive after everything else was thrown away. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void // the flag before puts it there
  for (let time = 0; time < 3; time += 1) collect()
  return process.memoryUsage().heapUsed
}

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
  const notes = { note: () => {} }
  const traces = { ofForm: async () => undefined }
  const app = createApp({
    tenants: { at: find, bySlug: find, byId: find, ensureDefault: find, default: find },
    admit: async () => ({ principal: verifiedPrincipal<KeyPrincipal>(facts) }),
    idempotency: createIdempotency({ db, clock, keyring, random: systemRandom }),
    callerOf: createCallerOf([]),
    meterOf: () => unlimited,
    routes,
    witness: createWitness({ clock, notes, issuer: { traces }, metrics: createMetrics() }),
    log: silentLog,
  })
  const headers = { 'idempotency-key': 'one' }
  return (path: string) => app(new Request(tenant.issuer + path, { method: 'POST', headers }))
}
