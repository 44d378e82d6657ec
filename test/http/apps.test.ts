// Apps with access and clients, at their doors: whose grants a person sees and ends, that an end holds on every instance,
// and what only administrators may do.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { operator, restAs, signIn, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, assertAnswer, fieldOn, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { isActive, obtainTokens, refresh, register } from './oauth-client.ts'

const page = { 'content-type': /^text\/html/, 'cache-control': 'no-store' } as const

function post({ ask, origin }: Doors, browser: CookieBrowser, path: string) {
  return (form: Record<string, string>) =>
    ask({ path, browser, form, headers: { origin, 'sec-fetch-site': 'same-origin' } })
}

onEveryDatabase(
  'what a person takes back ends on the next request, on every instance',
  async (t, store, openAnother) => {
    verifies(t, 'S3-47', 'A3-14')
    const settings = { LATCHKEY_KEY: randomBytes(32).toString('base64url') }
    const doors = await openDoorsOn(t, store, { settings })
    const { ask, origin } = doors
    const elsewhere = await startTestPlatform(t, await openAnother(), {
      settings: { ...settings, LATCHKEY_PUBLIC_URL: origin },
    })
    const browser = await signIn(origin)
    const client = await register(doors)
    const { accessToken, refreshToken } = await obtainTokens(doors, browser, client)
    const callElsewhere = async () => {
      const answer = await elsewhere.platform.fetch(
        new Request(`${origin}/mcp`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${accessToken}`,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
          },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
        }),
      )
      await answer.text()
      return answer.status
    }
    assert.equal(await isActive(doors, accessToken), true)
    assert.equal(await callElsewhere(), 200)

    const shown = await ask({ path: '/console/apps', browser })
    assertAnswer(shown, { status: 200, has: page, says: /An app/ })
    const take = post(doors, browser, '/console/apps')
    const grant = fieldOn(shown.text, 'grant')
    const form = { grant, form_token: fieldOn(shown.text, 'form_token') }
    await addPerson(doors, 'eve@example.com')
    const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
    const hers = await ask({ path: '/console/apps', browser: eve })
    assert.ok(hers.text.includes('No app has access yet') && !hers.text.includes('An app'))

    assertAnswer(await take({ ...form, form_token: '' }), { status: 403 })
    assertAnswer(await post(doors, eve, '/console/apps')(form), { status: 403 })
    assert.equal((await restAs(eve, origin)('DELETE', `/grants/${grant}`)).status, 404)
    assert.equal(await isActive(doors, accessToken), true)

    assertAnswer(await take(form), { status: 303, has: { location: '/console/apps' } })
    assert.equal(await isActive(doors, accessToken), false)
    assert.equal(await callElsewhere(), 401)
    assertAnswer(await refresh(doors, client, refreshToken), {
      status: 400,
      error: 'invalid_grant',
    })
    assertAnswer(await take(form), { status: 303 })
    assert.deepEqual((await restAs(browser, origin)('GET', '/grants')).body, { items: [] })
    assertAnswer(await ask({ path: '/console/apps' }), {
      status: 302,
      has: { location: '/sign-in?next=%2Fconsole%2Fapps' },
    })
  },
)

onEveryDatabase('grants come in pages over REST and on the page', async (t, store) => {
  verifies(t, 'S3-48')
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const rest = restAs(browser, doors.origin)
  await obtainTokens(doors, browser, await register(doors))
  const [known] = await store.db.selectFrom('grants').selectAll().execute()
  const more = Array.from({ length: 60 }, (_, index) => ({
    ...known!,
    id: `grt_${index}`,
    use_count: index,
  }))
  await store.db.insertInto('grants').values(more).execute()
  const first = (await rest('GET', '/grants?limit=50')).body
  assert.equal(first.items.length, 50)
  const second = (await rest('GET', `/grants?cursor=${first.nextCursor}`)).body
  assert.equal(second.items.length, 11)
  assert.equal('nextCursor' in second, false)
  const ids = [...first.items, ...second.items].map(({ id }: { id: string }) => id)
  assert.equal(new Set(ids).size, 61)
  assert.equal((await rest('GET', '/grants?cursor=x')).status, 422)

  const { text } = await doors.ask({ path: '/console/apps', browser })
  const next = /href="(\/console\/apps\?cursor=[^"]+)"/.exec(text)?.[1] ?? assert.fail('no link')
  const rest_ = await doors.ask({ path: next, browser })
  assert.equal(rest_.text.match(/name="grant"/g)?.length, 11)
})

onEveryDatabase(
  'administrators manage clients on their page, and nobody else',
  async (t, store) => {
    verifies(t, 'S3-48')
    const doors = await openDoorsOn(t, store)
    const { ask, origin } = doors
    const browser = await signIn(origin)
    const confidential = await register(doors, {
      client_name: 'Keeper',
      token_endpoint_auth_method: 'client_secret_post',
    })
    const path = '/console/clients'
    const shown = await ask({ path, browser })
    assertAnswer(shown, { status: 200, has: page, says: /Keeper/ })
    const form = { client: confidential.id, form_token: fieldOn(shown.text, 'form_token') }
    const act = post(doors, browser, path)
    const { accessToken } = await obtainTokens(doors, browser, confidential)
    assertAnswer(await ask({ path, browser }), { status: 200, says: /1 grant, not used yet/ })

    assertAnswer(await act({ ...form, action: 'disable' }), {
      status: 303,
      has: { location: path },
    })
    assert.equal(await isActive(doors, accessToken), false)
    assertAnswer(await ask({ path, browser }), { status: 200, says: /Switched off/ })
    assertAnswer(await act({ ...form, action: 'enable' }), { status: 303 })
    assert.equal(await isActive(doors, accessToken), true)

    const rotated = await act({ ...form, action: 'rotate' })
    assertAnswer(rotated, { status: 200, has: page })
    const secret = /mcp_cs_[\w-]{43}/.exec(rotated.text)?.[0] ?? assert.fail('no secret is shown')
    await obtainTokens(doors, browser, { ...confidential, secret })
    assertAnswer(await ask({ path, browser }), { status: 200, neverSays: [secret, /mcp_cs_/] })
    const open = await register(doors)
    assertAnswer(await act({ ...form, client: open.id, action: 'rotate' }), {
      status: 422,
      says: /proves itself without a secret/,
    })
    assertAnswer(await act({ ...form, action: 'erase' }), { status: 403 })
    assertAnswer(await act({ ...form, client: 'nobody', action: 'disable' }), { status: 404 })

    await addPerson(doors, 'eve@example.com')
    const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
    assertAnswer(await ask({ path, browser: eve }), { status: 403, neverSays: ['Keeper'] })
    assertAnswer(await post(doors, eve, path)({ ...form, action: 'disable' }), { status: 403 })
    assertAnswer(await ask({ path }), { status: 302 })
    const console_ = await ask({ path: '/console/connections', browser: eve })
    assertAnswer(console_, { status: 200, says: /Apps with access/, neverSays: [path] })
  },
)
