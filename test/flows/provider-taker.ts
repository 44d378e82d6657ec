// A server of a platform under test that takes the tokens of the caller's own sign-in at a provider.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import type { Store } from '../../src/store/database.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import type { ForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import { startMcpServer } from '../counterparts/mcp-server.ts'
import type { McpServerOptions } from '../counterparts/mcp-server.ts'
import { startTestPlatform } from '../harness.ts'
import { startPersonProvider } from './person-provider.ts'
import { signInClient } from './signed-in-client.ts'

export const echo = { name: 'echo', arguments: { text: 'hello' } }

/** A server that takes the provider's tokens, asks the provider about each, and notes whose it was. */
async function startTaker(
  t: TestContext,
  idp: ForeignAuthorizationServer,
  options: McpServerOptions,
) {
  const callers: string[] = []
  let wanted: string | undefined
  const challenge = (scope: string) => ({
    'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"`,
  })
  const refused = new Set<string>()
  const server = await startMcpServer(
    () => async (request) => {
      const token = /^Bearer (\S+)$/.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
      const { active, sub } = await idp.introspect(token)
      if (!active || refused.has(token)) return new Response('not let in', { status: 401 })
      if (wanted !== undefined) return new Response('', { status: 403, headers: challenge(wanted) })
      callers.push(String(sub))
      return undefined
    },
    options,
  )
  t.after(() => server.stop())
  const tokens = () =>
    server.calls().map(({ headers }) => headers['authorization']?.slice('Bearer '.length) ?? '')
  return {
    ...server,
    callers,
    tokens,
    refuse: (token: string) => refused.add(token),
    /** From now on no token has the scope that it needs. */
    want: (scope: string) => {
      wanted = scope
    },
  }
}

type TakerOptions = NonNullable<Parameters<typeof startPersonProvider>[2]> & {
  readonly keepsSessions?: boolean
}

/** The platform, the provider, and the server `notes` that asks it about each token. */
export async function startWithTaker(
  t: TestContext,
  store: Store,
  { keepsSessions = false, ...options }: TakerOptions = {},
) {
  const clock = createManualClock(Date.now())
  const platform = await startTestPlatform(t, store, { clock })
  const elsewhere = await startPersonProvider(t, platform, {
    user: 'grace',
    accessTokenTtlS: 600,
    ...options,
    input: { keepsTokens: true, ...options.input },
  })
  const { idp, ada, provider } = elsewhere
  const taker = await startTaker(t, idp, { keepsSessions })
  const wish = { url: taker.url, slug: 'notes', auth: 'provider', providerId: provider.id }
  const add = (more: Readonly<Record<string, unknown>> = {}) =>
    ada('POST', '/servers', { ...wish, ...more })
  const connect = (browser: CookieBrowser) =>
    signInClient({ origin: platform.origin, url: `${platform.origin}/notes/mcp`, browser })
  return { ...platform, ...elsewhere, clock, taker, add, connect }
}

/** The link that the person is asked to open. */
export async function linkIn(work: Promise<unknown>): Promise<string> {
  const told = await work.then(
    (value) => JSON.stringify(value),
    (error: unknown) => `${String(error)} ${JSON.stringify((error as { data?: unknown }).data)}`,
  )
  const [link = ''] = /https?:\/\/[^\s"]+\/connect\/con_\w+/.exec(told) ?? []
  assert.notEqual(link, '', told)
  return link
}
