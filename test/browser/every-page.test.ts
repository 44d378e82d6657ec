// What holds for every page, in a real browser: whoever cannot see or point well can use it, in the light, in the dark and on a
// phone; it is light enough; it keeps to its policy and complains about nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { fits, openBrowser } from './in-a-browser.ts'
import { prepareTour } from './tour.ts'

/** All that a page loads, with its headers. */
const pageBytesMax = 60_000

const looks = [
  { look: 'light', browser: {} },
  { look: 'dark', browser: { colorScheme: 'dark' } },
  { look: 'phone', browser: { viewport: { width: 360, height: 740 } } },
] as const

for (const { look, browser } of looks) {
  test(`every page is for everybody, light in weight, and quiet (${look})`, async (t) => {
    const browsing = await openBrowser(t, { browser })
    if (browsing === undefined) return
    const { context, page, origin, picture, problems } = browsing
    const { nobody, operator } = await prepareTour(t, browsing)
    for (const { name, path } of operator) {
      await t.test(name, async () => {
        const bytes = await weigh(page, origin + path)
        await picture(page, `page-${name}-${look}`)
        assert.ok(bytes < pageBytesMax, `${bytes} bytes`)
        await isForEverybody(page)
        await fits(page)
      })
    }
    await context.clearCookies()
    for (const { name, path } of nobody) {
      await t.test(`${name}, without a name`, async () => {
        await page.goto(origin + path)
        await picture(page, `page-${name}-${look}`)
        await isForEverybody(page)
        await fits(page)
      })
    }
    // A page that says that something is not there is answered with that status, which the console tells.
    const complaints = problems.filter(
      (problem) => !/the server responded with a status of 4\d\d/.test(problem),
    )
    assert.deepEqual(complaints, [])
  })
}

/** Opens the page with nothing kept, and says how much came. */
async function weigh(page: Page, url: string): Promise<number> {
  const client = await page.context().newCDPSession(page)
  await client.send('Network.enable')
  await client.send('Network.setCacheDisabled', { cacheDisabled: true })
  let bytes = 0
  client.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength
  })
  await page.goto(url, { waitUntil: 'load' })
  await client.detach()
  assert.ok(bytes > 0)
  return bytes
}

interface Found {
  readonly id: string
  readonly impact: string | null
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

/** WCAG 2.2 AA as far as a program can tell, and what axe holds to be good besides. */
async function isForEverybody(page: Page): Promise<void> {
  await page.evaluate(axe.source)
  const { violations } = (await page.evaluate('axe.run(document)')) as {
    readonly violations: readonly Found[]
  } // axe-core's own result
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const told = grave.map(({ id, nodes }) => ({
    id,
    where: nodes
      .slice(0, 3)
      .map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`),
  }))
  assert.deepEqual(told, [])
}
