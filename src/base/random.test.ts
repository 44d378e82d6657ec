import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { randomId, randomSecret, systemRandom } from './random.ts'
import type { Random } from './random.ts'

test('an id is its prefix and 26 letters and digits, 130 bits', () => {
  const ids = Array.from({ length: 1000 }, () => randomId(systemRandom, 'usr_'))
  for (const id of ids) assert.match(id, /^usr_[0-9a-z]{26}$/)
  assert.equal(new Set(ids).size, ids.length)
})

test('every letter of an id is as likely as the others', () => {
  const everyByte: Random = {
    bytes: (count) => Uint8Array.from({ length: count }, () => next++),
    secretBytes: () => new Uint8Array(),
  }
  let next = 0
  const counts = new Map<string, number>()
  for (let drawn = 0; drawn < 128; drawn += 1) {
    for (const letter of randomId(everyByte, '')) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  }
  assert.equal(counts.size, 32)
  assert.equal(new Set(counts.values()).size, 1)
})

test('a secret is its prefix and 256 bits from the source of secrets', (t) => {
  verifies(t, 'S3-12')
  const marked: Random = {
    bytes: () => assert.fail('secrets have a source of their own'),
    secretBytes: (count) => new Uint8Array(count).fill(255),
  }
  assert.equal(randomSecret(marked, 'lk_').reveal(), `lk_${'_'.repeat(42)}8`)
  assert.match(randomSecret(systemRandom).reveal(), /^[\w-]{43}$/)
})

test('no bytes of the generator are handed out twice, however many are asked for', () => {
  const sizes = [16, 26, 32, 4_000, 4_096, 4_097, 10_000]
  const drawn = Array.from({ length: 300 }, (_, index) => {
    const count = sizes[index % sizes.length] ?? 0
    const bytes = systemRandom.bytes(count)
    assert.equal(bytes.length, count)
    const kept = Buffer.from(bytes).toString('hex')
    bytes.fill(7) // Whoever has them may do with them what they like.
    return kept
  })
  // Pieces of 16 bytes: none may come again, and none may be what somebody wrote or wiped.
  const pieces = drawn.flatMap((hex) => hex.match(/.{32}/g) ?? [])
  assert.equal(new Set(pieces).size, pieces.length)
  assert.ok(!pieces.includes('00'.repeat(16)) && !pieces.includes('07'.repeat(16)))
})
