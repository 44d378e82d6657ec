// A client that checks everything: oauth4webapi against our authorization server, by the whole way from discovery to
// revocation. It throws at whatever the standards do not allow.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import * as oauth from 'oauth4webapi'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { signIn } from '../harness.ts'
import { openDoors, openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { isActive } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { discover, overHttp, redirectUri, registerParty } from './party.ts'
import type { Method, Party } from './party.ts'

interface Asked {
  readonly back: URL
  readonly state: string
  readonly verifier: string
}

/** Sends the person there and takes what comes back. */
async function ask(
  { origin }: Doors,
  browser: CookieBrowser,
  { server, client }: Party,
  decision = 'approve',
): Promise<Asked> {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const url = new URL(server.authorization_endpoint ?? '')
  const parameters = {
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'mcp',
    resource: `${origin}/mcp`,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  browser.setStopAt((target) => target.origin !== origin)
  const asked = await browser.open(url.href)
  // What was agreed before is remembered for a client with a secret.
  const back = asked.isStopped
    ? asked
    : await browser.submit({ button: { name: 'decision', value: decision } })
  return { back: new URL(back.url), state, verifier }
}

async function exchange({ server, client, proof }: Party, { back, state, verifier }: Asked) {
  const callback = oauth.validateAuthResponse(server, client, back, state) // also checks iss (RFC 9207)
  const options = {
    ...overHttp,
    additionalParameters: { resource: String(back.searchParams.get('iss')) + '/mcp' },
  }
  const answer = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    proof,
    callback,
    redirectUri,
    verifier,
    options,
  )
  return oauth.processAuthorizationCodeResponse(server, client, answer)
}

async function walk(t: TestContext, doors: Doors, method: Method): Promise<void> {
  verifies(
    t,
    'S1-81',
    'S3-19',
    'S3-20',
    'S3-21',
    'S3-41',
    'S3-45',
    'S3-47',
    'S4-21',
    'A3-5',
    'A3-10',
  )
  const browser = await signIn(doors.origin)
  const party = await registerParty(doors, method)
  const { server, client, proof } = party
  assert.equal(server.authorization_response_iss_parameter_supported, true)

  const first = await exchange(party, await ask(doors, browser, party))
  assert.equal(first.token_type, 'bearer') // the library lower-cases it
  assert.equal(first.scope, 'mcp')
  assert.equal(await isActive(doors, first.access_token), true)

  const refreshed = await oauth.refreshTokenGrantRequest(
    server,
    client,
    proof,
    first.refresh_token ?? '',
    overHttp,
  )
  const second = await oauth.processRefreshTokenResponse(server, client, refreshed)
  assert.notEqual(second.refresh_token, first.refresh_token)
  assert.equal(await isActive(doors, second.access_token), true)

  const revoked = await oauth.revocationRequest(
    server,
    client,
    proof,
    second.refresh_token ?? '',
    overHttp,
  )
  await oauth.processRevocationResponse(revoked)
  for (const { access_token } of [first, second])
    assert.equal(await isActive(doors, access_token), false)
  const late = await oauth.refreshTokenGrantRequest(
    server,
    client,
    proof,
    second.refresh_token ?? '',
    overHttp,
  )
  await assert.rejects(oauth.processRefreshTokenResponse(server, client, late), {
    error: 'invalid_grant',
    status: 400,
  })
}

for (const method of ['none', 'client_secret_basic', 'client_secret_post'] as const) {
  onEveryDatabase(
    `a strict client with ${method} from discovery to revocation`,
    async (t, store) => {
      await walk(t, await openDoorsOn(t, store), method)
    },
  )
}

test('what a strict client makes of our refusals', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const party = await registerParty(doors, 'client_secret_basic')
  const { server, client } = party

  await t.test('the OpenID form of the metadata says the same', async () => {
    const other = await discover(doors, 'oidc')
    assert.equal(other.token_endpoint, server.token_endpoint)
  })
  await t.test('the protected resource metadata is read as such', async (t) => {
    verifies(t, 'S1-85', 'A3-13')
    const resource = new URL(`${doors.origin}/mcp`)
    const answer = await oauth.resourceDiscoveryRequest(resource, overHttp)
    const metadata = await oauth.processResourceDiscoveryResponse(resource, answer)
    assert.deepEqual(metadata.authorization_servers, [doors.origin])
  })
  await t.test('a person who says no', async (t) => {
    verifies(t, 'S3-28')
    const { back, state } = await ask(doors, browser, party, 'deny')
    assert.throws(() => oauth.validateAuthResponse(server, client, back, state), {
      error: 'access_denied',
    })
  })
  await t.test('a wrong secret is a challenge', async () => {
    const wrong = oauth.ClientSecretBasic('wrong')
    const answer = await oauth.refreshTokenGrantRequest(server, client, wrong, 'mcp_rt_x', overHttp)
    await assert.rejects(oauth.processRefreshTokenResponse(server, client, answer), (error) => {
      assert.ok(error instanceof oauth.WWWAuthenticateChallengeError)
      assert.equal(error.cause[0]?.scheme, 'basic')
      return true
    })
  })
  await t.test('no token is a challenge with the place of the metadata', async (t) => {
    verifies(t, 'S1-84')
    const url = new URL(`${doors.origin}/mcp`)
    const answer = oauth.protectedResourceRequest(
      'mcp_at_x',
      'POST',
      url,
      undefined,
      '{}',
      overHttp,
    )
    await assert.rejects(answer, (error) => {
      assert.ok(error instanceof oauth.WWWAuthenticateChallengeError)
      const { scheme, parameters } = error.cause[0] ?? {}
      assert.equal(scheme, 'bearer')
      assert.equal(parameters?.['error'], 'invalid_token')
      assert.equal(
        parameters?.['resource_metadata'],
        `${doors.origin}/.well-known/oauth-protected-resource/mcp`,
      )
      return true
    })
  })
  await t.test('a code of another request', async () => {
    const [one, other] = [await ask(doors, browser, party), await ask(doors, browser, party)]
    await assert.rejects(exchange(party, { ...one, verifier: other.verifier }), {
      error: 'invalid_grant',
    })
  })
})
