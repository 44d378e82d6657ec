// The pages of people: who looks after a tenant finds them, adds one, changes what they may do, ends what is theirs, and is
// told in words what cannot be done.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operator, restAs, signIn } from '../harness.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoors, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'
import { isActive, obtainTokens, refresh, register } from './oauth-client.ts'

const email = 'grace@example.com'

/** The page of one person, found by their address. */
async function openPerson({ origin }: Doors, browser: CookieBrowser, who: string) {
  await browser.open(`${origin}/console/people?search=${encodeURIComponent(who)}`)
  return browser.follow('Edit')
}

/** The password that a page shows. */
function passwordOn(html: string): string {
  return /<code>([\w-]{43})<\/code>/.exec(html)?.[1] ?? assert.fail('no password is shown')
}

onEveryDatabase('a person is added, found, changed, shut out and removed', async (t, store) => {
  verifies(t, 'S4-10', 'S4-45')
  const doors = await openDoorsOn(t, store)
  const { origin, alsoSecret } = doors
  const ada = await signIn(origin)
  const at = `${origin}/console/people`
  await ada.open(at)
  const made = await ada.submit({
    fields: { email: 'Grace@Example.com', name: '<b>Grace</b>', role: 'admin' },
    button: 'Add',
  })
  assert.equal(made.status, 200)
  const password = passwordOn(made.html)
  alsoSecret([password])
  assert.ok(!made.url.includes(password))
  const listed = await ada.open(at)
  assert.ok(!listed.html.includes(password), 'it is shown once')
  assert.match(listed.html, /&lt;b&gt;Grace&lt;\/b&gt;/)
  assert.match(listed.html, /Has not signed in yet/)

  const grace = await signIn(origin, { email, password })
  assert.equal((await grace.open(at)).status, 200, 'an administrator sees the page')
  const page = await openPerson(doors, ada, email)
  assert.match(page.html, /Administrator/)
  const saved = await ada.submit({ fields: { name: 'Grace', role: 'user' }, button: 'Save' })
  assert.match(saved.html, /Saved\./)
  assert.equal((await grace.open(at)).status, 403, 'from the next request on')
  const refused = await ada.submit({ fields: { name: '' }, button: 'Save' })
  assert.equal(refused.status, 422)
  assert.match(refused.html, /A name has 1 to 80 characters/)

  await ada.submit({ button: 'Switch off' })
  assert.match(ada.current().html, /Switched off\. They are signed out/)
  assert.match((await grace.open(at)).url, /\/sign-in/)
  await ada.submit({ button: 'Switch on' })
  const renewed = await ada.submit({ button: 'Make a new password' })
  const next = passwordOn(renewed.html)
  alsoSecret([next])
  assert.notEqual(next, password)
  const again = restAs(await signIn(origin, { email, password: next }), origin)
  assert.equal((await again('GET', '/connections')).status, 200)

  const gone = await ada.submit({ button: 'Remove' })
  assert.equal(gone.url, at)
  assert.ok(!gone.html.includes(email))
  assert.equal((await again('GET', '/connections')).status, 401)
})

onEveryDatabase('all that acts for a person ends at once, and they come back', async (t, store) => {
  verifies(t, 'S4-10')
  const doors = await openDoorsOn(t, store)
  const { origin } = doors
  await addPerson(doors, email)
  const grace = await signIn(origin, { ...operator, email })
  const client = await register(doors)
  const { accessToken, refreshToken } = await obtainTokens(doors, grace, client)
  grace.setStopAt(() => false)
  const rest = restAs(grace, origin)
  const key = (await rest('POST', '/api-keys', { name: 'x', scopes: ['api'] })).body.key as string
  const byKey = { path: '/api/v1/grants', headers: { authorization: `Bearer ${key}` } }
  assert.equal((await doors.ask(byKey)).status, 200)
  assert.equal(await isActive(doors, accessToken), true)

  const ada = await signIn(origin)
  await openPerson(doors, ada, email)
  assert.match((await ada.submit({ button: 'End all access' })).html, /All their access has ended/)
  assert.equal((await rest('GET', '/grants')).status, 401)
  assert.equal((await doors.ask(byKey)).status, 401)
  assert.equal(await isActive(doors, accessToken), false)
  assert.equal((await refresh(doors, client, refreshToken)).status, 400)

  const back = restAs(await signIn(origin, { ...operator, email }), origin)
  assert.deepEqual((await back('GET', '/grants')).body.items, [])
  const { items } = (await restAs(ada, origin)('GET', '/journal')).body
  const told = items.filter(({ type }: { type: string }) => /revoked|access_ended/.test(type))
  assert.deepEqual(
    told.map(({ type, actor }: { type: string; actor: { kind: string } }) => [type, actor.kind]),
    [
      ['api_key.revoked', 'user'],
      ['grant.revoked', 'user'],
      ['user.access_ended', 'user'],
    ],
  )
})

test('nobody lowers, shuts out or removes themself, and an admin reaches no operator', async (t) => {
  verifies(t, 'S4-10', 'S4-45')
  const doors = await openDoors(t)
  const { origin } = doors
  const ada = await signIn(origin)
  const own = await openPerson(doors, ada, operator.email)
  assert.match(own.html, /This is you\. Only another administrator/)
  assert.ok(!own.html.includes('value="remove"') && !own.html.includes('value="disable"'))

  // Whoever sends the form by hand is told the same.
  const token = /name="form_token" value="([^"]+)"/.exec(own.html)?.[1] ?? assert.fail('no token')
  const send = (browser: CookieBrowser, url: string, form: Readonly<Record<string, string>>) =>
    doors.ask({ path: url, method: 'POST', browser, form, headers: { origin } })
  for (const form of [
    { action: 'disable' },
    { action: 'remove' },
    { action: 'save', role: 'user' },
    { action: 'save', role: 'admin' },
  ]) {
    const answer = await send(ada, own.url, { form_token: token, ...form })
    assert.equal(answer.status, 409, JSON.stringify(form))
    assert.match(answer.text, /This is you\. Ask another administrator/)
  }
  assert.equal((await send(ada, own.url, { form_token: token, action: 'x' })).status, 403)

  const id = await addPerson(doors, email)
  await restAs(ada, origin)('PATCH', `/users/${id}`, { role: 'admin' })
  const grace = await signIn(origin, { ...operator, email })
  const seen = await openPerson(doors, grace, operator.email)
  assert.match(seen.html, /Only operators change operators/)
  assert.ok(!seen.html.includes('value="password"'))
  await grace.open(`${origin}/console/people`)
  assert.ok(!grace.current().html.includes('value="operator"'), 'no admin makes an operator')
  const hers = /name="form_token" value="([^"]+)"/.exec(grace.current().html)?.[1] ?? ''
  for (const action of ['password', 'end', 'disable', 'remove']) {
    const answer = await send(grace, own.url, { form_token: hers, action })
    assert.equal(answer.status, 403, action)
    assert.match(answer.text, /You may not do this/)
  }
})

onEveryDatabase(
  'people are found by a part of what they are called, a page at a time',
  async (t, store) => {
    const doors = await openDoorsOn(t, store)
    const { origin } = doors
    const ada = await signIn(origin)
    const rest = restAs(ada, origin)
    const at = `${origin}/console/people`
    for (const [address, name] of [
      ['joe@example.com', 'Joe_100%'],
      ['jane@example.com', 'JANE'],
    ] as const) {
      assert.equal((await rest('POST', '/users', { email: address, name })).status, 201)
    }
    const found = async (search: string) => {
      const { html } = await ada.open(`${at}?${String(new URLSearchParams({ search }))}`)
      return ['joe@example.com', 'jane@example.com'].filter((one) => html.includes(`<bdi>${one}`))
    }
    assert.deepEqual(await found('JANE@ex'), ['jane@example.com'])
    assert.deepEqual(await found('jane'), ['jane@example.com'])
    assert.deepEqual(await found(' _100% '), ['joe@example.com'])
    assert.deepEqual(await found('%'), ['joe@example.com'], 'a sign of the search is a character')
    assert.deepEqual(await found('!'), [])
    assert.match(ada.current().html, /Nobody is found/)
    assert.deepEqual(await found('a\0@'), [])
    assert.deepEqual(await found(''), ['joe@example.com', 'jane@example.com'])
    assert.equal((await ada.open(`${at}/usr_nobody`)).status, 404)

    for (let count = 0; count < 51; count += 1) await addPerson(doors, `many${count}@example.com`)
    await ada.open(`${at}?search=many`)
    const first = ada.current().html.match(/<bdi>many\d+@/g) ?? []
    const second = (await ada.follow('Show more')).html.match(/<bdi>many\d+@/g) ?? []
    assert.deepEqual([first.length, second.length], [50, 1])
    assert.equal(new Set([...first, ...second]).size, 51)
  },
)

test('what was typed in vain is still there, and it is said what is wrong', async (t) => {
  const doors = await openDoors(t)
  const ada = await signIn(doors.origin)
  await ada.open(`${doors.origin}/console/people`)
  for (const [typed, status, says] of [
    ['nobody', 422, /Enter an e-mail address/],
    [operator.email, 409, /A person with this e-mail exists already/],
  ] as const) {
    const page = await ada.submit({
      fields: { email: typed, name: 'Bo', role: 'admin' },
      button: 'Add',
    })
    assert.equal(page.status, status)
    assert.match(page.html, says)
    assert.match(page.html, new RegExp(`value="${typed}"`))
    assert.match(page.html, /value="admin" checked/)
    assert.match(page.html, /name="name"[^>]+value="Bo"/)
  }
  const { body } = await restAs(ada, doors.origin)('GET', '/users')
  assert.equal(body.items.length, 1)
})
