// Programs of others with tokens that are bound to their key: a strict OAuth client, and the MCP SDK's own.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { DpopSession } from '@modelcontextprotocol/client'
import * as oauth from 'oauth4webapi'
import { createManualClock } from '../../src/base/clock.ts'
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { connectMcpClient, createOAuthMcpClient } from '../counterparts/mcp-client.ts'
import { startOpenMcpServer } from '../counterparts/protected-mcp-server.ts'
import { operator, signIn } from '../harness.ts'
import { addServer, openDoors } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { verifies } from '../requirements.ts'
import { overHttp, redirectUri, registerParty } from './party.ts'
import type { Party } from './party.ts'

const accept = 'application/json, text/event-stream'

/** A platform with one server behind it; its clock is turned by hand. */
async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const server = await startOpenMcpServer()
  t.after(server.stop)
  const browser = await signIn(doors.origin)
  await addServer(doors, browser, { url: server.url, slug: 'notes' })
  return { doors, clock, browser }
}

/** What every program does that is told to use a nonce: the same again, once. */
async function withNonce<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return work()
  }
}

/** Sends the person there with the key's name and takes what comes back. */
async function askPerson({ origin }: Doors, { server, client }: Party, jkt: string) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const url = new URL(server.authorization_endpoint ?? '')
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'mcp openid',
    state,
    dpop_jkt: jkt,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }).toString()
  const browser = await signIn(origin)
  browser.setStopAt((target) => target.origin !== origin)
  await browser.open(url.href)
  const back = await browser.submit({ button: { name: 'decision', value: 'approve' } })
  return {
    callback: oauth.validateAuthResponse(server, client, new URL(back.url), state),
    verifier,
  }
}

for (const algorithm of ['ES256', 'PS256', 'RS256', 'Ed25519'] as const) {
  test(`a strict client with ${algorithm}: code, userinfo, MCP and refresh`, async (t) => {
    verifies(t, 'A11')
    const { doors, clock } = await start(t)
    const party = await registerParty(doors, 'none', { dpop_bound_access_tokens: true })
    const { server, client } = party
    assert.equal(client['dpop_bound_access_tokens'], true)
    assert.ok(server.dpop_signing_alg_values_supported?.includes(algorithm))
    const pair = await oauth.generateKeyPair(algorithm, { extractable: true })
    const proving = { ...overHttp, DPoP: oauth.DPoP({}, pair) }
    const { callback, verifier } = await askPerson(
      doors,
      party,
      await proving.DPoP.calculateThumbprint(),
    )

    const first = await withNonce(async () =>
      oauth.processAuthorizationCodeResponse(
        server,
        client,
        await oauth.authorizationCodeGrantRequest(
          server,
          client,
          oauth.None(),
          callback,
          redirectUri,
          verifier,
          proving,
        ),
      ),
    )
    assert.equal(first.token_type, 'dpop') // the library lower-cases it

    const person = await withNonce(async () =>
      oauth.processUserInfoResponse(
        server,
        client,
        oauth.skipSubjectCheck,
        await oauth.userInfoRequest(server, client, first.access_token, proving),
      ),
    )
    assert.match(person.sub, /^usr_/)

    const call = (token: string, options: oauth.ProtectedResourceRequestOptions) =>
      oauth.protectedResourceRequest(
        token,
        'POST',
        new URL(`${doors.origin}/mcp`),
        new Headers({ 'content-type': 'application/json', accept }),
        JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
        options,
      )
    // Its nonce is too old by now: the library is told so, and goes on with the new one.
    await clock.advance(300_000)
    await assert.rejects(call(first.access_token, proving), oauth.isDPoPNonceError)
    assert.equal((await call(first.access_token, proving)).status, 200)

    const second = await withNonce(async () =>
      oauth.processRefreshTokenResponse(
        server,
        client,
        await oauth.refreshTokenGrantRequest(
          server,
          client,
          oauth.None(),
          first.refresh_token ?? '',
          proving,
        ),
      ),
    )
    assert.equal(second.token_type, 'dpop')
    assert.equal((await call(second.access_token, proving)).status, 200)

    const stolen = { ...overHttp, DPoP: oauth.DPoP({}, await oauth.generateKeyPair('ES256')) }
    await assert.rejects(
      withNonce(() => call(second.access_token, stolen)),
      (error) => {
        assert.ok(error instanceof oauth.WWWAuthenticateChallengeError)
        const [bearer, dpop] = error.cause
        assert.deepEqual([bearer?.scheme, dpop?.scheme], ['bearer', 'dpop'])
        assert.equal(dpop?.parameters['error'], 'invalid_token')
        return true
      },
    )
    await assert.rejects(call(second.access_token, overHttp), oauth.WWWAuthenticateChallengeError)
  })
}

const calls = {
  '/mcp': { name: 'whoami', arguments: {} },
  '/notes/mcp': { name: 'echo', arguments: { text: operator.email } },
} as const

for (const path of ['/mcp', '/notes/mcp'] as const) {
  for (const era of ['legacy', 'modern'] as const) {
    test(`the MCP SDK’s client with a key at ${path} in the ${era} era`, async (t) => {
      const { doors, clock } = await start(t)
      const url = doors.origin + path
      const { client, tokens } = await createOAuthMcpClient({
        url,
        era,
        dpop: await DpopSession.create(),
        authorize: async (address) => {
          const browser = createCookieBrowser(undefined, {
            stopAt: (target) => target.origin !== doors.origin,
          })
          await browser.open(address)
          await browser.submit({ fields: operator })
          return (await browser.submit({ button: { name: 'decision', value: 'approve' } })).url
        },
      })
      t.after(() => client.close())
      const says = async () => JSON.stringify(await client.callTool(calls[path]))
      assert.equal(tokens()?.token_type, 'DPoP')
      assert.ok((await says()).includes(operator.email))
      const token = tokens()?.access_token ?? ''

      // It slept longer than a nonce is good, then longer than the token: both mend themselves.
      await clock.advance(300_000)
      assert.ok((await says()).includes(operator.email))
      assert.equal(tokens()?.access_token, token)
      await clock.advance(3_600_000)
      assert.ok((await says()).includes(operator.email))
      assert.notEqual(tokens()?.access_token, token)
      assert.equal(tokens()?.token_type, 'DPoP')

      const stolen = tokens()?.access_token ?? ''
      await assert.rejects(connectMcpClient({ url, token: stolen, era }))
    })
  }
}
