// Tokens that are bound to a key (RFC 9449): at the token endpoint, where they are verified, and that a proof counts once.
import assert from 'node:assert/strict'
import { decodeJwt, SignJWT } from 'jose'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { createProver } from '../oauth/dpop.rig.ts'
import type { Prover } from '../oauth/dpop.rig.ts'
import { readProof } from '../oauth/dpop.ts'
import type { PresentedToken } from '../oauth/dpop.ts'
import {
  approve,
  authorizeQuery,
  codeForm,
  createMachine,
  createRig,
  createTwins,
  form,
  isGood,
  machineForm,
  obtainCode,
  obtainTokens,
  prove,
  proven,
  refreshForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigClient, Tokens } from './issuer.rig.ts'

/** Everything from consent to tokens that are bound to the key of this sender. */
async function obtainBound(
  rig: Rig,
  prover: Prover,
  client: RigClient,
  changes: Readonly<Record<string, string>> = {},
): Promise<Tokens> {
  const code = await obtainCode(rig, await rig.signIn(), client, changes)
  return tokens(rig, await proven(rig, prover, codeForm(client, code)))
}

/** A token as a door hands it on, with a proof of this sender. */
async function present(rig: Rig, prover: Prover, access: string): Promise<PresentedToken> {
  const token = new Secret(access)
  const { tenant, clock } = rig
  const field = await prove(rig, prover, { path: '/mcp', token: access })
  const reading = await readProof({
    fields: [field],
    method: 'POST',
    url: `${tenant.issuer}/mcp`,
    now: clock.now(),
    accessToken: token,
    nonces: rig.issuer.dpopNonces(tenant),
  })
  assert.ok(reading.kind === 'proof', JSON.stringify(reading))
  return { token, proof: reading.proof }
}

async function opens(rig: Rig, presented: PresentedToken): Promise<boolean> {
  const at = `${rig.tenant.issuer}/mcp`
  return (await rig.issuer.verify(rig.tenant, presented, at)) !== undefined
}

onEveryDatabase(
  'a proof binds the access token to its key: no other key and no Bearer opens with it',
  async (t, store) => {
    const rig = await createRig(t, store)
    const [own, thief] = [await createProver(), await createProver()]
    const client = await register(rig)
    const bound = await obtainBound(rig, own, client)
    assert.equal(bound.body['token_type'], 'DPoP')
    assert.equal(await opens(rig, await present(rig, own, bound.access)), true)
    assert.equal(await opens(rig, await present(rig, thief, bound.access)), false)
    assert.equal(await isGood(rig, bound.access), false, 'RFC 9449 §7.2: a downgrade')
    const token = new Secret(bound.access)
    const trace = await rig.issuer.traces.ofToken(rig.tenant, token, `${rig.tenant.issuer}/mcp`)
    assert.equal(trace?.because, 'the token was not presented as it is bound')

    const free = await obtainTokens(rig, await rig.signIn(), client)
    assert.equal(free.body['token_type'], 'Bearer')
    assert.equal(await isGood(rig, free.access), true)
    assert.equal(await opens(rig, await present(rig, own, free.access)), false)
  },
)

onEveryDatabase('what a wrong proof comes with is not spent', async (t, store) => {
  const rig = await createRig(t, store)
  const [own, thief] = [await createProver(), await createProver()]
  const client = await register(rig)
  const code = await obtainCode(rig, await rig.signIn(), client)
  const wrong = [
    ['use_dpop_nonce', { nonce: '1.AAAA' }],
    ['invalid_dpop_proof', { path: '/oauth/introspect' }],
    ['invalid_dpop_proof', { method: 'GET' }],
    ['invalid_dpop_proof', { url: 'https://other.test/oauth/token' }],
    ['invalid_dpop_proof', { claims: { jti: '' } }],
  ] as const
  for (const [error, order] of wrong) {
    const attempt = proven(rig, own, codeForm(client, code), order)
    await refused(
      attempt.then((request) => tokens(rig, request)),
      error,
    )
  }
  const first = await tokens(rig, await proven(rig, own, codeForm(client, code)))
  for (const [error, order] of wrong) {
    const attempt = proven(rig, own, refreshForm(client, first.refresh), order)
    await refused(
      attempt.then((request) => tokens(rig, request)),
      error,
    )
  }
  const stolen = await proven(rig, thief, refreshForm(client, first.refresh))
  await refused(tokens(rig, stolen), 'invalid_grant')
  const second = await tokens(rig, await proven(rig, own, refreshForm(client, first.refresh)))
  assert.equal(await opens(rig, await present(rig, own, second.access)), true)
})

onEveryDatabase('a refusal for the nonce brings the nonce', async (t, store) => {
  const rig = await createRig(t, store)
  const own = await createProver()
  const client = await register(rig)
  const request = codeForm(client, await obtainCode(rig, await rig.signIn(), client))
  const first = await proven(rig, own, request, { nonce: 'none' })
  const thrown: unknown = await tokens(rig, first).catch((error: unknown) => error)
  assert.ok(isFault(thrown) && thrown.dpopNonce !== undefined)
  const again = await proven(rig, own, request, { nonce: thrown.dpopNonce })
  const answer = await rig.issuer.token(rig.tenant, again)
  assert.equal(answer.dpopNonce, thrown.dpopNonce, 'and so does every answer')
})

onEveryDatabase(
  'an assertion of the client is not spent when the nonce is refused',
  async (t, store) => {
    const rig = await createRig(t, store)
    const [own, signer] = [await createProver(), await createProver()]
    const jwks = { keys: [signer.publicJwk] }
    const client = await createMachine(rig, { authMethod: 'private_key_jwt', jwks })
    const { issuer } = rig.tenant
    const times = { iat: rig.clock.now() / 1000, exp: rig.clock.now() / 1000 + 60 }
    const assertion = await new SignJWT({ iss: client.id, sub: client.id, aud: issuer, jti: 'one' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuedAt(times.iat)
      .setExpirationTime(times.exp)
      .sign(signer.privateKey)
    const request = form({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    })
    await refused(
      proven(rig, own, request, { nonce: 'old' }).then((wrong) => tokens(rig, wrong)),
      'use_dpop_nonce',
    )
    const bound = await tokens(rig, await proven(rig, own, request))
    assert.equal(bound.body['token_type'], 'DPoP')
  },
)

onEveryDatabase('a proof that came with a wrong secret is not spent', async (t, store) => {
  const rig = await createRig(t, store)
  const own = await createProver()
  const machine = await createMachine(rig)
  const wrong = machineForm(machine, { client_secret: 'mcp_cs_wrong' })
  const dpop = await prove(rig, own)
  await refused(tokens(rig, { ...wrong, dpop }), 'invalid_client')
  // A program that mends its mistake may send the same one.
  const { body } = await tokens(rig, { ...machineForm(machine), dpop })
  assert.equal(body['token_type'], 'DPoP')
})

onEveryDatabase('who registered for bound tokens gets no others', async (t, store) => {
  const rig = await createRig(t, store)
  const own = await createProver()
  const flag = { dpop_bound_access_tokens: true }
  const client = await register(rig, flag)
  const code = await obtainCode(rig, await rig.signIn(), client)
  await refused(tokens(rig, codeForm(client, code)), 'invalid_dpop_proof')
  const first = await tokens(rig, await proven(rig, own, codeForm(client, code)))
  await refused(tokens(rig, refreshForm(client, first.refresh)), 'invalid_dpop_proof')

  const machine = await createMachine(rig, { dpopBoundAccessTokens: true })
  await refused(tokens(rig, machineForm(machine)), 'invalid_dpop_proof')
  const bound = await tokens(rig, await proven(rig, own, machineForm(machine)))
  assert.equal(bound.body['token_type'], 'DPoP')

  const by = { tenant: rig.tenant }
  assert.equal((await rig.issuer.clients.get(by, machine.id)).dpopBoundAccessTokens, true)
  await rig.issuer.clients.update(by, machine.id, { dpopBoundAccessTokens: false })
  assert.equal((await tokens(rig, machineForm(machine))).body['token_type'], 'Bearer')
  await refused(register(rig, { dpop_bound_access_tokens: 'yes' }), 'invalid_client_metadata')
})

onEveryDatabase('dpop_jkt binds the code to a key before there is a proof', async (t, store) => {
  const rig = await createRig(t, store)
  const [own, thief] = [await createProver(), await createProver()]
  const client = await register(rig)
  const session = await rig.signIn()
  const code = await obtainCode(rig, session, client, { dpop_jkt: own.jkt })
  await refused(tokens(rig, codeForm(client, code)), 'invalid_dpop_proof')
  const stolen = await proven(rig, thief, codeForm(client, code))
  await refused(tokens(rig, stolen), 'invalid_grant')
  const bound = await tokens(rig, await proven(rig, own, codeForm(client, code)))
  // P-06: nor does anybody without the key end what was made from it.
  const again = await proven(rig, thief, codeForm(client, code))
  await refused(tokens(rig, again), 'invalid_grant')
  assert.equal(await opens(rig, await present(rig, own, bound.access)), true)

  for (const jkt of ['short', `${own.jkt}A`, own.jkt.replace(/^./, '=')]) {
    const back = await approve(rig, session, authorizeQuery(client, { dpop_jkt: jkt }))
    assert.equal(back.searchParams.get('error'), 'invalid_request', jkt)
  }
})

onEveryDatabase('a public client refreshes with the key that it began with', async (t, store) => {
  verifies(t, 'A11')
  const rig = await createRig(t, store)
  const [own, thief] = [await createProver(), await createProver()]
  const client = await register(rig)
  const first = await obtainBound(rig, own, client)
  const asked = refreshForm(client, first.refresh)
  await refused(tokens(rig, asked), 'invalid_dpop_proof')
  await refused(tokens(rig, await proven(rig, thief, asked)), 'invalid_grant')
  const second = await tokens(rig, await proven(rig, own, asked))
  assert.equal(second.body['token_type'], 'DPoP')
  assert.notEqual(second.refresh, first.refresh)

  // An answer that was lost on the way is repeated for the same key only, and bound to it as it was.
  const repeated = await tokens(rig, await proven(rig, own, asked))
  assert.deepEqual(repeated.body, second.body)
  await refused(tokens(rig, asked), 'invalid_dpop_proof')
  await refused(tokens(rig, await proven(rig, thief, asked)), 'invalid_grant')
  assert.equal(await opens(rig, await present(rig, own, second.access)), true)
  assert.equal(await opens(rig, await present(rig, thief, second.access)), false)
})

onEveryDatabase(
  'a Bearer client may begin to prove a key, and then stays with it',
  async (t, store) => {
    const rig = await createRig(t, store)
    const own = await createProver()
    const client = await register(rig)
    const free = await obtainTokens(rig, await rig.signIn(), client)
    const bound = await tokens(rig, await proven(rig, own, refreshForm(client, free.refresh)))
    assert.equal(bound.body['token_type'], 'DPoP')
    await refused(tokens(rig, refreshForm(client, bound.refresh)), 'invalid_dpop_proof')
  },
)

onEveryDatabase(
  'a client with a secret may change its key, but does not go back to Bearer',
  async (t, store) => {
    const rig = await createRig(t, store)
    const [old, young] = [await createProver(), await createProver()]
    const client = await register(rig, { token_endpoint_auth_method: 'client_secret_post' })
    const first = await obtainBound(rig, old, client)
    await refused(tokens(rig, refreshForm(client, first.refresh)), 'invalid_dpop_proof')
    const second = await tokens(rig, await proven(rig, young, refreshForm(client, first.refresh)))
    assert.equal(await opens(rig, await present(rig, young, second.access)), true)
    assert.equal(await opens(rig, await present(rig, old, second.access)), false)
    assert.equal(await opens(rig, await present(rig, old, first.access)), true)

    const third = await createProver()
    const repeated = await tokens(rig, await proven(rig, third, refreshForm(client, first.refresh)))
    assert.deepEqual(repeated.body, second.body, 'the same answer, for the key it was made for')
    assert.equal(await opens(rig, await present(rig, third, repeated.access)), false)
  },
)

onEveryDatabase(
  'a refresh that asks for what it may not have spends neither token nor proof',
  async (t, store) => {
    verifies(t, 'X-38', 'P-09')
    const rig = await createRig(t, store)
    const own = await createProver()
    const client = await register(rig)
    const first = await obtainBound(rig, own, client)
    const dpop = await prove(rig, own)
    const ask = (changes: Readonly<Record<string, string>>) =>
      tokens(rig, { ...refreshForm(client, first.refresh, changes), dpop })
    await refused(ask({ scope: 'mcp openid' }), 'invalid_scope')
    await refused(ask({ resource: `${rig.tenant.issuer}/notes/mcp` }), 'invalid_target')
    await refused(ask({ resource: 'https://other.test/mcp' }), 'invalid_target')
    assert.equal((await ask({})).body['token_type'], 'DPoP')
  },
)

onEveryDatabase(
  'of fifty requests with one proof at once, one is answered',
  async (t, store, openAnother) => {
    const [rig, twin] = await createTwins(t, store, openAnother)
    const either = (index: number) => (index % 2 === 0 ? rig : twin)
    const own = await createProver()
    const machine = await createMachine(rig)
    const request = await proven(rig, own, machineForm(machine))
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => tokens(either(index), request)),
    )
    const answered = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    assert.equal(answered.length, 1)
    for (const one of outcomes) if (one.status === 'rejected') assertReplayed(one.reason)
    await refused(tokens(rig, request), 'invalid_dpop_proof')

    const [bound] = answered
    const presented = await present(rig, own, bound?.access ?? '')
    const calls = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => opens(either(index), presented)),
    )
    assert.equal(calls.filter((one) => one.status === 'fulfilled' && one.value).length, 1)
    for (const one of calls) if (one.status === 'rejected') assertReplayed(one.reason)
  },
)

function assertReplayed(reason: unknown): void {
  assert.ok(isFault(reason) && reason.code === 'invalid_dpop_proof', String(reason))
}

onEveryDatabase(
  'fifty proofs of one key for one code at once spend it once, and its replay is noticed',
  async (t, store) => {
    const rig = await createRig(t, store)
    const own = await createProver()
    const client = await register(rig)
    const code = await obtainCode(rig, await rig.signIn(), client, { dpop_jkt: own.jkt })
    const requests = await Promise.all(
      Array.from({ length: 50 }, () => proven(rig, own, codeForm(client, code))),
    )
    const outcomes = await Promise.allSettled(requests.map((request) => tokens(rig, request)))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.ok((await rig.journalTypes()).includes('token.reuse_detected'))
  },
)

onEveryDatabase(
  'a proof is forgotten when it could not be used any more, and not before',
  async (t, store) => {
    const rig = await createRig(t, store)
    const own = await createProver()
    const machine = await createMachine(rig)
    const request = await proven(rig, own, machineForm(machine))
    await tokens(rig, request)
    const row = await rig.db.selectFrom('dpop_proofs').selectAll().executeTakeFirstOrThrow()
    assert.equal((await rig.issuer.sweep(row.expires_at - 1)).dpopProofs, 0)
    await rig.clock.advance(row.expires_at - 1 - rig.clock.now())
    await refused(tokens(rig, request), 'use_dpop_nonce')
    assert.equal((await rig.issuer.sweep(row.expires_at)).dpopProofs, 1)
    assert.ok(!JSON.stringify(row).includes(request.dpop ?? ''))
  },
)

onEveryDatabase('introspection and a signed token name the key', async (t, store) => {
  const rig = await createRig(t, store)
  const own = await createProver()
  const client = await register(rig, { token_endpoint_auth_method: 'client_secret_post' })
  const resource = `${rig.tenant.issuer}/signed/mcp`
  const bound = await obtainBound(rig, own, client, { resource })
  const free = await obtainTokens(rig, await rig.signIn(), client)
  const look = (token: string) =>
    rig.issuer.introspect(
      rig.tenant,
      form({ client_id: client.id, client_secret: client.secret, token }),
    )
  const [seen, other] = [await look(bound.access), await look(free.access)]
  assert.ok(seen.active && other.active)
  assert.equal(seen.token_type, 'DPoP')
  assert.deepEqual(seen.cnf, { jkt: own.jkt })
  assert.deepEqual(decodeJwt(bound.access)['cnf'], { jkt: own.jkt })
  assert.equal(other.token_type, 'Bearer')
  assert.ok(!('cnf' in other))
})

onEveryDatabase('userinfo takes a bound token with its key, once', async (t, store) => {
  const rig = await createRig(t, store)
  const [own, thief] = [await createProver(), await createProver()]
  const client = await register(rig)
  const { access } = await obtainBound(rig, own, client, { scope: 'openid' })
  const free = await obtainTokens(rig, await rig.signIn(), client, { scope: 'openid' })
  const at = { path: '/oauth/userinfo', method: 'GET' } as const
  const ask = (authorization: string, dpop?: string) =>
    rig.issuer.userInfo(rig.tenant, { method: 'GET', authorization, dpop })
  const errorOf = async (authorization: string, dpop?: string) => {
    const answer = await ask(authorization, dpop)
    assert.ok(answer.kind === 'refused', 'it was taken')
    assert.match(answer.challenge, /^Bearer.*, DPoP .*algs="ES256 /)
    assert.equal(answer.status, answer.error === 'invalid_request' ? 400 : 401)
    return answer.error
  }
  const good = await prove(rig, own, { ...at, token: access })
  const answer = await ask(`DPoP ${access}`, good)
  assert.equal(answer.kind, 'person')
  assert.ok(answer.dpopNonce)
  assert.equal(await errorOf(`DPoP ${access}`, good), 'invalid_dpop_proof')
  assert.equal(await errorOf(`DPoP ${access}`), 'invalid_dpop_proof')
  assert.equal(await errorOf(`Bearer ${access}`), 'invalid_token')
  assert.equal(await errorOf(`Bearer ${access}`, await prove(rig, own, at)), 'invalid_token')
  assert.equal(await errorOf('DPoP a b', good), 'invalid_request')
  const old = await prove(rig, own, { ...at, token: access, nonce: 'old' })
  assert.equal(await errorOf(`dpop ${access}`, old), 'use_dpop_nonce')
  const foreign = await prove(rig, thief, { ...at, token: access })
  assert.equal(await errorOf(`DPoP ${access}`, foreign), 'invalid_token')
  const unbound = await prove(rig, own, { ...at, token: free.access })
  assert.equal(await errorOf(`DPoP ${free.access}`, unbound), 'invalid_token')
})
