// A tenant's people sign in at the tenant's own provider: who they are here, what they see before a client gets anything, and
// what a client is told when it does not work.
import assert from 'node:assert/strict'
import type { Store } from '../../src/store/database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { startTestPlatform } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { encode } from '../http/doors.ts'
import { authorizePath, redirectUri, verifier } from '../http/oauth-client.ts'
import { clientId, signInElsewhere, startPersonProvider } from './person-provider.ts'

const usersIn = (store: Store) =>
  store.db.selectFrom('users').selectAll().orderBy('created_at').execute()

onEveryDatabase('fifty first sign-ins of one person at once make one person', async (t, store) => {
  verifies(t, 'S4-3', 'S4-30', 'S4-31', 'A4-2')
  const platform = await startTestPlatform(t, store)
  await startPersonProvider(t, platform, { user: 'grace' })
  const browsers = await Promise.all(
    Array.from({ length: 50 }, () => signInElsewhere(platform.origin)),
  )
  for (const browser of browsers) {
    assert.equal(new URL(browser.current().url).pathname, '/console/connections')
    assert.match(browser.current().html, /grace@foreign\.example/)
  }
  const people = await usersIn(store)
  assert.deepEqual(
    people.map(({ email, email_verified }) => [email, email_verified]),
    [
      ['ada@example.com', 0],
      ['grace@foreign.example', 1],
    ],
  )
})

onEveryDatabase('no address, or one that is unverified, still makes a person', async (t, store) => {
  verifies(t, 'S4-14', 'S4-30', 'A4-10', 'A4-11')
  const platform = await startTestPlatform(t, store)
  let said: Readonly<Record<string, unknown>> = { name: 'Grace' }
  const { idp } = await startPersonProvider(t, platform, {
    user: 'grace',
    claimsOf: () => said,
    input: { linksVerifiedEmail: true },
  })
  const browser = await signInElsewhere(platform.origin)
  assert.match(browser.current().html, /Grace/)
  // Somebody who says that they are Ada, and nobody has verified that.
  said = { email: 'ada@example.com', email_verified: false }
  idp.signInAs('mallory')
  await signInElsewhere(platform.origin)
  const people = await usersIn(store)
  assert.deepEqual(
    people.map(({ email }) => email),
    ['ada@example.com', null, null],
  )
  // The same person, by now with an address.
  said = { name: 'Grace', email: 'grace@example.com', email_verified: true }
  idp.signInAs('grace')
  await signInElsewhere(platform.origin)
  const later = await usersIn(store)
  assert.equal(later.length, 3)
  assert.deepEqual(
    new Set(later.map(({ email }) => email)),
    new Set(['ada@example.com', 'grace@example.com', null]),
  )
})

onEveryDatabase(
  'an address joins only what both sides verified, where the tenant allows it',
  async (t, store) => {
    verifies(t, 'A4-11')
    const platform = await startTestPlatform(t, store)
    const claimsOf = () => ({ email: 'Ada@Example.com', email_verified: true })
    const { provider, ada } = await startPersonProvider(t, platform, { user: 'a', claimsOf })
    const setVerified = (email_verified: number) =>
      store.db
        .updateTable('users')
        .set({ email_verified })
        .where('email', '=', 'ada@example.com')
        .execute()
    const identityOf = async (subject: string) => {
      const row = await store.db
        .selectFrom('identities')
        .innerJoin('users', 'users.id', 'identities.user_id')
        .select('users.email')
        .where('subject', '=', subject)
        .executeTakeFirstOrThrow()
      return row.email
    }
    await setVerified(1)
    await signInElsewhere(platform.origin)
    assert.equal(await identityOf('a'), null, 'the tenant does not allow it')

    assert.equal(
      (await ada('PATCH', `/providers/${provider.id}`, { linksVerifiedEmail: true })).status,
      200,
    )
    const { db } = store
    await db.deleteFrom('identities').execute()
    await setVerified(0)
    await signInElsewhere(platform.origin)
    assert.equal(await identityOf('a'), null, 'our side has not verified it')

    await db.deleteFrom('identities').execute()
    await setVerified(1)
    await Promise.all(Array.from({ length: 10 }, () => signInElsewhere(platform.origin)))
    assert.equal(await identityOf('a'), 'ada@example.com')
  },
)

/** Registers a client as any program may. */
async function registerClient(origin: string): Promise<string> {
  const answer = await fetch(`${origin}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'An app',
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
    }),
  })
  const { client_id: id } = (await answer.json()) as { client_id: string }
  return id
}

/** Opens an authorization request; the browser stops where it leaves the two hosts that it knows. */
async function ask(
  origin: string,
  idpOrigin: string,
  browser: CookieBrowser,
  id: string,
): Promise<void> {
  browser.setStopAt((url) => url.origin !== origin && url.origin !== idpOrigin)
  await browser.open(origin + authorizePath({ id, redirectUri }))
}

onEveryDatabase(
  'a person signs in elsewhere and lets a client in, which holds nothing of the provider’s',
  async (t, store) => {
    verifies(
      t,
      'S4-10',
      'S4-11',
      'S4-12',
      'S4-22',
      'S4-23',
      'S4-24',
      'S4-25',
      'S4-26',
      'A4-3',
      'A4-7',
    )
    const platform = await startTestPlatform(t, store)
    const { origin } = platform
    const { idp } = await startPersonProvider(t, platform, { user: 'grace' })
    const browser = await signInElsewhere(origin)
    // The provider knows this browser by now, and would answer without a question.
    const other = await registerClient(origin)
    await browser.open(`${origin}/console/connections`)
    await browser.submit({ button: 'Sign out' })
    await ask(origin, idp.issuer, browser, other)
    const page = browser.current()
    assert.equal(new URL(page.url).pathname, '/sign-in')
    assert.match(page.html, /An app<\/bdi> asks to be let in/)
    assert.match(page.html, /app\.test/)
    const consent = await browser.submit({ button: 'Continue with Company' })
    assert.equal(new URL(consent.url).pathname, '/oauth/consent', consent.html)
    assert.match(consent.html, /Let <bdi>An app<\/bdi> in/)
    const sent = consent.trail.find((url) => url.startsWith(`${idp.issuer}/auth?`)) ?? ''
    const asked = new URL(sent).searchParams
    assert.equal(asked.get('redirect_uri'), `${origin}/sign-in/company/callback`)
    assert.equal(asked.get('code_challenge_method'), 'S256')
    assert.equal(asked.get('scope'), 'openid profile email')
    assert.equal(asked.get('resource'), null)
    assert.ok(asked.get('nonce'))
    const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
    const answer = new URL(back.url).searchParams
    assert.equal(answer.get('state'), 'the-state')
    const tokens = await redeem(origin, other, answer.get('code') ?? '')
    assert.match(tokens.access_token, /^mcp_at_/)
    const held = JSON.stringify([tokens, back.trail])
    for (const secret of idp.tokensIssued()) assert.ok(!held.includes(secret))
    assert.ok(!held.includes(clientId))
  },
)

async function redeem(origin: string, client: string, code: string) {
  const answer = await fetch(`${origin}/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: encode({
      grant_type: 'authorization_code',
      client_id: client,
      redirect_uri: redirectUri,
      code,
      code_verifier: verifier,
    }),
  })
  assert.equal(answer.status, 200)
  return (await answer.json()) as { access_token: string; refresh_token?: string }
}

onEveryDatabase(
  'a provider that says no, or is down, is told to the client with its own state',
  async (t, store) => {
    verifies(t, 'S4-45', 'A4-8')
    const platform = await startTestPlatform(t, store)
    const { origin } = platform
    const { idp } = await startPersonProvider(t, platform, { user: 'grace' })
    const client = await registerClient(origin)
    idp.decide('deny')
    const refused = createCookieBrowser()
    await ask(origin, idp.issuer, refused, client)
    const denied = await refused.submit({ button: 'Continue with Company' })
    const told = new URL(denied.url)
    assert.equal(told.origin + told.pathname, redirectUri)
    assert.equal(told.searchParams.get('error'), 'access_denied')
    assert.equal(told.searchParams.get('state'), 'the-state')
    assert.equal(told.searchParams.get('iss'), origin)

    idp.decide('approve')
    const stranded = createCookieBrowser()
    await ask(origin, idp.issuer, stranded, client)
    stranded.setStopAt((url) => url.pathname === '/sign-in/company/callback')
    const caught = await stranded.submit({ button: 'Continue with Company' })
    await idp.stop()
    stranded.setStopAt((url) => url.origin !== origin)
    const lost = new URL((await stranded.open(caught.url)).url)
    assert.equal(lost.searchParams.get('error'), 'temporarily_unavailable')
    assert.equal(lost.searchParams.get('state'), 'the-state')
    assert.deepEqual((await usersIn(store)).length, 1, 'nobody was made')
  },
)

onEveryDatabase(
  'an answer counts once, in the browser that asked, at its own provider, within ten minutes [P-21] [P-22]',
  async (t, store) => {
    verifies(t, 'S4-23', 'A4-7')
    const platform = await startTestPlatform(t, store)
    const { origin } = platform
    await startPersonProvider(t, platform, { user: 'grace' })
    const browser = createCookieBrowser()
    browser.setStopAt((url) => url.pathname.endsWith('/callback'))
    await browser.open(`${origin}/sign-in`)
    const { url } = await browser.submit({ button: 'Continue with Company' })
    browser.setStopAt(() => false)

    const stranger = createCookieBrowser()
    assert.equal((await stranger.open(url)).status, 400, 'another browser')
    await stranger.open(`${origin}/sign-in`)
    assert.equal((await stranger.open(url)).status, 400, 'another browser with a cookie of its own')
    const code = new URL(url).searchParams.get('code') ?? ''
    assert.equal(
      (await browser.open(url.replace(code, `${code}&code=x`))).status,
      400,
      'twice a code',
    )
    const changed = new URL(url)
    changed.searchParams.set('state', 'x')
    assert.equal((await browser.open(changed.href)).status, 400, 'another state')
    // RFC 9207: of an answer that names another issuer nothing is used, and the flow is spent.
    assert.equal((await browser.open(`${url}x`)).status, 401)
    assert.equal((await browser.open(url)).status, 400)
    // A form that another site sends along is not ours (P-22).
    const forged = await fetch(`${origin}/sign-in/company`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' },
      body: new URLSearchParams({ form_token: 'x', next: '/' }),
    })
    assert.equal(forged.status, 403)
    assert.equal(forged.headers.get('set-cookie'), null)
    assert.equal((await usersIn(store)).length, 1, 'nobody was made by any of it')
  },
)
