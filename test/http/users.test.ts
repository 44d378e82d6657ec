// REST for people: who may do what to whom, that shutting out and removing hold on the very next request, and that nothing of a
// person who was removed is left, here or at the providers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restAs, signIn } from '../harness.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Answer, Call, Doors } from './doors.ts'
import { startFlows } from './flow-doors.ts'
import { isActive, obtainTokens, refresh, register } from './oauth-client.ts'

interface Someone {
  readonly id: string
  readonly browser: CookieBrowser
  readonly call: Call
}

function assertProblem(answer: Answer, status: number, error: string): void {
  assertAnswer(answer, { status, error })
}

async function make(doors: Doors, ada: Call, role: string): Promise<Someone> {
  const email = `${role}-${Math.random().toString(36).slice(2)}@example.com`
  const { status, json } = await ada('POST', '/users', { email, role })
  assert.equal(status, 201)
  const browser = await signIn(doors.origin, { email, password: json.password })
  return { id: json.id, browser, call: callAs(doors, browser) }
}

test('an administrator manages people, and operators are for operators', async (t) => {
  verifies(t, 'S4-10', 'S4-45')
  const doors = await openDoors(t)
  const ada = callAs(doors, await signIn(doors.origin))
  const [admin, user, other] = [
    await make(doors, ada, 'admin'),
    await make(doors, ada, 'user'),
    await make(doors, ada, 'operator'),
  ]
  const me = (await ada('GET', '/users')).json.items[0]
  assert.deepEqual(Object.keys(me).toSorted(), [
    'createdAt',
    'disabled',
    'email',
    'emailVerified',
    'id',
    'role',
    'tenantId',
  ])

  await t.test('a page at a time, oldest first', async () => {
    const first = await admin.call('GET', '/users?limit=3')
    const second = await admin.call('GET', `/users?cursor=${first.json.nextCursor}`)
    const ids = [...first.json.items, ...second.json.items].map(({ id }) => id)
    assert.deepEqual(new Set(ids), new Set([me.id, admin.id, user.id, other.id]))
    assert.equal(ids.length, 4)
    assertProblem(await ada('GET', '/users?cursor=x'), 422, 'invalid_input')
  })

  await t.test('a person is nobody’s to manage but an administrator’s', async () => {
    for (const [method, path, body] of [
      ['GET', '/users', undefined],
      ['POST', '/users', { email: 'x@example.com' }],
      ['GET', `/users/${user.id}`, undefined],
      ['PATCH', `/users/${user.id}`, { role: 'admin' }],
      ['DELETE', `/users/${other.id}`, undefined],
      ['POST', `/users/${user.id}/reset-password`, {}],
    ] as const) {
      assertProblem(await user.call(method, path, body), 403, 'forbidden')
    }
  })

  await t.test('an admin reaches no operator and makes none', async () => {
    for (const [method, path, body] of [
      ['POST', '/users', { email: 'y@example.com', role: 'operator' }],
      ['PATCH', `/users/${user.id}`, { role: 'operator' }],
      ['PATCH', `/users/${admin.id}`, { role: 'operator' }],
      ['PATCH', `/users/${other.id}`, { role: 'user' }],
      ['PATCH', `/users/${other.id}`, { disabled: true }],
      ['POST', `/users/${other.id}/reset-password`, {}],
      ['DELETE', `/users/${other.id}`, undefined],
    ] as const) {
      assertProblem(await admin.call(method, path, body), 403, 'forbidden')
    }
  })

  await t.test('nobody shuts themself out, and one operator stays', async () => {
    for (const [method, body] of [
      ['PATCH', { disabled: true }],
      ['DELETE', undefined],
    ] as const) {
      assertProblem(await ada(method, `/users/${me.id}`, body), 409, 'conflict')
    }
    assertAnswer(await ada('DELETE', `/users/${other.id}`), { status: 204 })
    assertProblem(await ada('PATCH', `/users/${me.id}`, { role: 'user' }), 409, 'conflict')
  })

  await t.test('what cannot be said of a person is refused', async () => {
    for (const body of [{ name: '' }, { name: 'a\u0000b' }, { role: 'root' }, { email: 'x@y.z' }]) {
      assertProblem(await ada('PATCH', `/users/${user.id}`, body), 422, 'invalid_input')
    }
    assertProblem(await ada('POST', '/users', { email: 'nobody' }), 422, 'invalid_input')
    assertProblem(await ada('POST', '/users', { email: me.email }), 409, 'conflict')
    assertProblem(await ada('GET', '/users/usr_nobody'), 404, 'not_found')
  })

  await t.test('a change is told once, and what did not change is not', async () => {
    for (const body of [{ name: 'Bo' }, { name: 'Bo', role: 'admin' }, { role: 'admin' }]) {
      assert.equal((await ada('PATCH', `/users/${user.id}`, body)).status, 200)
    }
    const { json } = await ada('GET', '/journal')
    const own = json.items.filter(
      ({ subject }: { subject?: { id: string } }) => subject?.id === user.id,
    )
    assert.deepEqual(own[0].actor, { kind: 'user', id: me.id }, 'who made them')
    const told = own.map(({ type }: { type: string }) => type)
    assert.deepEqual(told, ['user.created', 'user.signed_in', 'user.updated', 'user.role_changed'])
  })
})

onEveryDatabase('who is shut out is out everywhere at once, and comes back', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const ada = callAs(doors, await signIn(doors.origin))
  const bob = await make(doors, ada, 'user')
  const client = await register(doors)
  const { accessToken, refreshToken } = await obtainTokens(doors, bob.browser, client)
  const made = await restAs(bob.browser, doors.origin)('POST', '/api-keys', {
    name: 'x',
    scopes: ['api'],
  })
  const byKey = () =>
    doors.ask({
      path: '/api/v1/grants',
      headers: { authorization: `Bearer ${String(made.body.key)}` },
    })
  assert.equal((await byKey()).status, 200)

  const shut = await ada('PATCH', `/users/${bob.id}`, { disabled: true })
  assert.equal(shut.json.disabled, true)
  assertProblem(await bob.call('GET', '/grants'), 401, 'not_signed_in')
  assertProblem(await byKey(), 401, 'not_signed_in')
  assert.equal(await isActive(doors, accessToken), false)
  assert.equal((await refresh(doors, client, refreshToken)).status, 400)

  assert.equal((await ada('PATCH', `/users/${bob.id}`, { disabled: false })).status, 200)
  assert.equal(await isActive(doors, accessToken), true)
  assertProblem(await bob.call('GET', '/grants'), 401, 'not_signed_in')
})

onEveryDatabase('nothing is left of who is removed, here or elsewhere', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const flows = await startFlows(t, doors)
  const bob = await make(doors, flows.ada, 'user')
  const begun = await flows.begin({}, bob.call)
  assertAnswer(await flows.open(await flows.approve(begun), bob.browser), { status: 302 })
  const pending = await flows.begin({}, bob.call)
  const late = await flows.approve(pending)
  const live = flows.provider.issued().filter((token) => flows.provider.isLive(token))
  assert.equal(live.length, 1)
  const { accessToken } = await obtainTokens(doors, bob.browser, await register(doors))
  await bob.call('POST', '/api-keys', { name: 'x', scopes: ['api'] })

  assertAnswer(await flows.ada('DELETE', `/users/${bob.id}`), { status: 204 })
  assert.equal(await isActive(doors, accessToken), false)
  assertProblem(await bob.call('GET', '/grants'), 401, 'not_signed_in')
  assert.notEqual((await flows.open(late, bob.browser)).status, 302)
  for (const table of ['sessions', 'grants', 'api_keys', 'connections', 'consents'] as const) {
    const rows = await store.db
      .selectFrom(table)
      .select('tenant_id')
      .where('user_id', '=', bob.id)
      .execute()
    assert.deepEqual(rows, [], table)
  }
  assert.deepEqual(await store.db.selectFrom('credentials').select('tenant_id').execute(), [])
  const owed = await store.db.selectFrom('upstream_revocations').select('tenant_id').execute()
  assert.equal(owed.length, 2, 'the provider is asked to forget both tokens')
  const { json } = await flows.ada('GET', '/journal')
  assert.equal(json.items.at(-1).type, 'user.deleted')
  assertProblem(await flows.ada('GET', `/users/${bob.id}`), 404, 'not_found')
})
