// Somebody else's JWT, as far as we look at it: its shape, its length, and an end that is a time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../base/secret.ts'
import { unverifiedClaims } from './unverified-claims.ts'

function jwt(claims: Readonly<Record<string, unknown>>, signature = 'c2lnbmVk'): Secret {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return new Secret(`${part({ alg: 'none' })}.${part(claims)}.${signature}`)
}

function ofLength(chars: number): Secret {
  const rest = jwt({ sub: 'ada' }, '').reveal().length
  return jwt({ sub: 'ada' }, 'x'.repeat(chars - rest))
}

test('claims are read of what is a JWT, up to 16384 characters', () => {
  assert.deepEqual(unverifiedClaims(jwt({ sub: 'ada', exp: 7 })), { sub: 'ada', exp: 7 })
  assert.deepEqual(unverifiedClaims(ofLength(16_384)), { sub: 'ada' })
  assert.equal(unverifiedClaims(ofLength(16_385)), undefined)
  assert.equal(unverifiedClaims(new Secret('an opaque token')), undefined)
})

// RFC 7519 §4.1.4: a NumericDate. What is compared with the time and is no number is never over.
test('a token whose end is no time is none', () => {
  for (const exp of ['2099-01-01', '7', null, true, {}]) {
    assert.equal(unverifiedClaims(jwt({ exp })), undefined, JSON.stringify(exp))
  }
})
