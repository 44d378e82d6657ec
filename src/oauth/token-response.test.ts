import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import {
  expiresInMaxS,
  isTokenError,
  readTokenError,
  readTokenResponse,
  tokenCharsMax,
} from './token-response.ts'

const now = 1_700_000_000_000
const answer = { access_token: 'at', token_type: 'Bearer' }

function isInvalid(error: unknown): boolean {
  return isFault(error) && error.code === 'token_response_invalid'
}

test('a full answer is read, its tokens wrapped', () => {
  const json = { ...answer, refresh_token: 'rt', scope: 'a b', expires_in: 3600, id_token: 'a.b.c' }
  const tokens = readTokenResponse(json, now)
  assert.equal(tokens.accessToken.reveal(), 'at')
  assert.equal(tokens.refreshToken?.reveal(), 'rt')
  assert.equal(tokens.idToken?.reveal(), 'a.b.c')
  assert.equal(tokens.scope, 'a b')
  assert.equal(tokens.expiresAt, now + 3_600_000)
})

test('what the server does not say stays unknown', () => {
  const tokens = readTokenResponse({ ...answer, refresh_token: null, id_token: '', scope: '' }, now)
  assert.deepEqual(Object.keys(tokens), ['accessToken', 'tokenType'])
})

test('the type is Bearer in any case, or left out', () => {
  for (const type of ['bearer', 'BEARER', undefined, null]) {
    assert.equal(readTokenResponse({ ...answer, token_type: type }, now).tokenType, 'Bearer')
  }
  for (const type of ['mac', 'DPoP', '', 7, ['Bearer'], 'N_A']) {
    assert.throws(() => readTokenResponse({ ...answer, token_type: type }, now), isInvalid)
  }
})

test('a life time is a number, a number as text, or unknown', (t) => {
  verifies(t, 'X-33')
  const table: [unknown, number | undefined][] = [
    [1, now + 1000],
    ['3600', now + 3_600_000],
    ['3599.9', now + 3_599_000],
    [1.5, now + 1000],
    [expiresInMaxS, now + expiresInMaxS * 1000],
    [expiresInMaxS + 1, now + expiresInMaxS * 1000],
    [1e99, now + expiresInMaxS * 1000],
    [Number.POSITIVE_INFINITY, now + expiresInMaxS * 1000],
    ...[0, -1, 0.5, Number.NaN, '', '-1', '1e99', '1h', ' 1', true, [60], {}, null].map(
      (odd): [unknown, undefined] => [odd, undefined],
    ),
  ]
  for (const [expires_in, expiresAt] of table) {
    const tokens = readTokenResponse({ ...answer, expires_in }, now)
    assert.equal(tokens.expiresAt, expiresAt, inspect(expires_in))
  }
})

const hostile = [
  'secret\r\nX-Evil: 1',
  'secret\0',
  'secret\n',
  'sécret',
  'secret\u{1F600}',
  '\uD800secret',
  'secret\x7F',
]

test('a token that could break a header is refused, and no message repeats it', (t) => {
  verifies(t, 'X-28', 'G22')
  for (const name of ['access_token', 'refresh_token', 'id_token']) {
    for (const token of [...hostile, 7, {}, ['secret'], 'secret'.padEnd(tokenCharsMax + 1, 'x')]) {
      assert.throws(() => readTokenResponse({ ...answer, [name]: token }, now), isInvalid)
      assert.throws(
        () => readTokenResponse({ ...answer, [name]: token }, now),
        (error: unknown) => !inspect(error).includes('secret'),
      )
    }
  }
  assert.throws(() => readTokenResponse({ ...answer, access_token: 'two tokens' }, now), isInvalid)
})

test('the longest token is kept', () => {
  const token = 'x'.repeat(tokenCharsMax)
  assert.equal(
    readTokenResponse({ ...answer, access_token: token }, now).accessToken.reveal(),
    token,
  )
})

test('an answer without a token is no answer', (t) => {
  verifies(t, 'X-33')
  const polluted: unknown = JSON.parse('{"__proto__":{"access_token":"at"},"token_type":"Bearer"}')
  for (const json of [
    undefined,
    null,
    [],
    'at',
    {},
    { token_type: 'Bearer' },
    { ...answer, access_token: '' },
    polluted,
  ]) {
    assert.throws(() => readTokenResponse(json, now), isInvalid)
  }
})

test('any JSON is read or refused by one Fault', (t) => {
  verifies(t, 'X-28', 'X-33')
  const names = fc.constantFrom(
    'access_token',
    'token_type',
    'refresh_token',
    'scope',
    'expires_in',
    'id_token',
  )
  fc.assert(
    fc.property(fc.dictionary(names, fc.jsonValue()), (wrong) => {
      try {
        const tokens = readTokenResponse({ ...answer, ...wrong }, now)
        assert.match(tokens.accessToken.reveal(), /^[\x21-\x7E]+$/)
        assert.ok(tokens.expiresAt === undefined || Number.isSafeInteger(tokens.expiresAt))
      } catch (error) {
        assert.ok(isInvalid(error))
      }
    }),
  )
})

test('a refusal is one by status or by its body', () => {
  assert.ok(isTokenError(400, undefined))
  assert.ok(isTokenError(302, {}))
  assert.ok(isTokenError(200, { error: 'bad_refresh_token' }))
  assert.ok(!isTokenError(200, answer))
  assert.ok(!isTokenError(200, { ...answer, error: null }))
  assert.ok(!isTokenError(200, 'x'))
})

test('a refusal keeps its name and a description in safe characters', (t) => {
  verifies(t, 'G22')
  const json = { error: 'invalid_grant', error_description: 'a "b"\r\n<é>' }
  assert.deepEqual(readTokenError(400, json), {
    error: 'invalid_grant',
    errorDescription: "a 'b'??<?>",
  })
  assert.deepEqual(readTokenError(200, { error: 'bad_refresh_token' }), {
    error: 'bad_refresh_token',
  })
})

test('a refusal without a usable name gets one that ends nothing', () => {
  const table = [
    [400, {}, 'invalid_request'],
    [400, { error: 'x'.repeat(101) }, 'invalid_request'],
    [400, { error: 'a b' }, 'invalid_request'],
    [401, '<html>', 'invalid_request'],
    [403, { error: { code: 403 } }, 'invalid_request'],
    [429, undefined, 'temporarily_unavailable'],
    [503, null, 'temporarily_unavailable'],
    [500, [], 'server_error'],
    [502, '<html>', 'server_error'],
  ] as const
  for (const [status, json, error] of table)
    assert.deepEqual(readTokenError(status, json), { error })
})
