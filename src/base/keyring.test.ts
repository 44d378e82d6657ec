import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { isFault } from './fault.ts'
import {
  constantTimeEqual,
  createKeyring,
  openUnder,
  parseMasterKeys,
  sealUnder,
} from './keyring.ts'
import type { SealPlace } from './keyring.ts'
import { systemRandom } from './random.ts'
import { Secret } from './secret.ts'

const random = systemRandom
const newKeyText = () => randomBytes(32).toString('base64url')
const oldKeys = parseMasterKeys(newKeyText())
const keyring = createKeyring({ random }, oldKeys)
const place: SealPlace = { tenant: 'ten_1', table: 'connections', row: 'con_1', column: 'token' }
const anyText = fc.string({ unit: 'grapheme', maxLength: 200 })

const isCannotOpen = (thrown: unknown) => isFault(thrown) && thrown.code === 'decrypt_failed'

test('what is sealed opens in its place', () => {
  fc.assert(
    fc.property(anyText, (plain) => {
      assert.equal(keyring.open(keyring.seal(plain, place), place).reveal(), plain)
      assert.equal(keyring.open(keyring.seal(new Secret(plain), place), place).reveal(), plain)
    }),
  )
})

test('an envelope names its key and shows nothing of its content', () => {
  const sealed = keyring.seal('canary-4711', place)
  assert.match(sealed, new RegExp(`^v1\\.${keyring.activeKeyId}\\.[\\w-]+$`))
  const content = Buffer.from(sealed.split('.')[2] ?? '', 'base64url')
  assert.ok(!content.includes('canary'))
  assert.notEqual(sealed, keyring.seal('canary-4711', place))
})

test('an envelope with any one bit turned does not open', () => {
  const sealed = keyring.seal('a secret', place)
  const [, , envelope = ''] = sealed.split('.')
  const bytes = Buffer.from(envelope, 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const turned = Buffer.from(bytes)
    turned[bit >> 3]! ^= 1 << (bit & 7)
    const altered = `v1.${keyring.activeKeyId}.${turned.toString('base64url')}`
    assert.throws(() => keyring.open(altered, place), isCannotOpen)
  }
})

test('an envelope with any one character changed, lost or added does not open', () => {
  const sealed = keyring.seal('a secret', place)
  for (let at = 0; at <= sealed.length; at += 1) {
    const [before, after] = [sealed.slice(0, at), sealed.slice(at + 1)]
    for (const altered of [before + after, `${before}~${after}`, `${before}A${sealed.slice(at)}`]) {
      if (altered !== sealed) assert.throws(() => keyring.open(altered, place), isCannotOpen)
    }
  }
})

test('an envelope that was moved to another tenant, table, row or column does not open', () => {
  const sealed = keyring.seal('a secret', place)
  for (const part of ['tenant', 'table', 'row', 'column'] as const) {
    const elsewhere = { ...place, [part]: `${place[part]}x` }
    assert.throws(() => keyring.open(sealed, elsewhere), isCannotOpen)
  }
})

test('no two places are the same, however their parts are cut', () => {
  const part = fc.string({ unit: fc.constantFrom('a', '|', ':', '1', 'é'), maxLength: 4 })
  const anyPlace = fc.record({ tenant: part, table: part, row: part, column: part })
  fc.assert(
    fc.property(anyPlace, anyPlace, (one, other) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(other))
      assert.throws(() => keyring.open(keyring.seal('x', one), other), isCannotOpen)
    }),
  )
})

test('after a rotation the old envelopes open, new ones use the new key, and a key that is gone opens nothing', () => {
  const [newKey] = parseMasterKeys(newKeyText())
  const rotated = createKeyring({ random }, [newKey!, ...oldKeys])
  const afterwards = createKeyring({ random }, [newKey!])
  const old = keyring.seal('a secret', place)
  assert.equal(rotated.open(old, place).reveal(), 'a secret')
  assert.equal(rotated.activeKeyId, newKey!.id)
  const fresh = rotated.seal('another', place)
  assert.equal(afterwards.open(fresh, place).reveal(), 'another')
  assert.throws(() => afterwards.open(old, place), isCannotOpen)
  assert.throws(() => keyring.open(fresh, place), isCannotOpen)
})

test('an envelope does not open under another key that has the same name', () => {
  const impostor = createKeyring({ random }, [{ id: oldKeys[0]!.id, key: randomBytes(32) }])
  assert.throws(() => impostor.open(keyring.seal('a secret', place), place), isCannotOpen)
})

test('what was never sealed does not show in the refusal', (t) => {
  verifies(t, 'X-31')
  const stored = ['eyJhbGciOiJIUzI1.eyJjYW5hcnk.c2ln', 'v1.canary', 'canary', 'v1.a canary.b', '']
  for (const text of stored) {
    assert.throws(
      () => keyring.open(text, place),
      (thrown) => isFault(thrown) && !/canary|eyJ/.test(`${thrown.because} ${thrown.stack ?? ''}`),
    )
  }
})

test('a digest depends on the purpose and on the key, and is the same every time', () => {
  const token = new Secret('mcp_at_x')
  assert.equal(keyring.digest('access_token', token), keyring.digest('access_token', 'mcp_at_x'))
  assert.match(keyring.digest('access_token', token), /^[\w-]{43}$/)
  assert.notEqual(keyring.digest('access_token', token), keyring.digest('code', token))
  assert.notEqual(keyring.digest('access_token', token), keyring.sign('access_token', 'mcp_at_x'))
  const other = createKeyring({ random }, parseMasterKeys(newKeyText()))
  assert.notEqual(keyring.digest('access_token', token), other.digest('access_token', token))
})

test('after a rotation a digest of the old key is still found, the active one first', () => {
  const rotated = createKeyring({ random }, [...parseMasterKeys(newKeyText()), ...oldKeys])
  const digests = rotated.digests('session', 'x')
  assert.deepEqual(digests, [rotated.digest('session', 'x'), keyring.digest('session', 'x')])
})

test('a signature holds for its purpose and data only, and across a rotation', () => {
  const tag = keyring.sign('state', 'data')
  const rotated = createKeyring({ random }, [...parseMasterKeys(newKeyText()), ...oldKeys])
  assert.ok(keyring.verify('state', 'data', tag) && rotated.verify('state', 'data', tag))
  assert.ok(!keyring.verify('other', 'data', tag))
  assert.ok(!keyring.verify('state', 'datb', tag))
  assert.ok(!keyring.verify('state', 'data', `${tag}A`))
  assert.ok(!keyring.verify('state', 'data', ''))
  assert.ok(!keyring.verify('state', 'data', rotated.sign('state', 'data')))
})

test('what is sealed under a secret opens with that secret and purpose only', () => {
  fc.assert(
    fc.property(anyText, fc.string({ minLength: 1 }), (plain, text) => {
      const secret = new Secret(text)
      const sealed = sealUnder(secret, plain, 'replay', random)
      assert.equal(openUnder(secret, sealed, 'replay')?.reveal(), plain)
      assert.equal(openUnder(secret, sealed, 'other'), undefined)
      assert.equal(openUnder(new Secret(`${text}x`), sealed, 'replay'), undefined)
      assert.equal(openUnder(secret, `${sealed}A`, 'replay'), undefined)
      assert.equal(openUnder(secret, sealed.slice(1), 'replay'), undefined)
    }),
  )
  assert.equal(openUnder(new Secret('x'), '', 'replay'), undefined)
})

test('comparing in constant time says what === says', () => {
  fc.assert(fc.property(anyText, anyText, (a, b) => constantTimeEqual(a, b) === (a === b)))
  assert.ok(constantTimeEqual('é', 'é') && !constantTimeEqual('é', 'ab'))
})

test('master keys are read from lines or commas, the first is active, in either base64 alphabet', () => {
  const bytes = [Buffer.alloc(32, 251), Buffer.alloc(32, 7)]
  const [first = '', second = ''] = bytes.map((key) => key.toString('base64url'))
  const expected = parseMasterKeys(first).concat(parseMasterKeys(second))
  assert.deepEqual(parseMasterKeys(`${first},${second}`), expected)
  assert.deepEqual(parseMasterKeys(`\n${first}\r\n\n ${second}\n`), expected)
  const other = bytes.map((key) => key.toString('base64')).join('\n')
  assert.deepEqual(parseMasterKeys(other), expected)
  assert.deepEqual(Buffer.from(expected[0]!.key), bytes[0])
  assert.match(expected[0]!.id, /^[\w-]{8}$/)
})

test('what is no master key is refused without being told again', () => {
  const good = newKeyText()
  const bad = [
    '',
    ' \n',
    'short',
    good.slice(1),
    `${good}A`,
    `${good}!`,
    `${good.slice(0, 42)}!`,
    `${good},short`,
    randomBytes(32).toString('hex'),
  ]
  for (const text of bad) {
    assert.throws(
      () => parseMasterKeys(text),
      (thrown) => thrown instanceof Error && (text.trim() === '' || !thrown.message.includes(text)),
      text,
    )
  }
})

test('a keyring is refused that could seal what it cannot open', () => {
  const key = (id: string, bytes = 32) => ({ id, key: randomBytes(bytes) })
  const bad = [[], [key('a'), key('a')], [key('a.b')], [key('')], [key('a', 16)], [key('a', 33)]]
  for (const keys of bad) assert.throws(() => createKeyring({ random }, keys), /master key/)
  createKeyring({ random }, [key('a'), key('b')])
})
