import assert from 'node:assert/strict'
import { Secret } from '../base/secret.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  authorizeQuery,
  createRig,
  form,
  isGood,
  obtainTokens,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'

const minuteMs = 60_000

onEveryDatabase(
  'a client ends its access token alone, or the grant with its refresh token',
  async (t, store) => {
    verifies(t, 'S3-42', 'S3-47')
    const rig = await createRig(t, store)
    const client = await register(rig)
    const first = await obtainTokens(rig, await rig.signIn(), client)
    const second = await tokens(rig, refreshForm(client, first.refresh))

    await revoke(rig, client, { token: first.access, token_type_hint: 'nonsense' })
    assert.equal(await isGood(rig, first.access), false)
    assert.equal(await isGood(rig, second.access), true)
    await revoke(rig, client, { token: first.access })

    await revoke(rig, client, { token: second.refresh, token_type_hint: 'access_token' })
    assert.equal(await isGood(rig, second.access), false)
    await refused(tokens(rig, refreshForm(client, second.refresh)), 'invalid_grant')
    const types = await rig.journalTypes()
    assert.equal(types.filter((type) => type === 'token.revoked').length, 1)
    assert.equal(types.filter((type) => type === 'grant.revoked').length, 1)
  },
)

onEveryDatabase(
  'an unknown token is fine, a foreign one is refused and stays: row 35; P-07',
  async (t, store) => {
    verifies(t, 'S3-47')
    const rig = await createRig(t, store)
    const [client, other] = [await register(rig), await register(rig, { client_name: 'Other' })]
    const { access, refresh } = await obtainTokens(rig, await rig.signIn(), client)
    await revoke(rig, other, { token: 'mcp_at_unknown' })
    await revoke(rig, other, { token: 'x' })
    await refused(revoke(rig, other, {}), 'invalid_request')
    await refused(revoke(rig, other, { token: access }), 'unauthorized_client')
    await refused(revoke(rig, other, { token: refresh }), 'unauthorized_client')
    await refused(
      revoke(rig, { id: 'nobody', secret: undefined }, { token: access }),
      'invalid_client',
    )
    assert.equal(await isGood(rig, access), true)
    assert.ok((await tokens(rig, refreshForm(client, refresh))).access)
  },
)

onEveryDatabase(
  'a person sees the apps with access and takes it back at once',
  async (t, store) => {
    verifies(t, 'S3-47', 'S3-48')
    const rig = await createRig(t, store)
    const [ada, eve] = [await rig.signIn('ada'), await rig.signIn('eve')]
    const client = await register(rig)
    const { access, refresh } = await obtainTokens(rig, ada, client)
    const [grant, ...others] = (await rig.issuer.grants.list(ada)).items
    assert.ok(grant !== undefined && others.length === 0)
    assert.deepEqual(grant, {
      id: grant.id,
      clientId: client.id,
      clientName: 'Tester',
      clientDisabled: false,
      resource: 'https://auth.test/mcp',
      resourceName: 'All of it',
      scopes: ['mcp'],
      createdAt: rig.clock.now(),
      useCount: 0,
    })

    assert.deepEqual((await rig.issuer.grants.list(eve)).items, [])
    await refused(rig.issuer.grants.revoke(eve, grant.id), 'not_found')
    await refused(rig.issuer.grants.revoke(ada, 'grt_nobody'), 'not_found')
    await refused(rig.issuer.grants.revoke(ada, 'grt_\0'), 'not_found')
    assert.equal(await isGood(rig, access), true)

    await rig.issuer.grants.revoke(ada, grant.id)
    assert.equal(await isGood(rig, access), false)
    await refused(tokens(rig, refreshForm(client, refresh)), 'invalid_grant')
    await refused(rig.issuer.grants.revoke(ada, grant.id), 'not_found')
    assert.deepEqual((await rig.issuer.grants.list(ada)).items, [])
    const query = authorizeQuery(client)
    const { step } = await rig.issuer.authorize.begin(rig.tenant, query, undefined, ada)
    assert.equal(step.kind, 'consent', 'the app has to ask again: X-34')
  },
)

onEveryDatabase(
  'an access token is good for an hour, for its resource, in its tenant: P-12',
  async (t, store) => {
    verifies(t, 'S3-22', 'S3-29')
    const rig = await createRig(t, store)
    const client = await register(rig)
    const session = await rig.signIn()
    const { access } = await obtainTokens(rig, session, client)
    const at = (resource: string) => isGood(rig, access, resource)

    const found = await rig.issuer.verify(
      rig.tenant,
      { token: new Secret(access) },
      'https://auth.test/mcp',
    )
    assert.equal(found?.user?.id, session.user.id)
    assert.equal(found?.clientId, client.id)
    assert.deepEqual(found?.scopes, ['mcp'])
    assert.equal(found?.resource, 'https://auth.test/mcp')

    for (const elsewhere of [
      'https://auth.test/mcp-admin',
      'https://auth.test/mcp/',
      'https://auth.test/mcp/../x',
      'https://auth.test/MCP',
      'https://auth.test/notes/mcp',
      'https://auth.test',
      'http://auth.test/mcp',
      'https://evil.test/mcp',
      '',
    ]) {
      assert.equal(await at(elsewhere), false, elsewhere)
    }
    const otherTenant = { ...rig.tenant, id: 'ten_other' }
    const elsewhere = rig.issuer.verify(
      otherTenant,
      { token: new Secret(access) },
      'https://auth.test/mcp',
    )
    assert.equal(await elsewhere, undefined)
    for (const token of ['', 'mcp_at_', `${access}x`, access.toUpperCase()]) {
      assert.equal(await isGood(rig, token), false)
    }

    await rig.clock.advance(60 * minuteMs - 1)
    assert.equal(await at('https://AUTH.test/mcp'), true)
    await rig.clock.advance(1)
    assert.equal(await at('https://auth.test/mcp'), false)
  },
)

function revoke(rig: Rig, client: RigClient, fields: Record<string, string>): Promise<void> {
  return rig.issuer.revoke(rig.tenant, form({ client_id: client.id, ...fields }))
}
