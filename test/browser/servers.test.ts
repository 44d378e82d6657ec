// The pages of servers in a real browser: added, tried out, narrowed, and removed again, without scripts, with names that want
// to break the page, and on a phone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLibraryServer } from '../counterparts/library-server.ts'
import { verifies } from '../requirements.ts'
import { fits, openBrowser, signIn } from './in-a-browser.ts'

const hostileName = `<img src=x onerror=alert(1)> ${'W'.repeat(48)}`

test('a server is added, tried out, narrowed to some people and tools, and removed', async (t) => {
  verifies(t, 'S1-14', 'S1-26', 'S3-52')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, context, origin, problems, picture } = browsing
  const library = await startLibraryServer({ sdk: 2 })
  t.after(library.stop)
  await signIn(browsing)
  await page.getByRole('link', { name: 'Servers' }).click()
  await page.getByText('There is no server yet').waitFor()
  await picture(page, 'servers-none')

  await page.getByLabel('URL').fill(`${library.url}/nowhere`)
  await page.getByLabel('Name').fill('Typed')
  await page.getByLabel('API key / headers').check()
  await page.getByLabel('Header', { exact: true }).fill('Bad Header')
  await page.getByRole('button', { name: 'Save connector' }).click()
  await page.getByRole('alert').waitFor()
  assert.equal(await page.getByLabel('Name').inputValue(), 'Typed')
  await page.getByLabel('URL').fill(library.url)
  await page.getByLabel('Name').fill(hostileName)
  await page.getByRole('button', { name: 'Save & sign in' }).click()
  await page.waitForURL('**/console/servers/srv_*')
  assert.equal(await page.locator('h1').innerText(), hostileName)
  const address = await page.locator('.copied').first().innerText()
  assert.match(address, new RegExp(`^${origin}/[a-z0-9-]+/mcp$`))
  await page.getByRole('button', { name: 'Test' }).click()
  await page.getByText(/It answers\. You see \d+ tools/).waitFor()
  await picture(page, 'server-tested')

  await page.getByRole('heading', { name: 'Which tools may be called' }).click()
  assert.equal(await page.getByLabel('Only these tools').isVisible(), false)
  await page.getByLabel('Only these', { exact: true }).check()
  await page.getByLabel('Only these tools').fill('find\nf**')
  await page.getByRole('button', { name: 'Save the policy' }).click()
  assert.match(await page.getByRole('alert').innerText(), /with \* at the end only/)
  assert.equal(await page.getByLabel('Only these tools').inputValue(), 'find\nf**')
  await page.getByLabel('Only these tools').fill('find')
  await picture(page, 'server-policy')
  await page.getByRole('button', { name: 'Save the policy' }).click()
  await page.getByText('Saved.').waitFor()
  await page.getByRole('button', { name: 'Test' }).click()
  assert.equal(await page.getByText('Closed by the tool policy').count(), 6)

  await page.getByRole('heading', { name: 'Who may use it' }).click()
  await page.getByLabel('Administrators and these people').check()
  await page.getByRole('textbox', { name: 'These people' }).fill('ada@example.com')
  await page.getByLabel(/Tell it who calls/).check()
  await page.getByRole('button', { name: 'Save who may use it' }).click()
  await page.getByText('Saved.').waitFor()
  assert.equal(
    await page.getByRole('textbox', { name: 'These people' }).inputValue(),
    'ada@example.com',
  )
  await picture(page, 'server-access')

  await page.getByRole('heading', { name: 'Name, URL and authentication' }).click()
  await picture(page, 'server-change')
  await page.getByRole('link', { name: 'All servers' }).click()
  await page.getByText('Not for everybody').waitFor()
  await picture(page, 'servers')

  const phone = await context.newPage()
  await phone.setViewportSize({ width: 375, height: 700 })
  await phone.emulateMedia({ colorScheme: 'dark' })
  await phone.goto(`${origin}/console/servers`)
  await fits(phone)
  await picture(phone, 'servers-phone-dark')
  await phone.getByRole('link', { name: /^Open/ }).click()
  await phone.getByRole('button', { name: 'Test' }).click()
  await phone.getByText(/It answers/).waitFor()
  for (const summary of await phone.locator('summary').all()) await summary.click()
  await fits(phone)
  await picture(phone, 'server-phone-dark')

  await page.getByRole('link', { name: /^Open/ }).click()
  await library.stop()
  await page.getByRole('button', { name: 'Test' }).click()
  assert.match(await page.getByRole('alert').innerText(), /See whether the server runs/)
  await picture(page, 'server-failed')
  await page.getByRole('heading', { name: 'Remove this server' }).click()
  await picture(page, 'server-remove')
  await page.getByRole('button', { name: 'Remove' }).click()
  await page.waitForURL('**/console/servers')
  await page.getByText('There is no server yet').waitFor()
  assert.deepEqual(
    problems.filter((text) => !/status of 422/.test(text)),
    [],
  )
})
