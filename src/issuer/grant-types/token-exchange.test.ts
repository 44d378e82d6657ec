import assert from 'node:assert/strict'
import { decodeJwt } from 'jose'
import { onEveryDatabase } from '../../../test/on-every-database.ts'
import { verifies } from '../../../test/requirements.ts'
import { isFault } from '../../base/fault.ts'
import { Secret } from '../../base/secret.ts'
import { createUsage } from '../../journal/usage.ts'
import type { SessionPrincipal } from '../../people/principal.ts'
import {
  createMachine,
  createRig,
  createTwins,
  exchangeForm,
  form,
  isGood,
  machineForm,
  obtainTokens,
  refreshForm,
  refused,
  register,
  tokens,
} from '../issuer.rig.ts'
import type { Changes, Rig, RigClient, Tokens } from '../issuer.rig.ts'
import { exchangesMax } from './token-exchange.ts'

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'

onEveryDatabase(
  'a server that was called gets a narrower token for the server behind it',
  async (t, store) => {
    verifies(t, 'S3-51')
    const { rig, ada, service, subject, memories } = await start(t, store)
    const usage = createUsage({ db: rig.db, clock: rig.clock, flush: async () => {} })
    const given = async () => (await usage.report(rig.tenant.id)).tokensPerDay[0]?.tokens ?? 0
    const before = await given()
    const { access, body } = await exchange(rig, service, subject.access)
    assert.equal(await given(), before + 1)
    assert.deepEqual(body, {
      access_token: access,
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'mcp memories:read',
      issued_token_type: accessTokenType,
    })
    assert.match(access, /^mcp_at_/)
    const principal = await rig.issuer.verify(rig.tenant, { token: new Secret(access) }, memories)
    assert.equal(principal?.user?.id, ada.user.id)
    assert.equal(principal?.clientId, service.id)
    assert.deepEqual(principal?.scopes, ['mcp', 'memories:read'])
    assert.equal(await isGood(rig, access, `${rig.tenant.issuer}/notes/mcp`), false, 'X-17')
    assert.ok(await isGood(rig, subject.access, `${rig.tenant.issuer}/front/mcp`), 'it stays')
    const entries = await rig.journalTypes()
    assert.equal(entries.at(-1), 'token.exchanged')
  },
)

onEveryDatabase(
  'it is never wider than the token, the client or the resource: X-38',
  async (t, store) => {
    verifies(t, 'S3-52', 'X-38')
    const { rig, ada, app, memories, front } = await start(t, store)
    const narrow = await createService(rig, { scopes: ['memories:read', 'memories:write'] })
    const ask = async (given: string, scope?: string) => {
      const { access } = await obtainTokens(rig, ada, app, { resource: front, scope: given })
      const answer = await exchange(rig, narrow, access, { scope })
      return answer.body['scope']
    }
    assert.equal(await ask('mcp memories:read memories:write'), 'memories:read memories:write')
    assert.equal(await ask('mcp memories:read'), 'memories:read')
    assert.equal(await ask('memories:read memories:write', 'memories:read'), 'memories:read')
    await refused(ask('memories:read', 'memories:write'), 'invalid_scope')
    await refused(ask('memories:read', 'Memories:read'), 'invalid_scope')
    await refused(ask('memories:read', 'mcp'), 'invalid_scope')
    await refused(ask('mcp'), 'invalid_scope')
    const plain = await createService(rig, { mayReach: [`${rig.tenant.issuer}/notes/mcp`] })
    const { access } = await obtainTokens(rig, ada, app, {
      resource: front,
      scope: 'memories:read',
    })
    const elsewhere = { resource: `${rig.tenant.issuer}/notes/mcp` }
    await refused(exchange(rig, plain, access, elsewhere), 'invalid_scope')
    await refused(exchange(rig, plain, access, { resource: memories }), 'invalid_target')
  },
)

onEveryDatabase('where it may lead was said by an administrator: X-38', async (t, store) => {
  verifies(t, 'X-38')
  const { rig, service, subject, memories, front } = await start(t, store)
  const { issuer } = rig.tenant
  const good = [
    { resource: memories },
    { resource: undefined, audience: memories },
    { resource: memories, audience: memories },
  ]
  for (const target of good) {
    assert.ok(
      await isGood(rig, (await exchange(rig, service, subject.access, target)).access, memories),
    )
  }
  const bad = [
    { resource: `${issuer}/notes/mcp` },
    { resource: front },
    { resource: undefined },
    { resource: undefined, audience: 'memories' },
    { resource: undefined, audience: `${issuer}/notes/mcp` },
    { resource: memories, audience: `${issuer}/notes/mcp` },
    { resource: 'https://evil.test/mcp' },
    { resource: `${memories}/` },
    { resource: `${memories}#x` },
    { resource: `${issuer}/MEMORIES/mcp` },
  ]
  for (const target of bad) {
    await refused(exchange(rig, service, subject.access, target), 'invalid_target')
  }
  const two = exchangeForm(service, subject.access)
  const body = `${two.body}&resource=${encodeURIComponent(`${issuer}/notes/mcp`)}`
  await refused(tokens(rig, { ...two, body }), 'invalid_target')
  const grants = await rig.db.selectFrom('grants').select('resource').execute()
  assert.deepEqual(grants.map(({ resource }) => resource).sort(), [front, memories])
})

onEveryDatabase('a token that is not good enough is refused in one way: X-17', async (t, store) => {
  verifies(t, 'X-17', 'S3-51')
  const { rig, ada, app, service, subject, front } = await start(t, store)
  const notes = await obtainTokens(rig, ada, app, { resource: `${rig.tenant.issuer}/notes/mcp` })
  const machine = await createMachine(rig)
  const alone = await tokens(rig, machineForm(machine, { resource: front }))
  const ended = await obtainTokens(rig, ada, app, { resource: front })
  await rig.issuer.revoke(rig.tenant, form({ client_id: app.id, token: ended.access }))
  const own = await tokens(rig, machineForm(service, { resource: front }))
  const someoneElses = await tokens(rig, machineForm(machine))
  const wrong: readonly Changes[] = [
    { subject_token: undefined },
    { subject_token: 'x' },
    { subject_token: '\0' },
    { subject_token: subject.refresh },
    { subject_token: notes.access },
    { subject_token: ended.access },
    { subject_token: alone.access },
    { subject_token_type: undefined },
    { subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
    { subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' },
    { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
    { requested_token_type: 'urn:ietf:params:oauth:token-type:id-jag' },
    { actor_token_type: accessTokenType },
    { actor_token: own.access },
    { actor_token: own.access, actor_token_type: 'urn:ietf:params:oauth:token-type:jwt' },
    { actor_token: someoneElses.access, actor_token_type: accessTokenType },
    { actor_token: subject.access, actor_token_type: accessTokenType },
    { actor_token: 'x', actor_token_type: accessTokenType },
  ]
  const said = new Set<string>()
  for (const changes of wrong) {
    await assert.rejects(exchange(rig, service, subject.access, changes), (error) => {
      assert.ok(isFault(error), String(error))
      assert.equal(error.code, 'invalid_request', `${JSON.stringify(changes)}: ${error.because}`)
      said.add(error.message)
      return true
    })
  }
  assert.equal(said.size, 1)
  const acting = { actor_token: own.access, actor_token_type: accessTokenType }
  const requested = { requested_token_type: accessTokenType }
  const { access } = await exchange(rig, service, subject.access, { ...acting, ...requested })
  assert.ok(access)
})

onEveryDatabase(
  'only a client that was made for it by hand, and proves itself, exchanges: row 28',
  async (t, store) => {
    verifies(t, 'S3-51')
    const { rig, service, subject, front, memories } = await start(t, store)
    const grant_types = ['authorization_code', tokenExchange]
    const open = await register(rig, { grant_types })
    const withSecret = await register(rig, {
      grant_types,
      resource: front,
      may_reach: [memories],
      token_endpoint_auth_method: 'client_secret_post',
    })
    const other = await createMachine(rig, { resource: front, mayReach: [memories] })
    for (const client of [open, withSecret, other]) {
      await refused(exchange(rig, client, subject.access), 'unauthorized_client')
    }
    await refused(createService(rig, { authMethod: 'none' }), 'invalid_input')
    const wrong = { client_secret: 'x' }
    await refused(exchange(rig, service, subject.access, wrong), 'invalid_client')
    const none = { client_secret: undefined }
    await refused(exchange(rig, service, subject.access, none), 'invalid_client')
    const stranger = await createService(rig, { resource: memories })
    await refused(exchange(rig, stranger, subject.access), 'invalid_request')
  },
)

onEveryDatabase('it ends when the token does that it was made from', async (t, store) => {
  verifies(t, 'S3-42')
  const { rig, service, subject, memories } = await start(t, store)
  await rig.clock.advance(3_000_000)
  const { access, body } = await exchange(rig, service, subject.access)
  assert.equal(body['expires_in'], 600)
  await rig.clock.advance(600_000 - 1)
  assert.ok(await isGood(rig, access, memories))
  const last = await exchange(rig, service, subject.access)
  assert.equal(last.body['expires_in'], 0)
  await rig.clock.advance(1)
  assert.equal(await isGood(rig, access, memories), false)
  await refused(exchange(rig, service, subject.access), 'invalid_request')
  await rig.issuer.sweep(rig.clock.now())
  assert.deepEqual(await rig.db.selectFrom('token_ancestors').selectAll().execute(), [])
})

onEveryDatabase(
  'whatever ends what it was made from ends it on the very next request',
  async (t, store) => {
    verifies(t, 'S3-42', 'S3-47')
    const { rig, ada, app, service, front, memories } = await start(t, store)
    const by = { tenant: rig.tenant }
    const ways: Readonly<Record<string, (subject: Tokens) => Promise<unknown>>> = {
      'the token is revoked': (subject) =>
        rig.issuer.revoke(rig.tenant, form({ client_id: app.id, token: subject.access })),
      'its grant is revoked by the client': (subject) =>
        rig.issuer.revoke(rig.tenant, form({ client_id: app.id, token: subject.refresh })),
      'its grant is taken back by the person': async () => {
        const { items: grants } = await rig.issuer.grants.list(ada)
        const parents = grants.filter(({ clientId }) => clientId === app.id)
        await Promise.all(parents.map(({ id }) => rig.issuer.grants.revoke(ada, id)))
      },
      'its grant ends because a refresh token came twice': async (subject) => {
        await tokens(rig, refreshForm(app, subject.refresh))
        await rig.clock.advance(31_000)
        await refused(tokens(rig, refreshForm(app, subject.refresh)), 'invalid_grant')
      },
      'the derived grant is taken back': async () => {
        const { items: grants } = await rig.issuer.grants.list(ada)
        const derived = grants.filter(({ clientId }) => clientId === service.id)
        await Promise.all(derived.map(({ id }) => rig.issuer.grants.revoke(ada, id)))
      },
      'the first client is switched off': async () => {
        await rig.issuer.clients.update(by, app.id, { disabled: true })
      },
      'the client of the exchange may reach something else only': async () => {
        const elsewhere = [memories.replace('/memories', '/notes')]
        await rig.issuer.clients.update(by, service.id, { mayReach: elsewhere })
        await rig.issuer.clients.update(by, service.id, { mayReach: [memories] })
      },
      'the client of the exchange may not reach the resource any more': async () => {
        await rig.issuer.clients.update(by, service.id, { mayReach: [] })
      },
    }
    for (const [name, end] of Object.entries(ways)) {
      await rig.issuer.clients.update(by, app.id, { disabled: false })
      const subject = await obtainTokens(rig, ada, app, { resource: front, scope: 'mcp' })
      const { access } = await exchange(rig, service, subject.access)
      assert.ok(await isGood(rig, access, memories), name)
      await end(subject)
      assert.equal(await isGood(rig, access, memories), false, name)
      const inspected = await rig.issuer.tokens.inspect(rig.tenant, new Secret(access))
      assert.ok(inspected?.endedBy, `${name}, and an operator sees it`)
      const trace = await rig.issuer.traces.ofToken(rig.tenant, new Secret(access), memories)
      assert.match(trace?.because ?? '', /has ended$|was revoked$/, name)
    }
    const subject = await obtainTokens(rig, ada, app, { resource: front, scope: 'mcp' })
    await refused(exchange(rig, service, subject.access), 'invalid_target')
    await rig.issuer.clients.update(by, service.id, { mayReach: [memories] })
    const { access } = await exchange(rig, service, subject.access)
    assert.ok(await isGood(rig, access, memories))
    await rig.issuer.clients.remove(by, app.id)
    assert.equal(await isGood(rig, access, memories), false, 'the first client is removed')
    assert.deepEqual(await rig.issuer.grants.list(ada), { items: [] }, 'and nothing dead is listed')
  },
)

onEveryDatabase(
  'a resource that a client may reach is the same in another spelling',
  async (t, store) => {
    const { rig, service, subject, memories } = await start(t, store)
    const { access } = await exchange(rig, service, subject.access)
    const shouted = memories.replace('https://auth.test', 'HTTPS://AUTH.test')
    assert.notEqual(shouted, memories)
    await rig.issuer.clients.update({ tenant: rig.tenant }, service.id, { mayReach: [shouted] })
    assert.ok(await isGood(rig, access, memories), 'what it may still get is not taken')
    await exchange(rig, service, subject.access)
  },
)

onEveryDatabase('a person who is disabled has nothing that was exchanged', async (t, store) => {
  const { rig, service, subject, memories } = await start(t, store)
  const { access } = await exchange(rig, service, subject.access)
  await rig.db.updateTable('users').set({ disabled_at: rig.clock.now() }).execute()
  assert.equal(await isGood(rig, access, memories), false)
  await refused(exchange(rig, service, subject.access), 'invalid_request')
})

onEveryDatabase(
  'the person sees who got access through whom, and what they take back stays away',
  async (t, store) => {
    verifies(t, 'S3-48')
    const { rig, ada, app, service, subject, front, memories } = await start(t, store)
    await exchange(rig, service, subject.access)
    const { access } = await exchange(rig, service, subject.access)
    const { items: grants } = await rig.issuer.grants.list(ada)
    const [derived, ...more] = grants.filter(({ clientId }) => clientId === service.id)
    const parent = grants.find(({ clientId }) => clientId === app.id)
    assert.deepEqual(more, [], 'one line, however often it is exchanged')
    assert.equal(derived?.parentId, parent?.id)
    assert.deepEqual(derived?.scopes, ['mcp', 'memories:read'])

    await rig.issuer.grants.revoke(ada, derived?.id ?? '')
    assert.equal(await isGood(rig, access, memories), false)
    assert.ok(await isGood(rig, subject.access, front), 'the first client keeps what it has')
    await refused(exchange(rig, service, subject.access), 'invalid_target')
    const renewed = await tokens(rig, refreshForm(app, subject.refresh))
    await refused(exchange(rig, service, renewed.access), 'invalid_target')

    await rig.issuer.grants.revoke(ada, parent?.id ?? '')
    const anew = await obtainTokens(rig, ada, app, { resource: front })
    const again = await exchange(rig, service, anew.access)
    assert.ok(await isGood(rig, again.access, memories), 'they let the first client in anew')
  },
)

onEveryDatabase('who acts is told, one behind the other', async (t, store) => {
  verifies(t, 'S3-46')
  const rig = await createRig(t, store)
  const at = (path: string) => `${rig.tenant.issuer}/${path}/mcp`
  const ada = await rig.signIn()
  const app = await register(rig)
  const one = await createService(rig, { resource: at('front'), mayReach: [at('notes')] })
  const two = await createService(rig, { resource: at('notes'), mayReach: [at('signed')] })
  const reader = await createMachine(rig, { resource: at('signed') })
  const subject = await obtainTokens(rig, ada, app, { resource: at('front'), scope: 'mcp' })
  const first = await exchange(rig, one, subject.access, { resource: at('notes') })
  const second = await exchange(rig, two, first.access, { resource: at('signed') })
  const act = { sub: two.id, act: { sub: one.id } }
  const claims = decodeJwt(second.access)
  assert.deepEqual([claims['act'], claims.sub, claims['client_id']], [act, ada.user.id, two.id])
  assert.equal(claims.exp, Math.floor(rig.clock.now() / 1000) + 3600)
  const proof = { client_id: reader.id, client_secret: reader.secret }
  const seen = await rig.issuer.introspect(rig.tenant, form({ ...proof, token: second.access }))
  assert.ok(seen.active)
  assert.deepEqual([seen.act, seen.sub, seen.aud], [act, ada.user.id, at('signed')])

  await rig.issuer.clients.update({ tenant: rig.tenant }, one.id, { disabled: true })
  assert.equal(await isGood(rig, second.access, at('signed')), false, 'one in the middle is off')
  await rig.issuer.clients.update({ tenant: rig.tenant }, one.id, { disabled: false })
  assert.ok(await isGood(rig, second.access, at('signed')))
  await rig.issuer.revoke(rig.tenant, form({ client_id: app.id, token: subject.access }))
  assert.equal(await isGood(rig, second.access, at('signed')), false, 'the first one ended')
})

onEveryDatabase('a token is passed on three times and no more', async (t, store) => {
  const { rig, service, subject, memories } = await start(t, store)
  const own = { mayReach: [memories], resource: memories }
  const onward = await createService(rig, own)
  let { access } = await exchange(rig, service, subject.access)
  for (let times = 2; times <= exchangesMax; times += 1) {
    access = (await exchange(rig, onward, access)).access
    assert.ok(await isGood(rig, access, memories))
  }
  await refused(exchange(rig, onward, access), 'invalid_request')
})

onEveryDatabase(
  'fifty at once, and the grant taken back in the midst of them: none outlives it',
  async (t, store, openAnother) => {
    verifies(t, 'S3-47')
    const twins = await createTwins(t, store, openAnother)
    const { rig, ada, app, service, subject, memories } = await prepare(twins[0])
    const asked = Array.from({ length: 50 }, (_, index) =>
      exchange(twins[index % 2 === 0 ? 0 : 1], service, subject.access),
    )
    const taken = rig.issuer.revoke(rig.tenant, form({ client_id: app.id, token: subject.refresh }))
    const outcomes = await Promise.allSettled(asked)
    await taken
    const made = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.access] : []))
    for (const token of made) assert.equal(await isGood(rig, token, memories), false)
    for (const one of outcomes) {
      if (one.status === 'rejected') assert.equal(one.reason.code, 'invalid_request')
    }
    await refused(exchange(rig, service, subject.access), 'invalid_request')
    assert.ok(
      (await rig.issuer.grants.list(ada)).items.every(({ clientId }) => clientId !== app.id),
    )
  },
)

onEveryDatabase('a token of another tenant is none', async (t, store) => {
  verifies(t, 'X-17')
  const { rig, subject, service } = await start(t, store)
  const other = { ...rig.tenant, id: 'ten_other', issuer: 'https://other.test' }
  await rig.db
    .insertInto('tenants')
    .values({ ...other, slug: 'other', created_at: 0 })
    .execute()
  await refused(rig.issuer.token(other, exchangeForm(service, subject.access)), 'invalid_client')
})

async function start(...[t, store]: Parameters<typeof createRig>) {
  return prepare(await createRig(t, store))
}

/** A person, an app that they let in at the front, and the service behind it that may call on to the memories. */
async function prepare(rig: Rig) {
  const front = `${rig.tenant.issuer}/front/mcp`
  const memories = `${rig.tenant.issuer}/memories/mcp`
  const ada: SessionPrincipal = await rig.signIn()
  const app = await register(rig)
  const service = await createService(rig)
  const scope = 'mcp memories:read'
  const subject = await obtainTokens(rig, ada, app, { resource: front, scope })
  return { rig, ada, app, service, subject, front, memories }
}

function createService(rig: Rig, changes: Parameters<typeof createMachine>[1] = {}) {
  return createMachine(rig, {
    grantTypes: [tokenExchange, 'client_credentials'],
    resource: `${rig.tenant.issuer}/front/mcp`,
    mayReach: [`${rig.tenant.issuer}/memories/mcp`],
    ...changes,
  })
}

function exchange(
  rig: Rig,
  client: RigClient,
  subjectToken: string,
  changes: Changes = {},
): Promise<Tokens> {
  return tokens(rig, exchangeForm(client, subjectToken, changes))
}
