// REST for clients: the shapes, who may call, and that a switched-off client is dead on the next request.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { addPerson, assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'

const redirectUris = ['https://claude.ai/api/mcp/auth_callback']
const input = { name: 'Claude', redirectUris, scopes: ['mcp'], authMethod: 'client_secret_post' }

onEveryDatabase('an administrator manages clients over REST', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const ada = callAs(doors, await signIn(doors.origin))
  const made = await ada('POST', '/clients', input)
  assertAnswer(made, { status: 201, has: { 'cache-control': 'no-store' } })
  const { clientSecret, ...client } = made.json
  assert.match(clientSecret, /^mcp_cs_[\w-]{43}$/)
  const { id: adaId } = await store.db.selectFrom('users').select('id').executeTakeFirstOrThrow()
  const { id, createdAt, ...facts } = client
  assert.match(id, /^mcp_oauth_[0-9a-z]{24,}$/)
  assert.equal(typeof createdAt, 'number')
  assert.deepEqual(facts, {
    kind: 'manual',
    ...input,
    grantTypes: ['authorization_code', 'refresh_token'],
    dpopBoundAccessTokens: false,
    disabled: false,
    createdBy: adaId,
    secretsAlive: 1,
    activeGrants: 0,
  })
  assert.deepEqual((await ada('GET', `/clients/${id}`)).json, client)
  assert.deepEqual((await ada('GET', '/clients')).json, { items: [client] })
  assert.equal(await proves(doors, id, clientSecret), true)

  const rotated = await ada('POST', `/clients/${id}/rotate-secret`, { overlapS: 3600 })
  assertAnswer(rotated, { status: 200, has: { 'cache-control': 'no-store' } })
  assert.equal(rotated.json.secretsAlive, 2)
  assert.ok(rotated.json.previousSecretExpiresAt > createdAt)
  assert.equal(await proves(doors, id, rotated.json.clientSecret), true)
  assert.equal(await proves(doors, id, clientSecret), true)

  const renamed = await ada('PATCH', `/clients/${id}`, { name: 'Claude 2', disabled: true })
  assertAnswer(renamed, { status: 200 })
  assert.deepEqual([renamed.json.name, renamed.json.disabled], ['Claude 2', true])
  assert.equal(await proves(doors, id, clientSecret), false)
  assertAnswer(await ada('DELETE', `/clients/${id}`), { status: 204 })
  assertAnswer(await ada('GET', `/clients/${id}`), { status: 404, error: 'not_found' })
  const { items } = (await ada('GET', '/journal')).json
  const types = items
    .map((entry: { type: string }) => entry.type)
    .filter((type: string) => type.startsWith('client.'))
  assert.deepEqual(types, [
    'client.registered',
    'client.secret_rotated',
    'client.updated',
    'client.disabled',
    'client.deleted',
  ])
})

test('what a call may not say about a client', async (t) => {
  const { ada, id } = await start(t)
  for (const bad of [
    {},
    { name: 'x' },
    { ...input, name: '' },
    { ...input, name: '   ' },
    { ...input, name: 'x'.repeat(65) },
    { ...input, redirectUris: [] },
    { ...input, redirectUris: ['https://a.test/#x'] },
    { ...input, redirectUris: ['javascript:alert(1)'] },
    { ...input, redirectUris: Array.from({ length: 11 }, (_, n) => `https://a.test/${n}`) },
    { ...input, scopes: ['nonsense'] },
    { ...input, authMethod: 'private_key_jwt' },
    { ...input, clientSecret: 'mine' },
    { ...input, id: 'mine' },
  ]) {
    const answer = await ada('POST', '/clients', bad)
    assertAnswer(answer, { status: 422, error: 'invalid_input' })
    assert.ok(Object.keys(answer.json.detail).length > 0, JSON.stringify(bad))
  }
  for (const bad of [{ disabled: 'yes' }, { authMethod: 'none' }, { redirectUris: ['x'] }]) {
    const answer = await ada('PATCH', `/clients/${id}`, bad)
    assertAnswer(answer, { status: 422, error: 'invalid_input' })
  }
  for (const bad of [{ overlapS: -1 }, { overlapS: 1.5 }, { overlapS: 31 * 86_400 }]) {
    const answer = await ada('POST', `/clients/${id}/rotate-secret`, bad)
    assertAnswer(answer, { status: 422, error: 'invalid_input' })
  }
  for (const odd of ['%E0%A4%A', '%00', 'nobody', encodeURIComponent('https://a.test/client')]) {
    assertAnswer(await ada('GET', `/clients/${odd}`), { status: 404, error: 'not_found' })
  }
  assert.equal((await ada('GET', '/clients')).json.items.length, 1)
})

test('only administrators manage clients', async (t) => {
  const { doors, ada, eve, id } = await start(t)
  const calls = [
    ['GET', '/clients'],
    ['POST', '/clients', input],
    ['GET', `/clients/${id}`],
    ['PATCH', `/clients/${id}`, { disabled: true }],
    ['POST', `/clients/${id}/rotate-secret`, {}],
    ['DELETE', `/clients/${id}`],
  ] as const
  for (const [method, path, body] of calls) {
    assertAnswer(await eve(method, path, body), { status: 403, error: 'forbidden' })
    const nobody = { method, path: `/api/v1${path}`, json: body }
    assertAnswer(await doors.ask(nobody), { status: 401, error: 'not_signed_in' })
  }
  assert.equal((await ada('GET', `/clients/${id}`)).json.disabled, false)
})

test('the client of a document is reached by its escaped URL, and only switched', async (t) => {
  const { doors, ada, id } = await start(t)
  const url = 'https://claude.ai/oauth/mcp-oauth-client-metadata'
  await doors.store.db
    .updateTable('clients')
    .set({ id: url, kind: 'document', token_endpoint_auth_method: 'none' })
    .where('id', '=', id)
    .execute()
  const path = `/clients/${encodeURIComponent(url)}`
  assert.equal((await ada('GET', path)).json.id, url)
  assertAnswer(await ada('PATCH', path, { name: 'x' }), { status: 422, error: 'invalid_input' })
  const off = await ada('PATCH', path, { disabled: true })
  assertAnswer(off, { status: 200 })
  assert.equal(off.json.disabled, true)
  const rotated = await ada('POST', `${path}/rotate-secret`, {})
  assertAnswer(rotated, { status: 422, error: 'invalid_input' })
})

test('fifty times the same write with one key makes one client', async (t) => {
  const { ada } = await start(t)
  const headers = { 'idempotency-key': 'once' }
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => ada('POST', '/clients', input, headers)),
  )
  const made = answers.filter(({ status }) => status === 201)
  assert.ok(made.length > 0)
  assert.ok(answers.every(({ status }) => status === 201 || status === 409))
  assert.equal(new Set(made.map(({ json }) => json.clientSecret)).size, 1)
  assert.equal((await ada('GET', '/clients')).json.items.length, 2)
})

/** A platform with an operator, a plain person, and one public client. */
async function start(t: TestContext) {
  const doors = await openDoors(t)
  await addPerson(doors, 'eve@example.com')
  const ada = callAs(doors, await signIn(doors.origin))
  const eve = callAs(doors, await signIn(doors.origin, { ...operator, email: 'eve@example.com' }))
  const made = await ada('POST', '/clients', { name: 'x', redirectUris, authMethod: 'none' })
  return { doors, ada, eve, id: made.json.id as string }
}

/** Is this secret the client's? A wrong code is only looked at after that. */
async function proves({ ask }: Doors, id: string, secret: string): Promise<boolean> {
  const { json } = await ask({
    path: '/oauth/token',
    form: {
      grant_type: 'authorization_code',
      client_id: id,
      client_secret: secret,
      code: 'auth_nobody',
      code_verifier: 'v'.repeat(64),
      redirect_uri: redirectUris[0],
    },
  })
  assert.ok(['invalid_grant', 'invalid_client'].includes(json.error), JSON.stringify(json))
  return json.error === 'invalid_grant'
}
