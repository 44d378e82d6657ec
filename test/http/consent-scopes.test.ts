// A person ticks what they give: exactly that is granted, said in the token answer and remembered (A3-4).
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Store } from '../../src/store/database.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, fieldOn, openDoorsOn } from './doors.ts'
import type { Fields } from './doors.ts'
import { authorizePath, postToken, redeem, refresh, register } from './oauth-client.ts'

const both = 'memories:read memories:write'
const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code'

/** Doors with a server whose scopes open different tools, and somebody who is signed in. */
async function openMemories(t: TestContext, store: Store) {
  const upstream = await startOpenMcpServer()
  t.after(() => upstream.stop())
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const toolScopes = [
    { scope: 'memories:read', tools: ['echo'] },
    { scope: 'memories:write', tools: ['*'] },
  ]
  await restAs(browser, doors.origin)('POST', '/servers', {
    url: upstream.url,
    slug: 'memories',
    toolScopes,
  })
  return { doors, browser, resource: `${doors.origin}/memories/mcp` }
}

onEveryDatabase('each scope is given or left out', async (t, store) => {
  verifies(t, 'A3-4', 'S3-28', 'S3-32', 'S1-88', 'A16')
  const { doors, browser, resource } = await openMemories(t, store)
  const { ask, origin } = doors
  const client = await register(doors)
  browser.setStopAt((url) => url.origin !== origin)
  const open = async (scope: string) => {
    const { html } = await browser.open(origin + authorizePath(client, { resource, scope }))
    return { html, request: fieldOn(html, 'request'), form_token: fieldOn(html, 'form_token') }
  }
  const answer = (question: Fields, scope: string | readonly string[] | undefined) =>
    ask({
      path: '/oauth/consent',
      browser,
      headers: { origin, 'sec-fetch-site': 'same-origin' },
      form: {
        request: question['request'],
        form_token: question['form_token'],
        decision: 'approve',
        scope,
      },
    })

  const question = await open(both)
  assert.equal(question.html.match(/<input type="checkbox" name="scope"[^>]*checked/g)?.length, 2)
  assert.match(
    question.html,
    /You can take this back at any time under\s+<a href="\/console\/apps">/,
  )
  for (const scope of ['mcp', 'openid', ['memories:read', 'admin'], '', both]) {
    assertAnswer(await answer(question, scope), { status: 403, hasNot: ['location'] })
  }
  const nothing = await answer(question, undefined)
  assertAnswer(nothing, { status: 422, hasNot: ['location'], says: /Tick at least one/ })
  assert.equal(fieldOn(nothing.text, 'request'), question.request)

  const given = await answer(question, ['memories:read', 'memories:read'])
  assertAnswer(given, { status: 303 })
  const code = new URL(given.headers.get('location') ?? '').searchParams.get('code') ?? ''
  const tokens = await redeem(doors, client, code, { resource })
  assert.equal(tokens.json.scope, 'memories:read')
  const refreshed = await refresh(doors, client, tokens.json.refresh_token)
  assert.equal(refreshed.json.scope, 'memories:read')
  assertAnswer(await refresh(doors, client, refreshed.json.refresh_token, { scope: both }), {
    status: 400,
    error: 'invalid_scope',
  })
  const grant = await store.db.selectFrom('grants').selectAll().executeTakeFirstOrThrow()
  assert.equal(grant.scope, 'memories:read')
  const consent = await store.db.selectFrom('consents').selectAll().executeTakeFirstOrThrow()
  assert.equal(consent.scope, 'memories:read')

  // One scope alone leaves nothing to choose.
  const single = await open('memories:write')
  assert.ok(!single.html.includes('type="checkbox"'))
  assert.equal(fieldOn(single.html, 'scope'), 'memories:write')
})

onEveryDatabase('a device is given what was ticked, and no more', async (t, store) => {
  verifies(t, 'A3-4')
  const { doors, browser, resource } = await openMemories(t, store)
  const { ask, origin } = doors
  const client = await register(doors, {
    redirect_uris: [],
    grant_types: [deviceCodeGrant, 'refresh_token'],
  })
  const open = async (scope: string) => {
    const form = { client_id: client.id, resource, scope }
    const begun = await ask({ path: '/oauth/device_authorization', form })
    await browser.open(`${origin}/device`)
    const { html } = await browser.submit({ fields: { user_code: begun.json.user_code } })
    const fields = { request: fieldOn(html, 'request'), form_token: fieldOn(html, 'form_token') }
    const poll = () =>
      postToken(doors, client, {
        grant_type: deviceCodeGrant,
        device_code: begun.json.device_code,
      })
    return { html, fields, poll }
  }
  const answer = (fields: Fields, scope: string | readonly string[] | undefined) =>
    ask({
      path: '/device/decision',
      browser,
      headers: { origin, 'sec-fetch-site': 'same-origin' },
      form: { ...fields, decision: 'approve', scope },
    })

  const { html, fields, poll } = await open(both)
  assert.equal(html.match(/<input type="checkbox" name="scope"[^>]*checked/g)?.length, 2)
  for (const scope of ['mcp', 'openid', ['memories:read', 'admin'], '', both]) {
    assertAnswer(await answer(fields, scope), { status: 403, hasNot: ['location'] })
  }
  const nothing = await answer(fields, undefined)
  assertAnswer(nothing, { status: 422, hasNot: ['location'], says: /Tick at least one/ })
  assert.equal(fieldOn(nothing.text, 'request'), fields.request)
  assert.equal((await poll()).json.error, 'authorization_pending')

  assertAnswer(await answer(fields, ['memories:read', 'memories:read']), { status: 303 })
  const tokens = await poll()
  assert.equal(tokens.json.scope, 'memories:read')
  const refreshed = await refresh(doors, client, tokens.json.refresh_token)
  assert.equal(refreshed.json.scope, 'memories:read')
  assertAnswer(await refresh(doors, client, refreshed.json.refresh_token, { scope: both }), {
    status: 400,
    error: 'invalid_scope',
  })
  const grant = await store.db.selectFrom('grants').selectAll().executeTakeFirstOrThrow()
  assert.equal(grant.scope, 'memories:read')
  const given = await store.db
    .selectFrom('journal_entries')
    .select('data')
    .where('type', '=', 'consent.given')
    .executeTakeFirstOrThrow()
  assert.deepEqual(JSON.parse(given.data).scopes, ['memories:read'])

  // One scope alone leaves nothing to choose.
  const single = await open('memories:write')
  assert.ok(!single.html.includes('type="checkbox"'))
  assert.equal(fieldOn(single.html, 'scope'), 'memories:write')
})
