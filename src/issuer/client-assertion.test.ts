import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey, JWTHeaderParameters } from 'jose'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import {
  createMachine,
  createRig,
  createTwins,
  form,
  isGood,
  machineForm,
  refused,
  register,
  tokens,
} from './issuer.rig.ts'
import type { Rig, RigClient } from './issuer.rig.ts'

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const leewayS = 30

type Claims = Readonly<Record<string, unknown>>

onEveryDatabase(
  'a program proves itself with a key of its own, in each way that we list',
  async (t, store) => {
    verifies(t, 'S3-51')
    const rig = await createRig(t, store)
    const listed = rig.issuer.metadata(rig.tenant)[
      'token_endpoint_auth_signing_alg_values_supported'
    ]
    assert.deepEqual(listed, ['ES256', 'PS256', 'RS256', 'Ed25519', 'EdDSA'])
    for (const alg of ['ES256', 'PS256', 'RS256', 'Ed25519', 'EdDSA']) {
      const signer = await createSigner(rig, { alg })
      assert.equal(signer.client.secret, undefined, 'it has no secret beside its key')
      const { access } = await tokens(rig, proof(signer.client, await signer.sign()))
      assert.ok(await isGood(rig, access), alg)
    }
  },
)

onEveryDatabase(
  'an assertion is good once, also for fifty at once: row 29',
  async (t, store, openAnother) => {
    verifies(t, 'S3-42', 'T-29')
    const [one, other] = await createTwins(t, store, openAnother)
    const signer = await createSigner(one)
    const assertion = await signer.sign({ jti: 'the-one' })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        tokens(index % 2 === 0 ? one : other, proof(signer.client, assertion)),
      ),
    )
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    await refused(tokens(one, proof(signer.client, assertion)), 'invalid_client')
    const second = await createSigner(one)
    const sameJti = await second.sign({ jti: 'the-one' })
    assert.ok(
      (await tokens(one, proof(second.client, sameJti))).access,
      'another client may use it',
    )
  },
)

onEveryDatabase('it ends when it says, at most five minutes from now', async (t, store) => {
  const rig = await createRig(t, store)
  const signer = await createSigner(rig)
  const ask = async (claims: Claims) => tokens(rig, proof(signer.client, await signer.sign(claims)))
  const nowS = rig.clock.now() / 1000
  assert.ok((await ask({ exp: nowS + 300 + leewayS })).access)
  await refused(ask({ exp: nowS + 300 + leewayS + 1 }), 'invalid_client')
  assert.ok((await ask({ exp: nowS - leewayS + 1 })).access, 'clocks may differ')
  await refused(ask({ exp: nowS - leewayS }), 'invalid_client')
  assert.ok((await ask({ iat: nowS + leewayS, nbf: nowS + leewayS })).access)
  await refused(ask({ iat: nowS + leewayS + 1 }), 'invalid_client')
  await refused(ask({ nbf: nowS + leewayS + 1 }), 'invalid_client')

  const late = await signer.sign({ exp: nowS + 60 })
  await tokens(rig, proof(signer.client, late))
  const [row] = await rig.db
    .selectFrom('client_assertions')
    .selectAll()
    .orderBy('expires_at', 'desc')
    .execute()
  assert.ok(
    (row?.expires_at ?? 0) >= (nowS + 60 + leewayS) * 1000,
    'remembered as long as it is good',
  )
})

onEveryDatabase('it is for us alone and about its own client: X-22, row 29', async (t, store) => {
  verifies(t, 'X-22', 'T-29')
  const rig = await createRig(t, store)
  const { issuer } = rig.tenant
  const signer = await createSigner(rig)
  const other = await createSigner(rig)
  const wrong: readonly Claims[] = [
    { aud: `${issuer}/oauth/token` },
    { aud: `${issuer}/` },
    { aud: [issuer] },
    { aud: [issuer, 'https://evil.test'] },
    { aud: 'https://evil.test' },
    { aud: undefined },
    { iss: other.client.id },
    { iss: undefined },
    { jti: undefined },
    { jti: '' },
    { exp: undefined },
    { sub: other.client.id },
    { sub: undefined },
    ...['1e9', `${rig.clock.now()}`, -1, Number.MAX_VALUE, null, {}].map((exp) => ({ exp })),
    { jti: 7 },
    { iat: 'x' },
  ]
  for (const claims of wrong) {
    const assertion = await signer.sign(claims)
    await refused(tokens(rig, proof(signer.client, assertion)), 'invalid_client')
  }
  const good = await signer.sign()
  await refused(
    tokens(rig, proof(signer.client, good, { client_id: other.client.id })),
    'invalid_client',
  )
  for (const client_assertion_type of [undefined, 'x', `${assertionType}x`]) {
    await refused(
      tokens(rig, proof(signer.client, good, { client_assertion_type })),
      'invalid_client',
    )
  }
  await refused(tokens(rig, proof(signer.client, undefined)), 'invalid_client')
  assert.deepEqual(
    await rig.db.selectFrom('client_assertions').selectAll().execute(),
    [],
    'nothing is spent',
  )
  assert.ok((await tokens(rig, proof(signer.client, good))).access)
})

onEveryDatabase('no signature but the client’s own is believed: X-21, row 29', async (t, store) => {
  verifies(t, 'X-21', 'P-27', 'T-29')
  const rig = await createRig(t, store)
  const signer = await createSigner(rig, { alg: 'RS256' })
  const stranger = await generateKeyPair('RS256')
  const good = await signer.sign()
  const [header = '', payload = '', signature = ''] = good.split('.')
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const hmacWith = (key: string) => {
    const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${payload}`
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
  }
  const pem = await exportSPKI(signer.publicKey)
  const strangerJwk = await exportJWK(stranger.publicKey)
  const forged = [
    '',
    'x',
    'x.y.z',
    `${encode({ alg: 'none' })}.${payload}.`,
    `${encode({ alg: 'None' })}.${payload}.${signature}`,
    hmacWith(pem),
    hmacWith(`\n${pem}`),
    hmacWith(pem.trim()),
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${good}.`,
    `${good} `,
    ` ${good}`,
    `${good}.${payload}.${signature}`,
    `${header}.${encode({ sub: signer.client.id })}.${signature}`,
    await signer.sign({}, { key: stranger.privateKey }),
    await signer.sign({}, { key: stranger.privateKey, header: { jwk: strangerJwk } }),
    await signer.sign({}, { key: stranger.privateKey, header: { jku: 'https://evil.test/jwks' } }),
    await signer.sign({}, { key: stranger.privateKey, header: { kid: '../../dev/null' } }),
    await signer.sign({}, { key: stranger.privateKey, header: { kid: "' or 1=1 --" } }),
    await signer.sign({}, { header: { typ: 'at+jwt' } }),
    await signer.sign({}, { header: { typ: 'oauth-id-jag+jwt' } }),
    await signer.sign({}, { header: { typ: 'dpop+jwt' } }),
  ]
  for (const assertion of forged) {
    await refused(tokens(rig, proof(signer.client, assertion)), 'invalid_client')
  }
  const elliptic = await createSigner(rig)
  const [head = '', body = ''] = (await elliptic.sign()).split('.')
  const zero = `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`
  await refused(tokens(rig, proof(elliptic.client, zero)), 'invalid_client')
  assert.ok((await tokens(rig, proof(signer.client, good))).access)
})

onEveryDatabase(
  'a token of ours is no assertion, and an assertion is no token: X-21',
  async (t, store) => {
    const rig = await createRig(t, store)
    const signer = await createSigner(rig)
    const resource = `${rig.tenant.issuer}/signed/mcp`
    const { access } = await tokens(rig, proof(signer.client, await signer.sign(), { resource }))
    await refused(tokens(rig, proof(signer.client, access)), 'invalid_client')
    const assertion = await signer.sign()
    assert.equal(await isGood(rig, assertion), false)
    assert.equal(await isGood(rig, assertion, resource), false)
  },
)

onEveryDatabase(
  'who is registered for one way does not come in by another: row 22',
  async (t, store) => {
    verifies(t, 'S3-22')
    const rig = await createRig(t, store)
    const signer = await createSigner(rig)
    await refused(tokens(rig, machineForm(signer.client)), 'invalid_client')
    await refused(tokens(rig, machineForm({ ...signer.client, secret: 'x' })), 'invalid_client')
    const withSecret = await createMachine(rig)
    const borrowed = await signer.sign({ iss: withSecret.id, sub: withSecret.id })
    await refused(tokens(rig, proof(withSecret, borrowed)), 'invalid_client')
    await refused(
      tokens(rig, proof(signer.client, await signer.sign(), { client_secret: 'x' })),
      'invalid_request',
    )
    await rig.issuer.clients.update({ tenant: rig.tenant }, signer.client.id, { disabled: true })
    await refused(tokens(rig, proof(signer.client, await signer.sign())), 'invalid_client')
  },
)

onEveryDatabase('a client that registers itself may do so with its keys', async (t, store) => {
  const rig = await createRig(t, store)
  const pair = await generateKeyPair('ES256')
  const client = await register(rig, {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [await exportJWK(pair.publicKey)] },
  })
  assert.equal(client.secret, undefined)
  const signer = signerFor(rig, client, { alg: 'ES256', key: pair.privateKey })
  const asked = await rig.issuer.introspect(
    rig.tenant,
    form({
      token: 'x',
      client_assertion: await signer.sign(),
      client_assertion_type: assertionType,
    }),
  )
  assert.deepEqual(asked, { active: false })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const secret = privateKey.export({ format: 'jwk' })
  const leaky = { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [secret] } }
  await refused(register(rig, leaky), 'invalid_client_metadata')
})

onEveryDatabase(
  'where the assertion names no key, each of the client’s is tried',
  async (t, store) => {
    const rig = await createRig(t, store)
    const pairs = await Promise.all([1, 2, 3].map(() => generateKeyPair('ES256')))
    const keys = await Promise.all(pairs.map(({ publicKey }) => exportJWK(publicKey)))
    const client = await createMachine(rig, { authMethod: 'private_key_jwt', jwks: { keys } })
    for (const { privateKey: key } of pairs) {
      const signer = signerFor(rig, client, { alg: 'ES256', key })
      assert.ok((await tokens(rig, proof(client, await signer.sign()))).access)
    }
    const { privateKey: key } = await generateKeyPair('ES256')
    const stranger = signerFor(rig, client, { alg: 'ES256', key })
    await refused(tokens(rig, proof(client, await stranger.sign())), 'invalid_client')
  },
)

/** A program with a key, and what it signs. */
async function createSigner(rig: Rig, { alg = 'ES256' }: { readonly alg?: string } = {}) {
  const pair = await generateKeyPair(alg)
  const jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), alg }] }
  const client = await createMachine(rig, { authMethod: 'private_key_jwt', jwks })
  return {
    client,
    publicKey: pair.publicKey,
    ...signerFor(rig, client, { alg, key: pair.privateKey }),
  }
}

function signerFor(
  rig: Rig,
  client: RigClient,
  own: { readonly alg: string; readonly key: CryptoKey },
) {
  const sign = (
    claims: Claims = {},
    { key = own.key, header = {} }: { key?: CryptoKey; header?: Partial<JWTHeaderParameters> } = {},
  ) => {
    const nowS = Math.floor(rig.clock.now() / 1000)
    const usual = {
      iss: client.id,
      sub: client.id,
      aud: rig.tenant.issuer,
      iat: nowS,
      exp: nowS + 60,
    }
    return new SignJWT({ ...usual, jti: randomUUID(), ...claims })
      .setProtectedHeader({ alg: own.alg, ...header })
      .sign(key)
  }
  return { sign }
}

function proof(
  client: RigClient,
  assertion: string | undefined,
  changes: Record<string, string | undefined> = {},
) {
  return machineForm(
    { ...client, secret: undefined },
    {
      client_id: undefined,
      client_assertion_type: assertionType,
      client_assertion: assertion,
      ...changes,
    },
  )
}
