import assert from 'node:assert/strict'
import { acceptableRedirectUris, malformedRedirectUris } from '../oauth/redirect-uri.corpus.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { createRig, refused } from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'

onEveryDatabase(
  'a client that registers is told what it is; its secret is kept as a digest',
  async (t, store) => {
    verifies(t, 'S3-3', 'S3-9', 'S3-41', 'S3-42')
    const rig = await createRig(t, store)
    const answer = await ask(rig, { client_secret: 'mine', client_id: 'mine', extra: 1 })
    const { client_id, client_secret, registration_access_token: token, ...rest } = answer
    assert.match(String(client_id), /^mcp_oauth_[0-9a-z]{24,}$/)
    assert.match(String(client_secret), /^mcp_cs_[\w-]{43}$/)
    assert.match(String(token), /^mcp_reg_[\w-]{43}$/)
    assert.deepEqual(rest, {
      registration_client_uri: `${rig.tenant.issuer}/oauth/register/${String(client_id)}`,
      client_id_issued_at: Math.floor(rig.clock.now() / 1000),
      client_secret_expires_at: 0,
      client_name: 'MCP Client (Auto-registered)',
      redirect_uris: ['https://app.test/cb'],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      application_type: 'web',
    })
    const stored = JSON.stringify([
      await rig.db.selectFrom('clients').selectAll().execute(),
      await rig.db.selectFrom('client_secrets').selectAll().execute(),
      await rig.db.selectFrom('journal_entries').selectAll().execute(),
    ])
    for (const secret of [client_secret, token]) {
      assert.equal(stored.includes(String(secret)), false)
    }
    assert.deepEqual(await rig.journalTypes(), ['client.registered'])
  },
)

onEveryDatabase(
  'what we do not support is taken out, and the answer says so (RFC 7591 §3.2.1)',
  async (t, store) => {
    const rig = await createRig(t, store)
    const answer = await ask(rig, {
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      scope: 'mcp nonsense memories:read',
      client_name: '  Eve\u202E\n\u0007 ',
      client_uri: 'https://app.test/',
      application_type: 'native',
    })
    assert.deepEqual(answer['grant_types'], ['authorization_code', 'refresh_token'])
    assert.equal(answer['scope'], 'mcp memories:read')
    assert.equal(answer['client_name'], 'Eve', 'X-12')
    assert.equal('client_secret' in answer, false)
    assert.equal('client_secret_expires_at' in answer, false)
    const onlyUnknown = await ask(rig, { scope: 'offline_access phone' })
    assert.equal('scope' in onlyUnknown, false)
  },
)

onEveryDatabase(
  'a bad registration is refused as a whole: row 32; P-05, P-08',
  async (t, store) => {
    verifies(t, 'S3-18')
    const rig = await createRig(t, store)
    for (const uri of malformedRedirectUris) {
      await refused(
        ask(rig, { redirect_uris: ['https://app.test/ok', uri] }),
        'invalid_redirect_uri',
      )
    }
    for (const uri of acceptableRedirectUris.nativeOnly) {
      const asWeb = ask(rig, { redirect_uris: [uri], application_type: 'web' })
      await refused(asWeb, 'invalid_redirect_uri')
    }
    await refused(ask(rig, { redirect_uris: [] }), 'invalid_redirect_uri')
    await refused(ask(rig, { redirect_uris: { 0: 'https://app.test/cb' } }), 'invalid_redirect_uri')
    for (const bad of [
      { logo_uri: 'javascript:alert(1)' },
      { client_uri: 'data:text/html,x' },
      { token_endpoint_auth_method: 'private_key_jwt' },
      { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'http://app.test/jwks' },
      { token_endpoint_auth_method: 'nonsense' },
      { grant_types: ['password'] },
      { grant_types: ['client_credentials'], response_types: [] },
      { response_types: ['token'] },
      { application_type: 'nonsense' },
      { scope: 'a"b' },
    ]) {
      await refused(ask(rig, bad), 'invalid_client_metadata')
    }
    for (const body of [undefined, null, 'x', 1, []]) {
      await refused(rig.issuer.register(rig.tenant, body), 'invalid_client_metadata')
    }
    assert.deepEqual(await rig.db.selectFrom('clients').selectAll().execute(), [])
  },
)

onEveryDatabase(
  'an administrator makes clients by hand, a plain person does not',
  async (t, store) => {
    verifies(t, 'S3-3', 'S3-36')
    const rig = await createRig(t, store)
    const person = await rig.signIn()
    const input = { name: 'Claude', redirectUris: ['https://claude.ai/api/mcp/auth_callback'] }
    await refused(rig.issuer.clients.create(person, input), 'forbidden')

    const { client, secret } = await rig.issuer.clients.create({ tenant: rig.tenant }, input)
    assert.equal(client.kind, 'manual')
    assert.equal(client.authMethod, 'client_secret_basic')
    assert.match(secret?.reveal() ?? '', /^mcp_cs_/)
    const open = await rig.issuer.clients.create(
      { tenant: rig.tenant },
      { ...input, authMethod: 'none', scopes: ['mcp'] },
    )
    assert.equal(open.secret, undefined)
    assert.deepEqual(open.client.scopes, ['mcp'])
  },
)

onEveryDatabase('the metadata document says what is true of this tenant', async (t, store) => {
  verifies(t, 'S3-41', 'S3-45', 'A2', 'A3', 'A8', 'A14', 'A15')
  const { issuer, tenant } = await createRig(t, store)
  const document = issuer.metadata(tenant)
  assert.equal(document['issuer'], tenant.issuer)
  assert.deepEqual(document['code_challenge_methods_supported'], ['S256'], 'P-10')
  assert.deepEqual(document['response_types_supported'], ['code'])
  assert.deepEqual(document['grant_types_supported'], [
    'authorization_code',
    'refresh_token',
    'client_credentials',
    'urn:ietf:params:oauth:grant-type:device_code',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
  ])
  assert.deepEqual(document['authorization_grant_profiles_supported'], [
    'urn:ietf:params:oauth:grant-profile:id-jag',
  ])
  assert.deepEqual(document['scopes_supported'], ['mcp', 'openid', 'profile', 'email'])
  assert.equal(document['authorization_response_iss_parameter_supported'], true)
  assert.equal(document['client_id_metadata_document_supported'], true)
  for (const [name, value] of Object.entries(document)) {
    if (!/_(?:endpoint|uri)$/.test(name)) continue
    assert.ok(String(value).startsWith(`${tenant.issuer}/oauth/`), name)
  }
})

function ask(
  rig: Rig,
  metadata: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  return rig.issuer.register(rig.tenant, { redirect_uris: ['https://app.test/cb'], ...metadata })
}
