import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFinder } from './find-any.ts'

const secrets = ['a secret of some length', 'another one, longer than that', 'ümläut-sécret-töken']
const find = createFinder(secrets)
const noise = 'x'.repeat(100_000)

test('a string is found wherever it stands', () => {
  for (const secret of secrets) {
    for (const [before, after] of [
      ['', ''],
      ['', noise],
      [noise, ''],
      [noise, noise],
    ] as const) {
      const found = find(Buffer.from(before + secret + after))
      assert.deepEqual(found, { needle: secret, at: Buffer.byteLength(before) })
    }
  }
})

test('what only begins or ends like one is not found', () => {
  const [secret = ''] = secrets
  assert.equal(find(Buffer.from(noise + secret.slice(0, -1))), undefined)
  assert.equal(find(Buffer.from(noise + secret.slice(1) + noise)), undefined)
  assert.equal(find(Buffer.from(secret.slice(0, 11))), undefined)
  assert.equal(find(Buffer.from('')), undefined)
})

test('of two that begin alike each is found', () => {
  const both = createFinder(['twelve bytes of one', 'twelve bytes of two'])
  assert.equal(both(Buffer.from('… twelve bytes of two …'))?.needle, 'twelve bytes of two')
  assert.equal(both(Buffer.from('… twelve bytes of one …'))?.needle, 'twelve bytes of one')
  assert.equal(both(Buffer.from('… twelve bytes of … …')), undefined)
})

test('a string that is too short to tell is refused', () => {
  assert.throws(() => createFinder(['short']), /too short/)
})
