// GraphQL at its door: the contract's queries, mutations and subscriptions, whose they are, and what is refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { getIntrospectionQuery } from 'graphql'
import { sql } from 'kysely'
import { createManualClock } from '../../src/base/clock.ts'
import { faultCatalogue } from '../../src/base/fault.ts'
import { depthMax, fieldsMax, rootFieldsMax } from '../../src/http/graphql/cost.ts'
import { limits } from '../../src/http/limits.ts'
import type { Store } from '../../src/store/database.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, restAs, signIn } from '../harness.ts'
import type { TestPlatformOptions } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, cookiesOf, openDoors, openDoorsOn } from './doors.ts'
import type { Ask, Doors } from './doors.ts'
import { startFlows } from './flow-doors.ts'
import { graphqlAs, graphqlByKey } from './graphql-doors.ts'
import type { Variables } from './graphql-doors.ts'

const connectionStatus = `query ($id: ID!) { getMCPOAuthConnectionStatus(connectionId: $id) {
  connectionId isOAuthEnabled hasValidTokens isAccessTokenExpired tokenExpiresAt hasRefreshToken
  requiresReauthorization reauthorizationReason issuerUrl grantedScopes } }`
const statusFields = `success errorMessage status connectionId initiatedAt completedAt
  authErrorCode authErrorDescription isRetryable`
const flowStatus = `query ($state: String!) {
  getMCPOAuthStatus(input: { stateParameter: $state }) { ${statusFields} } }`
const initiate = `mutation ($id: ID!, $more: String) {
  initiateMCPOAuth(input: { connectionId: $id, additionalScopes: $more }) {
    success errorMessage authorizationUrl stateParameter expiresAt usedDynamicRegistration } }`
const revoke = `mutation ($id: ID!, $reason: String) {
  revokeMCPOAuth(input: { connectionId: $id, reason: $reason }) { success errorMessage connectionId } }`
const refresh = `mutation ($id: ID!) { refreshMCPOAuthToken(input: { connectionId: $id }) {
  success errorMessage expiresAt requiresReauthorization } }`
const onCompleted = `subscription ($state: String!) {
  onMCPOAuthCompleted(stateParameter: $state) { ${statusFields} } }`
const onEvent = `subscription ($id: ID!) { onMCPOAuthEvent(connectionId: $id) {
  eventType connectionId timestamp message requiresUserAction } }`

async function start(t: TestContext, store: Store, options: TestPlatformOptions = {}) {
  return startAt(t, await openDoorsOn(t, store, options))
}

async function startHere(t: TestContext, options: TestPlatformOptions = {}) {
  return startAt(t, await openDoors(t, options))
}

async function startAt(t: TestContext, doors: Doors) {
  const flows = await startFlows(t, doors)
  const eveId = await addPerson(doors, 'eve@example.com')
  const evesBrowser = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  return {
    ...flows,
    doors,
    eveId,
    evesBrowser,
    eve: graphqlAs(doors, evesBrowser),
    gql: graphqlAs(doors, flows.browser),
    connect: async (label: string): Promise<string> => {
      const { json } = await flows.ada('POST', '/connections', { serverId: flows.server.id, label })
      return json.id
    },
  }
}

type Started = Awaited<ReturnType<typeof start>>

/** Begins a sign-in and lets the provider approve it. */
async function signInThere({ gql, approve, open }: Started, id: string): Promise<string> {
  const { initiateMCPOAuth: begun } = await gql.data(initiate, { id })
  await open(await approve({ authorizeUrl: begun.authorizationUrl }))
  return begun.stateParameter
}

onEveryDatabase('a sign-in elsewhere from begin to end, by polling', async (t, store) => {
  verifies(t, 'S1-7', 'S1-67', 'S1-72')
  const world = await start(t, store)
  const { gql, connect } = world
  const id = await connect('polled')
  const { getMCPOAuthConnectionStatus: before } = await gql.data(connectionStatus, { id })
  assert.deepEqual(before, {
    connectionId: id,
    isOAuthEnabled: true,
    hasValidTokens: false,
    isAccessTokenExpired: null,
    tokenExpiresAt: null,
    hasRefreshToken: null,
    requiresReauthorization: true,
    reauthorizationReason: faultCatalogue.authorization_required.words,
    issuerUrl: null,
    grantedScopes: null,
  })

  const { initiateMCPOAuth: begun } = await gql.data(initiate, { id })
  assert.equal(begun.success, true)
  assert.equal(begun.usedDynamicRegistration, true)
  assert.ok(Date.parse(begun.expiresAt) > Date.now())
  const url = new URL(begun.authorizationUrl)
  assert.match(url.searchParams.get('state') ?? '', /^.{32,100}$/)
  assert.notEqual(begun.stateParameter, url.searchParams.get('state'), 'it finishes nothing')
  const state = begun.stateParameter
  const { getMCPOAuthStatus: waiting } = await gql.data(flowStatus, { state })
  assert.equal(waiting.status, 'PENDING')
  assert.equal(waiting.completedAt, null)

  await world.open(await world.approve({ authorizeUrl: begun.authorizationUrl }))
  const { getMCPOAuthStatus: done } = await gql.data(flowStatus, { state })
  assert.equal(done.success, true)
  assert.equal(done.status, 'COMPLETED')
  assert.equal(done.connectionId, id)
  assert.ok(Date.parse(done.completedAt) >= Date.parse(done.initiatedAt))
  const { getMCPOAuthConnectionStatus: after } = await gql.data(connectionStatus, { id })
  assert.equal(after.hasValidTokens, true)
  assert.equal(after.isAccessTokenExpired, false)
  assert.equal(after.hasRefreshToken, true)
  assert.equal(after.requiresReauthorization, false)
  assert.equal(after.issuerUrl, world.provider.issuer)
  assert.equal(after.grantedScopes, 'mcp')
  const { initiateMCPOAuth: again } = await gql.data(initiate, { id })
  assert.deepEqual(
    [again.success, again.authorizationUrl, again.stateParameter],
    [true, null, null],
  )

  const { refreshMCPOAuthToken: refreshed } = await gql.data(refresh, { id })
  assert.equal(refreshed.success, true)
  assert.equal(refreshed.requiresReauthorization, false)
  assert.ok(Date.parse(refreshed.expiresAt) > Date.now())
  const refreshes = world.provider.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
  assert.equal(refreshes.length, 1)

  const { revokeMCPOAuth: ended } = await gql.data(revoke, { id, reason: 'done' })
  assert.deepEqual(ended, { success: true, errorMessage: null, connectionId: id })
  const { getMCPOAuthConnectionStatus: last } = await gql.data(connectionStatus, { id })
  assert.equal(last.hasValidTokens, false)
  assert.match(last.reauthorizationReason, /was ended/)
})

onEveryDatabase('its owner is told by push, and nobody else', async (t, store) => {
  verifies(t, 'A1-15', 'S1-69', 'S1-70', 'S1-72')
  const world = await start(t, store)
  const { gql, eve, connect, doors } = world
  const id = await connect('pushed')
  const { json: own } = await doors.ask({
    path: '/api/v1/connections',
    json: { serverId: world.server.id },
    browser: world.evesBrowser,
    headers: { origin: doors.origin },
  })
  const eves = await eve.listen(t, onEvent, { id: own.id })
  const heardByEve = eves.next()
  const events = await gql.listen(t, onEvent, { id })
  const { initiateMCPOAuth: begun } = await gql.data(initiate, { id })
  const state = begun.stateParameter
  const completed = await gql.listen(t, onCompleted, { state })

  const foreign = await eve.listen(t, onCompleted, { state })
  const refused = await foreign.next()
  assert.equal(refused.errors[0].extensions.code, 'not_found')
  assert.equal(await foreign.next(), undefined)

  await world.open(await world.approve({ authorizeUrl: begun.authorizationUrl }))
  const { data } = await completed.next()
  assert.equal(data.onMCPOAuthCompleted.status, 'COMPLETED')
  assert.equal(data.onMCPOAuthCompleted.connectionId, id)
  assert.equal(await completed.next(), undefined, 'it is complete')
  const late = await gql.listen(t, onCompleted, { state })
  assert.equal((await late.next()).data.onMCPOAuthCompleted.status, 'COMPLETED')

  await gql.data(refresh, { id })
  const renewed = (await events.next()).data.onMCPOAuthEvent
  assert.equal(renewed.eventType, 'TOKEN_REFRESHED')
  assert.equal(renewed.connectionId, id)
  assert.equal(renewed.requiresUserAction, false)
  // Said at once, where a provider that is away would be waited for.
  world.provider.set({ answers: { refresh: { kind: 'oauth-error', error: 'invalid_scope' } } })
  const { refreshMCPOAuthToken: failed } = await gql.data(refresh, { id })
  assert.equal(failed.success, false)
  assert.equal(failed.requiresReauthorization, false)
  const trouble = (await events.next()).data.onMCPOAuthEvent
  assert.equal(trouble.eventType, 'TOKEN_REFRESH_FAILED')
  assert.equal(trouble.requiresUserAction, false)
  await gql.data(revoke, { id })
  const ended = (await events.next()).data.onMCPOAuthEvent
  assert.equal(ended.eventType, 'CREDENTIALS_REVOKED')
  assert.equal(ended.requiresUserAction, true)

  // The first that Eve hears of is her own.
  await eve.data(revoke, { id: own.id })
  const { data: hers } = await heardByEve
  assert.equal(hers.onMCPOAuthEvent.connectionId, own.id)
  assert.equal(hers.onMCPOAuthEvent.eventType, 'CREDENTIALS_REVOKED')
})

onEveryDatabase(
  'two browsers watch the events, and one hears nothing of the other’s sign-in',
  async (t, store) => {
    verifies(t, 'A1-15', 'S1-72')
    const world = await start(t, store)
    const { doors, connect } = world
    const heardBy = (browser: CookieBrowser) => readEvents(t, doors, browser)
    const [own, eves] = [await heardBy(world.browser), await heardBy(world.evesBrowser)]
    const id = await connect('watched')
    const state = await signInThere(world, id)
    const heard = await own.until('connection.connected')
    assert.ok(heard.includes(id))

    const evesRest = restAs(world.evesBrowser, doors.origin)
    const mark = await evesRest('POST', '/api-keys', { name: 'mark', scopes: ['api'] })
    const told = await eves.until(mark.body.id)
    for (const foreign of [id, state, world.provider.origin, 'connection.', 'state']) {
      assert.ok(!told.includes(foreign), told)
    }
  },
)

async function readEvents(t: TestContext, { origin }: Doors, browser: CookieBrowser) {
  const leaving = new AbortController()
  t.after(() => leaving.abort())
  const headers = { cookie: cookiesOf(browser) }
  const { body } = await fetch(`${origin}/api/v1/events`, { headers, signal: leaving.signal })
  assert.ok(body !== null)
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    until: async (words: string): Promise<string> => {
      while (!text.includes(words)) text += (await reader.read()).value ?? assert.fail(text)
      return text
    },
  }
}

onEveryDatabase('what is somebody else’s is as good as unknown', async (t, store) => {
  verifies(t, 'S1-10')
  const world = await start(t, store)
  const { gql, eve } = world
  const id = await world.connect('mine')
  const state = await signInThere(world, id)
  const asked: readonly (readonly [string, Variables, Variables])[] = [
    [connectionStatus, { id }, { id: 'con_unknown' }],
    [flowStatus, { state }, { state: 'flw_unknown' }],
    [initiate, { id }, { id: 'con_unknown' }],
    [revoke, { id }, { id: 'con_unknown' }],
    [refresh, { id }, { id: 'con_unknown' }],
  ]
  for (const [query, foreign, unknown] of asked) {
    const [one, other] = [await eve.ask(query, foreign), await eve.ask(query, unknown)]
    assert.equal(one.text, other.text)
    assert.equal(one.json.data, null)
    assert.equal(one.json.errors[0].extensions.code, 'not_found')
    assert.equal(one.json.errors[0].message, faultCatalogue.not_found.words)
  }
  for (const [query, foreign, unknown] of [
    [onEvent, { id }, { id: 'con_unknown' }],
    [onCompleted, { state }, { state: 'flw_unknown' }],
  ] as const) {
    const first = async (variables: Variables) => (await eve.listen(t, query, variables)).next()
    assert.deepEqual(await first(foreign), await first(unknown))
  }
  const { getMCPOAuthConnectionStatus: still } = await gql.data(connectionStatus, { id })
  assert.equal(still.hasValidTokens, true, 'nothing was ended')
})

onEveryDatabase(
  'servers, connections and flows are read as in REST, by whom they belong to',
  async (t, store) => {
    const world = await start(t, store)
    const { gql, eve, ada, server } = world
    const id = await world.connect('read')
    const state = await signInThere(world, id)
    const read = `query ($id: ID!, $state: ID!, $server: ID!) {
    servers { items { id slug url auth createdAt } nextCursor }
    server(id: $server) { id name updatedAt }
    connections(serverId: $server, label: "read", limit: 1) { items { id status authorized scopes shared } }
    connection(id: $id) { id serverName status expiresAt lastError }
    flow(id: $state) { id status connectionId beganAt endedAt trace { at step host status outcome } } }`
    const data = await gql.data(read, { id, state, server: server.id })
    const { json: inRest } = await ada('GET', `/connections/${id}`)
    assert.equal(data.servers.items[0].id, server.id)
    assert.equal(data.servers.nextCursor, null)
    assert.equal(data.server.id, server.id)
    assert.deepEqual(data.connections.items, [
      { id, status: 'connected', authorized: true, scopes: ['mcp'], shared: false },
    ])
    assert.equal(data.connection.expiresAt, new Date(inRest.expiresAt).toISOString())
    assert.equal(data.connection.serverName, inRest.serverName)
    const { json: flowInRest } = await ada('GET', `/flows/${state}`)
    assert.equal(data.flow.status, 'completed')
    assert.equal(data.flow.endedAt, new Date(flowInRest.endedAt).toISOString())
    assert.equal(data.flow.trace.length, flowInRest.trace.length)
    assert.equal(data.flow.trace[0].at, new Date(flowInRest.trace[0].at).toISOString())

    const others = await eve.data('{ connections { items { id } } servers { items { id } } }')
    assert.deepEqual(others.connections.items, [])
    assert.equal(others.servers.items.length, 1)
    for (const query of [`{ connection(id: "${id}") { id } }`, `{ flow(id: "${state}") { id } }`]) {
      const { json } = await eve.ask(query)
      assert.equal(json.errors[0].extensions.code, 'not_found')
    }
    const odd = await gql.ask('{ connections(cursor: "x") { items { id } } }')
    assert.equal(odd.json.errors[0].extensions.code, 'invalid_input')
    assert.ok(odd.json.errors[0].extensions.detail.cursor)
  },
)

test('a sign-in that nobody ends expires, and whoever waits is told', async (t) => {
  verifies(t, 'S1-46', 'S1-47')
  const clock = createManualClock(Date.now())
  const world = await startHere(t, { clock })
  const { gql } = world
  const id = await world.connect('left alone')
  const { initiateMCPOAuth: begun } = await gql.data(initiate, { id })
  const state = begun.stateParameter
  const completed = await gql.listen(t, onCompleted, { state })
  const turning = setInterval(() => void clock.advance(15_000), 5)
  t.after(() => clearInterval(turning))
  const { data } = await completed.next()
  clearInterval(turning)
  const { status, authErrorCode, authErrorDescription, isRetryable } = data.onMCPOAuthCompleted
  assert.equal(status, 'EXPIRED')
  assert.equal(authErrorCode, 'authorization_timeout')
  assert.equal(authErrorDescription, 'Authorization timed out. Please try connecting again.')
  assert.equal(isRetryable, true)
  const { initiateMCPOAuth: again } = await gql.data(initiate, { id })
  assert.notEqual(again.stateParameter, state)
})

onEveryDatabase('a stream ends with the session or the key that opened it', async (t, store) => {
  const clock = createManualClock(Date.now())
  const world = await start(t, store, { clock })
  const { doors, eve, eveId } = world
  const rest = restAs(world.evesBrowser, doors.origin)
  const made = await rest('POST', '/connections', { serverId: world.server.id })
  const byKey = await graphqlByKey(doors, world.evesBrowser)
  const { id } = made.body
  const streams = [await byKey.listen(t, onEvent, { id }), await eve.listen(t, onEvent, { id })]
  await rest('DELETE', `/api-keys/${byKey.keyId}`)
  await store.db.deleteFrom('sessions').where('user_id', '=', eveId).execute()
  // What happens now is nothing that they hear of any more.
  const evesAgain = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  await restAs(evesAgain, doors.origin)('POST', `/connections/${id}/revoke`, {})
  const turning = setInterval(() => void clock.advance(15_000), 5)
  t.after(() => clearInterval(turning))
  for (const stream of streams) assert.equal(await stream.next(), undefined)
  clearInterval(turning)
  assertAnswer(await byKey.ask(connectionStatus, { id }), { status: 401, error: 'not_signed_in' })
})

test('silence is broken now and then', async (t) => {
  const clock = createManualClock(Date.now())
  const world = await startHere(t, { clock })
  const stream = await world.gql.listen(t, onEvent, { id: await world.connect('silent') })
  const turning = setInterval(() => void clock.advance(15_000), 5)
  t.after(() => clearInterval(turning))
  assert.equal(await stream.nextBlock(), ': still here')
})

test('a person has so many streams of both kinds and no more', async (t) => {
  const world = await startHere(t)
  const { doors, gql } = world
  const id = await world.connect('many')
  const streams = []
  for (let count = 0; count < 8; count += 1) streams.push(await gql.listen(t, onEvent, { id }))
  assertAnswer(await gql.ask(onEvent, { id }), {
    status: 429,
    error: 'too_many_requests',
    has: { 'retry-after': '30' },
  })
  const events = await doors.ask({ path: '/api/v1/events', browser: world.browser })
  assertAnswer(events, { status: 429 })
})

test('who may come in, and how [X-25]', async (t) => {
  verifies(t, 'X-25')
  const world = await startHere(t)
  const { doors, browser } = world
  const id = await world.connect('guarded')
  const body = { query: connectionStatus, variables: { id } }
  const ask = (request: Partial<Ask>) => doors.ask({ path: '/graphql', json: body, ...request })
  const { origin } = doors
  assertAnswer(await ask({}), { status: 401, error: 'not_signed_in' })
  assertAnswer(await ask({ json: { query: getIntrospectionQuery() } }), { status: 401 })
  for (const headers of [
    { origin: 'https://evil.test' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin },
  ]) {
    assertAnswer(await ask({ browser, headers }), { status: 403, error: 'forbidden' })
  }
  const query = encodeURIComponent(
    `{ getMCPOAuthConnectionStatus(connectionId: "${id}") { connectionId } }`,
  )
  assertAnswer(await doors.ask({ path: `/graphql?query=${query}`, browser }), { status: 405 })
  const form = { query: connectionStatus }
  const asForm = await doors.ask({ path: '/graphql', form, browser, headers: { origin } })
  assertAnswer(asForm, { status: 415, error: 'unsupported_media_type' })
  const asText = await ask({ browser, headers: { origin, 'content-type': 'text/plain' } })
  assertAnswer(asText, { status: 415 })
  assertAnswer(await ask({ browser, json: [body, body], headers: { origin } }), { status: 422 })
  const preflight = await doors.ask({
    path: '/graphql',
    method: 'OPTIONS',
    headers: { origin: 'https://evil.test' },
  })
  assertAnswer(preflight, { status: 405, hasNot: ['access-control-allow-origin'] })

  const tokenKey = await graphqlByKey(doors, browser, ['connections:token'])
  assertAnswer(await tokenKey.ask(connectionStatus, { id }), { status: 403, error: 'forbidden' })
  const key = await graphqlByKey(doors, browser)
  const { initiateMCPOAuth: begun } = await key.data(initiate, { id })
  // A program has no browser that would come back: the person's own binds the sign-in first.
  assert.ok(begun.authorizationUrl.startsWith(`${origin}/connect/${id}`), begun.authorizationUrl)
  assert.ok(!begun.authorizationUrl.includes('state='))
})

test('a document that asks too much, or wrong things, is refused before it runs', async (t) => {
  const world = await startHere(t)
  const { gql } = world
  const id = await world.connect('costly')
  const status = `getMCPOAuthConnectionStatus(connectionId: "${id}")`
  const aliased = (count: number) =>
    `{ ${Array.from({ length: count }, (_, index) => `a${index}: ${status} { connectionId }`).join(' ')} }`
  const deep = (levels: number) => {
    const types = 'ofType { '.repeat(levels) + 'name' + ' }'.repeat(levels)
    return `{ __type(name: "Query") { ${types} } }`
  }
  const bomb = [
    `{ ${status} { ...f0 } }`,
    ...Array.from(
      { length: 12 },
      (_, at) => `fragment f${at} on MCPOAuthConnectionStatus { ...f${at + 1} ...f${at + 1} }`,
    ),
    'fragment f12 on MCPOAuthConnectionStatus { connectionId }',
  ].join(' ')
  const most = await gql.data(aliased(rootFieldsMax))
  assert.equal(Object.keys(most).length, rootFieldsMax)
  const refused: Readonly<Record<string, string>> = {
    'more aliases than one may have': aliased(rootFieldsMax + 1),
    'deeper than one may ask': deep(depthMax),
    'fragments that grow by doubling': bomb,
    'more words than a document has': `{ ${'__typename '.repeat(1_100)} }`,
    'a field that is not there': '{ secrets { value } }',
    'no document': '{',
    'an argument of another kind':
      '{ getMCPOAuthConnectionStatus(connectionId: {}) { connectionId } }',
    'a NUL in a literal': String.raw`{ getMCPOAuthConnectionStatus(connectionId: "\u0000") { connectionId } }`,
    'a text that is too long': `{ getMCPOAuthConnectionStatus(connectionId: "${'x'.repeat(1_001)}") { connectionId } }`,
    'an unnamed one of two': 'query A { __typename } query B { __typename }',
  }
  for (const [name, query] of Object.entries(refused)) {
    await t.test(name, async () => {
      const { status: answered, json, text } = await gql.ask(query)
      assert.equal(answered, 200)
      assert.ok(json.errors.length > 0, text)
      for (const { extensions } of json.errors) assert.equal(extensions.code, 'invalid_input')
      assert.ok(json.data === undefined || json.data === null, text)
      assert.doesNotMatch(text, /stack|node_modules|\.ts:/)
    })
  }
  assert.ok(fieldsMax < 2 ** 12)
  const { __schema: told } = await gql.data(getIntrospectionQuery())
  assert.ok(
    told.types.some(({ name }: { readonly name: string }) => name === 'MCPOAuthEventPayload'),
  )
})

test('each field of the root counts as a request', async (t) => {
  const world = await startHere(t, { settings: { LATCHKEY_LIMIT_SCALE: '1' } })
  const id = await world.connect('counted')
  const one = `getMCPOAuthConnectionStatus(connectionId: "${id}") { connectionId }`
  const left = async (query: string) => {
    const { headers } = await world.gql.ask(query)
    const field = headers.get('ratelimit') ?? ''
    assert.match(headers.get('ratelimit-policy') ?? '', new RegExp(`q=${limits.principal.quota}`))
    return Number(/"principal";r=(\d+)/.exec(field)?.[1])
  }
  const before = await left(`{ ${one} }`)
  assert.equal(await left(`{ a: ${one} b: ${one} c: ${one} }`), before - 3)
})

onEveryDatabase(
  'what goes wrong inside is told in our words, without its inside',
  async (t, store) => {
    const world = await start(t, store)
    await sql`alter table flows rename to flows_elsewhere`.execute(store.db)
    const { json, text } = await world.gql.ask(flowStatus, { state: 'flw_x' })
    await sql`alter table flows_elsewhere rename to flows`.execute(store.db)
    assert.equal(json.errors.length, 1)
    assert.equal(json.errors[0].extensions.code, 'internal')
    assert.equal(json.errors[0].message, faultCatalogue.internal.words)
    assert.doesNotMatch(text, /flows|sql|stack|\.ts/i)
  },
)

test('the answer has the type that is accepted', async (t) => {
  const world = await startHere(t)
  const { doors, browser } = world
  const ask = (query: string, accept: string) =>
    doors.ask({
      path: '/graphql',
      json: { query },
      browser,
      headers: { origin: doors.origin, accept },
    })
  const modern = 'application/graphql-response+json'
  assertAnswer(await ask('{ __typename }', modern), {
    status: 200,
    has: { 'content-type': /^application\/graphql-response\+json/ },
  })
  assertAnswer(await ask('{', modern), {
    status: 400,
    has: { 'content-type': /^application\/graphql-response\+json/ },
  })
  assertAnswer(await ask('{', 'application/json'), {
    status: 200,
    has: { 'content-type': 'application/json' },
  })
  const wrong = await ask('subscription { onMCPOAuthEvent(connectionId: "x") { message } }', modern)
  assertAnswer(wrong, { status: 406, error: 'not_acceptable' })
})

/** What a provider may answer at its authorization endpoint, and what the person reads of it. */
const told: Readonly<Record<string, { readonly words: string; readonly isRetryable: boolean }>> = {
  access_denied: {
    words:
      'Access was denied by the authorization server. Contact your administrator if you believe this is an error.',
    isRetryable: true,
  },
  invalid_request: {
    words: 'The authorization request was invalid. Please try connecting again.',
    isRetryable: true,
  },
  unauthorized_client: {
    words:
      'This application is not authorized to connect to this service. Contact your administrator.',
    isRetryable: false,
  },
  unsupported_response_type: {
    words: 'Connection configuration error. Please contact your administrator.',
    isRetryable: false,
  },
  invalid_scope: {
    words:
      'The requested permissions are not available. Contact your administrator to adjust the configuration.',
    isRetryable: false,
  },
  server_error: {
    words: 'The authorization server is temporarily unavailable. Please try again later.',
    isRetryable: true,
  },
  temporarily_unavailable: {
    words: 'The authorization server is temporarily unavailable. Please try again later.',
    isRetryable: true,
  },
}

test('why a sign-in elsewhere failed is told in the words of the table', async (t) => {
  const world = await startHere(t)
  const { gql, provider } = world
  for (const [error, expected] of Object.entries(told)) {
    await t.test(error, async (t) => {
      verifies(t, 'S1-70', 'S1-77')
      const id = await world.connect(error)
      provider.set({ callbackFields: { error, code: undefined } })
      const state = await signInThere(world, id)
      const { getMCPOAuthStatus: failed } = await gql.data(flowStatus, { state })
      assert.equal(failed.status, 'FAILED')
      assert.equal(failed.authErrorCode, error)
      assert.equal(failed.authErrorDescription, expected.words)
      assert.equal(failed.isRetryable, expected.isRetryable)
    })
  }
  provider.set({
    callbackFields: {},
    answers: { token: { kind: 'oauth-error', error: 'invalid_grant' } },
  })
  const state = await signInThere(world, await world.connect('too late'))
  const { getMCPOAuthStatus: late } = await gql.data(flowStatus, { state })
  assert.equal(late.authErrorDescription, 'Authorization timed out. Please try connecting again.')
})
