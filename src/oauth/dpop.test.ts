// Every rule of RFC 9449 §4.3 with a proof that breaks it alone, and the first and last moment of each window.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { verifies } from '../../test/requirements.ts'
import { Secret } from '../base/secret.ts'
import { dpopAlgorithms } from './dpop-algorithms.ts'
import { clockWindowMs, isThumbprint, proofCharsMax, readProof } from './dpop.ts'
import type { DpopNonces, ProofReading, ProvenRequest } from './dpop.ts'
import { createProver, hashOf } from './dpop.rig.ts'
import type { ProofOrder, Prover } from './dpop.rig.ts'

const now = 1_767_225_600_000
const url = 'https://hub.example/notes/mcp'
const method = 'POST'
const token = 'mcp_at_secret'
const facts = { method, url, now } as const
const nonces: DpopNonces = {
  current: () => 'good',
  goodUntil: (nonce) => (nonce === 'good' ? now + 1000 : undefined),
}

/** Reads one field as it would come with a call of an MCP server, without nonces. */
function read(field: string, changes: Partial<ProvenRequest> = {}): Promise<ProofReading> {
  return readProof({ ...facts, fields: [field], accessToken: new Secret(token), ...changes })
}

for (const alg of dpopAlgorithms) {
  test(`a good proof with ${alg} gives the thumbprint of its key`, async () => {
    const prover = await createProver(alg)
    const reading = await read(await prover.prove({ ...facts, token }))
    assert.ok(reading.kind === 'proof', JSON.stringify(reading))
    assert.equal(reading.proof.jkt, prover.jkt)
    assert.ok(isThumbprint(reading.proof.jkt))
    assert.equal(reading.proof.goodUntil, now + clockWindowMs)
  })
}

test('a proof that breaks one rule is refused for that rule (X-21)', async (t) => {
  verifies(t, 'X-21')
  const prover = await createProver()
  const [rsa, p384] = [await createProver('RS256'), await createProver('ES384')]
  const pair = await generateKeyPair('ES256', { extractable: true })
  const privateJwk = await exportJWK(pair.privateKey)
  const kept = JSON.parse(JSON.stringify(prover.publicJwk))
  const sign = (changes: Partial<ProofOrder>, signer: Prover = prover) =>
    signer.prove({ ...facts, token, ...changes })
  const good = await sign({})
  const [head = '', body = '', signature = ''] = good.split('.')
  const unsigned = (header: unknown) =>
    `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${body}.${signature}`
  const header = { alg: 'ES256', typ: 'dpop+jwt', jwk: kept }
  const shared = await new SignJWT({ jti: 'x', htm: method, htu: url, iat: now / 1000 })
    .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: kept })
    .sign(Buffer.from(JSON.stringify(kept).padEnd(64)))

  const table: readonly (readonly [name: string, because: RegExp, fields: readonly string[]])[] = [
    ['no field', /exactly one/, []],
    ['two fields', /exactly one/, [good, await sign({})]],
    ['two in one field', /compact/, [`${good}, ${await sign({})}`]],
    ['an empty field', /compact/, ['']],
    ['no JWS', /compact/, ['abc']],
    ['five parts', /compact/, [`${good}.a.b`]],
    ['white space around it', /compact/, [` ${good}`]],
    ['too long', /compact/, [await sign({ claims: { more: 'x'.repeat(proofCharsMax) } })]],
    ['a header that is no JSON', /verify/, [`AAAA.${body}.${signature}`]],
    ['no typ', /verify/, [await sign({ header: { typ: undefined } })]],
    ['typ JWT', /verify/, [await sign({ header: { typ: 'JWT' } })]],
    ['typ of an access token', /verify/, [await sign({ header: { typ: 'at+jwt' } })]],
    ['alg none', /kind/, [unsigned({ ...header, alg: 'none' })]],
    ['a symmetric alg', /kind/, [shared]],
    ['an alg that is not on the list', /kind/, [await sign({}, p384)]],
    ['an alg of another key type', /verify/, [unsigned({ ...header, alg: 'RS256' })]],
    ['no alg', /kind/, [unsigned({ ...header, alg: undefined })]],
    ['no jwk', /public key/, [await sign({ header: { jwk: undefined } })]],
    ['a jwk that is no object', /public key/, [await sign({ header: { jwk: 'key' } })]],
    ['a private jwk', /public key/, [await sign({ header: { jwk: privateJwk } })]],
    ['a shared key', /public key/, [await sign({ header: { jwk: { kty: 'oct', k: 'AAAA' } } })]],
    [
      'half a private RSA key',
      /public key/,
      [await sign({ header: { jwk: { ...rsa.publicJwk, p: 'AAAA' } } }, rsa)],
    ],
    [
      'a huge RSA exponent',
      /public key/,
      [await sign({ header: { jwk: { ...rsa.publicJwk, e: 'AQABAQAB' } } }, rsa)],
    ],
    [
      'a point that is not on the curve',
      /verify/,
      [await sign({ header: { jwk: { ...kept, x: 'A'.repeat(43) } } })],
    ],
    [
      'the key of somebody else',
      /verify/,
      [await sign({ header: { jwk: await exportJWK(pair.publicKey) } })],
    ],
    ['an unknown critical header', /verify/, [unsigned({ ...header, crit: ['x'], x: 1 })]],
    ['an altered body', /verify/, [`${head}.${body.slice(0, -2)}AA.${signature}`]],
    ['an altered signature', /verify/, [`${head}.${body}.${'A'.repeat(86)}`]],
    ['no jti', /claim/, [await sign({ claims: { jti: undefined } })]],
    ['an empty jti', /claim/, [await sign({ claims: { jti: '' } })]],
    ['a jti that is a number', /verify|claim/, [await sign({ claims: { jti: 7 } })]],
    ['no htm', /claim/, [await sign({ claims: { htm: undefined } })]],
    ['no htu', /claim/, [await sign({ claims: { htu: undefined } })]],
    ['no iat', /claim/, [await sign({ claims: { iat: undefined } })]],
    ['an iat that is a text', /verify|claim/, [await sign({ claims: { iat: `${now / 1000}` } })]],
    ['another method', /method/, [await sign({ method: 'GET' })]],
    ['the method in small letters', /method/, [await sign({ method: 'post' })]],
    ['another path', /URL/, [await sign({ url: 'https://hub.example/mcp' })]],
    ['another host', /URL/, [await sign({ url: 'https://evil.example/notes/mcp' })]],
    ['another scheme', /URL/, [await sign({ url: 'http://hub.example/notes/mcp' })]],
    ['another port', /URL/, [await sign({ url: 'https://hub.example:8443/notes/mcp' })]],
    ['a path in other letters', /URL/, [await sign({ url: 'https://hub.example/Notes/mcp' })]],
    ['a path alone', /URL/, [await sign({ url: '/notes/mcp' })]],
    ['a user in the URL', /URL/, [await sign({ url: 'https://a:b@hub.example/notes/mcp' })]],
    ['an escaped slash', /URL/, [await sign({ url: 'https://hub.example/notes%2Fmcp' })]],
    ['no ath', /token/, [await sign({ claims: { ath: undefined } })]],
    ['the ath of another token', /token/, [await sign({ token: 'mcp_at_other' })]],
    ['the ath padded', /token/, [await sign({ claims: { ath: `${hashOf(token)}=` } })]],
  ]
  for (const [name, because, fields] of table) {
    await t.test(name, async () => {
      const reading = await readProof({ ...facts, fields, accessToken: new Secret(token) })
      assert.ok(reading.kind === 'refused', 'it was taken')
      assert.equal(reading.error, 'invalid_dpop_proof')
      assert.match(reading.because, because)
    })
  }
})

test('the same URL in other words is the same (RFC 3986 §6.2)', async () => {
  const prover = await createProver()
  for (const htu of [
    url,
    `${url}?page=2`,
    `${url}#part`,
    `${url}?a=b#part`,
    'HTTPS://HUB.example:443/notes/mcp',
    'https://hub.example/other/../notes/./mcp',
    'https://hub.example/%6eotes/mcp',
    'https://hub.example/%6Eotes/m%63p',
  ]) {
    const reading = await read(await prover.prove({ ...facts, token, url: htu }))
    assert.equal(reading.kind, 'proof', htu)
  }
  const odd = 'https://hub.example/a%2fb'
  const upper = await prover.prove({ ...facts, token, url: 'https://hub.example/a%2Fb' })
  assert.equal((await read(upper, { url: odd })).kind, 'proof')
})

test('at the token endpoint there is no token to name', async () => {
  const prover = await createProver()
  const field = await prover.prove(facts)
  assert.equal((await readProof({ ...facts, fields: [field] })).kind, 'proof')
})

test('without nonces the clock of the sender is believed for five minutes either way', async () => {
  const prover = await createProver()
  const field = await prover.prove({ ...facts, token })
  const at = async (ms: number) => (await read(field, { now: ms })).kind
  assert.equal(await at(now - clockWindowMs), 'proof')
  assert.equal(await at(now - clockWindowMs - 1), 'refused')
  assert.equal(await at(now + clockWindowMs - 1), 'proof')
  assert.equal(await at(now + clockWindowMs), 'refused')
})

test('with nonces the nonce alone tells the age, however wrong the clock of the sender is', async () => {
  const prover = await createProver()
  const yearMs = 365 * 86_400_000
  for (const clock of [now - yearMs, now, now + yearMs]) {
    const field = await prover.prove({ ...facts, now: clock, token, nonce: 'good' })
    const reading = await read(field, { nonces })
    assert.ok(reading.kind === 'proof', JSON.stringify(reading))
    assert.equal(reading.proof.goodUntil, now + 1000)
  }
})

test('without a good nonce it is told to use one, and only when all else is right', async () => {
  const prover = await createProver()
  const errorOf = async (order: Partial<ProofOrder>) => {
    const reading = await read(await prover.prove({ ...facts, token, ...order }), { nonces })
    return reading.kind === 'refused' ? reading.error : 'none'
  }
  assert.equal(await errorOf({}), 'use_dpop_nonce')
  assert.equal(await errorOf({ nonce: 'old' }), 'use_dpop_nonce')
  assert.equal(await errorOf({ nonce: '' }), 'use_dpop_nonce')
  assert.equal(await errorOf({ claims: { nonce: 7 } }), 'invalid_dpop_proof')
  assert.equal(await errorOf({ method: 'GET' }), 'invalid_dpop_proof')
})

test('two proofs have one id exactly when key, target and jti are the same', async () => {
  const [one, other] = [await createProver(), await createProver()]
  const idOf = async (prover: Prover, order: Partial<ProofOrder> = {}, at: string = url) => {
    const field = await prover.prove({ ...facts, url: at, token, claims: { jti: 'a' }, ...order })
    const reading = await read(field, { url: at })
    assert.ok(reading.kind === 'proof', JSON.stringify(reading))
    return reading.proof.id
  }
  const first = await idOf(one)
  assert.equal(await idOf(one), first)
  assert.equal(await idOf(one, { url: `${url}?again` }), first)
  const others = [
    await idOf(one, { claims: { jti: 'b' } }),
    await idOf(other),
    await idOf(one, {}, 'https://hub.example/mcp'),
  ]
  assert.equal(new Set([first, ...others]).size, 4)
})
