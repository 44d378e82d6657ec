// Webhooks at their doors: who may manage them, what a wrong one gets, and a token event from the token endpoint to a
// receiver that checks its signature (S3-50).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { isAuthentic, startReceiver, status } from '../../src/journal/webhook.rig.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'
import { obtainCode, redirectUri, register, verifier } from './oauth-client.ts'

function as(doors: Doors, browser: CookieBrowser) {
  const call = callAs(doors, browser)
  return (method: string, path: string, json?: unknown) => call(method, `/webhooks${path}`, json)
}

async function start(t: TestContext) {
  const doors = await openDoors(t)
  const ada = as(doors, await signIn(doors.origin))
  return { doors, ada, receiver: await startReceiver(t) }
}

onEveryDatabase('a token that is issued is told to the webhook, signed', async (t, store) => {
  verifies(t, 'S3-50', 'X-36')
  const doors = await openDoorsOn(t, store)
  const receiver = await startReceiver(t)
  const browser = await signIn(doors.origin)
  const ada = as(doors, browser)
  const made = await ada('POST', '', { url: receiver.url, eventTypes: ['token.*', 'grant.*'] })
  assertAnswer(made, { status: 201 })

  const client = await register(doors)
  const code = await obtainCode(doors, browser, client)
  const answer = await doors.ask({
    path: '/oauth/token',
    form: {
      grant_type: 'authorization_code',
      code,
      client_id: client.id,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    },
  })
  assertAnswer(answer, { status: 200 })
  await receiver.until(2)

  const types = receiver.received.map(({ json }) => `${json.type}`).sort()
  assert.deepEqual(types, ['grant.created', 'token.issued'])
  for (const got of receiver.received) {
    assert.ok(isAuthentic(got, made.json.secret, Date.now()))
    assert.ok(!got.body.includes(answer.json.access_token), 'a token is in the payload')
    assert.ok(!got.body.includes(answer.json.refresh_token), 'a token is in the payload')
  }
  const issued = receiver.received.find(({ json }) => json.type === 'token.issued')
  assert.ok(issued && typeof issued.json.data.seq === 'number')
  assert.ok(issued.body.includes(client.id), 'it says which client')
})

test('an administrator makes, changes, tries and removes webhooks', async (t) => {
  const { ada, receiver } = await start(t)
  const { json: made } = await ada('POST', '', { url: receiver.url, description: 'ops' })
  assert.match(made.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.match(made.id, /^whk_/)
  const { secret: _shownOnce, ...shown } = made
  assert.deepEqual(shown.eventTypes, ['*'])

  const listed = await ada('GET', '')
  assert.deepEqual(listed.json, { items: [shown] })
  assert.deepEqual((await ada('GET', `/${made.id}`)).json, shown)

  const tried = await ada('POST', `/${made.id}/test`)
  assert.deepEqual([tried.status, tried.json.status], [200, 'delivered'])
  assert.ok(isAuthentic(receiver.received[0]!, made.secret, Date.now()))

  const rotated = await ada('POST', `/${made.id}/rotate-secret`)
  assert.notEqual(rotated.json.secret, made.secret)
  assert.ok(rotated.json.previousSecretExpiresAt > Date.now())

  receiver.answerWith(status(500))
  const failed = await ada('POST', `/${made.id}/test`)
  assert.equal(failed.json.error, 'The receiver answered 500.')
  receiver.answerWith(status(200))
  const again = await ada('POST', `/${made.id}/deliveries/${failed.json.id}/redeliver`)
  assert.deepEqual([again.status, again.json.status], [202, 'pending'])
  const before = receiver.received.length
  await receiver.until(before + 1)
  const { json: page } = await ada('GET', `/${made.id}/deliveries?status=failed`)
  assert.ok(page.items.every((item: { id: string }) => item.id !== failed.json.id))

  const off = await ada('PATCH', `/${made.id}`, { disabled: true, eventTypes: ['token.*'] })
  assert.deepEqual([off.json.disabled, off.json.disabledReason], [true, 'switched_off'])
  assertAnswer(await ada('POST', `/${made.id}/test`), { status: 409, error: 'conflict' })
  assertAnswer(await ada('DELETE', `/${made.id}`), { status: 204 })
  assertAnswer(await ada('GET', `/${made.id}`), { status: 404, error: 'not_found' })
})

test('what cannot be a webhook is refused in words', async (t) => {
  verifies(t, 'X-36')
  const { ada, receiver } = await start(t)
  const { url } = receiver
  for (const [input, code] of [
    [{}, 'invalid_input'],
    [{ url: 'no url' }, 'insecure_endpoint'],
    [{ url: 'ftp://127.0.0.1/' }, 'insecure_endpoint'],
    [{ url: 'https://10.1.2.3/' }, 'discovery_blocked'],
    [{ url: 'https://169.254.169.254/' }, 'discovery_blocked'],
    [{ url: 'https://user:secret@hooks.test/' }, 'discovery_blocked'],
    [{ url: `${url}#fragment` }, 'invalid_input'],
    [{ url, eventTypes: [] }, 'invalid_input'],
    [{ url, eventTypes: ['token.*.x'] }, 'invalid_input'],
    [{ url, eventTypes: ['Token.Issued'] }, 'invalid_input'],
    [{ url, description: 'two\nlines' }, 'invalid_input'],
    [{ url, secret: 'whsec_mine' }, 'invalid_input'],
  ] as const) {
    const answer = await ada('POST', '', input)
    assertAnswer(answer, { status: 422, error: code, neverSays: ['user:secret'] })
  }
  assert.deepEqual((await ada('GET', '')).json, { items: [] })
  const { json } = await ada('POST', '', { url })
  assertAnswer(await ada('GET', `/${json.id}/deliveries?status=odd`), { status: 422 })
  assertAnswer(await ada('GET', `/${json.id}/deliveries?cursor='`), { status: 422 })
})

test('webhooks are for administrators only [P-40]', async (t) => {
  const { doors, ada, receiver } = await start(t)
  const { json } = await ada('POST', '', { url: receiver.url })
  await addPerson(doors, 'eve@example.com')
  const eve = as(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  for (const [method, path, body] of [
    ['GET', ''],
    ['POST', '', { url: receiver.url }],
    ['GET', `/${json.id}`],
    ['PATCH', `/${json.id}`, { disabled: true }],
    ['DELETE', `/${json.id}`],
    ['POST', `/${json.id}/rotate-secret`],
    ['POST', `/${json.id}/test`],
    ['GET', `/${json.id}/deliveries`],
    ['POST', `/${json.id}/deliveries/msg_x/redeliver`],
  ] as const) {
    assertAnswer(await eve(method, path, body), { status: 403, error: 'forbidden' })
  }
  assert.equal(receiver.received.length, 0)
})
