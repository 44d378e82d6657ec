// What operators watch: `/metrics` with a key or on a port of its own, and the numbers of `/api/v1/usage`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePort, restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, openDoors } from './doors.ts'
import type { Doors } from './doors.ts'
import { authorizePath, isActive, obtainTokens, postToken, register } from './oauth-client.ts'

test('the measurements tell of answers, refusals and tables, with a key that may read them', async (t) => {
  verifies(t, 'S3-53')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const client = await register(doors)
  const { accessToken } = await obtainTokens(doors, browser, client)
  assert.ok(await isActive(doors, accessToken))
  await postToken(doors, client, { grant_type: 'authorization_code', code: 'wrong' })
  await doors.ask({ path: authorizePath(client, { scope: 'everything' }) })
  await doors.ask({ path: '/nowhere' })
  await doors.ask({ path: '/oauth/register/nobody', method: 'PUT', json: {} })
  await doors.ask({ path: '/nobody/mcp', json: {} })

  const key = await keyWith(doors, ['metrics'])
  const { status, headers, text } = await readWith(doors, key)
  assert.equal(status, 200)
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const lines = text.split('\n')
  for (const line of [
    '# TYPE latchkey_http_request_duration_seconds histogram',
    'latchkey_http_request_duration_seconds_count{method="POST",route="/oauth/token",status="2xx"} 1',
    'latchkey_http_request_duration_seconds_count{method="POST",route="/oauth/token",status="4xx"} 1',
    'latchkey_http_request_duration_seconds_bucket{method="POST",route="/oauth/token",status="2xx",le="+Inf"} 1',
    'latchkey_http_request_duration_seconds_count{method="GET",route="other",status="4xx"} 1',
    'latchkey_http_request_duration_seconds_count{method="PUT",route="/oauth/register/{client}",status="4xx"} 1',
    'latchkey_http_request_duration_seconds_count{method="POST",route="/{slug}/mcp",status="4xx"} 1',
    'latchkey_refusals_total{route="/oauth/token",error="invalid_grant"} 1',
    'latchkey_refusals_total{route="/oauth/authorize",error="invalid_scope"} 1',
    'latchkey_table_rows{table="access_tokens"} 1',
    'latchkey_notes_dropped_total 0',
  ]) {
    assert.ok(lines.includes(line), `${line}\n${text}`)
  }
  const tables = await doors.store.db.introspection.getTables()
  for (const { name, columns } of tables) {
    if (!columns.some((column) => column.name === 'expires_at')) continue
    assert.ok(text.includes(`latchkey_table_rows{table="${name}"}`), `${name} grows unseen`)
  }
  assert.match(text, /^latchkey_event_loop_lag_seconds\{quantile="0.99"\} [\d.e-]+$/m)
  for (const line of lines) assert.match(line, sampleOrComment)
  assert.doesNotMatch(text, new RegExp(client.id))
})

// The text format of Prometheus, version 0.0.4.
const sampleOrComment =
  /^(?:# (?:HELP|TYPE) \w+ .+|[a-z_]+(?:\{\w+="[^"\\]*"(?:,\w+="[^"\\]*")*\})? [\d.e+-]+|)$/

test('a histogram counts each answer in every bucket that is long enough', async (t) => {
  verifies(t, 'S3-53')
  const doors = await openDoors(t)
  for (let count = 0; count < 3; count += 1) await doors.ask({ path: '/healthz' })
  const { text } = await readWith(doors, await keyWith(doors, ['metrics']))
  const counts = [...text.matchAll(/_bucket\{method="GET",route="\/healthz".*\} (\d+)/g)].map(
    ([, count]) => Number(count),
  )
  assert.equal(counts.length, 12)
  assert.deepEqual(
    counts,
    counts.toSorted((one, other) => one - other),
  )
  assert.equal(counts.at(-1), 3)
})

test('nobody else reads the measurements or the usage', async (t) => {
  const doors = await openDoors(t)
  await addPerson(doors, 'bob@example.com')
  const bob = await signIn(doors.origin, {
    email: 'bob@example.com',
    password: 'correct horse battery staple',
  })
  const bobsKey = await keyWith(doors, ['metrics', 'api'], bob)
  assertAnswer(await doors.ask({ path: '/metrics' }), { status: 401, error: 'not_signed_in' })
  const withoutScope = await readWith(doors, await keyWith(doors, ['api']))
  assertAnswer(withoutScope, { status: 403, error: 'forbidden' })
  assertAnswer(await readWith(doors, bobsKey), { status: 403, error: 'forbidden' })
  const metricsOnly = await keyWith(doors, ['metrics'])
  for (const path of ['/api/v1/usage', '/api/v1/attempts', '/api/v1/journal']) {
    assertAnswer(await readWith(doors, metricsOnly, path), { status: 403, error: 'forbidden' })
    assertAnswer(await readWith(doors, bobsKey, path), { status: 403, error: 'forbidden' })
    assertAnswer(await doors.ask({ path }), { status: 401, error: 'not_signed_in' })
  }
  const strange = await doors.ask({
    path: '/api/v1/attempts?cursor=x',
    browser: await signIn(doors.origin),
  })
  assertAnswer(strange, { status: 422, error: 'invalid_input' })
})

test('the sizes of tables are of the whole installation, and not told to another tenant', async (t) => {
  verifies(t, 'X-25')
  const doors = await openDoors(t)
  const first = await restAs(await signIn(doors.origin), doors.origin)('GET', '/usage')
  assert.equal(first.body.tableRows.users, 1)
  const { db } = doors.store
  await db.updateTable('tenants').set({ slug: 'other' }).execute()
  const { body } = await restAs(await signIn(doors.origin), doors.origin)('GET', '/usage')
  assert.equal(body.tableRows, undefined)
  assert.equal(body.activeTokens, 0)
})

test('a port of its own serves the measurements without a key, and nothing else', async (t) => {
  verifies(t, 'S3-53')
  const port = await freePort()
  const settings = { LATCHKEY_METRICS_LISTEN: `127.0.0.1:${port}` }
  await openDoors(t, { settings })
  const own = `http://127.0.0.1:${port}`
  const answer = await fetch(`${own}/metrics`)
  assert.equal(answer.status, 200)
  assert.match(await answer.text(), /^# HELP latchkey_http_request_duration_seconds /)
  assert.equal((await fetch(`${own}/api/v1/usage`)).status, 404)
  assert.equal((await fetch(`${own}/metrics`, { method: 'POST' })).status, 405)

  const second = openDoors(t, { settings })
  await assert.rejects(second, /is taken.* Choose another with LATCHKEY_METRICS_LISTEN\.$/s)
})

test('failed attempts show up in the usage, whether the journal took them or not', async (t) => {
  verifies(t, 'S3-39', 'A3-15')
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const client = await register(doors)
  const times = 101
  for (let count = 0; count < times; count += 1) {
    await postToken(doors, client, { grant_type: 'authorization_code', code: `wrong-${count}` })
  }
  const { body } = await restAs(browser, doors.origin)('GET', '/usage')
  assert.deepEqual(body.troubledClients, [
    { clientId: client.id, name: 'An app', expiredCodes: 0, failedAttempts: times },
  ])
})

async function keyWith(
  doors: Doors,
  scopes: readonly string[],
  browser?: Awaited<ReturnType<typeof signIn>>,
): Promise<string> {
  const rest = restAs(browser ?? (await signIn(doors.origin)), doors.origin)
  const { status, body } = await rest('POST', '/api-keys', { name: 'Watcher', scopes })
  assert.equal(status, 201)
  return body.key
}

function readWith(doors: Doors, key: string, path = '/metrics') {
  return doors.ask({ path, headers: { authorization: `Bearer ${key}` } })
}
