// An MCP client that signs in at a platform under test the way a person would: sign-in page, consent page, callback.
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import type { Era, OAuthMcpClient } from '../counterparts/mcp-client.ts'
import { operator } from '../harness.ts'

export interface ClientSignIn {
  /** The issuer, which may have a path. */
  readonly origin: string
  readonly url: string
  readonly era?: Era
  /** A browser that may be signed in already. */
  readonly browser?: CookieBrowser
}

/** Connects a client to `url`; the person signs in if need be, and approves. */
export function signInClient(options: ClientSignIn): Promise<OAuthMcpClient> {
  const { origin, url, era, browser = createCookieBrowser() } = options
  return createOAuthMcpClient({
    url,
    ...(era === undefined ? {} : { era }),
    authorize: async (authorizeUrl) => {
      browser.setStopAt((target) => target.origin !== new URL(origin).origin)
      const first = await browser.open(authorizeUrl)
      const isSignIn = new URL(first.url).pathname.endsWith('/sign-in')
      if (isSignIn) await browser.submit({ fields: operator })
      const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
      return back.url
    },
  })
}
