// What the grant types and endpoints owe each other: a key that a token is bound to, what an administrator takes away while
// something is under way, and what a client registered for hold in every combination.
import assert from 'node:assert/strict'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import type { FaultCode } from '../base/fault.ts'
import { createProver } from '../oauth/dpop.rig.ts'
import { decide, pollForm, registerForDevices, start as startDevice } from './device.rig.ts'
import type { FormRequest } from './form-request.ts'
import {
  approve,
  authorizeQuery,
  codeForm,
  createMachine,
  createRig,
  exchangeForm,
  form,
  isGood,
  locationOf,
  machineForm,
  obtainCode,
  obtainTokens,
  proven,
  pushForm,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'
import { deviceCodeGrant, jwtBearer, tokenExchange } from './metadata.ts'

const atPar = { path: '/oauth/par' }

onEveryDatabase('a proof beside a pushed request binds its code to the key', async (t, store) => {
  const rig = await createRig(t, store)
  const { issuer, tenant } = rig
  const [own, other] = [await createProver(), await createProver()]
  const session = await rig.signIn()
  const client = await register(rig)
  const pushed = await issuer.push(tenant, await proven(rig, own, pushForm(client), atPar))
  const query = new URLSearchParams({ client_id: client.id, request_uri: pushed.request_uri })
  const location = await approve(rig, session, query)
  const code = location.searchParams.get('code') ?? ''
  await refused(tokens(rig, codeForm(client, code)), 'invalid_dpop_proof')
  const stolen = await proven(rig, other, codeForm(client, code))
  await refused(tokens(rig, stolen), 'invalid_grant')
  const { body } = await tokens(rig, await proven(rig, own, codeForm(client, code)))
  assert.equal(body['token_type'], 'DPoP')
})

onEveryDatabase(
  'a pushed request takes one proof, good and of the key it names',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const [own, other] = [await createProver(), await createProver()]
    const client = await register(rig)
    const named = pushForm(client, { dpop_jkt: own.jkt })
    const push = (request: FormRequest) => issuer.push(tenant, request)
    await refused(push(await proven(rig, other, named, atPar)), 'invalid_request')
    await refused(push(await proven(rig, own, named)), 'invalid_dpop_proof')
    await refused(push(await proven(rig, own, named, { ...atPar, nonce: '1.A' })), 'use_dpop_nonce')
    await refused(push({ ...named, dpop: '' }), 'invalid_dpop_proof')
    assert.deepEqual(await rig.db.selectFrom('pushed_requests').selectAll().execute(), [])

    const good = await proven(rig, own, named, atPar)
    const bad = { ...good, body: `${good.body}&scope=admin` }
    await refused(push(bad), 'invalid_scope')
    assert.ok((await push(good)).request_uri, 'what was refused spent no proof')
    await refused(push(good), 'invalid_dpop_proof')
  },
)

onEveryDatabase('no exchange makes a Bearer token of a bound one', async (t, store) => {
  const rig = await createRig(t, store)
  const at = (path: string) => `${rig.tenant.issuer}/${path}/mcp`
  const [own, service] = [await createProver(), await createProver()]
  const app = await register(rig)
  const front = await createMachine(rig, {
    grantTypes: [tokenExchange],
    resource: at('front'),
    mayReach: [at('memories')],
  })
  const code = await obtainCode(rig, await rig.signIn(), app, { resource: at('front') })
  const { access } = await tokens(rig, await proven(rig, own, codeForm(app, code)))
  await refused(tokens(rig, exchangeForm(front, access)), 'invalid_dpop_proof')
  const bound = await tokens(rig, await proven(rig, service, exchangeForm(front, access)))
  assert.equal(bound.body['token_type'], 'DPoP')
  assert.equal(await isGood(rig, bound.access, at('memories')), false)
  const stranger = await createMachine(rig, { grantTypes: [tokenExchange] })
  await refused(tokens(rig, exchangeForm(stranger, access)), 'invalid_request')
})

onEveryDatabase(
  'what a client may ask for is narrowed for everything that is under way',
  async (t, store) => {
    verifies(t, 'X-38')
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const session = await rig.signIn()
    const resource = `${tenant.issuer}/memories/mcp`
    const wide = { resource, scope: 'mcp memories:read memories:write' }
    const client = await register(rig, {
      redirect_uris: ['https://app.test/cb'],
      grant_types: ['authorization_code', 'refresh_token', deviceCodeGrant],
      token_endpoint_auth_method: 'client_secret_post',
    })
    const { refresh } = await obtainTokens(rig, session, client, wide)
    const code = await obtainCode(rig, session, client, wide)
    const device = await startDevice(rig, client, wide)
    await decide(rig, session, device)
    await issuer.clients.update({ tenant }, client.id, { scopes: ['mcp', 'memories:read'] })
    for (const request of [
      refreshForm(client, refresh),
      codeForm(client, code),
      pollForm(client, device),
    ]) {
      assert.equal((await tokens(rig, request)).body['scope'], 'mcp memories:read')
    }
  },
)

onEveryDatabase(
  'a client that is narrowed loses the tokens that hold more, at once and no others',
  async (t, store) => {
    verifies(t, 'S3-47', 'X-38')
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const session = await rig.signIn()
    const at = (path: string) => `${tenant.issuer}/${path}/mcp`
    const resource = at('memories')
    const [client, other] = [await register(rig), await register(rig, { client_name: 'Other' })]
    const obtain = (by: RigClient, scope: string) =>
      obtainTokens(rig, session, by, { resource, scope })
    const wide = await obtain(client, 'mcp memories:read memories:write')
    const narrow = await obtain(client, 'mcp memories:read')
    const others = await obtain(other, 'mcp memories:read memories:write')
    const service = await createMachine(rig, {
      grantTypes: [tokenExchange],
      resource,
      mayReach: [at('notes')],
    })
    const notes = { resource: at('notes') }
    const ofWide = await tokens(rig, exchangeForm(service, wide.access, notes))
    const ofNarrow = await tokens(rig, exchangeForm(service, narrow.access, notes))
    const alive = async () =>
      Promise.all([
        isGood(rig, wide.access, resource),
        isGood(rig, ofWide.access, at('notes')),
        isGood(rig, narrow.access, resource),
        isGood(rig, ofNarrow.access, at('notes')),
        isGood(rig, others.access, resource),
      ])

    await issuer.clients.update({ tenant }, client.id, { name: 'Renamed' })
    assert.deepEqual(await alive(), [true, true, true, true, true])
    await issuer.clients.update({ tenant }, client.id, { scopes: ['memories:read', 'mcp'] })
    assert.deepEqual(await alive(), [false, false, true, true, true])

    const again = await tokens(rig, refreshForm(client, wide.refresh))
    assert.equal(again.body['scope'], 'mcp memories:read')
    assert.ok(await isGood(rig, again.access, resource))
    await issuer.clients.update({ tenant }, client.id, { scopes: [] })
    assert.ok(await isGood(rig, again.access, resource), 'who may have more loses nothing')
  },
)

onEveryDatabase(
  'a client that is removed while it asks is not known any more',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { clients } = rig.issuer
    const by = { tenant: rig.tenant }
    const at = (path: string) => `${rig.tenant.issuer}/${path}/mcp`
    const session = await rig.signIn()
    const removing = ({ id }: RigClient, request: FormRequest, when: 'client' | 'grant') => ({
      ...request,
      count: async ({ kind }: { readonly kind: string }) => {
        if (kind === when) await clients.remove(by, id)
      },
    })

    for (const hasAsked of [false, true]) {
      const machine = await createMachine(rig)
      if (hasAsked) await tokens(rig, machineForm(machine))
      const request = removing(machine, machineForm(machine), 'client')
      await refused(tokens(rig, request), 'invalid_client')
    }

    const { access } = await obtainTokens(rig, session, await register(rig), {
      resource: at('front'),
    })
    const service = await createMachine(rig, {
      grantTypes: [tokenExchange],
      resource: at('front'),
      mayReach: [at('memories')],
    })
    await tokens(rig, exchangeForm(service, access))
    const exchange = removing(service, exchangeForm(service, access), 'grant')
    await refused(tokens(rig, exchange), 'invalid_client')

    const app = await register(rig, { client_name: 'App' })
    const { refresh } = await obtainTokens(rig, session, app)
    await refused(tokens(rig, removing(app, refreshForm(app, refresh), 'grant')), 'invalid_client')
    const late = await register(rig, { client_name: 'Late' })
    const code = await obtainCode(rig, session, late)
    await refused(tokens(rig, removing(late, codeForm(late, code), 'grant')), 'invalid_client')
  },
)

onEveryDatabase(
  'the authorization endpoint is for who registered for it: row 28',
  async (t, store) => {
    verifies(t, 'T-28')
    const rig = await createRig(t, store)
    const { issuer, tenant } = rig
    const client = await registerForDevices(rig, {
      redirect_uris: ['https://app.test/cb'],
      response_types: [],
    })
    const { step } = await issuer.authorize.begin(tenant, authorizeQuery(client), undefined)
    assert.equal(locationOf(step).searchParams.get('error'), 'unauthorized_client')
    assert.equal(locationOf(step).searchParams.get('state'), 'state-1')
    await refused(issuer.push(tenant, pushForm(client)), 'unauthorized_client')
  },
)

/** The form as a door hands it on, with something that happens after its grant was found and before it is spent. */
function meanwhile(request: FormRequest, happens: () => Promise<unknown>): FormRequest {
  return {
    ...request,
    count: async ({ kind }) => {
      if (kind === 'grant') await happens()
    },
  }
}

/** An identity provider that knows a person, an agent, and the form by which the agent presents an assertion about them. */
async function prepareAgent(rig: Rig, idp: string) {
  const { tenant, issuer } = rig
  const by = { tenant }
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const jwks = { keys: [await exportJWK(publicKey)] }
  const trusted = await issuer.trustedIssuers.create(by, { issuer: idp, jwks })
  const ada = await rig.signIn()
  await issuer.trustedIssuers.link(by, trusted.id, { subject: 'ada', userId: ada.user.id })
  const { id, secret } = await createMachine(rig, { grantTypes: [jwtBearer] })
  const nowS = Math.floor(rig.clock.now() / 1000)
  const resource = `${tenant.issuer}/memories/mcp`
  const claims = { sub: 'ada', client_id: id, resource, jti: crypto.randomUUID() }
  const assertion = await new SignJWT({ ...claims, iat: nowS, exp: nowS + 300 })
    .setProtectedHeader({ alg: 'RS256', typ: 'oauth-id-jag+jwt' })
    .setIssuer(idp)
    .setAudience(tenant.issuer)
    .sign(privateKey)
  const request = form({ grant_type: jwtBearer, client_id: id, client_secret: secret, assertion })
  return { by, trusted, ada, agentId: id, request }
}

onEveryDatabase(
  'what is taken from an issuer while its assertion is under way is not given by it',
  async (t, store) => {
    verifies(t, 'S3-47')
    const rig = await createRig(t, store)
    const { trustedIssuers, clients } = rig.issuer
    type Agent = Awaited<ReturnType<typeof prepareAgent>>
    const update = (change: Parameters<typeof trustedIssuers.update>[2]) => (agent: Agent) =>
      trustedIssuers.update(agent.by, agent.trusted.id, change)
    const other = await createMachine(rig)
    const ways: readonly (readonly [(agent: Agent) => Promise<unknown>, FaultCode])[] = [
      [update({ disabled: true }), 'invalid_grant'],
      [update({ clientIds: [other.id] }), 'invalid_grant'],
      [update({ resources: [`${rig.tenant.issuer}/notes/mcp`] }), 'invalid_grant'],
      [({ by, trusted }) => trustedIssuers.unlink(by, trusted.id, 'ada'), 'invalid_grant'],
      [({ by, trusted }) => trustedIssuers.remove(by, trusted.id), 'invalid_grant'],
      [({ by, agentId }) => clients.remove(by, agentId), 'invalid_client'],
    ]
    for (const [index, [happens, error]] of ways.entries()) {
      const agent = await prepareAgent(rig, `https://idp-${index}.test`)
      const request = meanwhile(agent.request, () => happens(agent))
      await refused(tokens(rig, request), error)
      assert.deepEqual(await rig.issuer.grants.list(agent.ada), { items: [] }, `way ${index}`)
    }
    const agent = await prepareAgent(rig, 'https://idp.test')
    assert.ok((await tokens(rig, agent.request)).access)
  },
)

onEveryDatabase(
  'fifty changes of an issuer at once: none of them is lost, and none is undone',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { trustedIssuers } = rig.issuer
    const { by, trusted, agentId } = await prepareAgent(rig, 'https://idp.test')
    const resources = [`${rig.tenant.issuer}/memories/mcp`]
    const changes = [
      { disabled: true },
      { provisions: true },
      { clientIds: [agentId] },
      { resources },
      { jwksUri: 'https://idp.test/jwks' },
    ]
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        trustedIssuers.update(by, trusted.id, changes[index % changes.length] ?? {}),
      ),
    )
    const { jwksUri, jwks, provisions, clientIds, disabled, ...rest } = await trustedIssuers.get(
      by,
      trusted.id,
    )
    assert.deepEqual(
      { jwksUri, jwks, provisions, clientIds, disabled, resources: rest.resources },
      {
        jwksUri: 'https://idp.test/jwks',
        jwks: undefined,
        provisions: true,
        clientIds: [agentId],
        disabled: true,
        resources,
      },
    )
    const entries = await rig.journalTypes()
    assert.equal(entries.filter((type) => type === 'trusted_issuer.disabled').length, 1)
    assert.ok(!entries.includes('trusted_issuer.enabled'), 'nobody switched it on again')
  },
)

onEveryDatabase(
  'what a client that is gone was allowed does not stand in the way of a change',
  async (t, store) => {
    const rig = await createRig(t, store)
    const { trustedIssuers, clients } = rig.issuer
    const { by, trusted, agentId } = await prepareAgent(rig, 'https://idp.test')
    await trustedIssuers.update(by, trusted.id, { clientIds: [agentId] })
    await clients.remove(by, agentId)
    const changed = await trustedIssuers.update(by, trusted.id, { provisions: true })
    assert.deepEqual([changed.provisions, changed.clientIds], [true, [agentId]])
  },
)

onEveryDatabase(
  'what a service may no longer reach, though it has just asked',
  async (t, store) => {
    verifies(t, 'S3-47', 'X-38')
    const rig = await createRig(t, store)
    const { clients } = rig.issuer
    const by = { tenant: rig.tenant }
    const at = (path: string) => `${rig.tenant.issuer}/${path}/mcp`
    const app = await register(rig)
    const session = await rig.signIn()
    const { access } = await obtainTokens(rig, session, app, { resource: at('front') })
    const front = () =>
      createMachine(rig, {
        grantTypes: [tokenExchange],
        resource: at('front'),
        mayReach: [at('memories')],
      })
    const [narrowed, removed] = [await front(), await front()]
    const narrow = () => clients.update(by, narrowed.id, { mayReach: [] })
    const remove = () => clients.remove(by, removed.id)
    await refused(tokens(rig, meanwhile(exchangeForm(narrowed, access), narrow)), 'invalid_target')
    await refused(tokens(rig, meanwhile(exchangeForm(removed, access), remove)), 'invalid_client')
    const { items } = await rig.issuer.grants.list(session)
    assert.deepEqual(
      items.map(({ clientId }) => clientId),
      [app.id],
    )
  },
)
