// The pages of webhooks in a real browser without scripts: added, tried out, looked into, paused, and removed again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startReceiver, status } from '../../src/journal/webhook.rig.ts'
import { verifies } from '../requirements.ts'
import { fits, openBrowser, signIn } from './in-a-browser.ts'

const hostileName = `<img src=x onerror=alert(1)> ${'W'.repeat(170)}`

test('a program is told, and how that goes shows', async (t) => {
  verifies(t, 'S3-50')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, context, origin, problems, picture } = browsing
  const receiver = await startReceiver(t)
  await signIn(browsing)
  await page.getByRole('link', { name: 'Webhooks' }).click()
  await page.getByText('Nobody is told yet').waitFor()
  await page.getByLabel('URL').fill(receiver.url)
  await page.getByRole('textbox', { name: 'Description' }).fill(hostileName)
  assert.equal(await page.getByText('Signing keys').isVisible(), false)
  await page.getByLabel('Only what is ticked below').check()
  await page.getByText('Tokens', { exact: true }).click()
  await page.getByLabel('Token given').check()
  await picture(page, 'webhooks-add')
  await page.getByRole('button', { name: 'Add the webhook' }).click()
  const secret = await page.locator('.copied').innerText()
  assert.match(secret, /^whsec_/)
  await picture(page, 'webhooks-secret')
  await page.getByRole('link', { name: /^Open/ }).click()
  assert.match(await page.locator('h1').innerText(), /^<img src=x/)
  assert.ok(!(await page.content()).includes(secret))
  await page.getByRole('button', { name: 'Send a test' }).click()
  await page.getByText('The test arrived').waitFor()
  receiver.answerWith(status(500))
  await page.getByRole('button', { name: 'Send a test' }).click()
  assert.match(await page.getByRole('alert').innerText(), /The receiver answered 500/)
  await picture(page, 'webhook-failed')

  const phone = await context.newPage()
  await phone.setViewportSize({ width: 375, height: 700 })
  await phone.emulateMedia({ colorScheme: 'dark' })
  await phone.goto(`${origin}/console/webhooks`)
  await fits(phone)
  await phone.goto(page.url())
  for (const summary of await phone.locator('details.card > summary').all()) await summary.click()
  await fits(phone)
  await picture(phone, 'webhook-phone-dark')

  await page.getByRole('heading', { name: 'Pause' }).click()
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByText('Paused').waitFor()
  assert.equal(await page.getByRole('button', { name: 'Send a test' }).count(), 0)
  await page.getByRole('heading', { name: 'Remove this webhook' }).click()
  await page.getByRole('button', { name: 'Remove' }).click()
  await page.waitForURL('**/console/webhooks')
  await page.getByText('Nobody is told yet').waitFor()
  assert.deepEqual(problems, [])
})
