import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { isFault } from './fault.ts'
import { parseJson } from './outbound-json.ts'

const isUnusable = (thrown: unknown) =>
  isFault(thrown) && thrown.code === 'metadata_discovery_failed' && thrown.cause === undefined

const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const nestedObjects = (levels: number) => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels)

test('JSON is read to 16 levels and no deeper', (t) => {
  verifies(t, 'X-15')
  parseJson(nested(16))
  parseJson(nestedObjects(16))
  assert.throws(() => parseJson(nested(17)), isUnusable)
  assert.throws(() => parseJson(nestedObjects(17)), isUnusable)
  assert.throws(() => parseJson(nested(100_000)), isUnusable)
  assert.throws(() => parseJson(nestedObjects(100_000)), isUnusable)
})

test('names that reach into prototypes are left out at every depth', (t) => {
  verifies(t, 'X-15')
  const text =
    '{"__proto__":{"isAdmin":true},"a":{"constructor":{"prototype":{"isAdmin":true}},"b":[{"\\u005f_proto__":1,"c":2}]}}'
  const parsed = parseJson(text)
  assert.equal(JSON.stringify(parsed), '{"a":{"b":[{"c":2}]}}')
  assert.equal(Reflect.get(Object(Object.assign({}, parsed)), 'isAdmin'), undefined)
  assert.equal(Reflect.get({}, 'isAdmin'), undefined)
})

test('what is no JSON is refused without being told again', (t) => {
  verifies(t, 'X-31')
  for (const text of ['', 'canary', '{"a":canary}', '[1,]', '{"a":1}x', 'NaN']) {
    assert.throws(
      () => parseJson(text),
      (thrown) => isUnusable(thrown) && isFault(thrown) && !thrown.because.includes('canary'),
    )
  }
})

test('plain values pass', () => {
  assert.deepEqual([parseJson('1'), parseJson('null'), parseJson(' "x" ')], [1, null, 'x'])
})
