// Proves the real browser with a page on loopback: it runs scripts, and it is strict.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { launchBrowser } from './browser.ts'
import { listenOnLoopback } from './loopback.ts'

const page = `<!doctype html><title>before</title><h1>Hello</h1>
<script nonce="good">document.title = 'after'</script>
<script>document.title = 'blocked by the policy'</script>`

test('the browser draws a page, runs its script and keeps to its policy', async (t) => {
  const launched = await launchBrowser()
  if ('skip' in launched) return t.skip(launched.skip)
  t.after(launched.close)
  const { origin, stop } = await listenOnLoopback(() => (_request, response) => {
    response.setHeader('content-type', 'text/html')
    response.setHeader('content-security-policy', "script-src 'nonce-good'")
    response.setHeader('set-cookie', '__Host-a=1; Secure; HttpOnly; Path=/')
    response.end(page)
  })
  t.after(stop)
  const tab = await launched.browser.newPage()

  await tab.goto(origin)

  assert.equal(await tab.title(), 'after')
  assert.equal(await tab.textContent('h1'), 'Hello')
  assert.deepEqual(
    (await tab.context().cookies()).map(({ name, httpOnly }) => [name, httpOnly]),
    [['__Host-a', true]],
  )
  await assert.rejects(tab.goto('https://example.com/'), /ERR_NAME_NOT_RESOLVED/)
})
