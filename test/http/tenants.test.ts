// Tenants over REST: an operator makes one, hands it over by a link, and it lives at its host at once; nobody else can, and
// a tenant that is off or gone is an unknown host.
import assert from 'node:assert/strict'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, ask, assertAnswer, callAs, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'

/** Where a second tenant of this platform is: the same port under another name. */
const elsewhereOf = ({ origin }: Doors, name = 'acme') =>
  origin.replace('localhost', `${name}.localhost`)

onEveryDatabase(
  'an operator makes a tenant, and its administrator takes it over',
  async (t, store) => {
    verifies(t, 'S4-10', 'S4-15')
    const doors = await openDoorsOn(t, store)
    const issuer = elsewhereOf(doors)
    const call = callAs(doors, await signIn(doors.origin))
    const once = { 'idempotency-key': 'one' }
    const input = { slug: 'acme-co', issuer, name: 'Acme' }
    const made = await call('POST', '/tenants', input, once)
    assertAnswer(made, { status: 201 })
    const again = await call('POST', '/tenants', input, once)
    assert.deepEqual(again.json, made.json)
    assertAnswer(await call('POST', '/tenants', input), { status: 409, error: 'conflict' })
    const metadata = await ask(issuer, { path: '/.well-known/oauth-authorization-server' })
    assert.equal(metadata.json.issuer, issuer)
    const keys = async (origin: string) => (await ask(origin, { path: '/oauth/jwks' })).text
    assert.notEqual(await keys(issuer), await keys(doors.origin))

    const { id } = made.json
    const link = await call('POST', `/tenants/${id}/setup-link`, {})
    assertAnswer(link, { status: 201 })
    doors.alsoSecret([new URL(link.json.url).searchParams.get('link') ?? ''])
    const browser = createCookieBrowser()
    const page = await browser.open(link.json.url)
    assert.match(page.html, /the administrator of/)
    await browser.submit({ fields: { email: 'eve@example.com', password: operator.password } })
    const asEve = callAs(
      { ...doors, origin: issuer, ask: (request) => ask(issuer, request) },
      browser,
    )
    assertAnswer(await asEve('GET', '/servers'), { status: 200 })
    assertAnswer(await asEve('GET', '/clients'), { status: 200 })
    const refusal = { status: 403, error: 'forbidden' }
    for (const [method, path] of [
      ['GET', '/tenants'],
      ['POST', '/tenants'],
      ['GET', `/tenants/${id}`],
      ['DELETE', `/tenants/${id}`],
      ['POST', `/tenants/${id}/setup-link`],
    ] as const) {
      assertAnswer(await asEve(method, path, method === 'POST' ? {} : undefined), refusal)
    }
    assertAnswer(await call('POST', `/tenants/${id}/setup-link`, {}), { status: 409 })

    const { items } = (await call('GET', '/tenants')).json
    assert.deepEqual(
      items.map(({ slug }: { readonly slug: string }) => slug),
      ['default', 'acme-co'],
    )
    assert.deepEqual((await call('GET', `/tenants/${id}`)).json, made.json)
    const looks = { accent: '#112233', supportContact: 'help@acme.test', limitScale: 2 }
    assertAnswer(await call('PATCH', `/tenants/${id}`, looks), { status: 200 })
    assertAnswer(await call('PATCH', `/tenants/${id}`, { limitScale: null }), { status: 200 })
    for (const [callContentDays, kept] of [
      [1, 1],
      [90, 90],
      [null, undefined],
    ] as const) {
      const changed = await call('PATCH', `/tenants/${id}`, { callContentDays })
      assert.equal(changed.json.callContentDays, kept)
    }
    for (const callContentDays of [0, 91, 1.5]) {
      const odd = await call('PATCH', `/tenants/${id}`, { callContentDays })
      assertAnswer(odd, { status: 422, error: 'invalid_input', says: /callContentDays/ })
    }
    const bad = await call('PATCH', `/tenants/${id}`, { issuer: 'https://x.test/t/acme' })
    assertAnswer(bad, { status: 422, error: 'invalid_input', says: /"issuer"/ })
    assertAnswer(await call('PATCH', '/tenants/ten_x', {}), { status: 404, error: 'not_found' })
  },
)

onEveryDatabase(
  'a tenant that is off or gone is an unknown host at once, on every instance',
  async (t, store, openAnother) => {
    const key = { LATCHKEY_KEY: Buffer.alloc(32, 7).toString('base64url') }
    const doors = await openDoorsOn(t, store, { settings: key })
    const issuer = elsewhereOf(doors)
    const call = callAs(doors, await signIn(doors.origin))
    const { id } = (await call('POST', '/tenants', { slug: 'acme-co', issuer })).json
    const { host } = new URL(issuer)
    const other = await openDoorsOn(t, await openAnother(), {
      settings: { ...key, LATCHKEY_PUBLIC_URL: doors.origin },
    })
    const statuses = async () => {
      const asked = { path: '/.well-known/oauth-authorization-server', headers: { host } }
      const answers = [await ask(doors.origin, asked), await ask(other.origin, asked)]
      const toGateway = await ask(doors.origin, { path: '/some/mcp', headers: { host } })
      return [...answers, toGateway].map(({ status }) => status)
    }
    assert.deepEqual(await statuses(), [200, 200, 404])
    assertAnswer(await call('PATCH', `/tenants/${id}`, { disabled: true }), { status: 200 })
    assert.deepEqual(await statuses(), [421, 421, 421])
    await call('PATCH', `/tenants/${id}`, { disabled: false })
    assert.deepEqual(await statuses(), [200, 200, 404])
    assertAnswer(await call('DELETE', `/tenants/${id}`), { status: 204 })
    assert.deepEqual(await statuses(), [421, 421, 421])
    const { items } = (await call('GET', '/journal')).json
    assert.ok(items.some(({ type }: { readonly type: string }) => type === 'tenant.deleted'))
  },
)

onEveryDatabase('an administrator of the default tenant is no operator', async (t, store) => {
  verifies(t, 'S4-10')
  const doors = await openDoorsOn(t, store)
  const id = await addPerson(doors, 'bob@example.com')
  await store.db.updateTable('users').set({ role: 'admin' }).where('id', '=', id).execute()
  const call = callAs(doors, await signIn(doors.origin, { ...operator, email: 'bob@example.com' }))
  assertAnswer(await call('GET', '/clients'), { status: 200 })
  assertAnswer(await call('GET', '/tenants'), { status: 403, error: 'forbidden' })
  const { tenant } = doors.platform
  // The same, whether there is such a tenant or not.
  assertAnswer(await call('GET', `/tenants/${tenant.id}`), { status: 403 })
  assertAnswer(await call('GET', '/tenants/ten_x'), { status: 403 })
})
