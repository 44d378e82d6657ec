// The popup of a sign-in elsewhere: it tells the page that opened it how it ended, nobody else, and closes itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { verifies } from '../requirements.ts'
import { connectPageOf, openBrowser, signIn } from './in-a-browser.ts'

const cases = [
  { how: 'that went well', success: true, closesAfterMs: 600, callbackFields: {} },
  {
    how: 'that was refused',
    success: false,
    closesAfterMs: 2500,
    callbackFields: { code: undefined, error: 'access_denied' },
  },
] as const

for (const { how, success, closesAfterMs, callbackFields } of cases) {
  test(`the popup of a sign-in ${how} says so to its opener, and closes itself`, async (t) => {
    verifies(t, 'S2-22', 'S2-23')
    const browsing = await openBrowser(t)
    if (browsing === undefined) return
    const { page, context, origin, problems, alsoSecret } = browsing
    const provider = await startFaultProvider({ callbackFields })
    t.after(provider.stop)
    await signIn(browsing)
    const connectUrl = await connectPageOf(browsing, provider.mcpUrl)

    const opened = context.waitForEvent('page')
    const heard: Promise<unknown> = page.evaluate(`new Promise((resolve) => {
      const popup = open(${JSON.stringify(connectUrl)}, '_blank', 'width=600,height=720')
      addEventListener('message', ({ data, origin }) => {
        const toldAt = performance.now()
        const look = setInterval(() => {
          if (!popup.closed) return
          clearInterval(look)
          resolve({ data, origin, openMs: performance.now() - toldAt })
        }, 20)
      })
    })`)
    const popup = await opened
    await popup.getByRole('button', { name: 'Continue to sign in' }).click()
    const { openMs, ...message } = (await heard) as { readonly openMs: number } // made above
    const connectionId = connectUrl.split('/').at(-1)
    const flowId = (message as { data?: { flowId?: unknown } }).data?.flowId
    assert.match(String(flowId), /^flw_/)
    assert.deepEqual(message, {
      origin,
      data: { type: 'mcp_oauth_done', success, flowId, connectionId },
    })
    // The browser's timers may be late, but never early.
    assert.ok(openMs > closesAfterMs - 100, `it was closed after ${openMs} ms`)
    assert.ok(openMs < closesAfterMs + 5000, `it was closed after ${openMs} ms`)
    assert.deepEqual(
      problems.filter((text) => !/status of 400/.test(text)),
      [],
    )
    alsoSecret(provider.issued())
  })
}
