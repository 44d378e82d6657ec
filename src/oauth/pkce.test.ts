import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { systemRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { challengeOf, createVerifier, isChallenge, isVerifier, verifierMatches } from './pkce.ts'

// The example of RFC 7636 appendix B.
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

test('the challenge is that of RFC 7636 appendix B', () => {
  assert.equal(challengeOf(new Secret(verifier)), challenge)
  assert.ok(isChallenge(challenge))
  assert.ok(verifierMatches(verifier, challenge))
  assert.ok(verifierMatches(new Secret(verifier), challenge))
})

test('a verifier is 64 base64url characters and never the same twice', (t) => {
  verifies(t, 'S1-42')
  const made = createVerifier(systemRandom)
  assert.match(made.reveal(), /^[A-Za-z0-9_-]{64}$/)
  assert.ok(isVerifier(made.reveal()) && verifierMatches(made, challengeOf(made)))
  assert.notEqual(createVerifier(systemRandom).reveal(), made.reveal())
})

test('a verifier has 43 to 128 unreserved characters', (t) => {
  verifies(t, 'S1-42')
  for (const length of [43, 128]) assert.ok(isVerifier('~'.repeat(length)), `${length}`)
  for (const length of [0, 42, 129]) assert.ok(!isVerifier('~'.repeat(length)), `${length}`)
  for (const odd of ['+', '/', '=', ' ', '\n', 'é'])
    assert.ok(!isVerifier('a'.repeat(43) + odd), odd)
})

test('a challenge has 43 base64url characters', () => {
  for (const text of [
    '',
    challenge.slice(1),
    `${challenge}a`,
    `${challenge}\n`,
    `${challenge.slice(1)}=`,
  ]) {
    assert.ok(!isChallenge(text), text)
  }
})

test('a wrong, malformed or plain verifier does not match', () => {
  const wrong = verifier.replace('d', 'e')
  for (const given of [wrong, '', 'short', `${verifier} `, challenge]) {
    assert.equal(verifierMatches(given, challenge), false, given)
  }
  assert.equal(verifierMatches('short', challengeOf(new Secret('short'))), false)
  assert.equal(verifierMatches(verifier, verifier), false)
  assert.equal(verifierMatches(verifier, ''), false)
})
