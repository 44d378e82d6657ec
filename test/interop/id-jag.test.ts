// Enterprise-managed authorization and token exchange as a strict client drives them: oauth4webapi against our token
// endpoint, with an identity provider whose keys are fetched over HTTP. The conformance suite has this scenario for
// clients only, with an authorization server of its own.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as oauth from 'oauth4webapi'
import { listenOnLoopback } from '../counterparts/loopback.ts'
import { restAs, signIn } from '../harness.ts'
import { openDoorsOn } from '../http/doors.ts'
import type { Doors } from '../http/doors.ts'
import { isActive, obtainTokens, register } from '../http/oauth-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { discover, overHttp } from './party.ts'
import type { Party } from './party.ts'

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'

onEveryDatabase('an agent acts for a person on the word of their company', async (t, store) => {
  verifies(t, 'S3-51', 'A14')
  const doors = await openDoorsOn(t, store)
  const rest = restAs(await signIn(doors.origin), doors.origin)
  const idp = await startProvider(t)
  const party = await makeParty(doors, rest, { grantTypes: [jwtBearer] })
  const { authorization_grant_profiles_supported: profiles } = party.server
  assert.deepEqual(profiles, ['urn:ietf:params:oauth:grant-profile:id-jag'])

  const trusted = await rest('POST', '/trusted-issuers', {
    issuer: idp.issuer,
    jwksUri: idp.jwksUri,
    clientIds: [party.client.client_id],
    provisions: true,
  })
  assert.equal(trusted.status, 201, JSON.stringify(trusted.body))
  const assertion = await idp.sign({
    aud: party.server.issuer,
    client_id: party.client.client_id,
    resource: `${doors.origin}/mcp`,
    scope: 'mcp',
    sub: 'u-1',
    email: 'eve@company.test',
    email_verified: true,
  })
  doors.alsoSecret([assertion])
  const answer = await ask(party, jwtBearer, { assertion })
  assert.equal(answer.refresh_token, undefined)
  assert.equal(answer.scope, 'mcp')
  assert.equal(await isActive(doors, answer.access_token), true)
  await assert.rejects(ask(party, jwtBearer, { assertion }), { error: 'invalid_grant' })

  const off = await rest('PATCH', `/trusted-issuers/${trusted.body.id}`, { disabled: true })
  assert.equal(off.status, 200)
  assert.equal(await isActive(doors, answer.access_token), false)
})

onEveryDatabase('a server that was called exchanges the token to call on', async (t, store) => {
  verifies(t, 'S3-51')
  const doors = await openDoorsOn(t, store)
  const browser = await signIn(doors.origin)
  const rest = restAs(browser, doors.origin)
  const resource = `${doors.origin}/mcp`
  const described = { grantTypes: [tokenExchange], resource, mayReach: [resource] }
  const party = await makeParty(doors, rest, described)
  const { accessToken } = await obtainTokens(doors, browser, await register(doors))
  const asked = { subject_token: accessToken, subject_token_type: accessTokenType }
  const answer = await ask(party, tokenExchange, asked)
  assert.equal(answer['issued_token_type'], accessTokenType)
  assert.equal(await isActive(doors, answer.access_token), true)

  const introspected = await oauth.introspectionRequest(
    party.server,
    party.client,
    party.proof,
    answer.access_token,
    overHttp,
  )
  const seen = await oauth.processIntrospectionResponse(party.server, party.client, introspected)
  assert.deepEqual(seen['act'], { sub: party.client.client_id })

  const { body: listed } = await rest('GET', '/grants')
  const parent = listed.items.find((grant: { parentId?: string }) => grant.parentId === undefined)
  assert.equal((await rest('DELETE', `/grants/${parent.id}`)).status, 204)
  assert.equal(await isActive(doors, answer.access_token), false)
  await assert.rejects(ask(party, tokenExchange, asked), { error: 'invalid_request' })
  assert.deepEqual((await rest('GET', '/grants')).body.items, [])
})

async function makeParty(
  doors: Doors,
  rest: ReturnType<typeof restAs>,
  described: Readonly<Record<string, unknown>>,
): Promise<Party> {
  const server = await discover(doors)
  const made = await rest('POST', '/clients', { name: 'Agent', redirectUris: [], ...described })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id, clientSecret } = made.body
  return { server, client: { client_id: id }, proof: oauth.ClientSecretBasic(clientSecret) }
}

async function ask(
  { server, client, proof }: Party,
  grantType: string,
  parameters: Record<string, string>,
) {
  const answer = await oauth.genericTokenEndpointRequest(
    server,
    client,
    proof,
    grantType,
    parameters,
    overHttp,
  )
  return oauth.processGenericTokenEndpointResponse(server, client, answer)
}

/** An identity provider with its keys at an address, as far as we are concerned with it. */
async function startProvider(t: TestContext) {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const key = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }
  const { origin: issuer, stop } = await listenOnLoopback(() => (_, answer) => {
    answer.writeHead(200, { 'content-type': 'application/jwk-set+json' })
    answer.end(JSON.stringify({ keys: [key] }))
  })
  t.after(stop)
  const sign = (claims: Readonly<Record<string, unknown>>) =>
    new SignJWT({ iss: issuer, jti: randomUUID(), ...claims })
      .setIssuedAt()
      .setExpirationTime('5m')
      .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'oauth-id-jag+jwt' })
      .sign(privateKey)
  return { issuer, jwksUri: `${issuer}/jwks`, sign }
}
