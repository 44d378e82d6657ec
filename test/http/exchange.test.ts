// An app whose own page is the redirect URI: it brings the answer to us, for the person and the connection that the
// sign-in was begun for, and nobody can bring it for somebody else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Call, Doors } from './doors.ts'
import { addProvider, beginAt, startFlows } from './flow-doors.ts'
import type { Begun } from './flow-doors.ts'

const app = 'https://app.example'
const callbackUrl = `${app}/connected`
const settings = { LATCHKEY_RETURN_ORIGINS: app }

async function startApp(t: TestContext, doors: Doors) {
  const flows = await startFlows(t, doors)
  const key = await makeKey(doors, flows.ada)
  return { ...flows, key }
}

/** A caller with a key, as the back end of an app is. */
async function makeKey(doors: Doors, person: Call): Promise<Call> {
  const scopes = ['api', 'connections:token']
  const { json } = await person('POST', '/api-keys', { name: 'app', scopes })
  const headers = { authorization: `Bearer ${json.key}` }
  return (method, path, body) => doors.ask({ method, path: `/api/v1${path}`, json: body, headers })
}

/** What the page of the app knows when the browser has come back to it. */
function brought(callback: URL) {
  const redirectUri = callback.origin + callback.pathname
  return { ...Object.fromEntries(callback.searchParams), redirectUri }
}

const exchangeOf = ({ connectionId }: Begun) => `/connections/${connectionId}/exchange`

test('the page of an app is the redirect URI, and its back end brings the answer', async (t) => {
  verifies(t, 'S1-55', 'C18')
  const doors = await openDoors(t, { settings })
  const { key, server, provider, approve } = await startApp(t, doors)
  const begun = await beginAt(key, server.id, { callbackUrl })
  const asked = new URL(begun.authorizeUrl)
  assert.equal(asked.origin, provider.origin, 'no page of ours stands between')
  const redirectUri = asked.searchParams.get('redirect_uri') ?? ''
  assert.match(redirectUri, /^https:\/\/app\.example\/connected\/[^/]+$/)
  assert.deepEqual(provider.registrations().at(-1)?.['redirect_uris'], [redirectUri])

  const callback = await approve(begun)
  assert.equal(callback.origin + callback.pathname, redirectUri)
  const answer = await key('POST', exchangeOf(begun), brought(callback))
  assertAnswer(answer, { status: 200, has: { 'cache-control': 'no-store' } })
  assert.deepEqual([answer.json.id, answer.json.status], [begun.connectionId, 'connected'])
  assert.equal(provider.tokenRequests().at(-1)?.parameters['redirect_uri'], redirectUri)
  for (const secret of provider.issued()) assert.ok(!answer.text.includes(secret))
  const flow = await key('GET', `/flows/${begun.flowId}`)
  assert.equal(flow.json.status, 'completed')
  const token = await key('POST', `/connections/${begun.connectionId}/token`)
  assert.equal(provider.isLive(token.json.accessToken), true)

  await t.test('a refresh goes on as the same client', async () => {
    assertAnswer(await key('POST', `/connections/${begun.connectionId}/refresh`), { status: 200 })
  })
  await t.test('it counts once', async () => {
    const before = provider.tokenRequests().length
    const again = await key('POST', exchangeOf(begun), brought(callback))
    assertAnswer(again, { status: 400, error: 'state_mismatch' })
    assert.equal(provider.tokenRequests().length, before)
  })
  await t.test('a refusal of the provider is told in our words', async () => {
    const refused = await beginAt(key, server.id, { callbackUrl })
    const { code: _code, ...said } = brought(await approve(refused)) as Record<string, string>
    const facts = { ...said, error: 'access_denied', error_description: 'SAIDBYTHEPROVIDER' }
    assertAnswer(await key('POST', exchangeOf(refused), facts), {
      status: 403,
      error: 'access_denied',
      neverSays: ['SAIDBYTHEPROVIDER'],
    })
    assert.equal((await key('GET', `/flows/${refused.flowId}`)).json.error, 'access_denied')
  })
})

test('what an app brings that does not fit: nothing is sent [row 46] [X-08]', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { settings, clock })
  const { ada, key, server, provider, approve, open, begin } = await startApp(t, doors)
  const other = await addProvider(t, doors, ada)
  await addPerson(doors, 'eve@example.com')
  const eve = callAs(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  const eveKey = await makeKey(doors, eve)
  const start = () => beginAt(key, server.id, { callbackUrl })
  const stands = async ({ flowId }: Begun) =>
    assert.equal((await key('GET', `/flows/${flowId}`)).json.status, 'pending')

  const misfits: readonly (readonly [string, (facts: Record<string, string>) => object])[] = [
    ['no state', ({ state: _state, ...rest }) => rest],
    ['another state', (facts) => ({ ...facts, state: `${facts['state']?.slice(0, -1)}!` })],
    ['no redirect URI', ({ redirectUri: _uri, ...rest }) => rest],
    ['another path', (facts) => ({ ...facts, redirectUri: callbackUrl })],
    ['another app', (facts) => ({ ...facts, redirectUri: 'https://evil.test/connected/x' })],
    ['a field too much', (facts) => ({ ...facts, verifier: 'x' })],
  ]
  for (const [name, misfit] of misfits) {
    await t.test(`${name}: refused, and the flow still stands`, async () => {
      const begun = await start()
      const facts = brought(await approve(begun))
      const before = provider.tokenRequests().length
      const answer = await key('POST', exchangeOf(begun), misfit(facts))
      assert.ok([400, 422].includes(answer.status), answer.text)
      assert.equal(provider.tokenRequests().length, before)
      await stands(begun)
      assertAnswer(await key('POST', exchangeOf(begun), facts), { status: 200 })
    })
  }
  await t.test(
    'another person’s key or session: 404, as for one that does not exist [X-09]',
    async () => {
      const begun = await start()
      const facts = brought(await approve(begun))
      for (const who of [eve, eveKey]) {
        assertAnswer(await who('POST', exchangeOf(begun), facts), {
          status: 404,
          error: 'not_found',
        })
      }
      // The link was sent to eve: her app brings the answer for a connection of her own.
      const hers = await beginAt(eveKey, server.id, { callbackUrl })
      const answer = await eveKey('POST', exchangeOf(hers), facts)
      assertAnswer(answer, { status: 400, error: 'state_mismatch' })
      await stands(begun)
    },
  )
  await t.test('another connection of the same person [X-09]', async () => {
    const [one, two] = [await start(), await start()]
    const answer = await key('POST', exchangeOf(two), brought(await approve(one)))
    assertAnswer(answer, { status: 400, error: 'state_mismatch' })
    await stands(one)
    await stands(two)
  })
  await t.test('an answer that came to another server’s redirect URI [X-10]', async () => {
    const begun = await start()
    const elsewhere = await beginAt(key, other.server.id, { callbackUrl })
    const facts = brought(await approve(begun))
    const { redirectUri } = brought(await approve(elsewhere))
    assert.notEqual(redirectUri, facts.redirectUri)
    const answer = await key('POST', exchangeOf(begun), { ...facts, redirectUri })
    assertAnswer(answer, { status: 400, error: 'state_mismatch' })
    await stands(begun)
  })
  await t.test('an answer from somebody else [row 47] [X-11]', async () => {
    const begun = await start()
    const facts = { ...brought(await approve(begun)), iss: 'https://evil.test' }
    const before = provider.tokenRequests().length
    const answer = await key('POST', exchangeOf(begun), facts)
    assertAnswer(answer, { status: 422, error: 'issuer_mismatch' })
    assert.equal(provider.tokenRequests().length, before)
  })
  await t.test(
    'our own callback does not take what is an app’s, nor the app what is ours',
    async () => {
      const theirs = await start()
      const sent = await approve(theirs)
      const ours = await begin()
      const own = await approve(ours)
      assertAnswer(await open(new URL(own.origin + own.pathname + sent.search)), { status: 400 })
      const answer = await ada('POST', exchangeOf(ours), brought(own))
      assertAnswer(answer, { status: 400, error: 'state_mismatch' })
      await stands(theirs)
    },
  )
  await t.test('a flow that a browser began is finished from that browser only', async () => {
    const begun = await beginAt(ada, server.id, { callbackUrl })
    const facts = brought(await approve(begun))
    const second = callAs(doors, await signIn(doors.origin))
    for (const who of [key, second]) {
      const answer = await who('POST', exchangeOf(begun), facts)
      assertAnswer(answer, { status: 400, error: 'state_mismatch' })
    }
    assertAnswer(await ada('POST', exchangeOf(begun), facts), { status: 200 })
  })
  await t.test('after five minutes', async () => {
    const begun = await start()
    const facts = brought(await approve(begun))
    await clock.advance(300_000)
    assertAnswer(await key('POST', exchangeOf(begun), facts), {
      status: 400,
      error: 'flow_expired',
    })
  })
  for (const odd of [
    'https://evil.test/connected',
    `${app}:8443/connected`,
    `${app}/connected?x=1`,
    `${app}/connected#x`,
    `${app}/connected/`,
    `${app}/a/../connected`,
    'https://x@app.example/connected',
    `${doors.origin}/connect/callback`,
    'javascript:alert(1)',
    '/connected',
    '',
  ]) {
    await t.test(`the callback ${JSON.stringify(odd)} cannot be used`, async () => {
      const { json } = await key('POST', '/connections', { serverId: server.id, label: `x${odd}` })
      const answer = await key('POST', `/connections/${json.id}/authorize`, { callbackUrl: odd })
      assertAnswer(answer, { status: 422, error: 'invalid_input', neverSays: ['evil.test'] })
    })
  }
})

onEveryDatabase('an app brings one answer fifty times: one code is sent', async (t, store) => {
  const doors = await openDoorsOn(t, store, { settings })
  const { key, server, provider, approve } = await startApp(t, doors)
  const begun = await beginAt(key, server.id, { callbackUrl })
  const facts = brought(await approve(begun))
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => key('POST', exchangeOf(begun), facts)),
  )
  const statuses = answers.map(({ status }) => status).sort((a, b) => a - b)
  assert.deepEqual(statuses, [200, ...Array.from({ length: 49 }, () => 400)])
  assert.equal(provider.tokenRequests().length, 1)
})
