import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../../test/on-every-database.ts'
import { verifies } from '../../../test/requirements.ts'
import { Secret } from '../../base/secret.ts'
import {
  createMachine,
  createRig,
  isGood,
  machineForm,
  refreshForm,
  refused,
  register,
  tokens,
} from '../issuer.rig.ts'

onEveryDatabase(
  'a program gets a token of its own, without a person and without a refresh token',
  async (t, store) => {
    verifies(t, 'S3-51')
    const rig = await createRig(t, store)
    const client = await createMachine(rig)
    const { access, body } = await tokens(rig, machineForm(client))
    assert.deepEqual(Object.keys(body).sort(), [
      'access_token',
      'expires_in',
      'scope',
      'token_type',
    ])
    assert.match(access, /^mcp_at_/)
    const principal = await rig.issuer.verify(
      rig.tenant,
      { token: new Secret(access) },
      `${rig.tenant.issuer}/mcp`,
    )
    assert.equal(principal?.user, undefined)
    assert.equal(principal?.clientId, client.id)
    assert.deepEqual(principal?.scopes, ['mcp'])
    assert.ok((await rig.journalTypes()).includes('token.issued'))
  },
)

onEveryDatabase('it has one grant for one resource, however often it asks', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await createMachine(rig)
  const resource = `${rig.tenant.issuer}/notes/mcp`
  await tokens(rig, machineForm(client))
  await tokens(rig, machineForm(client))
  const { access } = await tokens(rig, machineForm(client, { resource }))
  assert.ok(await isGood(rig, access, resource))
  assert.equal(await isGood(rig, access), false, 'not for another server')
  const grants = await rig.db.selectFrom('grants').selectAll().execute()
  assert.deepEqual(grants.map((grant) => grant.resource).sort(), [
    `${rig.tenant.issuer}/mcp`,
    resource,
  ])
  assert.ok(grants.every((grant) => grant.user_id === null && grant.last_used_at !== null))

  await rig.db.updateTable('grants').set({ revoked_at: rig.clock.now() }).execute()
  assert.equal(await isGood(rig, access, resource), false)
  const again = await tokens(rig, machineForm(client, { resource }))
  assert.ok(await isGood(rig, again.access, resource))
})

onEveryDatabase('its scopes are those that it was made with, or fewer', async (t, store) => {
  verifies(t, 'S3-52')
  const rig = await createRig(t, store)
  const resource = `${rig.tenant.issuer}/memories/mcp`
  const client = await createMachine(rig, { scopes: ['memories:read', 'mcp'] })
  const ask = (scope: string | undefined) => tokens(rig, machineForm(client, { resource, scope }))
  assert.equal((await ask(undefined)).body['scope'], 'mcp memories:read')
  assert.equal((await ask('memories:read')).body['scope'], 'memories:read')
  await refused(ask('memories:write'), 'invalid_scope')
  await refused(ask('openid'), 'invalid_scope')
  await refused(ask('nonsense'), 'invalid_scope')
  const poor = await createMachine(rig, { scopes: ['entities:read'] })
  await refused(tokens(rig, machineForm(poor, { resource })), 'invalid_scope')
})

onEveryDatabase('a resource that does not exist is refused', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await createMachine(rig)
  for (const resource of ['https://evil.test/mcp', '/mcp', `${rig.tenant.issuer}/mcp#x`]) {
    await refused(tokens(rig, machineForm(client, { resource })), 'invalid_target')
  }
  assert.deepEqual(await rig.db.selectFrom('grants').selectAll().execute(), [])
})

onEveryDatabase(
  'only a client that was made for it by hand acts for itself: row 28',
  async (t, store) => {
    verifies(t, 'S3-51')
    const rig = await createRig(t, store)
    const grant_types = ['authorization_code', 'client_credentials']
    const open = await register(rig, { grant_types })
    const own = await register(rig, {
      grant_types,
      token_endpoint_auth_method: 'client_secret_post',
    })
    const forPeople = await createMachine(rig, {
      redirectUris: ['https://app.test/cb'],
      grantTypes: ['authorization_code', 'refresh_token'],
    })
    for (const client of [open, own, forPeople]) {
      await refused(tokens(rig, machineForm(client)), 'unauthorized_client')
    }
    await refused(createMachine(rig, { authMethod: 'none' }), 'invalid_input')
    const machine = await createMachine(rig)
    await refused(tokens(rig, refreshForm(machine, 'mcp_rt_x')), 'unauthorized_client')
    await refused(tokens(rig, machineForm(machine, { client_secret: 'x' })), 'invalid_client')
    await refused(tokens(rig, machineForm(machine, { client_secret: undefined })), 'invalid_client')
  },
)

onEveryDatabase('a token that a program has ends with the program', async (t, store) => {
  verifies(t, 'S3-42')
  const rig = await createRig(t, store)
  const client = await createMachine(rig)
  const { access } = await tokens(rig, machineForm(client))
  await rig.issuer.clients.update({ tenant: rig.tenant }, client.id, { disabled: true })
  assert.equal(await isGood(rig, access), false)
  await refused(tokens(rig, machineForm(client)), 'invalid_client')
})
