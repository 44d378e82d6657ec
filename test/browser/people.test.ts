// The pages of people, API keys and scopes in a real browser: each story from the click to what came of it, without scripts,
// with names that mean harm, on a desk and on a phone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../requirements.ts'
import { fits, openBrowser, signIn } from './in-a-browser.ts'

const email = 'grace@example.com'
const harm = '<img src=x onerror=alert(1)>\u202e'.slice(0, -1)
const phone = { viewport: { width: 375, height: 720 }, colorScheme: 'dark' } as const

test('a person is added, changed and removed without scripts, on a desk and on a phone', async (t) => {
  verifies(t, 'S4-10')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, problems, picture, alsoSecret } = browsing
  await signIn(browsing)
  await page.getByRole('link', { name: 'People' }).click()
  await page.getByLabel('E-mail', { exact: true }).fill(email)
  await page.getByRole('textbox', { name: /^Name/ }).fill(harm)
  await page.getByLabel('Administrator').check()
  await picture(page, 'people')
  await page.getByRole('button', { name: 'Add' }).click()
  const shown = page.getByRole('status').locator('code')
  const password = await shown.innerText()
  alsoSecret([password])
  assert.match(password, /^[\w-]{43}$/)
  await picture(page, 'people-added')
  await fits(page)
  assert.ok(!page.url().includes(password))

  await page.getByLabel('E-mail, name or ID').fill('grace@')
  await page.getByRole('button', { name: 'Search' }).click()
  assert.equal(await page.getByRole('link', { name: /^Edit/ }).count(), 1)
  assert.ok((await page.locator('main').innerText()).includes(harm), 'it is text, no tag')
  await page.getByRole('link', { name: `Edit ${email}` }).click()
  await page.getByRole('textbox', { name: /^Name/ }).fill('Grace')
  await page.getByRole('textbox', { name: /^Name/ }).press('Enter')
  await page.getByText('Saved.').waitFor()
  await picture(page, 'person')

  const press = async (folded: string, button: RegExp) => {
    await page.locator('summary', { hasText: folded }).click()
    await page.getByRole('button', { name: button }).click()
  }
  await press('End all access', /^End all access/)
  await page.getByText('All their access has ended.').waitFor()
  await press('Switch off', /^Switch off/)
  await page.getByText('Switched off. They are signed out').waitFor()
  await press('Switch on', /^Switch on/)
  await press('Give a new password', /^Make a new password/)
  const next = await shown.innerText()
  alsoSecret([next])
  assert.notEqual(next, password)

  await page.setViewportSize(phone.viewport)
  await page.emulateMedia({ colorScheme: phone.colorScheme })
  await page.locator('summary', { hasText: 'Remove this person' }).click()
  await fits(page)
  await picture(page, 'person-phone')
  await page.getByRole('button', { name: /^Remove/ }).click()
  await page.waitForURL('**/console/people')
  assert.ok(!(await page.content()).includes(email))
  await fits(page)
  await picture(page, 'people-phone')
  assert.deepEqual(problems, [])
})

test('an API key is made, used and taken back without scripts', async (t) => {
  verifies(t, 'S4-45')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, origin, problems, picture, alsoSecret } = browsing
  await signIn(browsing)
  await page.getByRole('link', { name: 'API keys' }).click()
  await page.getByText('There are no API keys yet.').waitFor()
  await page.getByRole('textbox', { name: /^Name/ }).fill(harm)
  await page.getByLabel('Read the measurements').check()
  await page.getByLabel('It works for').selectOption('30 days')
  await page.getByRole('button', { name: 'Make the key' }).click()
  const key = await page.getByRole('status').locator('code').innerText()
  alsoSecret([key])
  assert.match(key, /^lk_/)
  assert.ok(!page.url().includes(key))
  assert.ok((await page.locator('main').innerText()).includes(harm))
  await picture(page, 'api-keys')
  const ask = () =>
    fetch(`${origin}/api/v1/grants`, { headers: { authorization: `Bearer ${key}` } })
  assert.equal((await ask()).status, 200)

  await page.getByRole('link', { name: 'API keys' }).click()
  assert.ok(!(await page.content()).includes(key), 'it is shown once')
  await page.setViewportSize(phone.viewport)
  await page.emulateMedia({ colorScheme: phone.colorScheme })
  await page.locator('summary').click()
  await fits(page)
  await picture(page, 'api-keys-phone')
  await page.getByRole('button', { name: /^Take back/ }).click()
  await page.getByText('The key is taken back.').waitFor()
  assert.equal((await ask()).status, 401)
  assert.deepEqual(problems, [])
})
