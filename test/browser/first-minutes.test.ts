// The first two minutes of the README in a real browser: set-up, a server, signing in elsewhere, letting a client in.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import { startUpstream } from '../counterparts/protected-upstream.ts'
import { operator } from '../harness.ts'
import { verifies } from '../requirements.ts'
import { connectPageOf, openBrowser, signIn } from './in-a-browser.ts'

const nobodyYet = { LATCHKEY_OPERATOR_EMAIL: '', LATCHKEY_OPERATOR_PASSWORD: '' }

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with scripts' : 'without any script'
  test(`from the set-up link to a tool call, ${how}`, async (t) => {
    verifies(t, 'S3-25', 'S3-28', 'A3-4')
    const browsing = await openBrowser(t, { settings: nobodyYet, browser: { javaScriptEnabled } })
    if (browsing === undefined) return
    const { page, origin, platform, picture, problems, alsoSecret } = browsing
    const { foreign, server } = await startUpstream(t)

    await page.goto((await platform.setupLink()) ?? '')
    await picture(page, 'set-up')
    await page.getByLabel('E-mail').fill(operator.email)
    await page.getByLabel('Password').fill(operator.password)
    await page.getByRole('button', { name: 'Create my account' }).click()
    await page.waitForURL('**/console/connections')
    assert.equal(await platform.setupLink(), undefined)

    await page.getByLabel('URL').fill(server.url)
    await page.getByLabel('Name').fill('Notes')
    await page.getByRole('button', { name: 'Save & sign in' }).click()
    // With scripts a popup does the rest; without them one page follows the other.
    if (!javaScriptEnabled) {
      await picture(page, 'connect')
      await page.getByRole('button', { name: 'Continue to sign in' }).click()
      await page.getByRole('heading', { name: 'Connected' }).waitFor()
      await picture(page, 'connected')
      await page.getByRole('link', { name: 'Go to your connections' }).click()
    }
    await page.getByText('OAuth · signed in').waitFor()
    await picture(page, 'connections')

    const address = await page.locator('code', { hasText: '/mcp' }).first().innerText()
    const { client } = await createOAuthMcpClient({
      url: address,
      clientName: 'Notebook <img src=x>',
      authorize: async (url) => {
        await page.goto(url)
        await page.getByText('Notebook <img src=x>').first().waitFor()
        await picture(page, 'consent')
        const back = page.waitForRequest((request) => !request.url().startsWith(origin))
        await page.getByRole('button', { name: 'Approve' }).click()
        return (await back).url()
      },
    })
    const said = await client.callTool({ name: 'echo', arguments: { text: 'hello' } })
    assert.match(JSON.stringify(said), /hello/)
    await client.close()
    // Nothing listens at the client's callback here, which is the one complaint there may be.
    assert.deepEqual(
      problems.filter((problem) => !problem.includes('ERR_CONNECTION_REFUSED')),
      [],
    )
    alsoSecret(foreign.tokensIssued())
  })
}

for (const isCutOff of [false, true]) {
  const how = isCutOff ? 'cut off from its opener' : 'with its opener'
  test(`the callback works in a popup ${how}`, async (t) => {
    verifies(t, 'A2-14')
    const browsing = await openBrowser(t)
    if (browsing === undefined) return
    const { page, context, alsoSecret } = browsing
    const { foreign, server } = await startUpstream(t)
    await signIn(browsing)
    const connectUrl = await connectPageOf(browsing, server.url)

    const opened = context.waitForEvent('page')
    const features = isCutOff ? 'noopener' : 'width=600,height=720'
    const heard: Promise<unknown> = page.evaluate(`new Promise((resolve) => {
      addEventListener('message', (event) => {
        if (event.origin === location.origin) resolve(event.data)
      })
      setTimeout(() => resolve('nothing was heard'), 4000)
      open(${JSON.stringify(connectUrl)}, '_blank', ${JSON.stringify(features)})
    })`)
    const popup = await opened
    await popup.getByRole('button', { name: 'Continue to sign in' }).click()
    if (isCutOff) {
      await popup.getByRole('heading', { name: 'Connected' }).waitFor()
      assert.equal(await heard, 'nothing was heard')
      assert.equal(popup.isClosed(), false)
    } else {
      const message = await heard
      assert.ok(typeof message === 'object' && message !== null)
      assert.deepEqual(
        { ...message, flowId: '', connectionId: '' },
        {
          type: 'mcp_oauth_done',
          flowId: '',
          connectionId: '',
          success: true,
        },
      )
      if (!popup.isClosed()) await popup.waitForEvent('close')
    }
    await page.reload()
    await page.getByText('OAuth · signed in').waitFor()
    alsoSecret(foreign.tokensIssued())
  })
}
