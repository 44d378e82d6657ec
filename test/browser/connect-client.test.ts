// A person finds the address to give to a program, and the steps in that program, without any script.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { fits, openBrowser, signIn } from './in-a-browser.ts'

const looks = [
  { look: 'without scripts', browser: { javaScriptEnabled: false } },
  { look: 'on a phone', browser: { viewport: { width: 360, height: 740 } } },
] as const

for (const { look, browser } of looks) {
  test(`a program is connected by what the page says, ${look}`, async (t) => {
    const browsing = await openBrowser(t, { browser })
    if (browsing === undefined) return
    const { context, page, origin, picture, problems } = browsing
    const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
    t.after(() => upstream.stop())
    await signIn(browsing)
    const name = '<b>Notes</b> of everybody'
    const added = await context.request.post(`${origin}/api/v1/servers`, {
      headers: { origin },
      data: { url: upstream.url, slug: 'notes', name, auth: 'none' },
    })
    assert.equal(added.status(), 201, await added.text())

    await page.getByRole('link', { name: 'Connect a client' }).click()
    await page.getByText(`${origin}/mcp`, { exact: true }).first().waitFor()
    await page.getByLabel('What it is for').selectOption('notes')
    await page.getByRole('button', { name: 'Choose' }).click()
    const url = `${origin}/notes/mcp`
    await page.getByText(url, { exact: true }).first().waitFor()
    assert.equal(await page.locator('main b').count(), 0)

    await page.getByText('Claude Code', { exact: true }).click()
    await page.getByText(`claude mcp add --transport http notes ${url}`).waitFor()
    await page.getByText('Cursor', { exact: true }).click()
    const pasted = await page
      .locator('details[open]', { hasText: 'Cursor' })
      .locator('pre')
      .innerText()
    assert.deepEqual(JSON.parse(pasted), { mcpServers: { notes: { url } } })
    await page.getByText('ChatGPT', { exact: true }).click()
    await page.getByText('leads nowhere from there').last().waitFor()
    await picture(page, `connect-client-${look.replaceAll(' ', '-')}`)
    if (look === 'on a phone') await fits(page)
    assert.deepEqual(problems, [])
  })
}
