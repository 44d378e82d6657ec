import assert from 'node:assert/strict'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { JWTVerifyResult } from 'jose'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  approve,
  authorizeQuery,
  codeForm,
  createMachine,
  createRig,
  form,
  isGood,
  locationOf,
  machineForm,
  obtainCode,
  obtainTokens,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig } from './issuer.rig.ts'
import { publishedAheadMs } from './signing-keys.ts'

const hourMs = 3_600_000

onEveryDatabase(
  'a resource that wants them gets access tokens that it can read: RFC 9068',
  async (t, store) => {
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig)
    const resource = `${rig.tenant.issuer}/signed/mcp`
    const { access, refresh, body } = await obtainTokens(rig, session, client, { resource })
    const { payload, protectedHeader } = await verifyJwt(rig, access)
    const { jti, ...claims } = payload
    const now = Math.floor(rig.clock.now() / 1000)
    assert.equal(protectedHeader.typ, 'at+jwt')
    assert.match(String(jti), /^jti_/)
    assert.deepEqual(claims, {
      iss: rig.tenant.issuer,
      aud: resource,
      sub: session.user.id,
      client_id: client.id,
      scope: 'mcp',
      iat: now,
      exp: now + 3600,
    })
    assert.equal(body['token_type'], 'Bearer')
    assert.ok(await isGood(rig, access, resource))
    assert.equal(await isGood(rig, access), false, 'not for another server')
    const stored = JSON.stringify(await rig.db.selectFrom('access_tokens').selectAll().execute())
    assert.equal(stored.includes(access), false)

    const again = await tokens(rig, refreshForm(client, refresh))
    assert.notEqual((await verifyJwt(rig, again.access)).payload.jti, jti)
    const repeated = await tokens(rig, refreshForm(client, refresh))
    assert.equal(repeated.access, again.access, 'the same answer again')
  },
)

onEveryDatabase('a program’s own token names the program', async (t, store) => {
  const rig = await createRig(t, store)
  const client = await createMachine(rig)
  const resource = `${rig.tenant.issuer}/signed/mcp`
  const { access } = await tokens(rig, machineForm(client, { resource }))
  const { payload } = await verifyJwt(rig, access)
  assert.equal(payload.sub, client.id)
  assert.equal(payload['client_id'], client.id)
})

onEveryDatabase('a token that was revoked is over here, whatever it says', async (t, store) => {
  verifies(t, 'S3-47')
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const resource = `${rig.tenant.issuer}/signed/mcp`
  const server = await createMachine(rig, { resource })
  const [one, two] = [
    await obtainTokens(rig, session, client, { resource }),
    await obtainTokens(rig, session, client, { resource }),
  ]
  await rig.issuer.revoke(rig.tenant, form({ client_id: client.id, token: one.access }))
  assert.equal(await isGood(rig, one.access, resource), false)
  assert.ok(await isGood(rig, two.access, resource))
  const [grant] = (await rig.issuer.grants.list(session)).items
  await rig.issuer.grants.revoke(session, grant?.id ?? '')
  const asked = form({ client_id: server.id, client_secret: server.secret, token: one.access })
  assert.deepEqual(await rig.issuer.introspect(rig.tenant, asked), { active: false })
})

onEveryDatabase('a token that was touched is nobody’s token: X-21', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const resource = `${rig.tenant.issuer}/signed/mcp`
  const scope = 'mcp openid'
  const { access, body } = await obtainTokens(rig, session, client, { resource, scope })
  const [header = '', payload = '', signature = ''] = access.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const touched = [
    `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
    `${header}.${encode({ ...claims, sub: 'usr_other' })}.${signature}`,
    `${header}.${encode({ ...claims, scope: 'mcp openid email' })}.${signature}`,
    `${header}.${payload}.`,
    `${access}.`,
    `${access} `,
    `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
    String(body['id_token']),
  ]
  for (const token of touched) assert.equal(await isGood(rig, token, resource), false)
  assert.ok(await isGood(rig, access, resource))
})

onEveryDatabase(
  'every token verifies through one rotation after another: R-18',
  async (t, store) => {
    const rig = await createRig(t, store)
    const client = await createMachine(rig)
    const resource = `${rig.tenant.issuer}/signed/mcp`
    // A resource server that holds on to the document for as long as it may.
    let cached = await rig.issuer.signingKeys.published(rig.tenant)
    let cachedAt = rig.clock.now()
    const alive: { token: string; until: number }[] = []
    const stepMs = 20 * 60_000
    for (let step = 0; step < 60; step += 1) {
      const { access } = await tokens(rig, machineForm(client, { resource }))
      alive.push({ token: access, until: rig.clock.now() + hourMs })
      if (rig.clock.now() - cachedAt >= publishedAheadMs) {
        cached = await rig.issuer.signingKeys.published(rig.tenant)
        cachedAt = rig.clock.now()
      }
      for (const { token } of alive.filter(({ until }) => until > rig.clock.now())) {
        await verifyWith(rig, token, cached)
      }
      if (step % 3 === 2) await rig.issuer.signingKeys.rotate(rig.tenant)
      await rig.clock.advance(stepMs)
    }
    const rotations = (await rig.journalTypes()).filter((type) => type === 'signing_key.rotated')
    assert.ok(rotations.length >= 10)
  },
)

onEveryDatabase('who asks for openid learns who signed in', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  await rig.db.updateTable('users').set({ name: 'Ada', email_verified: 1 }).execute()
  const client = await register(rig)
  const scope = 'mcp openid profile email'
  const { body, refresh } = await obtainTokens(rig, session, client, { scope, nonce: 'n-1' })
  const { payload, protectedHeader } = await verifyJwt(rig, String(body['id_token']))
  const now = Math.floor(rig.clock.now() / 1000)
  assert.equal(protectedHeader.typ, 'JWT')
  assert.deepEqual(payload, {
    iss: rig.tenant.issuer,
    aud: client.id,
    sub: session.user.id,
    nonce: 'n-1',
    name: 'Ada',
    email: 'ada@example.test',
    email_verified: true,
    iat: now,
    exp: now + 3600,
  })
  const later = await tokens(rig, refreshForm(client, refresh))
  assert.equal('id_token' in later.body, false, 'a refresh is no sign-in')
})

onEveryDatabase('who does not ask is told nothing of the person', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const { body } = await obtainTokens(rig, session, client, { nonce: 'n-1' })
  assert.equal('id_token' in body, false)
  assert.equal(body['scope'], 'mcp', 'asking for nothing is not asking for who they are')
  const code = await obtainCode(rig, session, client, { scope: 'openid' })
  const { body: bare } = await tokens(rig, codeForm(client, code))
  const { payload } = await verifyJwt(rig, String(bare['id_token']))
  assert.deepEqual(Object.keys(payload).sort(), ['aud', 'exp', 'iat', 'iss', 'sub'])
  const narrowed = await obtainCode(rig, session, client, { scope: 'mcp openid' })
  const less = await tokens(rig, codeForm(client, narrowed, { scope: 'mcp' }))
  assert.equal('id_token' in less.body, false)
})

onEveryDatabase('a nonce comes back as it was sent, or is refused', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const nonce = `é"<>&+ ${'x'.repeat(505)}`
  const { body } = await obtainTokens(rig, session, client, { scope: 'openid', nonce })
  assert.equal((await verifyJwt(rig, String(body['id_token']))).payload['nonce'], nonce)
  for (const wrong of ['x'.repeat(513), 'a\nb', '\0']) {
    const query = authorizeQuery(client, { scope: 'openid', nonce: wrong })
    const { step } = await rig.issuer.authorize.begin(rig.tenant, query, undefined, session)
    assert.equal(locationOf(step).searchParams.get('error'), 'invalid_request')
  }
})

const otherChallenge = 'DPoP algs="ES256 PS256 RS256 Ed25519 EdDSA"'

function askUserInfo({ issuer, tenant }: Rig, authorization: string | undefined) {
  return issuer.userInfo(tenant, { method: 'GET', authorization, dpop: undefined })
}

onEveryDatabase(
  'userinfo tells what the scopes allow, for the tenant’s own tokens',
  async (t, store) => {
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    await rig.db.updateTable('users').set({ name: 'Ada' }).execute()
    const [client, another] = [await register(rig), await register(rig, { client_name: 'Other' })]
    const ask = (token: string) => askUserInfo(rig, `Bearer ${token}`)
    const sub = session.user.id
    for (const [scope, claims] of [
      ['openid', { sub }],
      ['openid profile', { sub, name: 'Ada' }],
      ['openid email mcp', { sub, email: 'ada@example.test', email_verified: false }],
    ] as const) {
      const { access } = await obtainTokens(rig, session, client, { scope })
      assert.deepEqual(await ask(access), { kind: 'person', claims })
    }
    const { access } = await obtainTokens(rig, session, another, { scope: 'openid' })
    assert.deepEqual(
      await ask(access),
      { kind: 'person', claims: { sub } },
      'the same for every client',
    )

    const without = await obtainTokens(rig, session, client)
    const answer = await ask(without.access)
    assert.ok(answer.kind === 'refused' && answer.status === 403)
    assert.equal(
      answer.challenge,
      `Bearer scope="openid", error="insufficient_scope", ${otherChallenge}`,
    )
  },
)

onEveryDatabase('userinfo refuses every other token: rows 36 to 38', async (t, store) => {
  const rig = await createRig(t, store)
  const session = await rig.signIn()
  const client = await register(rig)
  const machine = await createMachine(rig)
  const good = await obtainTokens(rig, session, client, { scope: 'openid' })
  const resource = `${rig.tenant.issuer}/notes/mcp`
  const foreign = await obtainTokens(rig, session, client, { scope: 'openid', resource })
  const own = await tokens(rig, machineForm(machine))
  const ask = (authorization?: string) => askUserInfo(rig, authorization)
  for (const token of [
    foreign.access,
    own.access,
    good.refresh,
    String(good.body['id_token']),
    'x',
  ]) {
    const answer = await ask(`Bearer ${token}`)
    assert.ok(answer.kind === 'refused' && answer.status === 401)
    assert.equal(answer.challenge, `Bearer error="invalid_token", ${otherChallenge}`)
  }
  for (const authorization of [undefined, '', 'Basic eDp5', good.access]) {
    const answer = await ask(authorization)
    assert.ok(answer.kind === 'refused' && answer.status === 401 && answer.error === undefined)
    assert.equal(answer.challenge, `Bearer, ${otherChallenge}`)
  }
  for (const authorization of [
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Bearer a, Bearer b',
    'Bearer é',
  ]) {
    const answer = await ask(authorization)
    assert.ok(answer.kind === 'refused' && answer.status === 400, authorization)
  }
  assert.equal((await ask(`bearer  ${good.access}`)).kind, 'person')
  await rig.db.updateTable('users').set({ disabled_at: rig.clock.now() }).execute()
  assert.equal((await ask(`Bearer ${good.access}`)).kind, 'refused')
})

onEveryDatabase(
  'a client that registered for less cannot ask who its people are',
  async (t, store) => {
    const rig = await createRig(t, store)
    const session = await rig.signIn()
    const client = await register(rig, { scope: 'mcp' })
    const to = await approve(rig, session, authorizeQuery(client, { scope: 'mcp openid' }))
    assert.equal(to.searchParams.get('error'), 'invalid_scope')
    await refused(
      rig.issuer.token(rig.tenant, machineForm(await createMachine(rig), { scope: 'openid' })),
      'invalid_scope',
    )
  },
)

function verifyJwt(rig: Rig, token: string): Promise<JWTVerifyResult> {
  return rig.issuer.signingKeys
    .published(rig.tenant)
    .then((published) => verifyWith(rig, token, published))
}

type Published = Awaited<ReturnType<Rig['issuer']['signingKeys']['published']>>

function verifyWith({ clock, tenant }: Rig, token: string, { keys }: Published) {
  return jwtVerify(token, createLocalJWKSet({ keys: [...keys] }), {
    issuer: tenant.issuer,
    currentDate: new Date(clock.now()),
  })
}
