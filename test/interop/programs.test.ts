// Programs and resource servers of others at our doors: oauth4webapi drives client credentials, private_key_jwt,
// introspection, userinfo and the ID token, and reads our signed access tokens with the keys that we publish.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import { createKeyring } from '../../src/base/keyring.ts'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createClient } from '../../src/issuer/client-registration.ts'
import type { NewClient } from '../../src/issuer/client-registration.ts'
import {
  createMachine,
  createRig,
  machineForm,
  obtainTokens as obtainFromRig,
  register as registerAtRig,
  tokens,
} from '../../src/issuer/issuer.rig.ts'
import { createJournal } from '../../src/journal/entries.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { openDoors, openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { approve, obtainTokens, redirectUri, register, verifier } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { discover, overHttp } from './party.ts'

onEveryDatabase(
  'a program gets a token with its secret and asks what it is worth',
  async (t, store) => {
    verifies(t, 'S3-46', 'S3-51')
    const doors = await openDoorsOn(t, store)
    const server = await discover(doors, 'oidc')
    const machine = await makeByRest(doors, { name: 'Machine', grantTypes: ['client_credentials'] })
    const proof = oauth.ClientSecretBasic(machine.secret)
    const resource = `${doors.origin}/mcp`
    const answer = await askForToken(server, machine.client, proof, { resource })
    assert.equal(answer.refresh_token, undefined)
    assert.equal(answer.scope, 'mcp')
    const seen = await introspect(server, machine.client, proof, answer.access_token)
    assert.ok(seen.active)
    assert.equal(seen.sub, machine.client.client_id)
    assert.equal(seen.aud, resource)
  },
)

onEveryDatabase('a program proves itself with its key', async (t, store) => {
  verifies(t, 'S3-51')
  const doors = await openDoorsOn(t, store)
  const server = await discover(doors, 'oidc')
  for (const alg of ['ES256', 'PS256', 'RS256', 'Ed25519']) {
    const pair = await generateKeyPair(alg)
    const kid = `key-${alg}`
    const jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid, alg }] }
    const client = await makeWithKey(doors, jwks)
    const proof = oauth.PrivateKeyJwt({ key: pair.privateKey, kid })
    const { access_token } = await askForToken(server, client, proof)
    assert.ok((await introspect(server, client, proof, access_token)).active)
    const stranger = oauth.PrivateKeyJwt({ key: (await generateKeyPair(alg)).privateKey, kid })
    await assert.rejects(askForToken(server, client, stranger), (error) => {
      assert.ok(error instanceof oauth.ResponseBodyError)
      return error.status === 401 && error.error === 'invalid_client'
    })
  }
})

onEveryDatabase(
  'a resource server asks about the token that a person’s client brought',
  async (t, store) => {
    verifies(t, 'S3-46')
    const doors = await openDoorsOn(t, store)
    const server = await discover(doors, 'oidc')
    const browser = await signIn(doors.origin)
    const { accessToken, refreshToken } = await obtainTokens(doors, browser, await register(doors))
    const resource = `${doors.origin}/mcp`
    const grantTypes = ['client_credentials'] as const
    const mine = await makeByRest(doors, { name: 'Resource server', grantTypes, resource })
    const other = await makeByRest(doors, { name: 'Another', grantTypes })
    const ask = ({ client, secret }: typeof mine, token: string) =>
      introspect(server, client, oauth.ClientSecretBasic(secret), token)
    const seen = await ask(mine, accessToken)
    assert.ok(seen.active)
    assert.equal(seen.aud, resource)
    assert.equal(seen.iss, doors.origin)
    for (const [who, token] of [
      [other, accessToken],
      [mine, refreshToken],
      [mine, 'nonsense'],
    ] as const) {
      assert.deepEqual(await ask(who, token), { active: false })
    }
  },
)

onEveryDatabase(
  'a client signs a person in: ID token, keys and userinfo agree',
  async (t, store) => {
    const doors = await openDoorsOn(t, store)
    const server = await discover(doors, 'oidc')
    const browser = await signIn(doors.origin)
    const registered = await register(doors)
    const client = { client_id: registered.id }
    const scope = 'openid email mcp'
    const back = await approve(doors, browser, registered, { scope, nonce: 'n-0S6' })
    const callback = oauth.validateAuthResponse(server, client, back, 'the-state')
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      oauth.None(),
      callback,
      redirectUri,
      verifier,
      overHttp,
    )
    const answer = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: 'n-0S6',
      requireIdToken: true,
    })
    await oauth.validateApplicationLevelSignature(server, response, overHttp)
    const claims = oauth.getValidatedIdTokenClaims(answer)
    assert.ok(claims !== undefined && answer.id_token !== undefined)
    assert.equal(claims['email'], operator.email)

    const asked = await oauth.userInfoRequest(server, client, answer.access_token, overHttp)
    const person = await oauth.processUserInfoResponse(server, client, claims.sub, asked)
    assert.equal(person.email, operator.email)

    const keys = createRemoteJWKSet(new URL(server.jwks_uri ?? ''))
    const verified = await jwtVerify(answer.id_token, keys, { issuer: doors.origin })
    assert.equal(verified.payload.sub, claims.sub)
  },
)

test('userinfo answers by RFC 6750 at the door', async (t) => {
  const doors = await openDoors(t)
  const browser = await signIn(doors.origin)
  const { accessToken } = await obtainTokens(doors, browser, await register(doors))
  const path = '/oauth/userinfo'
  for (const method of ['GET', 'POST']) {
    const none = await doors.ask({ path, method })
    assert.deepEqual([none.status, none.json], [401, {}])
    assert.match(none.headers.get('www-authenticate') ?? '', /^Bearer, DPoP algs=/)
    const wrong = await doors.ask({ path, method, headers: { authorization: 'Bearer x' } })
    assert.deepEqual([wrong.status, wrong.json.error], [401, 'invalid_token'])
    assert.match(
      wrong.headers.get('www-authenticate') ?? '',
      /^Bearer error="invalid_token", DPoP algs=/,
    )
    const headers = { authorization: `Bearer ${accessToken}` }
    const less = await doors.ask({ path, method, headers })
    assert.deepEqual([less.status, less.json.error], [403, 'insufficient_scope'])
  }
  const inQuery = await doors.ask({ path: `${path}?access_token=${accessToken}` })
  assert.equal(inQuery.status, 401)
})

test('the keys are published for an hour, and nothing private with them: R-18', async (t) => {
  const doors = await openDoors(t)
  const answer = await doors.ask({ path: '/oauth/jwks' })
  assert.equal(answer.headers.get('cache-control'), 'public, max-age=3600')
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  assert.equal(answer.json.keys.length, 2)
  for (const key of answer.json.keys) assert.equal('d' in key, false)
})

onEveryDatabase(
  'a resource server reads our signed access tokens by itself: RFC 9068',
  async (t, store) => {
    const rig = await createRig(t, store)
    await rig.clock.set(Date.now())
    const { tenant, issuer } = rig
    const resource = `${tenant.issuer}/signed/mcp`
    const server = { issuer: tenant.issuer, jwks_uri: `${tenant.issuer}/oauth/jwks` }
    const read = (token: string, audience = resource) => {
      const request = new Request(resource, { headers: { authorization: `Bearer ${token}` } })
      const customFetch = async () => Response.json(await issuer.signingKeys.published(tenant))
      return oauth.validateJwtAccessToken(server, request, audience, {
        [oauth.customFetch]: customFetch,
      })
    }
    const session = await rig.signIn()
    const client = await registerAtRig(rig)
    const person = await obtainFromRig(rig, session, client, { resource, scope: 'mcp openid' })
    const claims = await read(person.access)
    assert.deepEqual([claims.sub, claims.client_id], [session.user.id, client.id])
    const machine = await createMachine(rig)
    const own = await tokens(rig, machineForm(machine, { resource }))
    assert.equal((await read(own.access)).sub, machine.id)
    await assert.rejects(read(own.access, `${tenant.issuer}/notes/mcp`))
    await assert.rejects(read(String(person.body['id_token'])), 'an ID token is no access token')
  },
)

async function makeByRest(doors: Doors, client: Omit<NewClient, 'redirectUris'>) {
  const rest = restAs(await signIn(doors.origin), doors.origin)
  const { status, body } = await rest('POST', '/clients', { redirectUris: [], ...client })
  assert.equal(status, 201, JSON.stringify(body))
  const secret: string = body.clientSecret ?? body.secret
  return { client: { client_id: body.id as string }, secret } // REST calls both texts
}

/** A program with a key, as the command line would make it. */
async function makeWithKey({ store, platform }: Doors, jwks: unknown): Promise<oauth.Client> {
  const ground = { db: store.db, clock: systemClock, random: systemRandom }
  // It has no secret, so the key of this keyring is never used.
  const keyring = createKeyring(ground, [{ id: 'none', key: systemRandom.bytes(32) }])
  const scopes = { known: async () => [] }
  const needs = { ...ground, scopes, keyring, journal: createJournal({ ...ground, keyring }) }
  const { client } = await createClient(
    needs,
    { tenant: platform.tenant },
    {
      name: 'Machine',
      redirectUris: [],
      authMethod: 'private_key_jwt',
      grantTypes: ['client_credentials'],
      jwks,
    },
  )
  return { client_id: client.id }
}

async function askForToken(
  server: oauth.AuthorizationServer,
  client: oauth.Client,
  proof: oauth.ClientAuth,
  parameters: Record<string, string> = {},
): Promise<oauth.TokenEndpointResponse> {
  const answer = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    proof,
    parameters,
    overHttp,
  )
  return oauth.processClientCredentialsResponse(server, client, answer)
}

async function introspect(
  server: oauth.AuthorizationServer,
  client: oauth.Client,
  proof: oauth.ClientAuth,
  token: string,
): Promise<oauth.IntrospectionResponse> {
  const answer = await oauth.introspectionRequest(server, client, proof, token, overHttp)
  return oauth.processIntrospectionResponse(server, client, answer)
}
