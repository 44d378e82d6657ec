// Keys and signatures as a stranger's library sees them: what we make and sign is checked with jose.
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import test from 'node:test'
import { calculateJwkThumbprint, importJWK, jwtVerify } from 'jose'
import { Secret } from '../base/secret.ts'
import { signJwt } from './jws.ts'
import { makePrivateKey, openPrivateKey, readPrivateKey } from './private-key.ts'
import type { PrivateKey } from './private-key.ts'

async function assertSigns({ jwk, publicJwk }: PrivateKey): Promise<void> {
  const { key, publicJwk: opened } = openPrivateKey(jwk)
  assert.deepEqual(opened, publicJwk)
  const { alg, kid } = publicJwk
  const jwt = signJwt(key, { header: { alg, kid }, claims: { sub: 'us' } })
  const { payload } = await jwtVerify(jwt.reveal(), await importJWK({ ...publicJwk }, alg))
  assert.equal(payload.sub, 'us')
  assert.equal(kid, await calculateJwkThumbprint({ ...publicJwk }))
  assert.ok(!('d' in publicJwk) && !('p' in publicJwk))
}

test('a key that is made signs as ES256', async () => {
  const made = makePrivateKey(randomBytes(32))
  assert.equal(made.publicJwk.alg, 'ES256')
  await assertSigns(made)
})

const given = [
  ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
  ['EdDSA', generateKeyPairSync('ed25519').privateKey],
] as const

for (const [alg, key] of given) {
  test(`a key for ${alg} is read from PEM and from a JWK`, async () => {
    const pem = key.export({ format: 'pem', type: 'pkcs8' })
    const jwk = JSON.stringify(key.export({ format: 'jwk' }))
    for (const text of [pem, jwk]) {
      const read = readPrivateKey(new Secret(text))
      assert.equal(read?.publicJwk.alg, alg)
      await assertSigns(read)
    }
  })
}

test('a JWK says which of its signatures it makes', async () => {
  const [, rsa] = given[1]
  const jwk = { ...rsa.export({ format: 'jwk' }), alg: 'PS256' }
  const read = readPrivateKey(new Secret(JSON.stringify(jwk)))
  assert.equal(read?.publicJwk.alg, 'PS256')
  await assertSigns(read)
  const wrong = JSON.stringify({ ...jwk, alg: 'ES256' })
  assert.equal(readPrivateKey(new Secret(wrong)), undefined)
})

test('a JWK keeps the name that its giver knows it by', () => {
  const [, key] = given[0]
  const named = (kid: unknown) => JSON.stringify({ ...key.export({ format: 'jwk' }), kid })
  const kidOf = (text: string) => readPrivateKey(new Secret(text))?.publicJwk.kid
  assert.equal(kidOf(named('our key 1')), kidOf(named(undefined)))
  assert.equal(kidOf(named('our-key-1')), 'our-key-1')
  const { jwk = new Secret('') } = readPrivateKey(new Secret(named('our-key-1'))) ?? {}
  assert.equal(openPrivateKey(jwk).publicJwk.kid, 'our-key-1')
})

test('what is no private key of ours is none', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const tooSmall = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const otherCurve = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  const texts = [
    '',
    'a password',
    '{"kty":"oct","k":"AAAA"}',
    '{"kty":',
    publicKey.export({ format: 'pem', type: 'spki' }),
    JSON.stringify(publicKey.export({ format: 'jwk' })),
    tooSmall.export({ format: 'pem', type: 'pkcs8' }),
    otherCurve.export({ format: 'pem', type: 'pkcs8' }),
  ]
  for (const text of texts) assert.equal(readPrivateKey(new Secret(text)), undefined)
})
