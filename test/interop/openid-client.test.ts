// openid-client, the certified OpenID Connect client, against our authorization server: discovery, registration, sign-in
// with an ID token, userinfo, refresh, client credentials, introspection and revocation. It refuses what is not to the letter.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import * as client from 'openid-client'
import { restAs, signIn } from '../harness.ts'
import { openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'

const overHttp = { execute: [client.allowInsecureRequests] } // loopback only
const redirectUri = 'https://app.test/cb'

// It sends the secret in the body unless told otherwise, whatever it registered.
const proofs = {
  client_secret_basic: client.ClientSecretBasic,
  client_secret_post: client.ClientSecretPost,
  none: client.None,
} as const
type Method = keyof typeof proofs

/** Registers by itself and is known by what it got (RFC 7591). */
function register({ origin }: Doors, method: Method): Promise<client.Configuration> {
  const metadata = {
    client_name: 'OpenID client',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    id_token_signed_response_alg: 'ES256',
    token_endpoint_auth_method: method,
  }
  return client.dynamicClientRegistration(new URL(origin), metadata, proofs[method](), overHttp)
}

/** Signs the operator in there and comes back with the tokens. */
async function connect({ origin }: Doors, config: client.Configuration) {
  const browser = await signIn(origin)
  const verifier = client.randomPKCECodeVerifier()
  const nonce = client.randomNonce()
  const state = client.randomState()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid profile email mcp',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
  })
  browser.setStopAt((target) => target.origin !== origin)
  await browser.open(url.href)
  const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  return client.authorizationCodeGrant(config, new URL(back.url), {
    pkceCodeVerifier: verifier,
    expectedNonce: nonce,
    expectedState: state,
    idTokenExpected: true,
  })
}

for (const method of Object.keys(proofs) as Method[]) {
  // its own keys
  onEveryDatabase(`openid-client signs a person in, with ${method}`, async (t, store) => {
    verifies(t, 'A1', 'A2', 'A8', 'A11')
    const doors = await openDoorsOn(t, store)
    const config = await register(doors, method)

    const tokens = await connect(doors, config)

    const claims = tokens.claims() ?? assert.fail('no ID token came')
    const person = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(person.email, 'ada@example.com')
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token ?? '')
    assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
    await client.tokenRevocation(config, refreshed.refresh_token ?? '')
    await assert.rejects(client.refreshTokenGrant(config, refreshed.refresh_token ?? ''), {
      error: 'invalid_grant',
    })
    await assert.rejects(client.fetchUserInfo(config, refreshed.access_token, claims.sub))
  })
}

onEveryDatabase(
  'openid-client acts for itself and asks what its token is worth',
  async (t, store) => {
    verifies(t, 'A15', 'S3-46', 'S3-51')
    const doors = await openDoorsOn(t, store)
    const machine = await makeMachine(t, doors)

    const { access_token: token } = await client.clientCredentialsGrant(machine, { scope: 'mcp' })

    const before = await client.tokenIntrospection(machine, token)
    assert.deepEqual([before.active, before.scope], [true, 'mcp'])
    await client.tokenRevocation(machine, token)
    assert.deepEqual(await client.tokenIntrospection(machine, token), { active: false })
  },
)

async function makeMachine(t: TestContext, doors: Doors): Promise<client.Configuration> {
  const api = restAs(await signIn(doors.origin), doors.origin)
  const { status, body } = await api('POST', '/clients', {
    name: 'Machine',
    redirectUris: [],
    grantTypes: ['client_credentials'],
  })
  assert.equal(status, 201)
  t.diagnostic(`made ${body.id}`)
  return client.discovery(
    new URL(doors.origin),
    body.id,
    undefined,
    client.ClientSecretBasic(body.clientSecret),
    overHttp,
  )
}
