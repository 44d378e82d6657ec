import assert from 'node:assert/strict'
import { isFault } from '../base/fault.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import {
  approve,
  authorizeQuery,
  beginByHand,
  createRig,
  isGood,
  locationOf,
  obtainTokens,
  redirectUri,
  refused,
  refreshForm,
  register,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'

interface Managed extends RigClient {
  readonly named: { readonly id: string; readonly authorization: string }
  /** What it may send back as an update, with its id. */
  readonly description: Readonly<Record<string, unknown>>
}

const confidential = {
  client_name: 'Tester',
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'client_secret_post',
}

async function registerManaged({ issuer, tenant }: Rig): Promise<Managed> {
  const answer = await issuer.register(tenant, confidential)
  const { client_id: id, client_secret: secret, registration_access_token: token } = answer
  assert.ok(typeof id === 'string' && typeof secret === 'string' && typeof token === 'string')
  const named = { id, authorization: `Bearer ${token}` }
  return { id, secret, named, description: { ...confidential, client_id: id } }
}

onEveryDatabase('a client reads its registration, but no secret', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const { id, named } = await registerManaged(rig)
  const seen = await issuer.registrations.read(tenant, named)
  assert.equal(seen['client_id'], id)
  assert.equal(seen['registration_client_uri'], `${tenant.issuer}/oauth/register/${id}`)
  assert.equal(`Bearer ${String(seen['registration_access_token'])}`, named.authorization)
  assert.deepEqual(seen['redirect_uris'], [redirectUri])
  assert.equal('client_secret' in seen, false)
  const [row] = await rig.db.selectFrom('clients').selectAll().execute()
  assert.doesNotMatch(JSON.stringify(row), /mcp_reg_/)
})

onEveryDatabase('a token opens its own registration alone', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const mine = await registerManaged(rig)
  const other = await registerManaged(rig)
  const open = await register(rig)
  const { id, named } = mine
  const { authorization } = named
  const wrong = [
    { id, authorization: undefined },
    { id, authorization: '' },
    { id, authorization: authorization.slice(0, -1) },
    { id, authorization: authorization.replace('Bearer', 'Basic') },
    { id, authorization: `${authorization}, x` },
    { id, authorization: `Bearer ${mine.secret}` },
    { id, authorization: other.named.authorization },
    { id: other.id, authorization },
    { id: open.id, authorization },
    { id: 'mcp_oauth_unknown', authorization },
    { id: `${id}\0`, authorization },
  ]
  for (const named of wrong) {
    const { registrations } = issuer
    const update = { ...mine.description, client_id: named.id }
    await refused(registrations.read(tenant, named), 'invalid_token')
    await refused(registrations.update(tenant, named, update), 'invalid_token')
    await refused(registrations.remove(tenant, named), 'invalid_token')
  }
  assert.equal((await issuer.registrations.read(tenant, named))['client_name'], 'Tester')
})

onEveryDatabase('what anybody may register again is nobody’s to manage', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, db } = rig
  const words = { ...confidential, token_endpoint_auth_method: 'none' }
  const answers = [await issuer.register(tenant, words), await issuer.register(tenant, words)]
  assert.equal(answers[0]?.['client_id'], answers[1]?.['client_id'])
  for (const answer of answers) {
    assert.equal('registration_access_token' in answer, false)
    assert.equal('registration_client_uri' in answer, false)
  }
  const [row] = await db.selectFrom('clients').selectAll().execute()
  assert.equal(row?.registration_token_digest, null)
})

onEveryDatabase(
  'an update loses the scopes that do not exist, as a registration does',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const { named, description } = await registerManaged(rig)
    const update = (scope: string) =>
      issuer.registrations.update(tenant, named, { ...description, scope })
    assert.equal((await update('mcp nosuch:thing'))['scope'], 'mcp')
    assert.equal('scope' in (await update('nosuch:thing')), false, 'then it may ask for any')
  },
)

onEveryDatabase('an update replaces the whole description', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const { registrations } = issuer
  const { named, description, secret } = await registerManaged(rig)
  const scoped = { ...description, contacts: ['a@app.test'], scope: 'mcp' }
  await registrations.update(tenant, named, { ...scoped, client_secret: secret })
  const seen = await registrations.read(tenant, named)
  assert.deepEqual([seen['contacts'], seen['scope']], [['a@app.test'], 'mcp'])

  const bare = {
    client_id: named.id,
    redirect_uris: ['https://app.test/new'],
    token_endpoint_auth_method: 'client_secret_basic',
  }
  const answer = await registrations.update(tenant, named, bare)
  assert.deepEqual(await registrations.read(tenant, named), answer)
  assert.deepEqual(answer['redirect_uris'], bare.redirect_uris)
  assert.equal(answer['token_endpoint_auth_method'], 'client_secret_basic')
  assert.equal(answer['client_name'], 'MCP Client (Auto-registered)')
  assert.deepEqual(answer['grant_types'], ['authorization_code'])
  for (const name of ['contacts', 'scope', 'client_secret']) assert.equal(name in answer, false)
  const entries = await rig.db
    .selectFrom('journal_entries')
    .selectAll()
    .where('type', '=', 'client.updated')
    .orderBy('id')
    .execute()
  assert.deepEqual(
    entries.map(({ actor_kind, actor_id }) => [actor_kind, actor_id]),
    Array.from({ length: 2 }, () => ['client', named.id]),
  )
  const { changed } = JSON.parse(entries[1]?.data ?? '') as { changed: string[] } // written by replace()
  assert.deepEqual(changed.toSorted(), [
    'client_name',
    'contacts',
    'grant_types',
    'redirect_uris',
    'scope',
    'token_endpoint_auth_method',
  ])
})

onEveryDatabase('what an update may not say', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const { named, description, secret } = await registerManaged(rig)
  const before = await rig.db.selectFrom('clients').selectAll().execute()
  const bad: readonly unknown[] = [
    undefined,
    null,
    [],
    'x',
    { ...description, client_id: undefined },
    { ...description, client_id: 'mcp_oauth_other' },
    { ...description, client_id: [named.id] },
    { ...description, client_secret: 'mine' },
    { ...description, client_secret: `${secret}x` },
    { ...description, client_secret: 7 },
    { ...description, client_secret: '' },
    { ...description, registration_access_token: named.authorization.slice(7) },
    { ...description, registration_client_uri: `${tenant.issuer}/oauth/register/${named.id}` },
    { ...description, client_secret_expires_at: 0 },
    { ...description, client_id_issued_at: 0 },
    { ...description, client_id_issued_at: null },
    { ...description, token_endpoint_auth_method: 'none' },
    {
      ...description,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: 'https://app.test/jwks',
    },
    { ...description, grant_types: ['client_credentials'], response_types: [] },
    { ...description, logo_uri: 'javascript:alert(1)' },
  ]
  for (const json of bad) {
    await refused(issuer.registrations.update(tenant, named, json), 'invalid_client_metadata')
  }
  const update = { ...description, redirect_uris: ['javascript:alert(1)'] }
  await refused(issuer.registrations.update(tenant, named, update), 'invalid_redirect_uri')
  assert.deepEqual(await rig.db.selectFrom('clients').selectAll().execute(), before)
})

onEveryDatabase(
  'who agreed to a client is asked again when it changed [X-34]',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const session = await rig.signIn()
    const client = await registerManaged(rig)
    const query = authorizeQuery(client)
    await approve(rig, session, query)
    const nextStep = async () => (await beginByHand(rig, query, session)).step.kind
    assert.equal(await nextStep(), 'redirect')
    const { named, description } = client
    await issuer.registrations.update(tenant, named, { ...description, contacts: ['a@app.test'] })
    assert.equal(await nextStep(), 'redirect', 'nobody saw that')
    await issuer.registrations.update(tenant, named, { ...description, client_name: 'Other' })
    assert.equal(await nextStep(), 'consent')
  },
)

onEveryDatabase('a client that goes takes its grants with it at once', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const session = await rig.signIn()
  const client = await registerManaged(rig)
  const stays = await registerManaged(rig)
  const { access, refresh } = await obtainTokens(rig, session, client)
  await obtainTokens(rig, session, client)
  const kept = await obtainTokens(rig, session, stays)
  await issuer.registrations.remove(tenant, client.named)

  assert.equal(await isGood(rig, access), false)
  await refused(issuer.token(tenant, refreshForm(client, refresh)), 'invalid_client')
  await refused(issuer.registrations.read(tenant, client.named), 'invalid_token')
  await refused(issuer.registrations.remove(tenant, client.named), 'invalid_token')
  const begun = issuer.authorize.begin(tenant, authorizeQuery(client), undefined, session)
  await assert.rejects(begun, (error) => {
    assert.ok(isFault(error) && error.code === 'invalid_client')
    return error.detail?.['client'] !== undefined
  })
  const entry = await rig.db
    .selectFrom('journal_entries')
    .selectAll()
    .where('type', '=', 'client.deleted')
    .executeTakeFirstOrThrow()
  assert.deepEqual(JSON.parse(entry.data), { grants: 2 })
  assert.deepEqual([entry.actor_kind, entry.actor_id], ['client', client.id])
  assert.equal(await isGood(rig, kept.access), true)
})

onEveryDatabase('of fifty removals at once one removes', async (t, store) => {
  const rig = await createRig(t, store)
  const { named } = await registerManaged(rig)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 50 }, () => rig.issuer.registrations.remove(rig.tenant, named)),
  )
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  const types = await rig.journalTypes()
  assert.equal(types.filter((type) => type === 'client.deleted').length, 1)
})

onEveryDatabase('an administrator’s word stands above the client’s own', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const { registrations, clients } = issuer
  const { id, named, description } = await registerManaged(rig)
  await t.test('while it is switched off', async () => {
    await clients.update({ tenant }, id, { disabled: true })
    await refused(registrations.read(tenant, named), 'forbidden')
    await refused(registrations.update(tenant, named, description), 'forbidden')
    await refused(registrations.remove(tenant, named), 'forbidden')
    await clients.update({ tenant }, id, { disabled: false })
    await registrations.read(tenant, named)
  })
  await t.test('and for good once they changed it', async () => {
    await clients.update({ tenant }, id, { scopes: ['mcp'] })
    await refused(registrations.update(tenant, named, description), 'invalid_token')
    assert.deepEqual((await clients.get({ tenant }, id)).scopes, ['mcp'])
  })
})

onEveryDatabase('an update keeps what is not the client’s to say', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant, db } = rig
  const session = await rig.signIn()
  const client = await registerManaged(rig)
  const { access } = await obtainTokens(rig, session, client)
  const before = await db.selectFrom('clients').selectAll().executeTakeFirstOrThrow()
  await rig.clock.advance(1000)
  const boast = { kind: 'manual', tenant_id: 'x', resource: 'https://x.test/', skip_consent: true }
  await issuer.registrations.update(tenant, client.named, { ...client.description, ...boast })
  assert.deepEqual(await db.selectFrom('clients').selectAll().executeTakeFirstOrThrow(), before)
  assert.equal(await isGood(rig, access), true)
  const location = locationOf((await beginByHand(rig, authorizeQuery(client), session)).step)
  assert.ok(location.searchParams.has('code'))
})
