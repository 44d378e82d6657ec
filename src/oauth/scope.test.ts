import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isFault } from '../base/fault.ts'
import { formatScope, isSubset, parseScope, scopesMax, tidyScope, unionScopes } from './scope.ts'

// Every UTF-16 unit, lone surrogates included, ASCII more often than the rest.
const anyUnit = fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }))
const anyText = fc.string({ unit: anyUnit.map((unit) => String.fromCharCode(unit)) })

function isInvalidScope(error: unknown): boolean {
  return isFault(error) && error.code === 'invalid_scope'
}

const token = fc.stringMatching(/^[\x21\x23-\x5B\x5D-\x7E]{1,8}$/)
const scopes = fc.uniqueArray(token, { maxLength: scopesMax })

test('scopes are distinct words in their order; none is none', () => {
  assert.deepEqual(parseScope(undefined), [])
  assert.deepEqual(parseScope(''), [])
  assert.deepEqual(parseScope('b a b memories:read'), ['b', 'a', 'memories:read'])
})

test('what breaks the grammar is refused', () => {
  for (const text of [' ', ' a', 'a ', 'a  b', 'a\tb', 'a\nb', 'a"b', 'a\\b', 'é', 'a\0', '\x7F']) {
    assert.throws(() => parseScope(text), isInvalidScope, JSON.stringify(text))
  }
})

test('one hundred scopes are read, one hundred and one are not', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`).join(' ')
  assert.equal(parseScope(many(scopesMax)).length, scopesMax)
  assert.throws(() => parseScope(many(scopesMax + 1)), isInvalidScope)
})

test('writing and reading scopes is lossless', () => {
  fc.assert(fc.property(scopes, (set) => assert.deepEqual(parseScope(formatScope(set)), set)))
})

test('any text is read as words or refused as invalid_scope', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      try {
        assert.ok(parseScope(text).every((scope) => /^[\x21\x23-\x5B\x5D-\x7E]+$/.test(scope)))
      } catch (error) {
        assert.ok(isInvalidScope(error))
      }
    }),
  )
})

test('subset and union behave as sets do, whatever the order', () => {
  fc.assert(
    fc.property(scopes, scopes, (first, second) => {
      const union = unionScopes(first, second)
      assert.ok(isSubset(first, union) && isSubset(second, union))
      assert.equal(isSubset(union, first), isSubset(second, first))
      assert.deepEqual(new Set(union), new Set(unionScopes(second, first)))
      assert.ok(isSubset([], first) && isSubset([...first].reverse(), first))
    }),
  )
})

test('a sloppy answer keeps its readable scopes', () => {
  assert.equal(tidyScope(' read  write\nread "x" '), 'read write')
  assert.equal(tidyScope(' '), undefined)
})
