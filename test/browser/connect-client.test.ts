// Giving an address to a program, in a real browser: the chosen server, the copied command, and names that want to do harm.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContextOptions } from 'playwright-core'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { addMemories, fits, openBrowser, signIn } from './in-a-browser.ts'

const looks = [
  { how: 'with scripts', browser: { permissions: ['clipboard-read', 'clipboard-write'] } },
  {
    how: 'without any script, in the dark',
    browser: { javaScriptEnabled: false, colorScheme: 'dark' },
  },
  { how: 'on a phone', browser: { viewport: { width: 375, height: 740 } } },
] satisfies readonly { readonly how: string; readonly browser: BrowserContextOptions }[]

for (const { how, browser } of looks) {
  test(`a person takes the address of a server to their program, ${how}`, async (t) => {
    const browsing = await openBrowser(t, { browser: { ...browser } })
    if (browsing === undefined) return
    const { page, origin, context, picture, problems } = browsing
    const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
    t.after(() => upstream.stop())
    await signIn(browsing)
    await addMemories(browsing, upstream.url)
    for (const [index, name] of [
      '<script>document.title=2</script>',
      'שלום עולם',
      'A'.repeat(80),
    ].entries()) {
      const data = { url: `${upstream.url}?n=${index}`, slug: `hostile-${index}`, name }
      const made = await context.request.post(`${origin}/api/v1/servers`, {
        headers: { origin },
        data,
      })
      assert.equal(made.status(), 201, await made.text())
    }
    await page.getByRole('link', { name: 'Connect a client' }).click()
    await page.getByText(`${origin}/mcp`, { exact: true }).first().waitFor()
    await page.getByLabel('What it should reach').selectOption('Memories')
    await page.getByRole('button', { name: 'Show the steps' }).click()
    await page.waitForURL('**/console/connect?server=memories')
    await page.locator('summary', { hasText: 'Claude Code' }).click()
    const command = `claude mcp add --transport http --scope user memories ${origin}/memories/mcp`
    await page.getByText(command).waitFor()
    await page.locator('summary', { hasText: 'VS Code' }).click()
    await page.getByRole('link', { name: 'Open in VS Code' }).waitFor()
    if (how === 'with scripts') {
      await page.getByRole('button', { name: 'Copy: Claude Code' }).click()
      await page.getByText('Copied').waitFor()
      assert.equal(await page.evaluate('navigator.clipboard.readText()'), command)
    } else if (!('viewport' in browser)) {
      assert.equal(await page.getByRole('button', { name: /^Copy/ }).count(), 0)
    }
    await picture(page, `connect-client-${how.replaceAll(/[ ,]+/g, '-')}`)
    if (!('javaScriptEnabled' in browser)) await fits(page)
    await page.goto(`${origin}/console/connect?server=hostile-2`)
    if (!('javaScriptEnabled' in browser)) await fits(page)
    assert.match(await page.title(), /^Connect a client/)
    assert.deepEqual(problems, [])
  })
}
