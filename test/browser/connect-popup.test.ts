// Adding a server and signing in to it on the connections page, in a real browser: the popup, what the page shows while
// and after, and that nobody waits for a window that is closed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { verifies } from '../requirements.ts'
import { fits, openBrowser, signIn } from './in-a-browser.ts'
import type { InABrowser } from './in-a-browser.ts'

/** Fills the form and presses its button; gives the popup. */
async function addNotes({ page, context }: InABrowser, url: string): Promise<Page> {
  await page.getByLabel('URL').fill(url)
  await page.getByLabel('Name').fill('Notes')
  const opened = context.waitForEvent('page')
  await page.getByRole('button', { name: 'Save & sign in' }).click()
  return opened
}

test('the form shows what is needed for each way to sign in', async (t) => {
  verifies(t, 'A2-1', 'S2-32', 'S2-33', 'S2-38')
  const browsing = await openBrowser(t, { browser: { javaScriptEnabled: false } })
  if (browsing === undefined) return
  const { page, picture, problems } = browsing
  await signIn(browsing)
  const [withSignIn, withHeaders] = ['Save & sign in', 'Save connector'].map((name) =>
    page.getByRole('button', { name }),
  )
  const header = page.getByLabel('Header', { exact: true })
  assert.deepEqual(
    [await header.isVisible(), await withSignIn?.isVisible(), await withHeaders?.isVisible()],
    [false, true, false],
  )
  await picture(page, 'add-oauth')
  await page.getByLabel('API key / headers').check()
  assert.deepEqual(
    [await header.isVisible(), await withSignIn?.isVisible(), await withHeaders?.isVisible()],
    [true, false, true],
  )
  await picture(page, 'add-headers')
  assert.equal(await page.getByText('Only add servers that you trust').count(), 1)
  assert.deepEqual(problems, [])
})

test('one press saves, opens the provider in a popup, and ends with the tools', async (t) => {
  verifies(t, 'A2-1', 'A2-2', 'S2-33', 'S2-34', 'S2-35', 'S2-36')
  const browsing = await openBrowser(t)
  if (browsing === undefined) return
  const { page, context, origin, picture, problems, alsoSecret } = browsing
  const { foreign, server } = await startUpstream(t)
  const asked: string[] = []
  context.on('request', (request) => asked.push(request.url()))
  await signIn(browsing)

  const popup = await addNotes(browsing, server.url)
  if (!popup.isClosed()) await popup.waitForEvent('close')
  assert.ok(asked.some((url) => url.startsWith(`${foreign.issuer}/auth?`)))
  await page.getByText('OAuth · signed in').waitFor()
  await page.getByText(/Discovered \d+ tools/).click()
  await page.getByText('echo').waitFor()
  await page.getByRole('button', { name: 'Test' }).waitFor()
  assert.equal(await page.getByText('Sign in in the other window').isVisible(), false)
  await picture(page, 'signed-in')
  await fits(page)

  const { items } = await (await context.request.get(`${origin}/api/v1/servers`)).json()
  assert.deepEqual([items[0].auth, items[0].headerNames], ['oauth', []])
  assert.deepEqual(problems, [])
  alsoSecret(foreign.tokensIssued())
})

for (const how of ['closed', 'denied'] as const) {
  test(`a popup that is ${how} leaves the sign-in required, and nobody asks on`, async (t) => {
    verifies(t, 'A2-3', 'S2-35', 'S2-36', 'S2-37')
    const browsing = await openBrowser(t, {
      browser: { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
    })
    if (browsing === undefined) return
    const { page, context, picture } = browsing
    const { foreign, server } = await startUpstream(t)
    let polls = 0
    context.on('request', (request) => {
      if (request.url().includes('/api/v1/flows/')) polls += 1
    })
    await signIn(browsing)
    if (how === 'denied') foreign.decide('deny')
    // A sign-in page on which the person thinks.
    else await context.route(`${foreign.issuer}/auth?*`, () => {})

    const popup = await addNotes(browsing, server.url)
    await page.getByText('Sign in in the other window').waitFor()
    await picture(page, `waiting-${how}`)
    if (how === 'closed') await popup.close()
    else if (!popup.isClosed()) await popup.waitForEvent('close')
    await page.getByText('Sign in in the other window').waitFor({ state: 'hidden' })
    await page.getByText('OAuth · sign-in required').waitFor()
    assert.equal(await page.getByRole('button', { name: 'Sign in', exact: true }).count(), 1)
    assert.equal(await page.getByRole('button', { name: 'Test' }).count(), 0)
    const before = polls
    await page.waitForTimeout(3_500) // longer than two rounds of asking
    assert.equal(polls, before)
    await picture(page, `left-${how}`)
    await fits(page)
  })
}
