// Proves the foreign authorization server on its own, with oauth4webapi as a second opinion.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import * as oauth from 'oauth4webapi'

import { createCookieBrowser } from './cookie-browser.ts'
import {
  startForeignAuthorizationServer,
  type ForeignAuthorizationServer,
  type ForeignAuthorizationServerOptions,
} from './foreign-authorization-server.ts'

const redirectUri = 'http://127.0.0.1:9/callback'
const resource = 'http://127.0.0.1:8/mcp'
const loopback = { [oauth.allowInsecureRequests]: true }

async function signIn(t: TestContext, options?: ForeignAuthorizationServerOptions) {
  const foreign = await startForeignAuthorizationServer(options)
  t.after(foreign.stop)
  const server = await discover(foreign)
  const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' }
  const grants = { ...metadata, grant_types: ['authorization_code', 'refresh_token'] }
  const registration = await oauth.dynamicClientRegistrationRequest(server, grants, loopback)
  const client = await oauth.processDynamicClientRegistrationResponse(registration)
  const tokens = await redeem(server, client)
  return { foreign, server, client, tokens }
}

async function discover(foreign: ForeignAuthorizationServer) {
  const issuer = new URL(foreign.issuer)
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback })
  return oauth.processDiscoveryResponse(issuer, found)
}

async function redeem(server: oauth.AuthorizationServer, client: oauth.Client) {
  const verifier = oauth.generateRandomCodeVerifier()
  const url = new URL(server.authorization_endpoint!)
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    resource,
    state: 'a state',
  }).toString()
  const browser = createCookieBrowser(undefined, { stopAt: ({ port }) => port === '9' })
  const page = await browser.open(url.href)
  const callback = oauth.validateAuthResponse(server, client, new URL(page.url), 'a state')
  const answer = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    callback,
    redirectUri,
    verifier,
    { ...loopback, additionalParameters: { resource } },
  )
  return oauth.processAuthorizationCodeResponse(server, client, answer)
}

async function refresh(
  { server, client }: { server: oauth.AuthorizationServer; client: oauth.Client },
  token: string,
) {
  const none = oauth.None()
  const answer = await oauth.refreshTokenGrantRequest(server, client, none, token, loopback)
  return oauth.processRefreshTokenResponse(server, client, answer)
}

test('a client registers, signs in as alice and gets a token for the resource', async (t) => {
  const { foreign, tokens } = await signIn(t)

  const said = await foreign.introspect(tokens.access_token)

  assert.equal(said.active, true)
  assert.equal(said['sub'], 'alice')
  assert.equal(said['aud'], resource)
  assert.equal(said['scope'], 'mcp:read mcp:write')
  assert.equal(foreign.registrations(), 1)
  assert.equal(foreign.tokensIssued().includes(tokens.access_token), true)
  const [{ at: _at, ...request } = { at: 0 }] = foreign.tokenRequests()
  assert.deepEqual(request, { grant: 'authorization_code', status: 200, resource })
})

test('metadata says what it can do, at both well-known places', async (t) => {
  const foreign = await startForeignAuthorizationServer({ host: 'localhost' })
  t.after(foreign.stop)
  for (const name of ['oauth-authorization-server', 'openid-configuration']) {
    const answer = await fetch(`${foreign.issuer}/.well-known/${name}`)
    const metadata = (await answer.json()) as oauth.AuthorizationServer // checked below
    assert.equal(metadata.issuer, foreign.issuer)
    assert.deepEqual(metadata.code_challenge_methods_supported, ['S256'])
    assert.equal(metadata.authorization_response_iss_parameter_supported, true)
    assert.equal(typeof metadata.registration_endpoint, 'string')
  }
})

test('a refresh token is good once, and using it again ends the family', async (t) => {
  const party = await signIn(t)
  const second = await refresh(party, party.tokens.refresh_token!)

  await assert.rejects(refresh(party, party.tokens.refresh_token!), { error: 'invalid_grant' })
  await assert.rejects(refresh(party, second.refresh_token!), { error: 'invalid_grant' })
})

test('access tokens can be made to expire, and everything to end', async (t) => {
  const party = await signIn(t)
  party.foreign.expireAccessTokens()
  assert.deepEqual(await party.foreign.introspect(party.tokens.access_token), { active: false })

  const { access_token: next, refresh_token: last } = await refresh(
    party,
    party.tokens.refresh_token!,
  )
  assert.equal((await party.foreign.introspect(next)).active, true)
  party.foreign.revokeEverything()
  assert.equal((await party.foreign.introspect(next)).active, false)
  await assert.rejects(refresh(party, last!), { error: 'invalid_grant' })
})

test('access tokens can be JWTs', async (t) => {
  const { foreign, tokens } = await signIn(t, { accessTokenFormat: 'jwt', user: 'bob' })
  assert.equal(tokens.access_token.split('.').length, 3)
  const said = await foreign.introspect(tokens.access_token)
  assert.deepEqual([said.active, said['sub'], said['aud']], [true, 'bob', resource])
})

test('a person can say no', async (t) => {
  const foreign = await startForeignAuthorizationServer()
  t.after(foreign.stop)
  foreign.decide('deny')
  const server = await discover(foreign)
  const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' }
  const registration = await oauth.dynamicClientRegistrationRequest(server, metadata, loopback)
  const client = await oauth.processDynamicClientRegistrationResponse(registration)
  await assert.rejects(redeem(server, client), { error: 'access_denied' })
})

test('a client document can stand in for a registration', async (t) => {
  const clientId = 'https://client.example/document.json'
  const document = {
    client_id: clientId,
    client_name: 'A client by document',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  }
  const fetchClientDocument = async () => Response.json(document)
  const foreign = await startForeignAuthorizationServer({
    fetchClientDocument,
    offersRegistration: false,
  })
  t.after(foreign.stop)
  const server = await discover(foreign)

  const tokens = await redeem(server, { client_id: clientId })

  assert.equal(server['client_id_metadata_document_supported'], true)
  assert.equal(server.registration_endpoint, undefined)
  assert.equal((await foreign.introspect(tokens.access_token))['client_id'], clientId)
})
