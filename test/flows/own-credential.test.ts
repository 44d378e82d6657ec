// Servers that are reached with Latchkey's own credential (MCP "OAuth Client Credentials", C33): nobody signs in, and one
// connection serves everybody. The authorization server is a real one.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { calculateJwkThumbprint, decodeJwt } from 'jose'
import { createManualClock } from '../../src/base/clock.ts'
import { startForeignAuthorizationServer } from '../counterparts/foreign-authorization-server.ts'
import { startProtectedMcpServer } from '../counterparts/protected-mcp-server.ts'
import { connectMcpClient } from '../counterparts/mcp-client.ts'
import { operator, restAs, restWithKey, signIn, startTestPlatform } from '../harness.ts'
import { addPerson, callAs, openDoors, openDoorsOn } from '../http/doors.ts'
import { obtainTokens, register } from '../http/oauth-client.ts'
import { startFaultProvider } from '../fakes/fault-provider.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import type { Store } from '../../src/store/database.ts'

const clientId = 'the-installation'
const clientSecret = 'a secret: with % and + in it, long enough'

async function startUpstream(t: TestContext, client: Readonly<Record<string, unknown>>) {
  const foreign = await startForeignAuthorizationServer({
    offersRegistration: false,
    clients: [
      {
        client_id: clientId,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        scope: 'mcp:read mcp:write',
        ...client,
      },
    ],
  })
  const server = await startProtectedMcpServer({
    issuer: foreign.issuer,
    introspect: foreign.introspect,
    scopes: ['mcp:read'],
  })
  t.after(async () => {
    await server.stop()
    await foreign.stop()
  })
  return { foreign, server }
}

async function startLatchkey(t: TestContext, store: Store) {
  const clock = createManualClock(Date.now())
  const { origin, alsoSecret } = await startTestPlatform(t, store, { clock })
  const rest = restAs(await signIn(origin), origin)
  const { body: key } = await rest('POST', '/api-keys', {
    name: 'back end',
    scopes: ['api', 'connections:token'],
  })
  return { clock, origin, alsoSecret, rest, backEnd: restWithKey(key.key, origin) }
}

for (const method of ['client_secret_basic', 'client_secret_post'] as const) {
  onEveryDatabase(`a server is reached with our own ${method}`, async (t, store) => {
    verifies(t, 'C33')
    const { foreign, server } = await startUpstream(t, {
      client_secret: clientSecret,
      token_endpoint_auth_method: method,
    })
    const { clock, alsoSecret, rest, backEnd } = await startLatchkey(t, store)

    const added = await rest('POST', '/servers', {
      url: server.url,
      grantType: 'client_credentials',
      clientId,
      clientSecret,
    })
    assert.equal(added.status, 201, JSON.stringify(added.body))
    assert.equal(added.body.auth, 'oauth')
    assert.equal(added.body.grantType, 'client_credentials')

    const tested = await rest('POST', `/servers/${added.body.id}/test`)
    assert.equal(tested.body.ok, true, JSON.stringify(tested.body))
    const made = await rest('POST', '/connections', { serverId: added.body.id })
    assert.equal(made.body.shared, true)
    assert.equal(made.body.status, 'connected')
    assert.deepEqual(made.body.scopes, ['mcp:read'])
    const authorized = await rest('POST', `/connections/${made.body.id}/authorize`, {})
    assert.deepEqual(authorized.body, { alreadyAuthorized: true })

    const first = await backEnd('POST', `/connections/${made.body.id}/token`)
    const seen = await foreign.introspect(first.body.accessToken)
    assert.equal(seen.active, true)
    assert.equal(seen['client_id'], clientId)

    await clock.advance(56 * 60_000)
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => backEnd('POST', `/connections/${made.body.id}/token`)),
    )
    const tokens = new Set(answers.map(({ body }) => body.accessToken))
    assert.equal(tokens.size, 1)
    assert.ok(!tokens.has(first.body.accessToken))
    const asked = foreign.tokenRequests()
    assert.deepEqual(
      asked.map(({ grant, resource }) => [grant, resource]),
      Array.from({ length: 2 }, () => ['client_credentials', server.resource]),
    )
    alsoSecret([...foreign.tokensIssued(), clientSecret])
  })
}

onEveryDatabase('everybody who may use the server uses its one connection', async (t, store) => {
  const { foreign, server } = await startUpstream(t, { client_secret: clientSecret })
  const doors = await openDoorsOn(t, store)
  await addPerson(doors, 'bob@example.com')
  const ada = callAs(doors, await signIn(doors.origin))
  const browser = await signIn(doors.origin, { ...operator, email: 'bob@example.com' })
  const bob = callAs(doors, browser)
  const { json: added } = await ada('POST', '/servers', {
    url: server.url,
    slug: 'shared',
    grantType: 'client_credentials',
    clientId,
    clientSecret,
  })

  const client = await register(doors)
  const resource = `${doors.origin}/shared/mcp`
  const { accessToken } = await obtainTokens(doors, browser, client, { resource })
  const mcp = await connectMcpClient({ url: resource, token: accessToken })
  await mcp.listTools()
  foreign.expireAccessTokens()
  await mcp.listTools()
  await mcp.close()

  const grants = foreign.tokenRequests().map(({ grant }) => grant)
  assert.deepEqual(grants, ['client_credentials', 'client_credentials'])
  assert.deepEqual((await bob('GET', '/connections')).json.items, [])
  const refused = await bob('POST', '/connections', { serverId: added.id })
  assert.equal(refused.status, 422, refused.text)
  const { json: listed } = await ada('GET', '/connections')
  const [shared] = listed.items
  assert.equal(shared.shared, true)
  assert.equal((await bob('GET', `/connections/${shared.id}`)).status, 404)
  assert.equal((await bob('POST', `/connections/${shared.id}/revoke`, {})).status, 404)

  await ada('POST', `/connections/${shared.id}/revoke`, {})
  const ended = await bob('POST', `/servers/${added.id}/test`)
  assert.equal(ended.json.error, 'authorization_required')
  await ada('POST', `/connections/${shared.id}/authorize`, {})
  assert.equal((await bob('POST', `/servers/${added.id}/test`)).json.ok, true)
  await ada('DELETE', `/connections/${shared.id}`)
  assert.equal((await bob('POST', `/servers/${added.id}/test`)).json.ok, true)
  doors.alsoSecret([...foreign.tokensIssued(), clientSecret])
})

onEveryDatabase('a credential that is refused is not tried again and again', async (t, store) => {
  const { foreign, server } = await startUpstream(t, { client_secret: clientSecret })
  const { clock, rest } = await startLatchkey(t, store)
  const { body: added } = await rest('POST', '/servers', {
    url: server.url,
    grantType: 'client_credentials',
    clientId,
    clientSecret: 'another secret',
  })
  const test = () => rest('POST', `/servers/${added.id}/test`)
  const asked = () => foreign.tokenRequests().length

  assert.equal((await test()).body.error, 'client_configuration')
  assert.equal((await test()).body.error, 'client_configuration')
  assert.equal(asked(), 1)
  const { body: listed } = await rest('GET', '/connections')
  const [connection] = listed.items
  assert.equal(connection.authorized, false)
  assert.equal(connection.statusReason, 'client_configuration')

  const wished = await rest('POST', `/connections/${connection.id}/authorize`, {})
  assert.equal(wished.body.code, 'client_configuration')
  assert.equal(asked(), 2)
  await clock.advance(30_000)
  await test()
  assert.equal(asked(), 3)

  await rest('PATCH', `/servers/${added.id}`, { clientSecret })
  assert.equal((await test()).body.ok, true)
  assert.equal(asked(), 4)
})

onEveryDatabase('a refusal later on leaves the token that works in use', async (t, store) => {
  const { foreign, server } = await startUpstream(t, { client_secret: clientSecret })
  const { clock, rest, backEnd } = await startLatchkey(t, store)
  const { body: added } = await rest('POST', '/servers', {
    url: server.url,
    grantType: 'client_credentials',
    clientId,
    clientSecret,
  })
  const { body: made } = await rest('POST', '/connections', { serverId: added.id })
  const token = async () => backEnd('POST', `/connections/${made.id}/token`)
  const first = await token()
  await rest('PATCH', `/servers/${added.id}`, { clientSecret: 'another secret' })

  await clock.advance(56 * 60_000)
  assert.equal((await token()).body.accessToken, first.body.accessToken)
  const asked = foreign.tokenRequests().length
  await clock.advance(5 * 60_000)
  const refused = await token()
  assert.equal(refused.body.code, 'client_configuration')
  assert.equal((await token()).body.code, 'client_configuration')
  assert.equal(foreign.tokenRequests().length, asked + 1)
  const { body: shown } = await rest('GET', `/connections/${made.id}`)
  assert.equal(shown.status, 'error')

  await rest('PATCH', `/servers/${added.id}`, { clientSecret })
  await clock.advance(60 * 60_000)
  assert.equal((await token()).status, 200)
})

test('a server for programs needs a client that can prove itself, and no code to be protected', async (t) => {
  const doors = await openDoors(t)
  const call = callAs(doors, await signIn(doors.origin))
  const { server } = await startUpstream(t, { client_secret: clientSecret })
  const own = { url: server.url, grantType: 'client_credentials' }
  const wrong = [
    [{}, 'clientId'],
    [{ clientId }, 'clientSecret'],
    [{ clientId, clientSecret, auth: 'none' }, 'grantType'],
    [{ clientId, clientKey: 'a password' }, 'clientKey'],
    [{ clientId, clientSecret, grantType: 'password' }, 'grantType'],
  ] as const
  for (const [changes, field] of wrong) {
    const answer = await call('POST', '/servers', { ...own, ...changes })
    assert.equal(answer.status, 422, answer.text)
    assert.deepEqual(Object.keys(answer.json.detail), [field])
  }

  const provider = await startFaultProvider({ challengeMethods: null })
  t.after(provider.stop)
  const withCode = await call('POST', '/servers', { url: provider.mcpUrl })
  assert.equal(withCode.json.code, 'pkce_unsupported')
  const proven = { ...own, url: provider.mcpUrl, clientId, clientSecret }
  const without = await call('POST', '/servers', proven)
  assert.equal(without.status, 201, without.text)
  const changed = await call('PATCH', `/servers/${without.json.id}`, {
    grantType: 'authorization_code',
  })
  assert.equal(changed.json.code, 'pkce_unsupported')
})

onEveryDatabase('a server is reached with a key of ours that never leaves', async (t, store) => {
  verifies(t, 'C10', 'C33')
  const { clock, origin, alsoSecret, rest, backEnd } = await startLatchkey(t, store)
  const blank = await startFaultProvider({ challengeMethods: null })
  t.after(blank.stop)
  const own = { grantType: 'client_credentials', clientId }
  const { body: first } = await rest('POST', '/servers', {
    ...own,
    url: blank.mcpUrl,
    clientKey: 'generate',
  })
  const { jwksUri, ...publicJwk } = first.clientKey
  assert.equal(publicJwk.alg, 'ES256')
  assert.ok(!JSON.stringify(first).includes('"d"'))
  assert.match(jwksUri, new RegExp(`^${origin}/connect/client-keys/[0-9a-z]+\\.json$`))
  const published = await (await fetch(jwksUri)).json()
  assert.deepEqual(published, { keys: [publicJwk] })

  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
  const known = publicKey.export({ format: 'jwk' })
  const kid = await calculateJwkThumbprint(known)
  const { foreign, server } = await startUpstream(t, {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [{ ...known, kid }] },
  })
  const { body: added } = await rest('POST', '/servers', {
    ...own,
    url: server.url,
    clientKey: pem,
  })
  assert.equal(added.clientKey.alg, 'RS256')
  assert.equal(added.hasClientSecret, false)
  const { body: made } = await rest('POST', '/connections', { serverId: added.id })
  const token = () => backEnd('POST', `/connections/${made.id}/token`)
  const { body: given } = await token()
  assert.equal((await foreign.introspect(given.accessToken))['client_id'], clientId)
  await clock.advance(56 * 60_000)
  assert.notEqual((await token()).body.accessToken, given.accessToken)
  assert.ok(foreign.tokenRequests().every(({ status }) => status === 200))

  const seen = foreign.assertions().map((assertion) => decodeJwt(assertion))
  assert.equal(new Set(seen.map(({ jti }) => jti)).size, 2)
  for (const { iss, sub, aud, iat = 0, exp = 0 } of seen) {
    assert.deepEqual([iss, sub, aud], [clientId, clientId, foreign.issuer])
    assert.equal(exp - iat, 60)
  }

  const renamed = await rest('PATCH', `/servers/${added.id}`, { name: 'Renamed' })
  assert.equal(renamed.body.clientKey.kid, added.clientKey.kid)
  await rest('PATCH', `/servers/${added.id}`, { clientKey: 'generate' })
  await clock.advance(56 * 60_000)
  assert.equal((await token()).status, 200, 'the old token still lives')
  await clock.advance(5 * 60_000)
  assert.equal((await token()).body.code, 'client_configuration')
  alsoSecret([...foreign.tokensIssued(), ...foreign.assertions(), pem.slice(40, 90)])
})

onEveryDatabase(
  'a person signs in where our own document says that a key proves us',
  async (t, store) => {
    const { origin, rest } = await startLatchkey(t, store)
    const provider = await startFaultProvider()
    t.after(provider.stop)
    const { body: plain } = await rest('POST', '/servers', { url: provider.mcpUrl })
    const documentOf = async ({ redirectUri }: { readonly redirectUri: string }) => {
      const context = redirectUri.split('/').at(-1)
      const answer = await fetch(`${origin}/connect/client-metadata/${context}.json`)
      return (await answer.json()) as Record<string, unknown> // RFC 7591 §2
    }
    assert.equal((await documentOf(plain))['token_endpoint_auth_method'], 'none')

    const { body: keyed } = await rest('POST', '/servers', {
      url: provider.mcpUrl,
      clientKey: 'generate',
    })
    const document = await documentOf(keyed)
    assert.equal(document['token_endpoint_auth_method'], 'private_key_jwt')
    assert.deepEqual(document['token_endpoint_auth_methods_supported'], ['private_key_jwt', 'none'])
    assert.equal(document['jwks_uri'], keyed.clientKey.jwksUri)

    const taken = await rest('PATCH', `/servers/${keyed.id}`, { clientKey: '' })
    assert.equal(taken.body.clientKey, undefined)
    assert.equal((await documentOf(keyed))['jwks_uri'], undefined)
    assert.equal((await fetch(keyed.clientKey.jwksUri)).status, 404)
  },
)
