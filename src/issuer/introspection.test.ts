import assert from 'node:assert/strict'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  createMachine,
  createRig,
  form,
  machineForm,
  obtainTokens,
  otherScopes,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'

const inactive = { active: false }

onEveryDatabase('a resource server learns what a token for it is worth', async (t, store) => {
  verifies(t, 'S3-46')
  const rig = await createRig(t, store)
  const { tenant, clock } = rig
  const session = await rig.signIn()
  const resource = `${tenant.issuer}/memories/mcp`
  const server = await createMachine(rig, { resource })
  const client = await register(rig)
  const { access } = await obtainTokens(rig, session, client, {
    resource,
    scope: 'mcp memories:read',
  })
  const now = Math.floor(clock.now() / 1000)
  assert.deepEqual(await introspect(rig, server, access), {
    active: true,
    iss: tenant.issuer,
    sub: session.user.id,
    aud: resource,
    client_id: client.id,
    scope: 'mcp memories:read',
    token_type: 'Bearer',
    iat: now,
    exp: now + 3600,
  })
})

onEveryDatabase(
  'about a token for another server nothing is said, and no more about one that never was: X-37, row 34',
  async (t, store) => {
    verifies(t, 'S3-46')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const server = await createMachine(rig, { resource: `${rig.tenant.issuer}/notes/mcp` })
    const plain = await createMachine(rig)
    const client = await register(rig)
    const { access, refresh } = await obtainTokens(rig, session, client)
    const own = await obtainTokens(rig, session, client, {
      resource: `${rig.tenant.issuer}/notes/mcp`,
    })
    assert.equal((await introspect(rig, server, own.access)).active, true)
    for (const token of [
      access,
      refresh,
      own.refresh,
      'mcp_at_x',
      'x.y.z',
      '\0',
      'é'.repeat(9000),
    ]) {
      assert.deepEqual(await introspect(rig, server, token), inactive)
      assert.deepEqual(await introspect(rig, plain, token), inactive)
    }
    assert.deepEqual(await introspect(rig, plain, own.access), inactive)
  },
)

onEveryDatabase('a client learns about its own tokens', async (t, store) => {
  const rig = await createRig(t, store)
  const [one, other] = [await createMachine(rig), await createMachine(rig)]
  const { access } = await tokens(rig, machineForm(one))
  const seen = await introspect(rig, one, access)
  assert.ok(seen.active)
  assert.equal(seen.sub, one.id, 'it acts for itself')
  assert.deepEqual(await introspect(rig, other, access), inactive)
})

onEveryDatabase(
  'a token is active up to its last moment and not after its end',
  async (t, store) => {
    verifies(t, 'S3-46', 'S3-42')
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const resource = `${rig.tenant.issuer}/mcp`
    const server = await createMachine(rig, { resource })
    const client = await register(rig)
    const isActive = async (token: string) => (await introspect(rig, server, token)).active
    const [first, second, third] = [
      await obtainTokens(rig, session, client),
      await obtainTokens(rig, session, client),
      await obtainTokens(rig, session, client),
    ]
    await rig.issuer.revoke(rig.tenant, form({ client_id: client.id, token: first.access }))
    assert.deepEqual([await isActive(first.access), await isActive(second.access)], [false, true])
    await rig.issuer.revoke(rig.tenant, form({ client_id: client.id, token: second.refresh }))
    assert.equal(await isActive(second.access), false)
    await rig.clock.advance(3600_000 - 1)
    assert.equal(await isActive(third.access), true)
    await rig.clock.advance(1)
    assert.equal(await isActive(third.access), false)
  },
)

onEveryDatabase('who is disabled has no active token', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const server = await createMachine(rig, { resource: `${rig.tenant.issuer}/mcp` })
  const { access } = await obtainTokens(rig, session, await register(rig))
  assert.equal((await introspect(rig, server, access)).active, true)
  await rig.db.updateTable('users').set({ disabled_at: rig.clock.now() }).execute()
  assert.deepEqual(await introspect(rig, server, access), inactive)
})

onEveryDatabase('who does not prove itself is told nothing: row 34', async (t, store) => {
  verifies(t, 'S3-46')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const open = await register(rig)
  const server = await createMachine(rig, { resource: `${rig.tenant.issuer}/mcp` })
  const { access: token } = await obtainTokens(rig, session, open)
  const ask = (fields: Record<string, string | undefined>) =>
    rig.issuer.introspect(rig.tenant, form(fields))
  await refused(ask({ token }), 'invalid_client')
  await refused(ask({ token, client_id: open.id }), 'invalid_client')
  await refused(ask({ token, client_id: server.id }), 'invalid_client')
  await refused(ask({ token, client_id: server.id, client_secret: 'x' }), 'invalid_client')
  const proof = { client_id: server.id, client_secret: server.secret }
  await refused(ask(proof), 'invalid_request')
  await rig.issuer.clients.update({ tenant: rig.tenant }, server.id, { disabled: true })
  await refused(ask({ token, ...proof }), 'invalid_client')
})

onEveryDatabase('a client cannot make itself a resource server', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const resource = `${rig.tenant.issuer}/memories/mcp`
  const pretender = await register(rig, {
    resource,
    token_endpoint_auth_method: 'client_secret_post',
  })
  const scope = otherScopes.join(' ')
  const { access } = await obtainTokens(rig, session, await register(rig), { resource, scope })
  assert.deepEqual(await introspect(rig, pretender, access), inactive)
})

onEveryDatabase('a resource server that asks shows that the grant is used', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const server = await createMachine(rig, { resource: `${rig.tenant.issuer}/mcp` })
  const { access } = await obtainTokens(rig, session, await register(rig))
  await rig.clock.advance(120_000)
  await introspect(rig, server, access)
  const [grant] = (await rig.issuer.grants.list(session)).items
  assert.equal(grant?.lastUsedAt, rig.clock.now())
})

function introspect({ issuer, tenant }: Rig, caller: RigClient, token: string) {
  return issuer.introspect(
    tenant,
    form({ client_id: caller.id, client_secret: caller.secret, token }),
  )
}
