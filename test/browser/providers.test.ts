// The pages of sign-in providers in a real browser: the address is looked at by itself, and only then the rest is asked for; the
// same without scripts, by a button.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startIdentityProvider } from '../fakes/identity-provider.ts'
import { verifies } from '../requirements.ts'
import { fits, openBrowser, signIn } from './in-a-browser.ts'

const secret = 'a very secret secret of ours'

test('the form of a new provider looks at its address two seconds after the last key', async (t) => {
  verifies(t, 'S4-37', 'S4-38', 'S4-39', 'S4-41', 'A4-13')
  const browsing = await openBrowser(t)
  if (browsing === undefined) return
  const { page, origin, problems, picture, alsoSecret } = browsing
  const idp = await startIdentityProvider()
  t.after(() => idp.stop())
  alsoSecret([secret])
  await signIn(browsing)
  await page.clock.install()
  await page.goto(`${origin}/console/providers`)
  assert.match(await page.locator('main').innerText(), /There is no provider yet/)

  const create = page.getByRole('button', { name: 'Create' })
  const looks: string[] = []
  const answers = Promise.withResolvers<void>()
  await page.route('**/console/providers', async (route) => {
    const asked = route.request().postData() ?? ''
    if (!asked.includes('action=check')) return route.continue()
    looks.push(asked)
    await answers.promise
    return route.continue()
  })
  await page.getByLabel('Name').fill('Company')
  await page.getByLabel('OAuth server URL').fill(idp.origin)
  await page.clock.runFor(1999)
  assert.equal(looks.length, 0)
  assert.equal(await create.isDisabled(), true)
  assert.equal(await page.getByLabel('Client ID').count(), 0)
  await page.clock.runFor(1)
  await page.getByText('Looking at the provider…').waitFor()
  answers.resolve()
  await page.getByText(`Found ${idp.origin}`).waitFor()
  assert.equal(looks.length, 1)
  assert.match(
    await page.locator('[data-found]').innerText(),
    new RegExp(`${origin}/sign-in/company/callback`),
  )
  await picture(page, 'providers-found')
  await fits(page)

  await page.getByLabel('Client ID').fill('us')
  const secretField = page.getByLabel('Client secret')
  await secretField.fill(secret)
  assert.equal(await secretField.getAttribute('type'), 'password')
  await page.getByRole('button', { name: 'Show' }).click()
  assert.equal(await secretField.getAttribute('type'), 'text')
  await page.getByRole('button', { name: 'Hide' }).click()

  // Another address is looked at anew, and one that leads nowhere cannot be entered.
  await page.getByLabel('OAuth server URL').fill(`${idp.origin}/nowhere`)
  assert.equal(await create.isDisabled(), true)
  await page.clock.runFor(2000)
  await page.getByRole('alert').waitFor()
  assert.match(await page.getByRole('alert').innerText(), /^✗/)
  assert.equal(await page.getByLabel('Client ID').count(), 0)
  assert.equal(await create.isDisabled(), true)
  await picture(page, 'providers-not-found')

  await page.getByLabel('OAuth server URL').fill(idp.origin)
  await page.clock.runFor(2000)
  await page.getByLabel('Client ID').fill('us')
  await secretField.fill(secret)
  await create.click()
  await page.waitForURL('**/console/providers/prv_*')
  await picture(page, 'provider')
  assert.ok(!(await page.content()).includes(secret))
  assert.equal(await secretField.inputValue(), '')

  const changes: string[] = []
  page.on('request', (request) => {
    if (request.url().includes('/console/providers/prv_')) changes.push(request.postData() ?? '')
  })
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('There are no changes to save.').waitFor()
  await page.getByLabel('Name').fill('The company')
  await page.clock.runFor(2000)
  await page.getByText(`Found ${idp.origin}`).waitFor()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved.').waitFor()
  assert.equal(changes.length, 3)

  await page.goto(`${origin}/console/providers`)
  const list = await page.locator('main').innerText()
  assert.match(list, /The company/)
  assert.match(list, /Unused by servers · Added just now/)
  assert.equal(await page.getByRole('link', { name: '127.0.0.1' }).getAttribute('href'), idp.origin)
  await picture(page, 'providers')
  assert.deepEqual(
    problems.filter((text) => !/status of 422/.test(text)),
    [],
  )
})

test('without scripts a provider is looked at, entered, changed and removed', async (t) => {
  verifies(t, 'S4-37', 'S4-38', 'S4-39', 'S4-40', 'S4-42', 'A4-13')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, context, origin, picture, alsoSecret } = browsing
  const idp = await startIdentityProvider()
  t.after(() => idp.stop())
  alsoSecret([secret])
  await signIn(browsing)
  await page.goto(`${origin}/console/providers`)
  await page.getByLabel('Name').fill('<b>Company</b>')
  await page.getByLabel('OAuth server URL').fill(`${idp.origin}/nowhere`)
  await page.getByRole('button', { name: 'Check' }).click()
  assert.match(await page.getByRole('alert').innerText(), /^✗/)
  await page.getByLabel('OAuth server URL').fill(idp.origin)
  await page.getByRole('button', { name: 'Check' }).click()
  assert.equal(await page.getByLabel('Name').inputValue(), '<b>Company</b>')
  await page.getByLabel('Client ID').fill('us')
  await page.getByLabel('Client secret').fill(secret)
  await page.getByRole('button', { name: 'Create' }).click()
  await page.waitForURL('**/console/providers/prv_*')
  assert.equal(await page.locator('h1').innerText(), '<b>Company</b>')

  await page.getByLabel('OAuth server URL').fill(`${idp.origin}/nowhere`)
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').waitFor()
  assert.equal(
    await page.getByLabel('OAuth server URL').inputValue(),
    `${idp.origin}/nowhere`,
    'what was entered is still there',
  )
  await page.getByLabel('OAuth server URL').fill(idp.origin)
  await page.getByLabel(/Keep the tokens/).check()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved.').waitFor()
  await page.goto(`${origin}/console/connections`)
  await page.getByLabel('URL').fill(`${idp.origin}/mcp`)
  await page.getByLabel('The person’s own sign-in').check()
  assert.equal(await page.getByLabel('Header', { exact: true }).isVisible(), false)
  await page.getByRole('combobox', { name: /Sign-in provider/ }).selectOption('<b>Company</b>')
  await picture(page, 'add-provider')
  await page.getByRole('button', { name: 'Save connector' }).click()
  const headers = { origin }
  const listed = await context.request.get(`${origin}/api/v1/servers`, { headers })
  const [server] = ((await listed.json()) as { items: { id: string; auth: string }[] }).items
  assert.equal(server?.auth, 'provider')
  await page.goto(`${origin}/console/providers`)
  assert.match(await page.locator('main').innerText(), /1 server · Added/)
  await page.getByRole('link', { name: /^Edit/ }).click()
  await page.getByText('Remove this provider').click()
  await page.getByRole('button', { name: 'Remove' }).click()
  assert.match(await page.getByRole('alert').innerText(), /A server takes its tokens/)
  await context.request.delete(`${origin}/api/v1/servers/${server?.id}`, { headers })
  await page.getByText('Remove this provider').click()
  await page.getByRole('button', { name: 'Remove' }).click()
  await page.waitForURL('**/console/providers')
  assert.match(await page.locator('main').innerText(), /There is no provider yet/)
})
