// Strict clients without a browser: oauth4webapi and openid-client drive the whole device flow against our authorization server, from
// discovery to a refreshed token, and read our refusals (RFC 8628).
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { createManualClock } from '../../src/base/clock.ts'
import type { CookieBrowser } from '../counterparts/cookie-browser.ts'
import { signIn } from '../harness.ts'
import { openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { isActive } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { overHttp, registerParty } from './party.ts'
import type { Method, Party } from './party.ts'

const described = {
  client_name: 'A strict device',
  redirect_uris: [],
  grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  response_types: [],
}

async function begin({ server, client, proof }: Party) {
  const wish = { scope: 'mcp openid', resource: `${server.issuer}/mcp` }
  const answer = await oauth.deviceAuthorizationRequest(server, client, proof, wish, overHttp)
  return oauth.processDeviceAuthorizationResponse(server, client, answer)
}

async function poll({ server, client, proof }: Party, deviceCode: string) {
  const answer = await oauth.deviceCodeGrantRequest(server, client, proof, deviceCode, overHttp)
  return oauth.processDeviceCodeResponse(server, client, answer)
}

async function answerOn(
  browser: CookieBrowser,
  { verification_uri: uri, user_code: code }: oauth.DeviceAuthorizationResponse,
  decision: string,
): Promise<void> {
  await browser.open(uri)
  await browser.submit({ fields: { user_code: code } })
  await browser.submit({ button: { name: 'decision', value: decision } })
}

async function walk(t: TestContext, method: Method, doors: Doors): Promise<void> {
  verifies(t, 'S3-51', 'T-30')
  const device = await registerParty(doors, method, described)
  const browser = await signIn(doors.origin)
  const refused = (error: string) => ({ error, status: 400 })

  const first = await begin(device)
  assert.equal(first.verification_uri_complete, undefined)
  await assert.rejects(poll(device, first.device_code), refused('authorization_pending'))
  await assert.rejects(poll(device, first.device_code), refused('slow_down'))
  await answerOn(browser, first, 'approve')
  const given = await poll(device, first.device_code)
  assert.equal(given.scope, 'mcp openid')
  assert.match(oauth.getValidatedIdTokenClaims(given)?.sub ?? '', /^usr_/)
  assert.equal(await isActive(doors, given.access_token), true)

  const { server, client, proof } = device
  const token = given.refresh_token ?? ''
  const refreshed = await oauth.refreshTokenGrantRequest(server, client, proof, token, overHttp)
  const second = await oauth.processRefreshTokenResponse(server, client, refreshed)
  assert.equal(await isActive(doors, second.access_token), true)

  await assert.rejects(poll(device, first.device_code), refused('invalid_grant'))
  assert.equal(await isActive(doors, second.access_token), false, 'the code came back')

  const denied = await begin(device)
  await answerOn(browser, denied, 'deny')
  await assert.rejects(poll(device, denied.device_code), refused('access_denied'))
}

for (const method of ['none', 'client_secret_basic', 'client_secret_post'] as const) {
  onEveryDatabase(`a strict device with ${method}`, async (t, store) => {
    await walk(t, method, await openDoorsOn(t, store))
  })
}

onEveryDatabase('openid-client lets its device in and waits for its person', async (t, store) => {
  verifies(t, 'S3-51')
  const doors = await openDoorsOn(t, store)
  const metadata = {
    ...described,
    client_name: 'OpenID device',
    id_token_signed_response_alg: 'ES256',
    token_endpoint_auth_method: 'none',
  }
  const config = await openid.dynamicClientRegistration(
    new URL(doors.origin),
    metadata,
    openid.None(),
    { execute: [openid.allowInsecureRequests] }, // loopback only
  )
  const started = await openid.initiateDeviceAuthorization(config, { scope: 'openid mcp' })
  await answerOn(await signIn(doors.origin), started, 'approve')
  // The person was faster than the first poll, so nobody has to wait.
  const given = await openid.pollDeviceAuthorizationGrant(config, { ...started, interval: 0 })
  assert.match(given.claims()?.sub ?? '', /^usr_/)
  assert.equal(await isActive(doors, given.access_token), true)
})

onEveryDatabase('a strict device that comes too late', async (t, store) => {
  verifies(t, 'T-30')
  const clock = createManualClock(Date.now())
  const device = await registerParty(await openDoorsOn(t, store, { clock }), 'none', described)
  const { device_code: code, expires_in: lifetimeS } = await begin(device)
  await clock.advance(lifetimeS * 1000 - 1)
  await assert.rejects(poll(device, code), { error: 'authorization_pending' })
  await clock.advance(1)
  await assert.rejects(poll(device, code), { error: 'expired_token', status: 400 })
})
