// What a client holds never outlives what the person's provider gave: refreshed there once however many ask, ended when the
// provider ends it, kept when the provider is only down.
import assert from 'node:assert/strict'
import { createManualClock } from '../../src/base/clock.ts'
import type { ManualClock } from '../../src/base/clock.ts'
import { sweepPeople } from '../../src/people/sweep.ts'
import type { Store } from '../../src/store/database.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { startTestPlatform } from '../harness.ts'
import { encode } from '../http/doors.ts'
import { authorizePath, redirectUri, verifier } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { signInElsewhere, startPersonProvider } from './person-provider.ts'

const hourMs = 3_600_000

interface Tokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly expires_in: number
}

/** A client of a person who signs in at the provider, and its tokens. */
async function letIn(origin: string, browser: CookieBrowser) {
  const registered = await fetch(`${origin}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'An app',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }),
  })
  const { client_id: id } = (await registered.json()) as { client_id: string }
  browser.setStopAt((url) => url.href.startsWith(redirectUri))
  await browser.open(origin + authorizePath({ id, redirectUri }, { scope: 'mcp openid' }))
  const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  const code = new URL(back.url).searchParams.get('code') ?? ''
  const token = (form: Readonly<Record<string, string>>) =>
    fetch(`${origin}/oauth/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: encode({ client_id: id, ...form }),
    })
  const answer = await token({
    grant_type: 'authorization_code',
    redirect_uri: redirectUri,
    code,
    code_verifier: verifier,
  })
  const first = (await answer.json()) as Tokens
  assert.equal(answer.status, 200, JSON.stringify(first))
  const refresh = (given: string) => token({ grant_type: 'refresh_token', refresh_token: given })
  const userInfo = (given: string) =>
    fetch(`${origin}/oauth/userinfo`, { headers: { authorization: `Bearer ${given}` } })
  return { first, refresh, userInfo }
}

async function start(
  t: Parameters<typeof startTestPlatform>[0],
  store: Store,
  options: Parameters<typeof startPersonProvider>[2] = {},
) {
  // In step with the provider, which has the time of the machine.
  const clock: ManualClock = createManualClock(Date.now())
  const platform = await startTestPlatform(t, store, { clock })
  const parts = await startPersonProvider(t, platform, { user: 'grace', ...options })
  return { ...parts, ...platform, clock }
}

onEveryDatabase(
  'the provider is asked for a newer token once, however many ask for ours',
  async (t, store) => {
    verifies(t, 'S4-46', 'A4-9', 'S4-44')
    const { origin, idp, clock } = await start(t, store, { accessTokenTtlS: 600 })
    const browser = await signInElsewhere(origin)
    const { first, refresh, userInfo } = await letIn(origin, browser)
    const stored = JSON.stringify(await store.db.selectFrom('credentials').selectAll().execute())
    for (const secret of idp.tokensIssued()) assert.ok(!stored.includes(secret), 'it is sealed')
    const refreshes = () => idp.tokenRequests().filter(({ grant }) => grant === 'refresh_token')
    assert.equal((await userInfo(first.access_token)).status, 200)
    assert.equal(refreshes().length, 0)
    await clock.advance(595_000)
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => userInfo(first.access_token)),
    )
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(refreshes().length, 1)
    const again = await refresh(first.refresh_token)
    assert.equal(again.status, 200)
    assert.equal(refreshes().length, 1)
  },
)

onEveryDatabase(
  'what the provider has ended ends ours, and the client is led to sign in again [row 45]',
  async (t, store) => {
    verifies(t, 'T-45', 'S4-27', 'S4-29', 'A4-9')
    const { origin, idp, clock } = await start(t, store, { accessTokenTtlS: 600 })
    const browser = await signInElsewhere(origin)
    const { first, refresh, userInfo } = await letIn(origin, browser)
    idp.revokeEverything()
    await clock.advance(700_000)
    // A lone refusal is asked about once more, half a minute later; nothing is given meanwhile.
    const doubted = await refresh(first.refresh_token)
    assert.equal(doubted.status, 503)
    assert.ok(Number(doubted.headers.get('retry-after')) > 0)
    await clock.advance(31_000)
    const ended = await refresh(first.refresh_token)
    assert.deepEqual(
      [ended.status, ((await ended.json()) as { error: string }).error],
      [400, 'invalid_grant'],
    )
    const told = await userInfo(first.access_token)
    assert.equal(told.status, 401)
    assert.match(told.headers.get('www-authenticate') ?? '', /invalid_token/)
    assert.equal(
      (await browser.open(`${origin}/console/connections`)).url.includes('/sign-in'),
      true,
    )
    const left = await store.db.selectFrom('credentials').selectAll().execute()
    assert.deepEqual(left, [])
  },
)

onEveryDatabase(
  'a provider that is down ends nothing, and is not run against [row 45]',
  async (t, store) => {
    verifies(t, 'T-45', 'S4-45', 'A4-8', 'A4-9')
    const { origin, idp, clock } = await start(t, store, { accessTokenTtlS: 600 })
    const { first, refresh, userInfo } = await letIn(origin, await signInElsewhere(origin))
    await idp.stop()
    await clock.advance(590_000)
    assert.equal((await userInfo(first.access_token)).status, 200, 'what is valid stays in use')
    await clock.advance(20_000)
    const refused = await refresh(first.refresh_token)
    assert.equal(refused.status, 503)
    assert.equal(((await refused.json()) as { error: string }).error, 'temporarily_unavailable')
    const grant = await store.db.selectFrom('grants').select('revoked_at').executeTakeFirstOrThrow()
    assert.equal(grant.revoked_at, null)
  },
)

onEveryDatabase(
  'a token that cannot be made newer bounds ours where the tenant keeps it',
  async (t, store) => {
    verifies(t, 'S4-29', 'A4-9')
    const grantTypes = { grant_types: ['authorization_code'] }
    const { origin, clock } = await start(t, store, {
      accessTokenTtlS: 600,
      input: { keepsTokens: true },
      clientMetadata: grantTypes,
    })
    const { first, refresh, userInfo } = await letIn(origin, await signInElsewhere(origin))
    assert.ok(first.expires_in <= 600, `${first.expires_in}`)
    await clock.advance(601_000)
    assert.equal((await userInfo(first.access_token)).status, 401)
    const ended = await refresh(first.refresh_token)
    assert.equal(((await ended.json()) as { error: string }).error, 'invalid_grant')
  },
)

onEveryDatabase(
  'who signs out at the provider is signed out here, and so are their clients',
  async (t, store) => {
    verifies(t, 'S4-10', 'S4-45')
    const { origin, idp } = await start(t, store)
    const browser = createCookieBrowser()
    await signInElsewhere(origin, { browser })
    const { first, userInfo } = await letIn(origin, browser)
    const others = await letIn(origin, await signInElsewhere(origin, { as: idp, user: 'henry' }))
    browser.setStopAt(() => false)
    await browser.open(`${idp.issuer}/session/end`)
    const out = await browser.submit({ button: 'Sign out' })
    assert.equal(out.status, 200, out.html)
    assert.equal((await userInfo(first.access_token)).status, 401)
    assert.match((await browser.open(`${origin}/console/connections`)).url, /\/sign-in/)
    assert.equal((await others.userInfo(others.first.access_token)).status, 200, 'nobody else')

    for (const token of ['x', 'x.y.z', 'eyJhbGciOiJub25lIn0.e30.']) {
      const answer = await fetch(`${origin}/oauth/backchannel-logout/company`, {
        method: 'POST',
        body: new URLSearchParams({ logout_token: token }),
      })
      assert.equal(answer.status, 400)
      assert.equal(((await answer.json()) as { error: string }).error, 'invalid_request')
    }
  },
)

onEveryDatabase('a provider that is taken away takes along what came of it', async (t, store) => {
  verifies(t, 'S4-45')
  const { origin, ada, provider, clock } = await start(t, store)
  const browser = await signInElsewhere(origin)
  const { first, refresh, userInfo } = await letIn(origin, browser)
  await clock.advance(hourMs / 4)
  assert.equal((await ada('DELETE', `/providers/${provider.id}`)).status, 204)
  assert.equal((await userInfo(first.access_token)).status, 401)
  assert.equal((await refresh(first.refresh_token)).status, 400)
  assert.match((await browser.open(`${origin}/console/connections`)).url, /\/sign-in/)
  const rows = await store.db.selectFrom('provider_grants').selectAll().execute()
  assert.deepEqual(rows, [])
})

onEveryDatabase('a sign-in that ended a day ago is thrown away, and no other', async (t, store) => {
  verifies(t, 'S4-45')
  const { origin, idp, clock } = await start(t, store)
  await signInElsewhere(origin)
  await signInElsewhere(origin, { as: idp, user: 'henry' })
  const { db } = store
  await db
    .updateTable('provider_grants')
    .set({ ended_at: clock.now(), end_reason: 'signed_out_there' })
    .where('subject', '=', 'grace')
    .execute()
  const sweep = async (at: number) => (await sweepPeople(db, at)).providerGrants
  assert.equal(await sweep(clock.now() + 24 * hourMs - 1), 0)
  assert.equal(await sweep(clock.now() + 24 * hourMs), 1)
  const left = await db.selectFrom('provider_grants').select('subject').execute()
  assert.deepEqual(left, [{ subject: 'henry' }])
})
