// "Why did it fail?" through real doors: each finding is caused the way a client causes it, and read as an operator reads it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import type { ManualClock } from '../../src/base/clock.ts'
import { limits } from '../../src/http/limits.ts'
import { notesPerTenantMinute } from '../../src/journal/notes.ts'
import { findings, personWaitMs, programWaitMs } from '../../src/journal/findings.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { operator, secretMarker, signIn } from '../harness.ts'
import { addPerson, addServer, assertAnswer, openDoors } from './doors.ts'
import type { Ask, Doors } from './doors.ts'
import {
  approve,
  authorizePath,
  obtainCode,
  obtainProgramToken,
  obtainTokens,
  redeem,
  refresh,
  register,
  verifier,
} from './oauth-client.ts'
import type { OAuthClient } from './oauth-client.ts'

const prm = '/.well-known/oauth-protected-resource/mcp'
const metadata = '/.well-known/oauth-authorization-server'
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'x', version: '1' },
  },
}

interface World {
  readonly clock: ManualClock
  /** The doors as the client of this attempt sees them: its requests carry its name. */
  readonly doors: Doors
  /** A browser in which the operator is signed in. */
  readonly browser: CookieBrowser
  /** Another one, of somebody who is no administrator. */
  readonly others: CookieBrowser
  readonly upstream: { answer: number; delayMs: number }
  readonly registerAs: (changes?: Readonly<Record<string, unknown>>) => Promise<OAuthClient>
  readonly call: (path: string, token?: string) => Promise<number>
}

type Attempt = (world: World) => Promise<unknown>

/** What a client does, by what is to be told of it; `after` is how long it is silent then. */
const attempts: Readonly<Record<string, { run: Attempt; afterMs?: number }>> = {
  redirect_uri_not_registered: {
    run: async ({ doors, registerAs }) => {
      const client = await registerAs()
      await doors.ask({ path: authorizePath(client, { redirect_uri: 'https://app.test/cb/' }) })
    },
  },
  redirect_uris_missing: {
    run: ({ doors }) => doors.ask({ path: '/oauth/register', json: { client_name: 'x' } }),
  },
  redirect_uri_refused: {
    run: ({ doors }) =>
      doors.ask({ path: '/oauth/register', json: { redirect_uris: ['https://app.test/cb#x'] } }),
  },
  registration_refused: {
    run: async ({ doors }) => {
      const json = { redirect_uris: ['https://a.test/'], token_endpoint_auth_method: 'magic' }
      await doors.ask({ path: '/oauth/register', json })
    },
  },
  client_unknown: {
    run: ({ doors }) =>
      doors.ask({
        path: authorizePath({ id: 'mcp_oauth_gone', redirectUri: 'https://app.test/cb' }),
      }),
  },
  client_document_refused: {
    run: ({ doors }) =>
      doors.ask({
        path: authorizePath({ id: 'https://nowhere.test/c.json', redirectUri: 'https://a.test/' }),
      }),
  },
  client_disabled: {
    run: async ({ doors, browser, registerAs }) => {
      const client = await registerAs()
      const path = `/api/v1/clients/${client.id}`
      const headers = { origin: doors.origin }
      await doors.ask({ method: 'PATCH', path, json: { disabled: true }, browser, headers })
      await doors.ask({ path: authorizePath(client) })
    },
  },
  pkce_missing: {
    run: async ({ doors, registerAs }) => {
      const changes = { code_challenge: undefined, code_challenge_method: undefined }
      await doors.ask({ path: authorizePath(await registerAs(), changes) })
    },
  },
  scope_unknown: {
    run: async ({ doors, registerAs }) =>
      doors.ask({ path: authorizePath(await registerAs(), { scope: 'mcp everything' }) }),
  },
  resource_mismatch: {
    run: async ({ doors, browser, registerAs, call }) => {
      // The client names no resource, so its token is for /mcp, and uses it elsewhere.
      const { accessToken } = await obtainTokens(doors, browser, await registerAs())
      assert.equal(await call('/notes/mcp', accessToken), 401)
    },
  },
  authorize_request_bad: {
    run: async ({ doors, registerAs }) =>
      doors.ask({ path: authorizePath(await registerAs(), { response_type: 'token' }) }),
  },
  consent_denied: {
    run: async ({ doors, browser, registerAs }) => {
      browser.setStopAt((url) => url.origin !== doors.origin)
      await browser.open(doors.origin + authorizePath(await registerAs()))
      await browser.submit({ button: { name: 'decision', value: 'deny' } })
    },
  },
  authorization_failed: {
    run: async ({ doors, registerAs }) =>
      doors.ask({ path: authorizePath(await registerAs(), { prompt: 'none' }) }),
  },
  none_not_accepted: {
    run: async ({ doors, browser, registerAs }) => {
      const client = await registerAs({ token_endpoint_auth_method: 'client_secret_basic' })
      const code = await obtainCode(doors, browser, client)
      await redeem(doors, { id: client.id, redirectUri: client.redirectUri }, code)
    },
  },
  client_secret_wrong: {
    run: async ({ doors, browser, registerAs }) => {
      const client = await registerAs({ token_endpoint_auth_method: 'client_secret_post' })
      const code = await obtainCode(doors, browser, client)
      await redeem(doors, { ...client, secret: 'wrong' }, code)
    },
  },
  refresh_refused: {
    run: async ({ clock, doors, browser, registerAs, call }) => {
      const client = await registerAs()
      const { accessToken, refreshToken } = await obtainTokens(doors, browser, client)
      assert.equal(await call('/mcp', accessToken), 200)
      await refresh(doors, client, refreshToken)
      await clock.advance(30_001)
      assert.equal((await refresh(doors, client, refreshToken)).status, 400)
    },
  },
  code_expired: {
    run: async ({ clock, doors, browser, registerAs }) => {
      const client = await registerAs()
      const code = await obtainCode(doors, browser, client)
      await clock.advance(60_000)
      await redeem(doors, client, code)
    },
  },
  code_used_twice: {
    run: async ({ doors, browser, registerAs }) => {
      const client = await registerAs()
      const code = await obtainCode(doors, browser, client)
      await redeem(doors, client, code)
      await redeem(doors, client, code)
    },
  },
  verifier_wrong: {
    run: async ({ doors, browser, registerAs }) => {
      const client = await registerAs()
      const code = await obtainCode(doors, browser, client)
      await redeem(doors, client, code, { code_verifier: 'w'.repeat(64) })
    },
  },
  token_refused: {
    run: async ({ doors, registerAs }) =>
      redeem(doors, await registerAs(), '', { grant_type: 'authorization_code', code: undefined }),
  },
  not_connected_upstream: {
    run: async ({ doors, browser, registerAs, call }) => {
      const resource = `${doors.origin}/locked/mcp`
      const client = await registerAs()
      const { accessToken } = await obtainTokens(doors, browser, client, { resource })
      await call('/locked/mcp', accessToken)
    },
  },
  person_needed: {
    run: async ({ doors, browser, call }) => {
      const resource = `${doors.origin}/notes/mcp`
      const accessToken = await obtainProgramToken(doors, browser, { resource })
      assert.equal(await call('/notes/mcp', accessToken), 403)
    },
  },
  scope_insufficient: {
    run: async ({ doors, browser, registerAs, call }) => {
      const client = await registerAs()
      const { accessToken } = await obtainTokens(doors, browser, client, { scope: 'openid' })
      assert.equal(await call('/mcp', accessToken), 403)
    },
  },
  token_rejected: {
    run: async ({ doors, browser, registerAs, call }) => {
      const client = await registerAs()
      const { accessToken } = await obtainTokens(doors, browser, client)
      await doors.ask({
        path: '/oauth/revoke',
        form: { token: accessToken, client_id: client.id },
      })
      assert.equal(await call('/mcp', accessToken), 401)
    },
  },
  call_refused: {
    run: async ({ doors, browser, registerAs, call }) => {
      const resource = `${doors.origin}/dead/mcp`
      const client = await registerAs()
      const { accessToken } = await obtainTokens(doors, browser, client, { resource })
      assert.equal(await call('/dead/mcp', accessToken), 502)
    },
  },
  metadata_not_found: {
    run: async ({ doors, call }) => {
      await call('/mcp')
      await doors.ask({ path: `${metadata}/nothing/mcp` })
      await doors.ask({ path: '/nothing/mcp/.well-known/openid-configuration' })
    },
    afterMs: programWaitMs,
  },
  server_answered_with_error: {
    run: async ({ doors, browser, upstream, registerAs, call }) => {
      const resource = `${doors.origin}/notes/mcp`
      const client = await registerAs()
      const { accessToken } = await obtainTokens(doors, browser, client, { resource })
      upstream.answer = 500
      assert.equal(await call('/notes/mcp', accessToken), 500)
      upstream.answer = 200
    },
  },
  token_never_used: {
    run: async ({ doors, browser, registerAs }) => obtainTokens(doors, browser, await registerAs()),
    afterMs: programWaitMs,
  },
  code_never_redeemed: {
    run: async ({ doors, browser, registerAs }) => approve(doors, browser, await registerAs()),
    afterMs: programWaitMs,
  },
  authorize_not_finished: {
    run: async ({ doors, registerAs }) =>
      createCookieBrowser().open(doors.origin + authorizePath(await registerAs())),
    afterMs: personWaitMs,
  },
  registered_then_silent: { run: ({ registerAs }) => registerAs(), afterMs: programWaitMs },
  discovered_then_silent: {
    run: async ({ doors, call }) => {
      await call('/mcp')
      await doors.ask({ path: prm })
      await doors.ask({ path: metadata })
    },
    afterMs: programWaitMs,
  },
  challenged_then_silent: { run: ({ call }) => call('/notes/mcp'), afterMs: programWaitMs },
  issuer_slash: {
    run: async ({ doors }) => {
      await doors.ask({ path: metadata })
      await doors.ask({ path: `${metadata}/` })
    },
  },
  server_closed: {
    run: async ({ doors, others, registerAs }) => {
      const resource = `${doors.origin}/closed/mcp`
      await others.open(doors.origin + authorizePath(await registerAs(), { resource }))
    },
  },
  slow_answer: {
    run: async ({ doors, browser, upstream, registerAs, call }) => {
      const resource = `${doors.origin}/notes/mcp`
      const client = await registerAs()
      const { accessToken } = await obtainTokens(doors, browser, client, { resource })
      upstream.delayMs = 10_000
      assert.equal(await call('/notes/mcp', accessToken), 200)
      upstream.delayMs = 0
    },
  },
}

const turnsMax = 200

test('every finding is caused by a client through real doors', async (t) => {
  const { make, told, doors } = await start(t)
  // The one that takes many requests has a house of its own below.
  const causedHere = findings.map(({ code }) => code).filter((code) => code !== 'too_many_requests')
  assert.deepEqual(Object.keys(attempts).toSorted(), causedHere.toSorted())
  for (const [code, { run, afterMs = 0 }] of Object.entries(attempts)) {
    await t.test(code, async () => {
      const world = make(code)
      await run(world)
      await world.clock.advance(Math.max(afterMs, 50))
      let diagnosis = await told(code)
      // The gateway notes a call when its answer is through, and the client has it a moment earlier.
      for (let turn = 0; turn < turnsMax && diagnosis.findings[0]?.code !== code; turn += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        await world.clock.advance(50)
        diagnosis = await told(code)
      }
      assert.equal(diagnosis.findings[0]?.code, code, JSON.stringify(diagnosis, null, 1))
    })
  }
  await assertNothingKept(doors, [verifier])
})

/** A platform with a server that answers as it is told, one that needs a sign-in and one that is not there. */
async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const browser = await signIn(doors.origin)
  const upstream = { answer: 200, delayMs: 0 }
  const url = await startUpstream(t, clock, upstream)
  await addServer(doors, browser, { url, slug: 'notes' })
  await addServer(doors, browser, { url, slug: 'locked' })
  await addServer(doors, browser, { url: 'http://127.0.0.1:9/mcp', slug: 'dead' })
  await addServer(doors, browser, { url, slug: 'closed', mayUse: ['admin'] })
  await addPerson(doors, 'eve@example.com')
  const others = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  others.setStopAt(({ origin }) => origin !== doors.origin)
  const { db } = doors.store
  await db.updateTable('servers').set({ auth: 'oauth' }).where('slug', '=', 'locked').execute()

  const make = (name: string): World => {
    const ask = (request: Ask) =>
      doors.ask({ ...request, headers: { 'user-agent': name, ...request.headers } })
    const own = { ...doors, ask }
    return {
      clock,
      doors: own,
      browser,
      others,
      upstream,
      registerAs: (changes = {}) => register(own, { client_name: name, ...changes }),
      call: async (path, token) => {
        const accept = 'application/json, text/event-stream'
        const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` }
        const json = path === '/mcp' ? ping : initialize
        return (await ask({ path, json, headers: { accept, ...bearer } })).status
      },
    }
  }
  const told = async (name: string) => {
    const { json } = await doors.ask({ path: '/api/v1/attempts?limit=100', browser })
    const found = json.items.find(
      (item: { agent?: string; client?: { name?: string } }) =>
        item.agent === name || item.client?.name === name,
    )
    assert.ok(found !== undefined, `no attempt of ${name}: ${JSON.stringify(json.items)}`)
    const read = await doors.ask({ path: `/api/v1/journal?attempt=${found.id}`, browser })
    assert.equal(read.status, 200, read.text)
    return read.json.diagnosis
  }
  // Notes are written after their answers; whoever reads attempts waits for them.
  const settled = () => doors.ask({ path: '/api/v1/attempts', browser })
  return { make, told, settled, doors, browser, clock }
}

async function startUpstream(
  t: TestContext,
  clock: ManualClock,
  upstream: { readonly answer: number; readonly delayMs: number },
): Promise<string> {
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    request.resume()
    void clock.advance(upstream.delayMs).then(() => {
      response.writeHead(upstream.answer, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: {} }))
    })
  })
  t.after(stop)
  return `${origin}/mcp`
}

test('a client that asks too often is told so, in a house where limits are small', async (t) => {
  const doors = await openDoors(t, { settings: { LATCHKEY_LIMIT_SCALE: '1' } })
  const browser = await signIn(doors.origin)
  const client = await register(doors)
  const quota = limits.authorize.quota
  for (let count = 0; count <= quota; count += 1) await doors.ask({ path: authorizePath(client) })
  const { json } = await doors.ask({ path: '/api/v1/attempts', browser })
  const found = json.items.map((item: { finding?: string }) => item.finding)
  assert.deepEqual(found, ['too_many_requests'])
})

test('an attempt that nobody knows is not found, another tenant’s as little', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const { db } = doors.store
  const other = { id: 'ten_other', slug: 'other', issuer: 'http://other.test', name: 'Other' }
  await db
    .insertInto('tenants')
    .values({ ...other, created_at: 1 })
    .execute()
  const place = { tenant_id: other.id, id: 'att_other' }
  await db
    .insertInto('attempts')
    .values({ ...place, began_at: 1, expires_at: Number.MAX_SAFE_INTEGER })
    .execute()
  for (const id of ['att_unknown', 'att_other', 'x']) {
    const answer = await doors.ask({ path: `/api/v1/journal?attempt=${id}`, browser })
    assertAnswer(answer, { status: 404, error: 'not_found', says: /"attempt":"Nothing is known/ })
  }
})

test('what strangers do is bounded, counted, and holds nothing of theirs', async (t) => {
  const { doors, browser, settled } = await start(t)
  const { db } = doors.store
  const rows = async () => {
    await settled()
    const entries = await db
      .selectFrom('journal_entries')
      .select(({ fn }) => fn.countAll<number>().as('rows'))
      .executeTakeFirstOrThrow()
    const made = await db
      .selectFrom('attempts')
      .select(({ fn }) => fn.countAll<number>().as('rows'))
      .executeTakeFirstOrThrow()
    return { entries: entries.rows, attempts: made.rows }
  }
  const before = await rows()
  const requests = 10_000
  const atOnce = 50
  const secret = 'verySecretCode'
  const ask = (number: number) => {
    const path = (text: string, init: Plain = {}) =>
      doors.platform.fetch(
        new Request(doors.origin + text, {
          ...init,
          headers: { 'user-agent': `agent-${number % 500}`, ...init.headers },
        }),
      )
    const post = (text: string, body: string | URLSearchParams, headers = {}) =>
      path(text, { method: 'POST', body, headers })
    const json = { 'content-type': 'application/json' }
    const kinds = [
      () => path(prm),
      () => path(`/.well-known/${number}`),
      () => post('/mcp', JSON.stringify(ping), json),
      () => path('/mcp', { headers: { authorization: `Bearer ${secret}${number}` } }),
      () => path(`/oauth/authorize?client_id=made-up-${number}&code=${secret}`),
      () => {
        const code = `${secret}${number}`
        const fields = { grant_type: 'authorization_code', client_id: `c${number}`, code }
        return post('/oauth/token', new URLSearchParams(fields))
      },
      () => {
        const uris = [`https://${number}.test/#x`]
        return post('/oauth/register', JSON.stringify({ redirect_uris: uris }), json)
      },
    ]
    return kinds[number % kinds.length]!()
  }
  for (let from = 0; from < requests; from += atOnce) {
    await Promise.all(Array.from({ length: atOnce }, (_, index) => ask(from + index)))
  }

  const after = await rows()
  assert.ok(after.entries - before.entries <= notesPerTenantMinute, JSON.stringify(after))
  assert.ok(after.entries - before.entries > notesPerTenantMinute / 2, JSON.stringify(after))
  assert.ok(after.attempts - before.attempts <= notesPerTenantMinute, JSON.stringify(after))
  const usage = await doors.ask({ path: '/api/v1/usage', browser })
  const counted = new Map<string, number>()
  for (const { type, count } of usage.json.refusals) {
    counted.set(type, (counted.get(type) ?? 0) + count)
  }
  // Each seventh request is of one kind.
  const each = Math.floor(requests / 7)
  assert.ok((counted.get('token.refused') ?? 0) >= each)
  assert.ok((counted.get('authorization.refused') ?? 0) >= each)
  assert.ok((counted.get('client.registration_refused') ?? 0) >= each)
  const counts = await db.selectFrom('refusal_counts').selectAll().execute()
  assert.ok(counts.length < 20, 'ids that somebody made up make no rows')
  await assertNothingKept(doors, [secret])
})

interface Plain {
  readonly method?: string
  readonly body?: string | URLSearchParams
  readonly headers?: Readonly<Record<string, string>>
}

/** Neither what a stranger sent as a secret nor where they came from is in the journal or beside it. */
async function assertNothingKept({ store: { db } }: Doors, secrets: readonly string[]) {
  const kept = JSON.stringify([
    await db.selectFrom('journal_entries').selectAll().execute(),
    await db.selectFrom('attempts').selectAll().execute(),
    await db.selectFrom('refusal_counts').selectAll().execute(),
  ])
  for (const text of [...secrets, secretMarker, '127.0.0.1', '::1', '::ffff']) {
    const place = kept.indexOf(text)
    assert.equal(place, -1, kept.slice(Math.max(0, place - 200), place + 50))
  }
}
