// Somebody else's app, with its own users and its own session cookie, that embeds the client half: the one place where a
// test plays the app. Everything it says at its port and keeps is written down for the leak search.
import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import type { TestContext } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import type { ManualClock } from '../../src/base/clock.ts'
import { createConnectors } from '../../src/client.ts'
import type { ConnectorEvent, Connectors, ConnectorsOptions } from '../../src/client.ts'
import type { Store } from '../../src/store/database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { markedRandom } from '../harness.ts'
import { startRecorder } from '../record.ts'

export interface RunningApp {
  readonly origin: string
  readonly connectors: Connectors
  /** A browser in which this user of the app is signed in. */
  readonly browserOf: (user: string) => Promise<CookieBrowser>
  readonly alsoSecret: (secrets: readonly string[]) => void
}

export interface AppOptions extends Partial<ConnectorsOptions> {
  readonly clock?: ManualClock
  /** Where the app puts the client half, such as `/chat`. */
  readonly under?: string
}

export const appKey = randomBytes(32).toString('base64url')

/** Starts the app on this store; it stops with the test. */
export async function startApp(
  t: TestContext,
  store: Store,
  { clock, under = '', ...options }: AppOptions = {},
): Promise<RunningApp> {
  const embedded: { connectors?: Connectors } = {}
  const { origin, stop } = await listenOnLoopback(() => appListener(embedded))
  const recorder = startRecorder(Number(new URL(origin).port), store)
  const connectors = await createConnectors(
    {
      database: 'given',
      key: appKey,
      publicUrl: origin + under,
      clientName: 'Chatty',
      allowPrivateNetworks: ['loopback'],
      log: recorder.writeLog,
      logLevel: 'debug',
      ...options,
    },
    { store, random: markedRandom, ...(clock === undefined ? {} : { clock }) },
  )
  embedded.connectors = connectors
  t.after(async () => {
    await recorder.finish()
    await connectors.close()
    await stop()
  })
  const browserOf = async (user: string) => {
    const browser = createCookieBrowser()
    await browser.open(`${origin}/sign-in?as=${user}`)
    return browser
  }
  return { origin, connectors, browserOf, alsoSecret: recorder.alsoSecret }
}

function appListener(embedded: { readonly connectors?: Connectors }): RequestListener {
  const listener = getRequestListener(
    async (request) => {
      const url = new URL(request.url)
      if (url.pathname === '/sign-in') return signedIn(url.searchParams.get('as') ?? '')
      const answer = await embedded.connectors?.handle(request, { user: userOf(request) })
      return answer ?? new Response('a page of the app')
    },
    { overrideGlobalObjects: false },
  )
  return (...pair) => void listener(...pair)
}

function signedIn(user: string): Response {
  const headers = { 'set-cookie': `app_user=${user}; Path=/; HttpOnly; SameSite=Lax` }
  return new Response('signed in', { headers })
}

function userOf(request: Request): string | undefined {
  return /(?:^|; )app_user=([^;]+)/.exec(request.headers.get('cookie') ?? '')?.[1]
}

/** Connects this user to the server, as their browser would. */
export async function connect(app: RunningApp, user: string, server: string): Promise<string> {
  const begun = await app.connectors.begin(user, server)
  if ('alreadyAuthorized' in begun) return begun.connectionId
  const browser = await app.browserOf(user)
  const page = await browser.open(begun.authorizeUrl)
  if (page.status !== 200) throw new Error(`the sign-in ended with ${page.status}: ${page.html}`)
  return begun.connectionId
}

/** What another process of the app would open the client half with. */
export function optionsOf({ origin }: RunningApp) {
  return { key: appKey, publicUrl: origin, allowPrivateNetworks: ['loopback'] }
}

/** Hears what happens to connections, one event after the other. */
export function createHearing(connectors: Connectors) {
  const heard: ConnectorEvent[] = []
  let wake = () => {}
  const stop = connectors.listen((event) => {
    heard.push(event)
    wake()
  })
  const next = async (): Promise<ConnectorEvent> => {
    const first = heard.shift()
    if (first !== undefined) return first
    await new Promise<void>((resolve) => {
      wake = resolve
    })
    return next()
  }
  return { next, stop }
}
