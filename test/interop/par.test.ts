// A client that checks everything pushes its request ahead of the browser: oauth4webapi against our endpoint (RFC 9126).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { signIn } from '../harness.ts'
import { openDoors, openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { isActive } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { overHttp, redirectUri, registerParty } from './party.ts'
import type { Method, Party } from './party.ts'

/** Registers a client that may ask for nothing in any other way. */
async function registerPusher(doors: Doors, method: Method): Promise<Party> {
  const party = await registerParty(doors, method, { require_pushed_authorization_requests: true })
  assert.equal(party.client.require_pushed_authorization_requests, true)
  return party
}

async function push(
  { server, client, proof }: Party,
  changes: Readonly<Record<string, string>> = {},
) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const parameters = {
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'mcp',
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...changes,
  }
  const answer = await oauth.pushedAuthorizationRequest(server, client, proof, parameters, overHttp)
  const pushed = await oauth.processPushedAuthorizationResponse(server, client, answer)
  return { pushed, state, verifier }
}

for (const method of ['none', 'client_secret_basic'] as const) {
  onEveryDatabase(`a strict client with ${method} pushes its request`, async (t, store) => {
    const doors = await openDoorsOn(t, store)
    const party = await registerPusher(doors, method)
    const { server, client, proof } = party
    const { pushed, state, verifier } = await push(party)

    const url = new URL(server.authorization_endpoint ?? '')
    url.searchParams.set('client_id', client.client_id)
    url.searchParams.set('request_uri', pushed.request_uri)
    const browser = await signIn(doors.origin)
    browser.setStopAt((target) => target.origin !== doors.origin)
    await browser.open(url.href)
    const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })

    const callback = oauth.validateAuthResponse(server, client, new URL(back.url), state)
    const answer = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      proof,
      callback,
      redirectUri,
      verifier,
      overHttp,
    )
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer)
    assert.equal(await isActive(doors, tokens.access_token), true)
  })
}

test('what a strict client makes of a refused push', async (t) => {
  const doors = await openDoors(t)
  const party = await registerPusher(doors, 'client_secret_basic')
  await t.test('a foreign address', async () => {
    await assert.rejects(push(party, { redirect_uri: 'https://evil.test/cb' }), {
      error: 'invalid_request',
      status: 400,
    })
  })
  await t.test('a scope that nobody has', async () => {
    await assert.rejects(push(party, { scope: 'admin' }), { error: 'invalid_scope', status: 400 })
  })
  await t.test('a wrong secret is a challenge', async () => {
    const stranger = { ...party, proof: oauth.ClientSecretBasic('wrong') }
    await assert.rejects(push(stranger), (error) => {
      assert.ok(error instanceof oauth.WWWAuthenticateChallengeError)
      assert.equal(error.cause[0]?.scheme, 'basic')
      return true
    })
  })
})
