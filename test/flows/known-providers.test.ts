// Providers that differ from the standards, each met as it is documented: a person signs in through the real doors, the
// token is refreshed, and what was sent is what that provider takes.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { createManualClock } from '../../src/base/clock.ts'
import type { Store } from '../../src/store/database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { auth0, entra, github, githubApp, google, slack } from '../fakes/known-manners.ts'
import { knownClient, knownMcpUrl, startKnownProvider } from '../fakes/known-provider.ts'
import type { Manners } from '../fakes/known-provider.ts'
import { providersCertificate } from '../fakes/providers-certificate.ts'
import { operator, restAs, restWithKey, startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

setDefaultCACertificates([providersCertificate])

const hourMs = 3_600_000

/** A person signs in; what comes back asks for their live token again and again. */
async function signInAt(
  t: TestContext,
  store: Store,
  manners: Manners,
  server: Readonly<Record<string, string>> = {},
) {
  const provider = await startKnownProvider(manners)
  t.after(provider.stop)
  const clock = createManualClock(Date.now())
  const { origin, alsoSecret } = await startTestPlatform(t, store, { clock, ...provider.world })
  const browser = createCookieBrowser(provider.fetchLike)
  await browser.open(`${origin}/sign-in`)
  await browser.submit({ fields: operator })
  const rest = restAs(browser, origin)

  const added = await rest('POST', '/servers', { url: knownMcpUrl, ...knownClient, ...server })
  assert.equal(added.status, 201, JSON.stringify(added.body))
  const { body: made } = await rest('POST', '/connections', { serverId: added.body.id })
  const { body: begun } = await rest('POST', `/connections/${made.id}/authorize`, {})
  const landed = await browser.open(begun.authorizeUrl)
  const { body: flow } = await rest('GET', `/flows/${begun.flowId}`)
  assert.equal(flow.status, 'completed', JSON.stringify(flow))
  assert.match(landed.html, /Connected/)

  const { body: key } = await rest('POST', '/api-keys', {
    name: 'back end',
    scopes: ['api', 'connections:token'],
  })
  const backEnd = restWithKey(key.key, origin)
  const [asked] = provider.authorizations()
  assert.equal(asked?.get('code_challenge_method'), 'S256')
  return {
    provider,
    clock,
    asked,
    server: added.body,
    found: await rest('GET', `/servers/${added.body.id}`),
    kinds: added.body.discovered.quirks.map(({ kind }: { kind: string }) => kind),
    connection: async () => (await backEnd('GET', `/connections/${made.id}`)).body,
    token: () => backEnd('POST', `/connections/${made.id}/token`),
    end: () => alsoSecret(provider.issued()),
  }
}

type SignedIn = Awaited<ReturnType<typeof signInAt>>

/** The token is another one after its life time, and the same until then. */
async function assertRefreshed({ clock, token, provider }: SignedIn, afterMs: number) {
  const first = await token()
  assert.equal(first.status, 200, JSON.stringify(first.body))
  await clock.advance(afterMs)
  const second = await token()
  assert.equal(second.status, 200, JSON.stringify(second.body))
  assert.notEqual(second.body.accessToken, first.body.accessToken)
  return provider.tokenRequests().at(-1)
}

onEveryDatabase('Entra is asked without resource, by scopes that name it', async (t, store) => {
  verifies(t, 'S1-27', 'S1-28', 'S1-62')
  const met = await signInAt(t, store, entra)
  assert.deepEqual(met.kinds, [
    'unannounced',
    'resource_left_out',
    'scope_of_resource',
    'prompt_left_out',
  ])
  assert.equal(met.asked.get('resource'), null)
  assert.equal(met.asked.get('prompt'), null)
  assert.equal(met.asked.get('scope'), `${knownMcpUrl}/notes.read offline_access`)
  // What was granted is kept in the words of the server, so that a step-up can be compared with it.
  assert.deepEqual((await met.connection()).scopes, ['notes.read'])
  const refresh = await assertRefreshed(met, hourMs)
  assert.equal(refresh?.get('grant_type'), 'refresh_token')
  assert.equal(refresh?.has('resource'), false)
  met.end()
})

onEveryDatabase('Entra is asked for all of a server that names no scopes', async (t, store) => {
  verifies(t, 'S1-27')
  const met = await signInAt(t, store, { ...entra, scopes: [] })
  assert.equal(met.asked.get('scope'), `${knownMcpUrl}/.default offline_access`)
  await assertRefreshed(met, hourMs)
  met.end()
})

onEveryDatabase(
  'Auth0 is told the audience, whichever way its issuer is written',
  async (t, store) => {
    verifies(t, 'S1-27', 'S1-62')
    const met = await signInAt(t, store, auth0, { issuer: 'https://acme.eu.auth0.com' })
    assert.deepEqual(met.kinds, ['issuer_slash', 'audience'])
    assert.equal(met.server.discovered.issuer, 'https://acme.eu.auth0.com/')
    assert.equal(met.asked.get('audience'), knownMcpUrl)
    assert.equal(met.asked.get('resource'), knownMcpUrl)
    const refresh = await assertRefreshed(met, 24 * hourMs)
    assert.equal(refresh?.get('resource'), knownMcpUrl)
    met.end()
  },
)

onEveryDatabase(
  'Google is asked to stay by parameters, and its one refresh token goes on',
  async (t, store) => {
    verifies(t, 'S1-27', 'S1-62')
    const met = await signInAt(t, store, google)
    assert.deepEqual(met.kinds, ['issuer_slash', 'offline_by_parameters'])
    assert.equal(met.server.issuer, 'https://accounts.google.com')
    assert.equal(met.asked.get('access_type'), 'offline')
    assert.equal(met.asked.get('prompt'), 'consent')
    assert.equal(met.asked.get('scope'), 'https://www.googleapis.com/auth/calendar')
    const first = await assertRefreshed(met, hourMs)
    const second = await assertRefreshed(met, hourMs)
    assert.equal(first?.get('refresh_token'), second?.get('refresh_token'))
    met.end()
  },
)

onEveryDatabase(
  'GitHub’s scopes are read by comma, and a token without an end has none',
  async (t, store) => {
    verifies(t, 'S1-27')
    const met = await signInAt(t, store, github)
    assert.deepEqual(met.kinds, ['unannounced', 'scopes_by_comma'])
    const connection = await met.connection()
    assert.deepEqual(connection.scopes, ['repo', 'gist'])
    assert.equal(connection.expiresAt, undefined)
    const first = await met.token()
    await met.clock.advance(365 * 24 * hourMs)
    assert.equal((await met.connection()).status, 'connected')
    assert.equal(met.provider.tokenRequests().length, 1)
    assert.equal(first.status, 200)
    met.end()
  },
)

onEveryDatabase(
  'a GitHub App is refreshed, and an error within a 200 ends it',
  async (t, store) => {
    verifies(t, 'S1-27', 'S1-62', 'S1-64')
    const met = await signInAt(t, store, githubApp)
    await assertRefreshed(met, 8 * hourMs)
    met.provider.failRefresh('bad_refresh_token')
    await met.clock.advance(8 * hourMs)
    assert.equal((await met.token()).status, 502)
    assert.equal((await met.connection()).status, 'connected', 'one refusal is none')
    await met.clock.advance(30_000)
    assert.equal((await met.token()).status, 409)
    assert.equal((await met.connection()).status, 'reauth_required')
    met.end()
  },
)

onEveryDatabase(
  'Slack’s own words for a bearer token, its scopes and its errors are understood',
  async (t, store) => {
    verifies(t, 'S1-27', 'S1-62')
    const met = await signInAt(t, store, slack)
    assert.deepEqual(met.kinds, ['bearer_types', 'scopes_by_comma', 'errors'])
    assert.deepEqual((await met.connection()).scopes, ['search:read.public', 'chat:write'])
    await assertRefreshed(met, 12 * hourMs)
    // A limit is no loss: the token that is left goes on.
    met.provider.failRefresh('ratelimited')
    await met.clock.advance(12 * hourMs - 60_000)
    assert.equal((await met.token()).status, 200)
    assert.equal((await met.connection()).status, 'connected')
    met.end()
  },
)

onEveryDatabase('what applies to a server and why is told with it', async (t, store) => {
  verifies(t, 'S1-27')
  const met = await signInAt(t, store, github)
  const { quirks } = met.found.body
  assert.deepEqual(quirks, met.server.discovered.quirks)
  for (const { provider, because } of quirks) {
    assert.equal(provider, 'GitHub')
    assert.match(because, /\.$/)
  }
  met.end()
})
