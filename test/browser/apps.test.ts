// Ticking scopes, seeing who has access and taking it back, and an administrator's clients, in a real browser: with
// scripts and without, in the light, in the dark and on a phone, and with names that want to do harm.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { challenge, verifier } from '../http/oauth-client.ts'
import { verifies } from '../requirements.ts'
import { addMemories, fits, openBrowser, registerProgram, signIn } from './in-a-browser.ts'
import type { InABrowser, Program } from './in-a-browser.ts'

const hostileNames = [
  '<img src=x onerror="document.title=1"><script>document.title=2</script>',
  '\u202Egnp.edualC\u202C\u2066 reversed',
  'A'.repeat(10_240),
]

/** Opens the question for this client; the server's scopes are those of a memory. */
async function ask({ page, origin }: InABrowser, { id, redirectUri }: Program): Promise<void> {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: id,
    redirect_uri: redirectUri,
    resource: `${origin}/memories/mcp`,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state: 's',
  })
  await page.goto(`${origin}/oauth/authorize?${query.toString()}`)
  await page.getByRole('button', { name: 'Approve' }).waitFor()
}

/** Approves, and redeems the code that comes back. */
async function approve({ page, origin }: InABrowser, { id, redirectUri }: Program) {
  await page.getByRole('button', { name: 'Approve' }).click()
  await page.waitForURL(`${redirectUri}**`)
  const code = new URL(page.url()).searchParams.get('code') ?? ''
  const answer = await fetch(`${origin}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: id,
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    }),
  })
  return (await answer.json()) as { access_token: string; scope: string } // RFC 6749 §5.1
}

function call(origin: string, token: string): Promise<number> {
  return fetch(`${origin}/memories/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  }).then(async (answer) => {
    await answer.text()
    return answer.status
  })
}

const looks = [
  { how: 'with scripts', browser: {} },
  {
    how: 'without any script, in the dark',
    browser: { javaScriptEnabled: false, colorScheme: 'dark' },
  },
  { how: 'on a phone', browser: { viewport: { width: 360, height: 740 } } },
] as const

for (const { how, browser } of looks) {
  test(`a person ticks what they give and takes it back, ${how}`, async (t) => {
    verifies(t, 'S3-28', 'S3-47', 'S3-48', 'A3-4', 'A3-14')
    const browsing = await openBrowser(t, { browser })
    if (browsing === undefined) return
    const { page, origin, picture, problems } = browsing
    const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
    t.after(() => upstream.stop())
    const look = how.replaceAll(/[ ,]+/g, '-')
    await signIn(browsing)
    await addMemories(browsing, upstream.url)
    await page.getByRole('link', { name: 'Apps with access' }).click()
    await page.getByText('No app has access yet.').waitFor()

    const app = await listenOnLoopback(
      () => (_request, response) => void response.end('The app.'),
      {
        host: '127.0.0.1',
      },
    )
    t.after(app.stop)
    const redirectUri = `${app.origin}/cb`
    const notebook = await registerProgram(origin, { name: 'Notebook', redirectUri })
    await ask(browsing, notebook)
    await picture(page, `consent-scopes-${look}`)
    for (const box of await page.getByRole('checkbox').all()) await box.uncheck()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('Tick at least one of these').waitFor()
    await picture(page, `consent-nothing-${look}`)
    await page.locator('input[value="memories:write"]').uncheck()
    await page.locator('input[value="memories:all"]').uncheck()
    const tokens = await approve(browsing, notebook)
    assert.equal(tokens.scope, 'memories:read')
    for (let times = 0; times < 3; times += 1) {
      assert.equal(await call(origin, tokens.access_token), 200)
    }

    for (const name of hostileNames) {
      const hostile = await registerProgram(origin, { name, redirectUri })
      await ask(browsing, hostile)
      await approve(browsing, hostile)
    }
    await page.goto(`${origin}/console/apps`)
    await picture(page, `apps-${look}`)
    assert.match(await page.title(), /^Apps with access/)
    assert.equal(await page.locator('main img, main script').count(), 0)
    if (browser !== looks[1].browser) await fits(page)
    const row = page.locator('.row', { hasText: 'Notebook' })
    const text = await row.innerText()
    assert.match(text, /Read your memories and related data/)
    assert.doesNotMatch(text, /Create, update/)
    assert.match(text, /Used 3 times, first \d{1,2} \w{3} \d{4}, \d\d:\d\d UTC/)
    assert.equal(await page.locator('.row').count(), 1 + hostileNames.length)

    await page.getByRole('button', { name: 'Take access back from Notebook' }).click()
    await page.waitForURL('**/console/apps')
    assert.equal(await page.locator('.row', { hasText: 'Notebook' }).count(), 0)
    assert.equal(await page.locator('.row').count(), hostileNames.length)
    assert.equal(await call(origin, tokens.access_token), 401)

    await page.getByRole('link', { name: 'Clients' }).click()
    await page.getByRole('heading', { name: 'Clients', level: 1 }).waitFor()
    await picture(page, `clients-${look}`)
    assert.equal(await page.locator('main img, main script').count(), 0)
    if (browser !== looks[1].browser) await fits(page)
    await page.getByRole('button', { name: 'Switch off Notebook' }).click()
    await page.getByRole('button', { name: 'Switch on Notebook' }).waitFor()
    await page.getByRole('button', { name: 'Switch on Notebook' }).click()
    await page.getByRole('button', { name: 'Switch off Notebook' }).waitFor()
    const complaints = problems.filter((problem) => !/ERR_NAME_NOT_RESOLVED|422/.test(problem))
    assert.deepEqual(complaints, [])
  })
}
