import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { readParameters, requireNoRepeats } from './parameters.ts'

// Every UTF-16 unit, lone surrogates included, ASCII more often than the rest.
const anyUnit = fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }))
const anyText = fc.string({ unit: anyUnit.map((unit) => String.fromCharCode(unit)) })

function isInvalidRequest(error: unknown): boolean {
  return isFault(error) && error.code === 'invalid_request'
}

test('an empty parameter is an absent one', () => {
  const parameters = readParameters(new URLSearchParams('state=&scope=a'))
  assert.equal(parameters.get('state'), undefined)
  assert.equal(parameters.has('state'), false)
  assert.deepEqual(parameters.names, ['scope'])
})

test('a repeated parameter is refused, empty or not, and its value is not told', (t) => {
  verifies(t, 'X-33')
  for (const query of ['a=1&a=2', 'a=1&a=1', 'a=&a=hidden', 'a=hidden&a=', 'b=1&a=&a=']) {
    const parameters = readParameters(new URLSearchParams(query))
    assert.deepEqual(parameters.repeated, ['a'], query)
    assert.throws(() => requireNoRepeats(parameters), isInvalidRequest, query)
    assert.throws(
      () => requireNoRepeats(parameters),
      (error: Error) => !error.message.includes('hidden'),
    )
  }
  requireNoRepeats(readParameters(new URLSearchParams('a=1&b=1')))
})

test('names of the object prototype are names like any other', (t) => {
  verifies(t, 'X-33')
  const parameters = readParameters(new URLSearchParams('__proto__=1'))
  assert.equal(parameters.get('__proto__'), '1')
  assert.equal(parameters.get('constructor'), undefined)
})

test('what is read is what was sent, for any bytes', () => {
  const pairs = fc.array(fc.tuple(anyText, anyText))
  fc.assert(
    fc.property(pairs, (sent) => {
      const raw = new URLSearchParams(sent)
      const parameters = readParameters(raw)
      for (const name of raw.keys()) {
        const values = raw.getAll(name)
        assert.equal(parameters.repeated.includes(name), values.length > 1)
        assert.equal(
          parameters.get(name),
          values.find((value) => value !== ''),
        )
      }
    }),
    { numRuns: 200 },
  )
})
