// A platform with a server whose provider can be told to misbehave, and sign-ins elsewhere step by step, as a browser
// and a program would take them.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import type { Faults } from '../fakes/fault-provider.ts'
import { signIn } from '../harness.ts'
import { callAs } from './doors.ts'
import type { Answer, Call, Doors } from './doors.ts'

/** A sign-in elsewhere that was begun. */
export interface Begun {
  readonly connectionId: string
  readonly flowId: string
  readonly authorizeUrl: string
}

/** A server with a provider of its own, added by an administrator in this browser. */
export async function addProvider(
  t: TestContext,
  doors: Doors,
  ada: Call,
  faults: Partial<Faults> = {},
) {
  const provider = await startFaultProvider(faults)
  t.after(async () => {
    doors.alsoSecret(provider.issued())
    await provider.stop()
  })
  const added = await ada('POST', '/servers', { url: provider.mcpUrl })
  assert.equal(added.status, 201, added.text)
  return { provider, server: added.json as { readonly id: string; readonly slug: string } }
}

/** The operator, signed in, with a server whose provider approves by itself. */
export async function startFlows(t: TestContext, doors: Doors, faults: Partial<Faults> = {}) {
  const browser = await signIn(doors.origin)
  const ada = callAs(doors, browser)
  const { provider, server } = await addProvider(t, doors, ada, faults)
  return {
    browser,
    ada,
    provider,
    server,
    begin: (input: object = {}, who: Call = ada) => beginAt(who, server.id, input),
    /** The callback as the provider would send the browser to it. */
    approve: async ({ authorizeUrl }: Pick<Begun, 'authorizeUrl'>): Promise<URL> => {
      const sent = await doors.ask({ path: authorizeUrl })
      return new URL(sent.headers.get('location') ?? '')
    },
    open: (url: URL, who: CookieBrowser = browser): Promise<Answer> =>
      doors.ask({ path: url.href, browser: who, headers: { 'sec-fetch-site': 'cross-site' } }),
  }
}

let count = 0

/** Makes a connection and begins its sign-in. */
export async function beginAt(who: Call, serverId: string, input: object = {}): Promise<Begun> {
  const made = await who('POST', '/connections', { serverId, label: `number ${++count}` })
  assert.equal(made.status, 201, made.text)
  const begun = await who('POST', `/connections/${made.json.id}/authorize`, input)
  assert.equal(begun.status, 200, begun.text)
  const { flowId, authorizeUrl } = begun.json
  return { connectionId: made.json.id, flowId, authorizeUrl }
}

/** A browser that is signed in nowhere. */
export async function strangersBrowser(origin: string): Promise<CookieBrowser> {
  const browser = createCookieBrowser()
  await browser.open(`${origin}/sign-in`)
  return browser
}
