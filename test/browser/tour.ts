// A way through every page there is, taken from the router's own rows: a platform with a little of everything on it, and where
// to look. A page that is new is on it at once, or says here what it needs.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { rows } from '../described-answers.ts'
import { challenge } from '../http/oauth-client.ts'
import { addMemories, registerProgram, signIn } from './in-a-browser.ts'
import type { InABrowser } from './in-a-browser.ts'

/** A page to look at. */
export interface Stop {
  readonly name: string
  readonly path: string
}

/** Rows that are no page of their own: they lead on, end what another page began, or give a file. */
const passing = new Set([
  '/',
  '/console',
  '/connect/callback/{context}',
  '/connect/{connection}/arrived',
  '/console/journal/export',
  '/console/journal/export',
  '/oauth/consent',
  '/sign-in/{provider}/callback',
])

/** Signs the operator in, fills the platform, and gives the stops, those without a name first. */
export async function prepareTour(
  t: TestContext,
  browsing: InABrowser,
): Promise<{ readonly nobody: readonly Stop[]; readonly operator: readonly Stop[] }> {
  await signIn(browsing)
  const upstream = await startOpenMcpServer({ host: '127.0.0.1' })
  t.after(() => upstream.stop())
  await addMemories(browsing, upstream.url)
  const paths = await fill(browsing, upstream.url)
  const pages = rows.filter(
    ({ surface, method, path }) =>
      surface === 'page' && method === 'GET' && !path.startsWith('/assets/') && !passing.has(path),
  )
  const stops = pages.map(({ path }): Stop => {
    const target = paths[path] ?? path
    assert.ok(!target.includes('{'), `${path} is on no tour: say in fill() where it is`)
    return { name: nameOf(path), path: target }
  })
  const isForNobody = ({ path }: Stop) => /^\/(sign-in|setup)/.test(path)
  return {
    nobody: stops.filter(isForNobody),
    operator: stops.filter((stop) => !isForNobody(stop)),
  }
}

function nameOf(path: string): string {
  return path
    .replace(/^\/(console\/)?/, '')
    .replaceAll(/[{}]/g, '')
    .replaceAll('/', '-')
}

/** One of everything that a page shows; gives the pages that have an id or a query. */
async function fill(
  browsing: InABrowser,
  serverUrl: string,
): Promise<Readonly<Record<string, string>>> {
  const { context, origin } = browsing
  const provider = await made(browsing, '/providers', {
    kind: 'oauth2',
    slug: 'company',
    name: 'Company',
    issuer: 'http://127.0.0.1:9',
    clientId: 'us',
    authorizationEndpoint: 'http://127.0.0.1:9/authorize',
    tokenEndpoint: 'http://127.0.0.1:9/token',
    userinfoEndpoint: 'http://127.0.0.1:9/userinfo',
  })
  const serverId = (
    await made(browsing, '/servers', { url: serverUrl, slug: 'notes', name: 'Notes' })
  ).id
  const person = await made(browsing, '/users', { email: 'grace@example.com' })
  const connection = await made(browsing, '/connections', { serverId })
  const webhook = await made(browsing, '/webhooks', { url: 'http://127.0.0.1:9/hook' })
  const redirectUri = 'https://app.test/cb'
  const client = await registerProgram(origin, { name: 'Notebook', redirectUri })
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirectUri,
    resource: `${origin}/memories/mcp`,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state: 's',
  })
  const { items } = (await (await context.request.get(`${origin}/api/v1/attempts`)).json()) as {
    readonly items: readonly { readonly id: string }[]
  } // GET /attempts: that of the client just made
  return {
    '/console/people/{user}': `/console/people/${person.id}`,
    '/console/scopes/{scope}': '/console/scopes/memories%3Aall',
    '/console/servers/{server}': `/console/servers/${serverId}`,
    '/console/attempts/{attempt}': `/console/attempts/${items[0]?.id}`,
    '/console/providers/{provider}': `/console/providers/${provider.id}`,
    '/console/webhooks/{webhook}': `/console/webhooks/${webhook.id}`,
    '/connect/{connection}': `/connect/${connection.id}`,
    '/connect/finished/{flow}': '/connect/finished/flw_0123456789abcdefghij',
    '/oauth/authorize': `/oauth/authorize?${query.toString()}`,
    '/setup': '/setup?link=none',
  }
}

/** Makes something by REST as who is signed in. */
async function made(
  { context, origin }: InABrowser,
  path: string,
  data: unknown,
): Promise<{ readonly id: string }> {
  const answer = await context.request.post(`${origin}/api/v1${path}`, {
    headers: { origin },
    data,
  })
  assert.equal(answer.status(), 201, await answer.text())
  return (await answer.json()) as { readonly id: string } // what was just made
}
