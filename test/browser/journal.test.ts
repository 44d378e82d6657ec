// Looking back in a real browser: an administrator searches the journal, takes it along and checks it, reads why a program could
// not connect and how the tenant is used; and a person sees what was done for them. With scripts and without, in the light, in
// the dark and on a phone, and with names that want to do harm.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { challenge, verifier } from '../http/oauth-client.ts'
import { operator } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { fits, openBrowser, registerProgram, signIn } from './in-a-browser.ts'
import type { InABrowser, Program } from './in-a-browser.ts'

const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
const reversed = '\u202Egnp.edualC\u202C\u2066 reversed'

function authorizeUrl(origin: string, app: Program, changes: object = {}): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: app.id,
    redirect_uri: app.redirectUri,
    resource: `${origin}/notes/mcp`,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state: 's',
    ...changes,
  })
  return `${origin}/oauth/authorize?${query.toString()}`
}

/** The person at the browser lets the program in, and it calls each of these tools. */
async function letInAndCall(
  { page, origin }: InABrowser,
  app: Program,
  tools: readonly string[],
): Promise<void> {
  await page.goto(authorizeUrl(origin, app))
  await page.getByRole('button', { name: 'Approve' }).click()
  await page.waitForURL(`${app.redirectUri}**`)
  const code = new URL(page.url()).searchParams.get('code') ?? ''
  const answer = await fetch(`${origin}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: app.id,
      code,
      redirect_uri: app.redirectUri,
      code_verifier: verifier,
    }),
  })
  const { access_token: token } = (await answer.json()) as { access_token: string } // RFC 6749 §5.1
  for (const name of tools) {
    const called = await fetch(`${origin}/notes/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } }),
    })
    assert.equal(called.status, 200)
    await called.text()
  }
}

/** A server with a bad name, three programs that did what programs do, and one that failed. */
async function fill(t: TestContext, browsing: InABrowser): Promise<void> {
  const { context, origin } = browsing
  const app = await listenOnLoopback(() => (_request, response) => void response.end('The app.'), {
    host: '127.0.0.1',
  })
  t.after(app.stop)
  const program = (name: string) =>
    registerProgram(origin, {
      name,
      redirectUri: `${app.origin}/cb`,
      agent: `program of ${name.length}`,
    })
  const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
  t.after(() => upstream.stop())
  const made = await context.request.post(`${origin}/api/v1/servers`, {
    headers: { origin },
    data: { url: upstream.url, slug: 'notes', name: hostile, auth: 'none' },
  })
  assert.equal(made.status(), 201, await made.text())
  await letInAndCall(browsing, await program(hostile), ['whoami', 'echo', 'whoami'])
  await letInAndCall(browsing, await program(reversed), ['whoami'])
  const lost = await program(`Lost ${'A'.repeat(10_240)}`)
  await fetch(authorizeUrl(origin, lost, { redirect_uri: 'https://app.test/wrong' }))
}

/** Looks until the page has it: calls are written a moment after their answer. */
async function until(page: Page, url: string, words: RegExp): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    await page.goto(url)
    if (words.test(await page.locator('main').innerText())) return
  }
  assert.fail(`never said ${words.source}: ${await page.locator('main').innerText()}`)
}

const looks = [
  { how: 'with scripts', browser: {} },
  { how: 'without any script', browser: { javaScriptEnabled: false, colorScheme: 'dark' } },
  { how: 'on a phone', browser: { viewport: { width: 375, height: 740 } } },
] as const

for (const { how, browser } of looks) {
  test(`an administrator looks back, and so does a person, ${how}`, async (t) => {
    verifies(t, 'S3-39', 'S3-48', 'S4-36')
    const browsing = await openBrowser(t, { browser })
    if (browsing === undefined) return
    const { page, origin, picture, problems } = browsing
    const look = how.replaceAll(' ', '-')
    const isScripted = browser !== looks[1].browser
    const seen = async (name: string) => {
      await picture(page, `${name}-${look}`)
      assert.equal(await page.locator('main img, main script').count(), 0)
      assert.match(await page.title(), /Latchkey$/)
      if (isScripted) await fits(page)
    }
    await signIn(browsing)
    await fill(t, browsing)

    await t.test('the journal', async () => {
      await until(page, `${origin}/console/journal`, /Call answered/)
      await seen('journal')
      await page.getByLabel('What happened').selectOption('call')
      await page.getByRole('textbox', { name: 'Person' }).fill(operator.email)
      await page.getByRole('textbox', { name: 'Client, server or other thing' }).fill('notes')
      await page.getByRole('button', { name: 'Search' }).click()
      await page.waitForURL('**/console/journal?kind=call&person=**')
      assert.equal(await page.locator('article').count(), 4)
      await page.locator('article summary').first().click()
      await page.locator('article dl').first().waitFor()
      await seen('journal-found')
      // The link alone finds the same, and the file has what was found.
      await page.goto(page.url())
      assert.equal(await page.locator('article').count(), 4)
      const download = page.waitForEvent('download')
      await page.getByRole('link', { name: 'As a table (CSV)' }).click()
      const file = await download
      assert.equal(file.suggestedFilename(), 'journal.csv')
      const lines = readFileSync(await file.path(), 'utf8')
        .trimEnd()
        .split('\r\n')
      assert.equal(lines.length, 1 + 4)
      await page.getByRole('link', { name: 'Show everything' }).click()
      await page.getByRole('button', { name: 'Check the journal' }).click()
      await page.getByRole('status').waitFor()
      assert.match(await page.getByRole('status').innerText(), /The journal is whole/)
      await page.goto(`${origin}/console/journal?from=2026-02-31&person=somebody`)
      assert.match(await page.getByRole('alert').innerText(), /Write a day/)
      assert.equal(await page.getByRole('textbox', { name: 'Person' }).inputValue(), 'somebody')
      await seen('journal-wrong')
    })

    await t.test('why it failed', async () => {
      await page.getByRole('link', { name: 'Why did it fail?' }).click()
      await page.getByText('Connected', { exact: true }).first().waitFor()
      await seen('attempts')
      const lost = page.locator('article', { hasText: 'Lost' })
      assert.match(await lost.innerText(), /Failed/)
      await lost.getByRole('link', { name: 'Show the steps' }).click()
      await page.getByText('What to do:').first().waitFor()
      assert.match(await page.locator('main').innerText(), /Add the redirect URI/)
      assert.ok((await page.locator('ol.steps > li').count()) >= 2)
      await seen('attempt')
      await page.getByRole('link', { name: 'Look for it in the journal' }).click()
      assert.ok((await page.locator('article').count()) >= 2)
    })

    await t.test('usage', async () => {
      await until(page, `${origin}/console/usage?days=7`, /Most in a day: 4/)
      await seen('usage')
      const bars = page.locator('svg.chart').first().getByRole('img')
      assert.equal(await bars.count(), 7)
      assert.match((await bars.last().getAttribute('aria-label')) ?? '', /: 4 calls$/)
      await page.getByText('In numbers').click()
      assert.equal(await page.getByRole('table', { name: 'Calls per day' }).count(), 1)
      await page.getByRole('link', { name: '30 days' }).click()
      assert.equal(await page.locator('svg.chart').first().getByRole('img').count(), 30)
      await seen('usage-30')
      await page.getByRole('table', { name: 'People' }).getByRole('link').first().click()
      await page.waitForURL('**/console/journal?kind=call&person=usr_**')
      assert.equal(await page.locator('article').count(), 4)
    })

    await t.test('what was done for a person', async () => {
      await page.getByRole('link', { name: 'Activity' }).click()
      await page.getByRole('table').waitFor()
      await seen('activity')
      await page.getByRole('table').getByRole('link').first().click()
      await page.waitForURL('**/console/activity?what=calls&client=**')
      assert.equal(await page.locator('article').count(), 3)
      await page.getByRole('link', { name: 'Show all programs' }).click()
      await page.getByRole('link', { name: 'Sign-ins and access' }).click()
      await page.getByText('Signed in', { exact: true }).waitFor()
      assert.equal(await page.getByText('Call answered').count(), 0)
    })

    const complaints = problems.filter((problem) => !/422/.test(problem))
    assert.deepEqual(complaints, [])
  })
}
