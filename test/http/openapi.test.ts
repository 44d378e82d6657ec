// The description of REST at /api/v1/openapi.json: valid OpenAPI 3.1, made from the rows that serve, the same for everybody.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import type { Route } from '../../src/http/route.ts'
import { pageQuery, queryFor } from '../../src/http/query.ts'
import { describedRows as rows } from '../described-answers.ts'
import { signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { assertAnswer, callAs, openDoors, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'

const path = '/api/v1/openapi.json'

// Tests look into many shapes; what they find there they assert.
type Described = any // oxlint-disable-line typescript/no-explicit-any

async function describe(doors: Doors): Promise<Described> {
  const answer = await doors.ask({ path })
  assertAnswer(answer, { status: 200, has: { 'content-type': 'application/json' } })
  return answer.json
}

const operationOf = (document: Described, method: Route['method'], of: string) =>
  document.paths[of]?.[method.toLowerCase()]

test('the description is valid OpenAPI 3.1', async (t) => {
  const document = await describe(await openDoors(t))
  assert.match(document.openapi, /^3\.1\./)
  const { valid, errors } = await new Validator().validate(structuredClone(document))
  assert.equal(valid, true, JSON.stringify(errors))
})

test('every row of REST is in it, under a name of its own, and nothing else', async (t) => {
  const document = await describe(await openDoors(t))
  const described = Object.entries<Described>(document.paths).flatMap(([of, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${of}`),
  )
  const served = rows.map((row) => `${row.method} ${row.path}`)
  assert.deepEqual(described.sort(), served.sort())
  const operations = rows.map((row) => operationOf(document, row.method, row.path))
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, rows.length)
})

test('every reference in it leads somewhere, and nothing is there that nothing refers to', async (t) => {
  const document = await describe(await openDoors(t))
  const text = JSON.stringify(document)
  const named = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path)
  for (const reference of named) {
    const found = reference.split('/').reduce<Described>((within, name) => within?.[name], document)
    assert.ok(found !== undefined, reference)
  }
  const { securitySchemes: _byName, ...components } = document.components
  const there = Object.entries<Described>(components).flatMap(([kind, of]) =>
    Object.keys(of).map((name) => `components/${kind}/${name}`),
  )
  assert.deepEqual([...new Set(named)].toSorted(), there.toSorted())
})

test('every row says what it answers with, and may be refused in what way', async (t) => {
  const document = await describe(await openDoors(t))
  for (const row of rows) {
    const told = `${row.method} ${row.path}`
    assert.ok(row.output !== undefined, `${told} has no output`)
    const { summary, responses, requestBody } = operationOf(document, row.method, row.path)
    assert.equal(summary, row.words, told)
    assert.ok(`${row.output.status}` in responses, told)
    assert.ok('429' in responses && 'default' in responses, told)
    assert.equal(requestBody !== undefined, row.input !== undefined, told)
    assert.equal('401' in responses, row.guard !== 'open', told)
    assert.ok('404' in responses || !row.path.includes('{'), told)
  }
  const { responses } = operationOf(document, 'POST', '/api/v1/connections')
  const refusal = (status: string) =>
    document.components.responses[responses[status].$ref.replace('#/components/responses/', '')]
  assert.match(refusal('409').description, /`conflict`: This is taken already/)
  assert.ok('Retry-After' in refusal('429').headers)
  const { schema } = responses['201'].content['application/json']
  assert.deepEqual(schema, { $ref: '#/components/schemas/Connection' })
  const { status } = document.components.schemas.Connection.properties
  assert.ok(status.enum.includes('reauth_required'))
})

test('it says who may come in how, and which writes take an Idempotency-Key', async (t) => {
  const document = await describe(await openDoors(t))
  const securityOf = (method: Route['method'], of: string) =>
    operationOf(document, method, of).security
  assert.deepEqual(securityOf('GET', path), [])
  assert.deepEqual(securityOf('GET', '/api/v1/servers'), [{ session: [] }, { apiKey: ['api'] }])
  assert.deepEqual(securityOf('POST', '/api/v1/api-keys'), [{ session: [] }])
  const token = operationOf(document, 'POST', '/api/v1/connections/{id}/token')
  assert.deepEqual(token.security, [{ apiKey: ['connections:token'] }])
  const inPath = { name: 'id', in: 'path', required: true, schema: { type: 'string' } }
  assert.deepEqual(token.parameters, [inPath])
  const add = operationOf(document, 'POST', '/api/v1/servers')
  assert.deepEqual(add.parameters, [{ $ref: '#/components/parameters/IdempotencyKey' }])
  assert.deepEqual(add.requestBody.content['application/json'].schema.required, ['url'])
})

test('it says which parameters a query has', async (t) => {
  const document = await describe(await openDoors(t))
  const parametersOf = (of: string) =>
    operationOf(document, 'GET', of).parameters.map(({ in: place, name, schema }: Described) => [
      `${place} ${name}`,
      schema.default,
    ])
  assert.deepEqual(parametersOf('/api/v1/clients'), [
    ['query cursor', undefined],
    ['query limit', 50],
  ])
  assert.deepEqual(parametersOf('/api/v1/attempts'), [
    ['query cursor', undefined],
    ['query limit', 20],
  ])
  assert.deepEqual(parametersOf('/api/v1/journal'), [
    ['query cursor', undefined],
    ['query attempt', undefined],
    ['query subjectId', undefined],
  ])
})

test('a row of REST sees no parameter that it does not say, other rows see all', () => {
  const given = new URLSearchParams('cursor=1&verbose=1&cursor=2')
  const seenBy = (row: Pick<Route, 'surface' | 'query'>) => queryFor(row, given).toString()
  assert.equal(seenBy({ surface: 'api', query: pageQuery() }), 'cursor=1&cursor=2')
  assert.equal(seenBy({ surface: 'api' }), '')
  assert.equal(seenBy({ surface: 'oauth' }), given.toString())
})

onEveryDatabase('a list without a limit has as many as the description says', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const call = callAs(doors, await signIn(doors.origin))
  const path = '/.well-known/oauth-protected-resource/mcp'
  for (let number = 0; number < 25; number += 1) {
    await doors.ask({ path, headers: { 'user-agent': `client ${number}` } })
  }
  assert.equal((await call('GET', '/attempts')).json.items.length, 20)
  assert.equal((await call('GET', '/attempts?limit=22')).json.items.length, 22)
})

test('it tells nothing about a tenant and is the same for whoever is signed in', async (t) => {
  const doors = await openDoors(t)
  const first = await doors.ask({ path })
  const again = await doors.ask({ path, browser: await signIn(doors.origin) })
  assert.equal(first.text, again.text)
  assertAnswer(first, { status: 200, neverSays: ['localhost', doors.platform.tenant.id] })
})
