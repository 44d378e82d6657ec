// The pages of people, API keys and scopes in a real browser: each story from the click to what came of it, without scripts,
// with names that mean harm, on a desk and on a phone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../requirements.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { addMemories, fits, openBrowser, signIn } from './in-a-browser.ts'

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

test('a scope is added, said in other words and removed without scripts', async (t) => {
  verifies(t, 'S3-26', 'S3-52')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, problems, picture } = browsing
  const server = await startOpenMcpServer()
  t.after(() => server.stop())
  await signIn(browsing)
  await addMemories(browsing, server.url)
  await page.getByRole('link', { name: 'Scopes' }).click()
  const text = async () => page.locator('main').innerText()
  assert.match(await text(), /memories:read[\s\S]*Used by Memories/)
  await page.getByRole('textbox', { name: /^Name/ }).fill('notes:read')
  await page.getByRole('textbox', { name: /^Words/ }).fill('Read your\u202enotes')
  await page.getByRole('button', { name: 'Add' }).click()
  assert.match(await page.getByRole('alert').innerText(), /Say in one line/)
  assert.equal(await page.getByRole('textbox', { name: /^Name/ }).inputValue(), 'notes:read')
  await page.getByRole('textbox', { name: /^Words/ }).fill(harm)
  await page.getByRole('textbox', { name: /^Icon/ }).fill('📝')
  await page.getByLabel('Read your memories and related data').check()
  await page.getByRole('button', { name: 'Add' }).click()
  await page.getByText('Added.').waitFor()
  assert.ok((await text()).includes(harm))
  assert.match(await text(), /With it: Read your memories and related data/)
  await picture(page, 'scopes')

  await page.getByRole('link', { name: 'Edit notes:read' }).click()
  await page.getByRole('textbox', { name: /^Words/ }).fill('Read your notes')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved.').waitFor()
  await picture(page, 'scope')
  await page.setViewportSize(phone.viewport)
  await page.emulateMedia({ colorScheme: phone.colorScheme })
  await page.locator('summary').click()
  await fits(page)
  await picture(page, 'scope-phone')
  await page.getByRole('button', { name: /^Remove/ }).click()
  await page.waitForURL('**/console/scopes')
  assert.equal(await page.getByRole('link', { name: 'Edit notes:read' }).count(), 0)
  await fits(page)
  await picture(page, 'scopes-phone')

  await page.getByRole('link', { name: 'Edit mcp' }).click()
  assert.match(await text(), /What this scope permits is fixed/)
  await page.getByRole('textbox', { name: /^Words/ }).fill('Use these tools')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.locator('summary', { hasText: 'Put the first words back' }).click()
  await page.getByRole('button', { name: /^Put back/ }).click()
  await page.waitForURL('**/console/scopes')
  assert.match(await text(), /Use this server's tools for you/)
  // A browser notes every answer that refuses; there is one.
  assert.deepEqual(
    problems.map((one) => /status of 422/.test(one)),
    [true],
  )
})
