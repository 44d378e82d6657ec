// Sign-ins elsewhere as an app sees them: where they return to, what they are called meanwhile, and that none is taken
// for another.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoors, openDoorsOn } from './doors.ts'
import { startFlows } from './flow-doors.ts'

const app = 'https://app.example'
const withApp = { settings: { LATCHKEY_RETURN_ORIGINS: `${app}, http://localhost:3000` } }

test('a sign-in returns to a page of an allowed origin and says how it ended', async (t) => {
  verifies(t, 'S1-53', 'S1-54')
  const doors = await openDoors(t, withApp)
  const { begin, approve, open, provider } = await startFlows(t, doors)
  const returnTo = `${app}/settings?tab=tools#top`

  await t.test('success: which flow and which connection, and no secret', async () => {
    const begun = await begin({ returnTo })
    const callback = await approve(begun)
    const answer = await open(callback)
    assertAnswer(answer, { status: 302, has: { 'cache-control': 'no-store' } })
    const location = new URL(answer.headers.get('location') ?? '')
    assert.equal(location.origin + location.pathname + location.hash, `${app}/settings#top`)
    assert.deepEqual(Object.fromEntries(location.searchParams), {
      tab: 'tools',
      oauth: 'success',
      flowId: begun.flowId,
      connectionId: begun.connectionId,
    })
    for (const secret of provider.issued()) assert.ok(!location.href.includes(secret))
    assert.ok(!location.href.includes(callback.searchParams.get('state') ?? ''))
  })
  await t.test('failure: the error in our words, whatever the provider said', async () => {
    const begun = await begin({ returnTo })
    const callback = await approve(begun)
    callback.searchParams.delete('code')
    callback.searchParams.set('error', 'access_denied')
    callback.searchParams.set('error_description', 'SAIDBYTHEPROVIDER')
    const location = new URL((await open(callback)).headers.get('location') ?? '')
    const { error_description: words, ...rest } = Object.fromEntries(location.searchParams)
    assert.deepEqual(rest, {
      tab: 'tools',
      oauth: 'error',
      flowId: begun.flowId,
      connectionId: begun.connectionId,
      error: 'access_denied',
    })
    assert.match(words ?? '', /^Access was denied/)
    assert.ok(!location.href.includes('SAIDBYTHEPROVIDER'))
  })
  await t.test('parameters of ours that the address had already are replaced', async () => {
    const begun = await begin({ returnTo: `${app}/?oauth=error&oauth=x&error=x&flowId=flw_x` })
    const location = new URL((await open(await approve(begun))).headers.get('location') ?? '')
    assert.deepEqual(location.searchParams.getAll('oauth'), ['success'])
    assert.deepEqual(location.searchParams.getAll('flowId'), [begun.flowId])
    assert.equal(location.searchParams.get('error'), null)
  })
  for (const elsewhere of [
    'https://app.example.evil.test/',
    'http://app.example/',
    'https://app.example:8443/',
    'https://app.example@evil.test/',
    'https://x@app.example/',
    'http://localhost:3001/',
    `//app.example\\@evil.test`,
  ]) {
    await t.test(`${elsewhere} is not one: our own page says it`, async () => {
      const answer = await open(await approve(await begin({ returnTo: elsewhere })))
      assertAnswer(answer, { status: 302 })
      assert.match(answer.headers.get('location') ?? '', /^\/connect\/finished\/flw_/)
    })
  }
})

onEveryDatabase('two tabs at once: each sign-in keeps its own verifier', async (t, store) => {
  verifies(t, 'S1-41', 'S1-42', 'S1-43', 'P-70')
  const doors = await openDoorsOn(t, store)
  const { ada, begin, approve, open, provider } = await startFlows(t, doors)
  const one = await begin()
  const again = await ada('POST', `/connections/${one.connectionId}/authorize`, {})
  const two = { ...again.json, connectionId: one.connectionId }

  const asked = [one, two].map(({ authorizeUrl }) => new URL(authorizeUrl).searchParams)
  for (const name of ['code_challenge', 'state']) {
    const [first, second] = asked.map((parameters) => parameters.get(name))
    assert.notEqual(first, second, name)
  }
  for (const parameters of asked) {
    const state = parameters.get('state') ?? ''
    assert.match(state, /^[\w.~-]{32,100}$/)
  }
  // The answers come in the other order; the provider checks each verifier against its challenge.
  const callbacks = [await approve(one), await approve(two)]
  for (const callback of callbacks.reverse()) assertAnswer(await open(callback), { status: 302 })
  const outcomes = provider.tokenRequests().map(({ outcome }) => outcome)
  assert.deepEqual(outcomes, ['issued', 'issued'])
  const verifiers = provider.tokenRequests().map(({ parameters }) => parameters['code_verifier'])
  assert.equal(new Set(verifiers).size, 2)
  for (const { flowId } of [one, two]) {
    assert.equal((await ada('GET', `/flows/${flowId}`)).json.status, 'completed')
  }
  const connection = await ada('GET', `/connections/${one.connectionId}`)
  assert.equal(connection.json.status, 'connected')
  doors.alsoSecret(verifiers.map((verifier) => verifier ?? 'none'))
})

test('a sign-in tells its whole story to its owner, without a value of anybody', async (t) => {
  verifies(t, 'S1-47', 'S1-49', 'S1-72')
  const doors = await openDoors(t)
  const { ada, begin, approve, open, provider } = await startFlows(t, doors)
  const host = new URL(provider.origin).host
  const begun = await begin()
  const pending = (await ada('GET', `/flows/${begun.flowId}`)).json
  assert.equal(pending.status, 'pending')

  const callback = await approve(begun)
  await open(callback)
  const { json: flow, text } = await ada('GET', `/flows/${begun.flowId}`)
  assert.equal(flow.status, 'completed')
  assert.deepEqual(
    flow.trace.map((step: { step: string }) => step.step),
    [...pending.trace.map((step: { step: string }) => step.step), 'callback', 'token', 'tokens'],
  )
  for (const step of flow.trace) {
    assert.equal(step.host, host, JSON.stringify(step))
    assert.ok(Number.isInteger(step.at) && step.at <= Date.now())
    assert.match(step.outcome, /^[\w .:-]+$/)
  }
  const known = flow.trace.map(({ step, status, outcome }: Record<string, unknown>) =>
    [step, status, outcome].join(' '),
  )
  assert.ok(known.includes('token 200 tokens'), known.join('\n'))
  assert.ok(known.includes('registration  dcr'), known.join('\n'))
  const secrets = [...provider.issued(), callback.searchParams.get('state') ?? 'none']
  for (const secret of secrets) assert.ok(!text.includes(secret))

  await t.test('also of one that failed at the token endpoint', async () => {
    const failing = await begin()
    const sent = await approve(failing)
    provider.set({ answers: { token: { kind: 'status', status: 503 } } })
    assertAnswer(await open(sent), { status: 400 })
    const { json } = await ada('GET', `/flows/${failing.flowId}`)
    assert.deepEqual(
      [json.status, json.error, json.retryable],
      ['failed', 'provider_unreachable', true],
    )
    const last = json.trace.at(-1)
    assert.deepEqual([last.step, last.status, last.outcome], ['token', 503, 'provider_unreachable'])
  })
})
