import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey, JWTHeaderParameters } from 'jose'
import { onEveryDatabase } from '../../../test/on-every-database.ts'
import { verifies } from '../../../test/requirements.ts'
import { isFault } from '../../base/fault.ts'
import { Secret } from '../../base/secret.ts'
import {
  createMachine,
  createRig,
  createTwins,
  form,
  isGood,
  refused,
  register,
  tokens,
} from '../issuer.rig.ts'
import type { Changes, Rig, RigClient, Tokens } from '../issuer.rig.ts'

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const idp = 'https://idp.test'
const leewayS = 30

type Claims = Readonly<Record<string, unknown>>

onEveryDatabase(
  'the identity provider of the tenant lets a client act for a person: A14',
  async (t, store) => {
    verifies(t, 'S3-51')
    const { rig, ada, agent, memories, sign } = await start(t, store)
    const assertion = await sign()
    const { access, body } = await present(rig, agent, assertion)
    assert.deepEqual(body, {
      access_token: access,
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'mcp memories:read',
    })
    const principal = await rig.issuer.verify(rig.tenant, { token: new Secret(access) }, memories)
    assert.equal(principal?.user?.id, ada.user.id)
    assert.equal(principal?.clientId, agent.id)
    assert.equal(await isGood(rig, access), false, 'not for another resource')
    await present(rig, agent, await sign())
    const { items: listed } = await rig.issuer.grants.list(ada)
    assert.deepEqual(
      listed.map(({ clientId, resource }) => [clientId, resource]),
      [[agent.id, memories]],
    )
    const row = await rig.db.selectFrom('identities').selectAll().executeTakeFirstOrThrow()
    assert.equal(row.last_used_at, rig.clock.now())
    const stored = JSON.stringify(await rig.db.selectFrom('journal_entries').selectAll().execute())
    for (const part of assertion.split('.')) assert.ok(!stored.includes(part), 'C32: not kept')
  },
)

onEveryDatabase(
  'an assertion that is forged, or made for another purpose, is refused in one way: A14, X-21, X-22, P-87',
  async (t, store) => {
    verifies(t, 'X-21', 'X-22', 'P-87', 'A14')
    const { rig, agent, sign, keys, publicKey } = await start(t, store)
    const nowS = Math.floor(rig.clock.now() / 1000)
    const { issuer } = rig.tenant
    const other = await createAgent(rig)
    const stranger = await generateKeyPair('RS256')
    const good = await sign()
    const [header = '', payload = '', signature = ''] = good.split('.')
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const typ = 'oauth-id-jag+jwt'
    const hmacWith = (key: string) => {
      const signed = `${encode({ alg: 'HS256', typ, kid: keys.kid })}.${payload}`
      return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
    }
    const pem = await exportSPKI(publicKey)
    const forged: Readonly<Record<string, string>> = {
      'no JWT': 'x',
      'alg none': `${encode({ alg: 'none', typ })}.${payload}.`,
      'alg None': `${encode({ alg: 'None', typ })}.${payload}.${signature}`,
      'HS256 with the public key': hmacWith(pem),
      'HS256 with the trimmed public key': hmacWith(pem.trim()),
      'without signature': `${header}.${payload}.`,
      'a dot more': `${good}.`,
      'a space more': `${good} `,
      'five parts': `${header}.${payload}.${signature}.${payload}.${signature}`,
      'other claims': `${header}.${encode({ iss: idp, sub: 'x' })}.${signature}`,
      'a key of somebody else': await sign({}, { key: stranger.privateKey }),
      'a key that it brings along': await sign(
        {},
        { key: stranger.privateKey, header: { jwk: await exportJWK(stranger.publicKey) } },
      ),
      'an unknown kid': await sign({}, { header: { kid: 'other' } }),
      'a kid that is a path': await sign({}, { header: { kid: '../../dev/null' } }),
      'the typ of a client assertion': await sign({}, { header: { typ: 'JWT' } }),
      'the typ of an access token': await sign({}, { header: { typ: 'at+jwt' } }),
      'the typ in other letters': await sign({}, { header: { typ: 'OAuth-ID-JAG+jwt' } }),
      'the typ with its prefix': await sign({}, { header: { typ: `application/${typ}` } }),
      'no typ': await sign({}, { header: { typ: undefined } }),
    }
    const claims: Readonly<Record<string, Claims>> = {
      'aud of another': { aud: 'https://evil.test' },
      'aud as a list': { aud: [issuer] },
      'aud as two': { aud: [issuer, 'https://evil.test'] },
      'aud as the token endpoint': { aud: `${issuer}/oauth/token` },
      'aud with a slash': { aud: `${issuer}/` },
      'no aud': { aud: undefined },
      'an issuer that nobody trusts': { iss: 'https://evil.test' },
      'an issuer with a slash': { iss: `${idp}/` },
      ourselves: { iss: issuer },
      'an issuer with a NUL': { iss: `${idp}\0` },
      'no iss': { iss: undefined },
      'another client': { client_id: other.id },
      'no client': { client_id: undefined },
      'another resource': { resource: 'https://evil.test/mcp' },
      'a resource that is not there': { resource: `${issuer}/nothing/mcp` },
      'a resource without sense': { resource: 'memories' },
      'resources as a list': { resource: [`${issuer}/memories/mcp`] },
      'no resource': { resource: undefined },
      'a subject that is nobody': { sub: 'nobody' },
      'a subject in other letters': { sub: 'ADA' },
      'a subject with a NUL': { sub: 'ada\0' },
      'half a letter as subject': { sub: '\uD800' },
      'a subject that is too long': { sub: 'x'.repeat(256) },
      'an empty subject': { sub: '' },
      'no subject': { sub: undefined },
      'no jti': { jti: undefined },
      'an empty jti': { jti: '' },
      'a number as jti': { jti: 7 },
      expired: { iat: nowS - 300, exp: nowS - leewayS },
      'a life that is too long': { exp: nowS + 601 },
      'a life without end': { exp: Number.MAX_VALUE },
      'exp as text': { exp: `${nowS + 60}` },
      'no exp': { exp: undefined },
      'from the future': { iat: nowS + leewayS + 1 },
      'made long ago': { iat: nowS - 3600 },
      'iat as text': { iat: `${nowS}` },
      'no iat': { iat: undefined },
      'not yet valid': { nbf: nowS + leewayS + 1 },
      'a scope that is none': { scope: 'mcp  x' },
      'a scope as a list': { scope: ['mcp'] },
      'a key that has to be proven': { cnf: { jkt: 'x' } },
      'details that we do not know': { authorization_details: [{ type: 'x' }] },
      'a tenant of the issuer': { tenant: 'acme' },
    }
    const said = new Set<string>()
    const mustBeRefused = async (name: string, assertion: string) =>
      assert.rejects(present(rig, agent, assertion), (error) => {
        assert.ok(isFault(error), `${name}: ${String(error)}`)
        assert.equal(error.code, 'invalid_grant', `${name}: ${error.because}`)
        said.add(error.message)
        return true
      })
    for (const [name, assertion] of Object.entries(forged)) await mustBeRefused(name, assertion)
    for (const [name, change] of Object.entries(claims)) {
      await mustBeRefused(name, await sign(change))
    }
    const critical = { crit: ['x'], x: 1 }
    const [, , unchecked = ''] = (await sign()).split('.')
    const head = encode({ alg: keys.alg, typ, kid: keys.kid, ...critical })
    await mustBeRefused('an unknown crit', `${head}.${payload}.${unchecked}`)
    assert.equal(said.size, 1)
    assert.deepEqual(await rig.db.selectFrom('client_assertions').selectAll().execute(), [])
    assert.ok((await present(rig, agent, good)).access, 'nothing was spent')
    await refused(present(rig, agent, undefined), 'invalid_request')
  },
)

onEveryDatabase(
  'it holds to its last moment, with clocks that differ a little',
  async (t, store) => {
    const { rig, agent, sign } = await start(t, store)
    const nowS = Math.floor(rig.clock.now() / 1000)
    const ask = async (claims: Claims) => present(rig, agent, await sign(claims))
    assert.ok((await ask({ iat: nowS, exp: nowS + 600 })).access)
    assert.ok((await ask({ iat: nowS - 300, exp: nowS - leewayS + 1 })).access)
    assert.ok((await ask({ iat: nowS + leewayS, exp: nowS + 60 })).access)
    assert.ok((await ask({ nbf: nowS + leewayS })).access)
  },
)

onEveryDatabase(
  'an assertion is good once, also for fifty at once: A14, row 29',
  async (t, store, openAnother) => {
    verifies(t, 'S3-42', 'A14', 'T-29')
    const twins = await createTwins(t, store, openAnother)
    const { rig, agent, sign } = await prepare(twins[0])
    const assertion = await sign({ jti: 'the-one' })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        present(twins[index % 2 === 0 ? 0 : 1], agent, assertion),
      ),
    )
    const won = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    assert.equal(won.length, 1)
    const issued = await rig.db.selectFrom('access_tokens').selectAll().execute()
    assert.equal(issued.length, 1)
    await refused(present(rig, agent, assertion), 'invalid_grant')
    await refused(present(rig, agent, await sign({ jti: 'the-one' })), 'invalid_grant')
    const { access = '' } = won[0] ?? {}
    assert.ok(await isGood(rig, access, `${rig.tenant.issuer}/memories/mcp`), 'it did no harm')
    await rig.clock.advance(700_000)
    await rig.issuer.sweep(rig.clock.now())
    assert.deepEqual(await rig.db.selectFrom('client_assertions').selectAll().execute(), [])
    await refused(present(rig, agent, assertion), 'invalid_grant')
  },
)

onEveryDatabase(
  'its scopes are what the provider, the client and the resource all have: X-38',
  async (t, store) => {
    verifies(t, 'S3-52', 'X-38', 'A14')
    const { rig, agent, sign } = await start(t, store)
    const ask = async (scope: string | undefined, changes: Changes = {}) =>
      (await present(rig, agent, await sign({ scope }), changes)).body['scope']
    assert.equal(await ask('mcp memories:read unheard-of'), 'mcp memories:read')
    assert.equal(await ask('mcp memories:read', { scope: 'mcp' }), 'mcp')
    assert.equal(await ask(undefined), 'mcp memories:read memories:write')
    await refused(ask('mcp', { scope: 'memories:read' }), 'invalid_scope')
    await refused(ask('unheard-of'), 'invalid_scope')
    const resource = `${rig.tenant.issuer}/memories/mcp`
    assert.equal(await ask('mcp', { resource }), 'mcp')
    await refused(ask('mcp', { resource: `${rig.tenant.issuer}/notes/mcp` }), 'invalid_target')
    const narrow = await createAgent(rig, { scopes: ['memories:write'] })
    const assertion = await sign({ client_id: narrow.id, scope: 'mcp memories:write' })
    assert.equal((await present(rig, narrow, assertion)).body['scope'], 'memories:write')
  },
)

onEveryDatabase('only a client that proves itself may bring one: row 28', async (t, store) => {
  verifies(t, 'A14', 'S3-51')
  const { rig, agent, sign } = await start(t, store)
  const grant_types = ['authorization_code', jwtBearer]
  const open = await register(rig, { grant_types })
  const plain = await createMachine(rig)
  for (const client of [open, plain]) {
    const assertion = await sign({ client_id: client.id })
    await refused(present(rig, client, assertion), 'unauthorized_client')
  }
  const assertion = await sign()
  await refused(present(rig, agent, assertion, { client_secret: undefined }), 'invalid_client')
  await refused(present(rig, agent, assertion, { client_secret: 'x' }), 'invalid_client')
  const itself = await register(rig, {
    grant_types,
    token_endpoint_auth_method: 'client_secret_post',
  })
  const named = await sign({ client_id: itself.id })
  assert.ok((await present(rig, itself, named)).access, 'the provider named this very client')
})

onEveryDatabase(
  'a new person comes only where the administrator allows it, and an e-mail joins nobody',
  async (t, store) => {
    const { rig, agent, sign, trusted } = await start(t, store)
    const by = { tenant: rig.tenant }
    const email = 'ada@example.test' // Ada has it, and is linked as `ada`
    const comes = async (claims: Claims) => {
      const { access } = await present(rig, agent, await sign(claims))
      const resource = `${rig.tenant.issuer}/memories/mcp`
      const principal = await rig.issuer.verify(rig.tenant, { token: new Secret(access) }, resource)
      return principal?.user
    }
    await refused(comes({ sub: 'eve', email, email_verified: true }), 'invalid_grant')
    await rig.issuer.trustedIssuers.update(by, trusted.id, { provisions: true })
    const ada = await comes({ email: 'other@example.test', email_verified: true })
    assert.equal(ada?.email, email, 'who is known stays as they are')
    const eve = await comes({ sub: 'eve', email: email.toUpperCase(), email_verified: true })
    assert.notEqual(eve?.id, ada?.id)
    assert.deepEqual([eve?.email, eve?.role, eve?.emailVerified], [undefined, 'user', false])
    assert.equal((await comes({ sub: 'eve' }))?.id, eve?.id)
    const bob = await comes({ sub: 'bob', email: 'Bob@example.test', email_verified: true })
    assert.deepEqual([bob?.email, bob?.emailVerified], ['bob@example.test', true])
    for (const email_verified of [undefined, false, 'true', 1]) {
      const sub = `unproven-${String(email_verified)}`
      const person = await comes({ sub, email: 'carl@example.test', email_verified })
      assert.equal(person?.email, undefined, sub)
    }
    const odd = await comes({ sub: 'odd', email: 'no address', email_verified: true })
    assert.equal(odd?.email, undefined)
    assert.ok((await rig.journalTypes()).includes('identity.linked'))
  },
)

onEveryDatabase(
  'fifty first assertions of one new person make one person',
  async (t, store, openAnother) => {
    const twins = await createTwins(t, store, openAnother)
    const { rig, agent, sign, trusted } = await prepare(twins[0])
    await rig.issuer.trustedIssuers.update({ tenant: rig.tenant }, trusted.id, { provisions: true })
    const claims = { sub: 'eve', email: 'eve@example.test', email_verified: true }
    const assertions = await Promise.all(Array.from({ length: 50 }, () => sign(claims)))
    const answers = await Promise.all(
      assertions.map((assertion, index) =>
        present(twins[index % 2 === 0 ? 0 : 1], agent, assertion),
      ),
    )
    assert.equal(new Set(answers.map(({ access }) => access)).size, 50)
    const people = await rig.db.selectFrom('users').select('email').execute()
    assert.deepEqual(people.map(({ email }) => email ?? '').sort(), [
      'ada@example.test',
      'eve@example.test',
    ])
  },
)

onEveryDatabase(
  'what is not usual has to be named, by the assertion or the request',
  async (t, store) => {
    const { rig, agent, sign } = await start(t, store)
    const resource = `${rig.tenant.issuer}/careful/mcp`
    const given = async (claimed: string | undefined, scope?: string) =>
      (await present(rig, agent, await sign({ resource, scope: claimed }), { scope })).body['scope']
    assert.equal(await given(undefined), 'mcp')
    assert.equal(await given(undefined, 'memories:read'), 'memories:read')
    assert.equal(await given('mcp memories:read'), 'mcp memories:read')
  },
)

onEveryDatabase('a request that is refused makes nobody', async (t, store) => {
  const { rig, agent, sign, trusted } = await start(t, store)
  const by = { tenant: rig.tenant }
  await rig.issuer.trustedIssuers.update(by, trusted.id, { provisions: true })
  const assertion = await sign({ sub: 'eve' })
  const resource = `${rig.tenant.issuer}/notes/mcp`
  await refused(present(rig, agent, assertion, { scope: 'memories:write' }), 'invalid_scope')
  await refused(present(rig, agent, assertion, { resource }), 'invalid_target')
  assert.equal((await rig.db.selectFrom('users').selectAll().execute()).length, 1)
  assert.equal((await rig.db.selectFrom('identities').selectAll().execute()).length, 1)
  const { access } = await present(rig, agent, assertion, { scope: 'memories:read' })
  assert.ok(await isGood(rig, access, `${rig.tenant.issuer}/memories/mcp`))
})

onEveryDatabase('an assertion that was used makes nobody', async (t, store) => {
  const { rig, agent, sign, trusted } = await start(t, store)
  const by = { tenant: rig.tenant }
  await rig.issuer.trustedIssuers.update(by, trusted.id, { provisions: true })
  const assertion = await sign({ sub: 'eve' })
  await present(rig, agent, assertion)
  await rig.db.deleteFrom('users').where('email', 'is', null).execute()
  await refused(present(rig, agent, assertion), 'invalid_grant')
  assert.equal((await rig.db.selectFrom('users').selectAll().execute()).length, 1)
})

onEveryDatabase('who is disabled stays outside: P-109', async (t, store) => {
  verifies(t, 'P-109')
  const { rig, agent, sign } = await start(t, store)
  const { access } = await present(rig, agent, await sign())
  await rig.db.updateTable('users').set({ disabled_at: rig.clock.now() }).execute()
  assert.equal(await isGood(rig, access, `${rig.tenant.issuer}/memories/mcp`), false)
  await refused(present(rig, agent, await sign()), 'invalid_grant')
})

onEveryDatabase('what an issuer may no longer say ends on the next request', async (t, store) => {
  verifies(t, 'S3-47')
  const { rig, ada, agent, sign, trusted, memories } = await start(t, store)
  const { trustedIssuers } = rig.issuer
  const by = { tenant: rig.tenant }
  const other = await createAgent(rig)
  const free = { disabled: false, clientIds: [], resources: [] }
  const ways: readonly (() => Promise<unknown>)[] = [
    () => trustedIssuers.update(by, trusted.id, { clientIds: [other.id] }),
    () => trustedIssuers.update(by, trusted.id, { resources: [`${rig.tenant.issuer}/notes/mcp`] }),
    () => trustedIssuers.update(by, trusted.id, { disabled: true }),
    () => trustedIssuers.unlink(by, trusted.id, 'ada'),
    () => trustedIssuers.remove(by, trusted.id),
  ]
  for (const [index, end] of ways.entries()) {
    await trustedIssuers.update(by, trusted.id, free)
    await trustedIssuers.link(by, trusted.id, { subject: 'ada', userId: ada.user.id })
    const { access } = await present(rig, agent, await sign())
    assert.ok(await isGood(rig, access, memories))
    await end()
    assert.equal(await isGood(rig, access, memories), false, `way ${index}`)
    await refused(present(rig, agent, await sign()), 'invalid_grant')
    assert.deepEqual(await rig.issuer.grants.list(ada), { items: [] })
  }
})

async function start(...[t, store]: Parameters<typeof createRig>) {
  return prepare(await createRig(t, store))
}

/** A person, an agent, and an identity provider that knows the person as `ada`. */
async function prepare(rig: Rig) {
  const { tenant, issuer } = rig
  const pair = await generateKeyPair('RS256')
  const keys = { kid: 'one', alg: 'RS256' }
  const jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), ...keys }] }
  const trusted = await issuer.trustedIssuers.create({ tenant }, { issuer: idp, jwks })
  const ada = await rig.signIn()
  const identity = { subject: 'ada', userId: ada.user.id }
  await issuer.trustedIssuers.link({ tenant }, trusted.id, identity)
  const agent = await createAgent(rig)
  const memories = `${tenant.issuer}/memories/mcp`
  const sign = (
    claims: Claims = {},
    {
      key = pair.privateKey,
      header = {},
    }: { key?: CryptoKey; header?: Partial<Record<keyof JWTHeaderParameters, unknown>> } = {},
  ) => {
    const nowS = Math.floor(rig.clock.now() / 1000)
    const usual = {
      iss: idp,
      sub: 'ada',
      aud: tenant.issuer,
      client_id: agent.id,
      resource: memories,
      scope: 'mcp memories:read',
      iat: nowS,
      exp: nowS + 300,
      jti: randomUUID(),
    }
    return new SignJWT({ ...usual, ...claims })
      .setProtectedHeader({ ...keys, typ: 'oauth-id-jag+jwt', ...header })
      .sign(key)
  }
  return { rig, ada, agent, memories, sign, trusted, keys, publicKey: pair.publicKey }
}

function createAgent(rig: Rig, changes: Parameters<typeof createMachine>[1] = {}) {
  return createMachine(rig, { name: 'Agent', grantTypes: [jwtBearer], ...changes })
}

function present(
  rig: Rig,
  client: RigClient,
  assertion: string | undefined,
  changes: Changes = {},
): Promise<Tokens> {
  return tokens(
    rig,
    form({
      grant_type: jwtBearer,
      client_id: client.id,
      client_secret: client.secret,
      assertion,
      ...changes,
    }),
  )
}
