// What is told of a connection's life while it happens, by the event stream and by webhooks, and to whom.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { isAuthentic, startReceiver } from '../../src/journal/webhook.rig.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Call, Doors } from './doors.ts'
import { cookieOf, listen } from './event-stream.ts'
import { startFlows } from './flow-doors.ts'
import { obtainTokens, register } from './oauth-client.ts'

/** A person who is no administrator, signed in. */
async function signInAs(doors: Doors, name: string) {
  const email = `${name}@example.com`
  const id = await addPerson(doors, email)
  const browser = await signIn(doors.origin, { ...operator, email })
  return { id, browser, call: callAs(doors, browser) }
}

async function start(t: TestContext, doors: Doors) {
  const flows = await startFlows(t, doors)
  const [eve, bob] = [await signInAs(doors, 'eve'), await signInAs(doors, 'bob')]
  return { ...flows, eve, bob }
}

/** The next events of a connection: type and what is told of it. */
async function nextOf(stream: Awaited<ReturnType<typeof listen>>, count: number) {
  const told: [string, Record<string, unknown>][] = []
  while (told.length < count) {
    const event = await stream.nextEvent()
    if (event?.json.data.subject?.kind !== 'connection') continue
    told.push([event.type, event.json.data.data])
  }
  return told
}

onEveryDatabase('a connection tells its person what becomes of it', async (t, store) => {
  verifies(t, 'S1-69', 'S1-70', 'S1-71', 'S1-72', 'A1-7')
  const clock = createManualClock(Date.now())
  const doors = await openDoorsOn(t, store, { clock })
  const { eve, begin, approve, open, provider } = await start(t, doors)
  const { issuer } = provider
  const stream = await listen(t, doors.origin, cookieOf(eve.browser))

  const begun = await begin({}, eve.call)
  const path = `/connections/${begun.connectionId}`
  const denied = await approve(begun)
  denied.searchParams.delete('code')
  denied.searchParams.set('error', 'access_denied')
  await open(denied, eve.browser)
  const again = await eve.call('POST', `${path}/authorize`, {})
  await open(await approve(again.json), eve.browser)
  assertAnswer(await eve.call('POST', `${path}/refresh`), { status: 200 })
  provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_grant' } } })
  assertAnswer(await eve.call('POST', `${path}/refresh`), { status: 502 })
  await clock.advance(30_000)
  assertAnswer(await eve.call('POST', `${path}/refresh`), { status: 409 })
  assertAnswer(await eve.call('POST', `${path}/revoke`, { reason: 'enough' }), { status: 200 })
  assertAnswer(await eve.call('DELETE', path), { status: 204 })

  assert.deepEqual(await nextOf(stream, 9), [
    ['connection.created', { serverId: (await eve.call('GET', '/servers')).json.items[0].id }],
    ['connection.authorizing', { issuer, scopes: ['mcp'] }],
    [
      'flow.failed',
      {
        issuer,
        error: 'access_denied',
        words:
          'Access was denied by the authorization server. Contact your administrator if you believe this is an error.',
        retryable: true,
        requiresReauthorization: true,
      },
    ],
    ['connection.authorizing', { issuer, scopes: ['mcp'] }],
    ['connection.connected', { issuer, scopes: ['mcp'] }],
    ['connection.refreshed', { issuer }],
    [
      'connection.refresh_failed',
      { issuer, reason: 'refresh_token_rejected', requiresReauthorization: true },
    ],
    ['connection.revoked', { reason: 'enough' }],
    ['connection.deleted', {}],
  ])
})

onEveryDatabase('nothing of one person’s sign-in reaches another', async (t, store) => {
  verifies(t, 'A1-15', 'S1-72')
  const doors = await openDoorsOn(t, store)
  const { ada, eve, bob, begin, approve, open, provider } = await start(t, doors)
  const [hers, his] = [
    await listen(t, doors.origin, cookieOf(eve.browser)),
    await listen(t, doors.origin, cookieOf(bob.browser)),
  ]
  const begun = await begin({}, eve.call)
  const callback = await approve(begun)
  await open(callback, eve.browser)
  // The next thing that bob hears is his own.
  const made = await bob.call('POST', '/api-keys', { name: 'x', scopes: ['api'] })
  const heard = await his.nextEvent()
  assert.deepEqual([heard?.type, heard?.json.data.subject.id], ['api_key.created', made.json.id])

  const told = []
  for (let count = 0; count < 3; count += 1) told.push(await hers.nextEvent())
  assert.deepEqual(
    told.map((event) => event?.type),
    ['connection.created', 'connection.authorizing', 'connection.connected'],
  )
  for (const event of told) assert.equal(event?.json.data.userId, eve.id)
  const text = JSON.stringify(told)
  const state = callback.searchParams.get('state') ?? 'none'
  for (const value of [state, 'authorize?', ...provider.issued()]) assert.ok(!text.includes(value))
  // Nor can he ask for it, and an administrator sees it in the journal only.
  assertAnswer(await bob.call('GET', `/flows/${begun.flowId}`), { status: 404 })
  assertAnswer(await ada('GET', `/flows/${begun.flowId}`), { status: 404 })
})

test('a webhook is told the same', async (t) => {
  verifies(t, 'S1-69', 'S1-70')
  const doors = await openDoors(t)
  const { ada, eve, begin, approve, open } = await start(t, doors)
  const receiver = await startReceiver(t)
  const eventTypes = ['connection.*', 'flow.*']
  const hook = await ada('POST', '/webhooks', { url: receiver.url, eventTypes })
  assertAnswer(hook, { status: 201 })
  const begun = await begin({}, eve.call)
  await open(await approve(begun), eve.browser)
  await eve.call('DELETE', `/connections/${begun.connectionId}`)
  await receiver.until(4)
  const types = receiver.received.map(({ json }) => json.type)
  assert.deepEqual(
    types.map(String).sort(),
    ['authorizing', 'connected', 'created', 'deleted'].map((type) => `connection.${type}`),
  )
  for (const got of receiver.received) {
    assert.ok(isAuthentic(got, hook.json.secret, Date.now()))
    assert.equal(got.json.data.userId, eve.id)
  }
})

test('calls, lists of tools and limits are told too', async (t) => {
  verifies(t, 'S1-71')
  const settings = { LATCHKEY_LIMIT_CALLS_PER_MINUTE: '2', LATCHKEY_LIMIT_SCALE: '1' }
  const doors = await openDoors(t, { settings })
  const { ada, eve, server, begin, approve, open } = await start(t, doors)
  await open(await approve(await begin({}, eve.call)), eve.browser)
  const stream = await listen(t, doors.origin, cookieOf(eve.browser))

  const tested = await eve.call('POST', `/servers/${server.id}/test`)
  assertAnswer(tested, { status: 200 })
  const client = await register(doors)
  const resource = `${doors.origin}/${server.slug}/mcp`
  const { accessToken } = await obtainTokens(doors, eve.browser, client, { resource })
  const call = (name: string) =>
    doors.ask({
      path: `/${server.slug}/mcp`,
      json: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } },
      headers: {
        authorization: `Bearer ${accessToken}`,
        accept: 'application/json, text/event-stream',
      },
    })
  for (const name of ['ok', 'ok', 'ok']) await call(name)
  assertAnswer(await ada('GET', '/servers'), { status: 200 })

  const heard = new Map<string, Record<string, unknown>>()
  while (!heard.has('call.completed') || !heard.has('limit.reached')) {
    const event = await stream.nextEvent()
    if (event !== undefined) heard.set(event.type, event.json.data)
  }
  assert.deepEqual(heard.get('server.tested')?.['data'], { ok: true, toolCount: 1 })
  assert.deepEqual(heard.get('server.tested')?.['subject'], { kind: 'server', id: server.id })
  assert.match(JSON.stringify(heard.get('call.completed')), /"tool":"ok".*"status":200/)
  assert.deepEqual(heard.get('limit.reached')?.['data'], { limit: 'calls', quota: 2, windowS: 60 })
})

async function toldOf(admin: Call, type: string) {
  const { json } = await admin('GET', '/journal')
  return json.items.find((entry: { readonly type: string }) => entry.type === type)
}

test('scopes that a provider made up keep nothing from being told', async (t) => {
  const doors = await openDoors(t)
  const odd = [
    'x'.repeat(400),
    `mcp_at_${'y'.repeat(40)}`,
    ...Array.from({ length: 90 }, (_, n) => `s${n}`),
  ]
  const faults = { tokenFields: { scope: odd.join(' ') }, scopes: ['z'.repeat(300), 'mcp'] }
  const flows = await startFlows(t, doors, faults)
  const begun = await flows.begin()
  assertAnswer(await flows.open(await flows.approve(begun)), { status: 302 })
  const { data } = await toldOf(flows.ada, 'connection.connected')
  assert.equal(data.scopes.length, 50)
  assert.equal(data.scopes[0], 's0')
})

test('a registration that is refused is told with the server', async (t) => {
  verifies(t, 'S1-39')
  const doors = await openDoors(t)
  const answers = { register: { kind: 'oauth-error', error: 'invalid_redirect_uri' } } as const
  const { ada, server, provider } = await startFlows(t, doors, { answers })
  const { json } = await ada('POST', '/connections', { serverId: server.id })
  const answer = await ada('POST', `/connections/${json.id}/authorize`, {})
  assertAnswer(answer, { status: 422, error: 'registration_failed' })
  const { data, subject } = await toldOf(ada, 'registration.failed')
  assert.deepEqual(data, { issuer: provider.issuer, error: 'registration_failed' })
  assert.deepEqual(subject, { kind: 'server', id: server.id })
})
