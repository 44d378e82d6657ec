// A live token for the back end of an app: who is given one, what everybody else is told, and what is written down of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { turning } from '../../src/connectors/bench.rig.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors } from './doors.ts'
import type { Call, Doors } from './doors.ts'
import { startFlows } from './flow-doors.ts'

async function makeKey(doors: Doors, person: Call, scopes: readonly string[]) {
  const { json } = await person('POST', '/api-keys', { name: 'app', scopes })
  const headers = { authorization: `Bearer ${json.key}` }
  const call: Call = (method, path, body, more) =>
    doors.ask({ method, path: `/api/v1${path}`, json: body, headers: { ...headers, ...more } })
  return { id: json.id as string, call }
}

async function start(t: TestContext, settings: Readonly<Record<string, string>> = {}) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock, settings })
  const flows = await startFlows(t, doors)
  const key = await makeKey(doors, flows.ada, ['connections:token'])
  const begun = await flows.begin()
  assertAnswer(await flows.open(await flows.approve(begun)), { status: 302 })
  const id = begun.connectionId
  const ask = (who: Call = key.call, more = {}) =>
    who('POST', `/connections/${id}/token`, undefined, more)
  const given = async () => {
    const { json } = await flows.ada('GET', '/journal')
    return json.items.filter(({ type }: { type: string }) => type === 'connection.token_given')
  }
  const reauthUrl = `${doors.origin}/connect/${id}`
  return { ...flows, clock, doors, key, id, ask, given, reauthUrl }
}

test('a key is given a live token, and that is written down', async (t) => {
  verifies(t, 'S1-59', 'S1-62')
  const { ada, clock, id, key, ask, given, provider } = await start(t)
  const first = await ask()
  assertAnswer(first, { status: 200, has: { 'cache-control': 'no-store' } })
  assert.deepEqual(Object.keys(first.json).sort(), [
    'accessToken',
    'expiresAt',
    'scopes',
    'tokenType',
  ])
  assert.equal(provider.isLive(first.json.accessToken), true)
  assert.equal(first.json.expiresAt, clock.now() + 3_600_000)
  const [entry] = await given()
  assert.deepEqual(entry.actor, { kind: 'key', id: key.id })
  assert.deepEqual(entry.subject, { kind: 'connection', id })

  await t.test('one that is about to end is refreshed first, and that is counted', async () => {
    const before = (await ada('GET', `/connections/${id}`)).json
    assert.deepEqual([before.refreshCount, before.lastRefreshAt], [0, undefined])
    await clock.advance(3_600_000 - 299_999)
    const next = await ask()
    assertAnswer(next, { status: 200 })
    assert.notEqual(next.json.accessToken, first.json.accessToken)
    const after = (await ada('GET', `/connections/${id}`)).json
    assert.deepEqual([after.refreshCount, after.lastRefreshAt], [1, clock.now()])
    assert.equal(after.expiresAt, next.json.expiresAt)
  })
  await t.test('an Idempotency-Key brings no earlier one back', async () => {
    const once = { 'idempotency-key': 'the-same' }
    const one = await ask(key.call, once)
    await ada('POST', `/connections/${id}/refresh`)
    const two = await ask(key.call, once)
    assert.notEqual(one.json.accessToken, two.json.accessToken)
  })
})

test('who is given none, and what they are told [row 51]', async (t) => {
  const { ada, clock, doors, id, ask, given, provider, reauthUrl, begin } = await start(t)
  await addPerson(doors, 'eve@example.com')
  const eve = callAs(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  const eveKey = await makeKey(doors, eve, ['connections:token', 'api'])
  const plainKey = await makeKey(doors, ada, ['api'])
  const before = (await given()).length

  await t.test('no key, a wrong one, or one that was ended: 401', async (t) => {
    verifies(t, 'T-51')
    const nobody: Call = (method, path) => doors.ask({ method, path: `/api/v1${path}` })
    const wrong: Call = (method, path) =>
      doors.ask({ method, path: `/api/v1${path}`, headers: { authorization: 'Bearer lk_x' } })
    const ended = await makeKey(doors, ada, ['connections:token'])
    await ada('DELETE', `/api-keys/${ended.id}`)
    for (const who of [nobody, wrong, ended.call]) {
      assertAnswer(await ask(who), { status: 401, error: 'not_signed_in' })
    }
  })
  await t.test('a key without the scope, and a session: 403', async () => {
    assertAnswer(await ask(plainKey.call), { status: 403, error: 'forbidden' })
    assertAnswer(await ask(ada), { status: 403, error: 'forbidden' })
  })
  await t.test('another person’s key: 404, as for one that does not exist', async (t) => {
    verifies(t, 'T-51')
    const foreign = await ask(eveKey.call)
    assertAnswer(foreign, { status: 404, error: 'not_found', neverSays: [reauthUrl] })
    const missing = await eveKey.call('POST', '/connections/con_x/token')
    assert.equal(foreign.text, missing.text)
  })
  await t.test('nobody signed in yet: 409, and where to', async (t) => {
    verifies(t, 'T-51')
    const { connectionId } = await begin()
    const url = `${doors.origin}/connect/${connectionId}`
    for (const action of ['token', 'refresh']) {
      const who = action === 'token' ? (await makeKey(doors, ada, ['connections:token'])).call : ada
      const answer = await who('POST', `/connections/${connectionId}/${action}`)
      assertAnswer(answer, { status: 409, error: 'authorization_required' })
      assert.deepEqual([answer.json.reauthorize, answer.json.reauthUrl], [true, url])
    }
  })
  await t.test('a server that needs no sign-in: 422', async () => {
    const open = await startOpenMcpServer({})
    t.after(open.stop)
    const { json: server } = await ada('POST', '/servers', { url: open.url, auth: 'none' })
    const { json } = await ada('POST', '/connections', { serverId: server.id })
    const key = await makeKey(doors, ada, ['connections:token'])
    const answer = await key.call('POST', `/connections/${json.id}/token`)
    assertAnswer(answer, { status: 422, error: 'invalid_input' })
  })
  await t.test('the provider is down: the old one while it lives, then 502', async () => {
    provider.set({ answers: { refresh: { kind: 'status', status: 503 } } })
    await clock.advance(3_600_000 - 180_000)
    assertAnswer(await ask(), { status: 200 })
    await clock.advance(180_000)
    const answer = await turning({ clock }, ask())
    assertAnswer(answer, { status: 502, error: 'provider_unreachable' })
    assert.deepEqual([answer.json.retryable, answer.json.reauthorize], [true, false])
    assert.equal(answer.json.reauthUrl, undefined, 'signing in again would not help')
    provider.set({ answers: {} })
    await clock.advance(60_000)
    assertAnswer(await ask(), { status: 200 })
  })
  await t.test('the provider took the connection back: 409, and where to', async (t) => {
    verifies(t, 'T-51')
    provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
    await clock.advance(3_600_000)
    assertAnswer(await ask(), { status: 502, has: { 'retry-after': '30' } })
    await clock.advance(30_000)
    for (let count = 0; count < 2; count += 1) {
      const answer = await ask()
      assertAnswer(answer, { status: 409, error: 'refresh_token_rejected' })
      assert.equal(answer.json.title, 'Your session has expired. Please reconnect to continue.')
      assert.equal(answer.json.reauthUrl, reauthUrl)
    }
    const page = await doors.ask({ path: reauthUrl })
    assertAnswer(page, { status: 303, has: { location: /^\/sign-in\?next=%2Fconnect%2Fcon_/ } })
  })
  await t.test('it was revoked here: 409', async () => {
    await ada('POST', `/connections/${id}/revoke`, {})
    const answer = await ask()
    assertAnswer(answer, { status: 409, error: 'authorization_required' })
    assert.equal(answer.json.reauthUrl, reauthUrl)
  })
  assert.equal((await given()).length, before + 2, 'only what was given is written down as given')
})

test('a key asks too often: 429', async (t) => {
  const { ask, given } = await start(t, { LATCHKEY_LIMIT_SCALE: '0.01' })
  let answer = await ask()
  for (let count = 0; count < 60 && answer.status === 200; count += 1) answer = await ask()
  assertAnswer(answer, {
    status: 429,
    error: 'too_many_requests',
    has: { 'retry-after': /^\d+$/ },
  })
  assert.equal((await given()).length, 60)
})
