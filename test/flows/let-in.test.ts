// Job one, end to end: an MCP client that knows one URL signs a person in and calls a tool.
import assert from 'node:assert/strict'
import { onEveryDatabase } from '../on-every-database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import { operator, startTestPlatform } from '../harness.ts'
import { verifies } from '../requirements.ts'

onEveryDatabase('an MCP client gets in with one URL and one consent page', async (t, store) => {
  verifies(t, 'S3-16', 'S3-25', 'S3-26', 'S3-27', 'S3-30', 'S3-41', 'A3-3', 'A3-13')
  const { origin } = await startTestPlatform(t, store)
  const browser = createCookieBrowser()

  const { client } = await createOAuthMcpClient({
    url: `${origin}/mcp`,
    authorize: async (url) => {
      browser.setStopAt((target) => target.origin !== origin)
      await browser.open(url)
      const consent = await browser.submit({ fields: operator })
      assert.match(consent.html, /Use this server(&#39;|&#x27;|')s tools for you/)
      assert.ok(consent.html.includes(operator.email))
      const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
      return back.url
    },
  })

  const who = await client.callTool({ name: 'whoami', arguments: {} })
  assert.ok(JSON.stringify(who).includes(operator.email))
  await client.close()
})
