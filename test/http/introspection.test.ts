// What a token is for, and who is told: it opens the one server that it was asked for, and introspection says so to that
// server alone (threats 5, row 34; RFC 7662, RFC 8707; P-12, P-24, P-46).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { restAs, signIn } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoors } from './doors.ts'
import type { Ask, Fields } from './doors.ts'
import { basic, obtainCode, obtainTokens, redeem, refresh, register } from './oauth-client.ts'

const has = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const
const inactive = '{"active":false}'

/** Two servers whose addresses begin alike, each with the client by which it asks about its tokens. */
async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const upstream = await startOpenMcpServer()
  t.after(upstream.stop)
  const { ask, origin } = doors
  const browser = await signIn(origin)
  const rest = restAs(browser, origin)
  const addServer = async (slug: string) => {
    const added = await rest('POST', '/servers', { url: upstream.url, auth: 'none', slug })
    assert.equal(added.status, 201, JSON.stringify(added.body))
    const resource = `${origin}/${slug}/mcp`
    const facts = { redirectUris: [], grantTypes: ['client_credentials'], resource }
    const { body } = await rest('POST', '/clients', { name: slug, ...facts })
    const proof = basic(body.id, body.clientSecret)
    const introspect = (token: string) =>
      ask({ path: '/oauth/introspect', form: { token }, headers: proof })
    return { resource, proof, introspect }
  }
  const notes = await addServer('notes')
  const admin = await addServer('notes-admin')
  const client = await register(doors)
  const call = (path: string, token: string) =>
    ask({
      path,
      headers: { authorization: `Bearer ${token}`, accept: 'application/json, text/event-stream' },
      json: { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} },
    })
  const assertForNotesOnly = async (token: string) => {
    assertAnswer(await call('/notes/mcp', token), { status: 200 })
    for (const path of ['/notes-admin/mcp', '/mcp']) {
      assertAnswer(await call(path, token), {
        status: 401,
        error: 'invalid_token',
        has: { 'www-authenticate': /error="invalid_token"/ },
      })
    }
    const { json } = await notes.introspect(token)
    assert.deepEqual([json.active, json.aud], [true, notes.resource])
    assert.equal((await admin.introspect(token)).text, inactive)
  }
  return { clock, doors, browser, client, notes, admin, assertForNotesOnly }
}

test('a token is for the resource that it was asked for, from its first to its last', async (t) => {
  const { doors, browser, client, notes, admin, assertForNotesOnly } = await start(t)
  const resource = notes.resource

  await t.test('its neighbours refuse it, however alike their names [P-12] [P-24]', async (t) => {
    verifies(t, 'P-12', 'P-24')
    const { accessToken } = await obtainTokens(doors, browser, client, { resource })
    await assertForNotesOnly(accessToken)
  })

  const tooWide = { status: 400, error: 'invalid_target', has } as const
  await t.test('neither a code nor a refresh token is for another one [P-46]', async (t) => {
    verifies(t, 'P-46', 'P-09')
    const code = await obtainCode(doors, browser, client, { resource })
    for (const other of [admin.resource, `${doors.origin}/mcp`]) {
      assertAnswer(await redeem(doors, client, code, { resource: other }), tooWide)
    }
    const first = await redeem(doors, client, code)
    assertAnswer(first, { status: 200 })
    await assertForNotesOnly(first.json.access_token)
    for (const other of [admin.resource, `${doors.origin}/mcp`]) {
      const answer = await refresh(doors, client, first.json.refresh_token, { resource: other })
      assertAnswer(answer, tooWide)
    }
    const second = await refresh(doors, client, first.json.refresh_token)
    assertAnswer(second, { status: 200 })
    await assertForNotesOnly(second.json.access_token)
  })
})

test('whom introspection answers, and what it does not tell [row 34]', async (t) => {
  const { clock, doors, browser, client, notes, admin } = await start(t)
  const { accessToken: token, refreshToken } = await obtainTokens(doors, browser, client, {
    resource: notes.resource,
  })
  const post = (fields: Fields, headers: Ask['headers'] = {}): Ask => ({
    path: '/oauth/introspect',
    form: { token, ...fields },
    headers,
  })
  const challenge = { ...has, 'www-authenticate': /^Basic realm="[^"]+"/ }

  const strangers: readonly (readonly [string, Ask, typeof has | typeof challenge])[] = [
    ['nobody', post({}), has],
    ['the public client whose token it is', post({ client_id: client.id }), has],
    ['an unknown client', post({ client_id: 'mcp_oauth_x', client_secret: 'x' }), has],
    ['a wrong secret in the header', post({}, basic('mcp_oauth_x', 'x')), challenge],
    ['the token itself as proof', post({}, { authorization: `Bearer ${token}` }), challenge],
  ]
  for (const [name, request, headers] of strangers) {
    await t.test(`${name}: 401 invalid_client [row 34]`, async (t) => {
      verifies(t, 'T-34', 'X-37')
      const answer = await doors.ask(request)
      assertAnswer(answer, {
        status: 401,
        error: 'invalid_client',
        has: headers,
        neverSays: ['active'],
      })
    })
  }

  const assertUntold = async (wrong: string, who = notes) => {
    const answer = await who.introspect(wrong)
    assertAnswer(answer, { status: 200, has })
    assert.equal(answer.text, inactive)
  }
  await t.test('unknown and foreign ones are inactive, and nothing more [row 34]', async (t) => {
    verifies(t, 'T-34', 'X-37')
    assert.equal((await notes.introspect(token)).json.active, true)
    await assertUntold(token, admin)
    for (const wrong of ['x', 'mcp_at_x', `${token}x`, token.toUpperCase(), refreshToken]) {
      await assertUntold(wrong)
    }
  })

  await t.test('its last moment and the first after it [row 34]', async (t) => {
    verifies(t, 'T-34')
    await clock.advance(3_599_999)
    assert.equal((await notes.introspect(token)).json.active, true)
    await clock.advance(1)
    await assertUntold(token)
  })
})
