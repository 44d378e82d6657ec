import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { canonicalResource, parseResource, sameResource } from './resource.ts'

test('a resource is an absolute http(s) URI without fragment, kept as it came', () => {
  const good = [
    'https://app.test',
    'https://app.test/',
    'HTTPS://App.test/MCP',
    'http://127.0.0.1:3000/mcp?x=1',
  ]
  for (const text of good) assert.equal(parseResource(text), text)
})

test('everything else is no resource', () => {
  const bad = [
    '',
    '/mcp',
    'app.test/mcp',
    '//app.test/mcp',
    'https:',
    'https://',
    'https:///mcp',
    'https:app.test',
    'https://app.test/mcp#',
    'https://app.test/mcp#f',
    'https://u@app.test/',
    'https://app.test\\@evil.test/',
    'javascript:alert(1)',
    'urn:x:y',
    'ftp://app.test/',
    'https://app.test/a b',
    ' https://app.test/',
    'https://é.test/',
    'https://app.test/%',
    'https://app.test:99999/',
    `https://app.test/${'a'.repeat(2048)}`,
    'https://a%2eb/',
  ]
  for (const text of bad) assert.equal(parseResource(text), undefined, JSON.stringify(text))
})

test('the canonical spelling lowers scheme and host and adds no slash', () => {
  const table = [
    ['HTTPS://App.Test/MCP', 'https://app.test/MCP'],
    ['https://app.test', 'https://app.test'],
    ['https://app.test/', 'https://app.test'],
    ['https://app.test/mcp/', 'https://app.test/mcp/'],
    ['https://app.test/mcp#tools', 'https://app.test/mcp'],
    ['https://app.test:8443/mcp?Server=A', 'https://app.test:8443/mcp?Server=A'],
    ['https://app.test/?a=1', 'https://app.test/?a=1'],
  ] as const
  for (const [given, expected] of table) assert.equal(canonicalResource(given), expected)
  const isInvalidTarget = (error: unknown) => isFault(error) && error.code === 'invalid_target'
  assert.throws(() => canonicalResource('app.test/mcp'), isInvalidTarget)
})

test('a look-alike is another resource', (t) => {
  verifies(t, 'P-12', 'C15', 'G17')
  const others = [
    'mcp-admin',
    'mcp/',
    'mcp/x',
    'mcp/../x',
    'MCP',
    'mc',
    '',
    'mcp?x=1',
    'mcp?',
    '%6Dcp',
    'mcp#f',
    './mcp',
  ]
  for (const path of others) {
    assert.ok(!sameResource('https://app.test/mcp', `https://app.test/${path}`), path)
  }
  for (const origin of [
    'http://app.test',
    'https://app.test:443',
    'https://app.test.',
    'https://evil.test',
  ]) {
    assert.ok(!sameResource('https://app.test/mcp', `${origin}/mcp`), origin)
  }
  assert.ok(sameResource('https://app.test/mcp', 'HTTPS://APP.test/mcp'))
  assert.ok(sameResource('https://app.test/', 'https://app.test'))
  assert.ok(!sameResource('x', 'x'))
})

const path = fc.stringMatching(/^(\/[a-zA-Z0-9._-]{0,4}){0,3}(\?[a-z=]{0,4})?$/)
const uri = fc
  .tuple(
    fc.constantFrom('https', 'HTTPS', 'http'),
    fc.constantFrom('a.test', 'A.test', 'a.test:8443', 'b.test'),
    path,
  )
  .map(([scheme, host, rest]) => `${scheme}://${host}${rest}`)

test('sameness is reflexive, symmetric, and forgives case before the path only', (t) => {
  verifies(t, 'P-12')
  fc.assert(
    fc.property(uri, uri, (first, second) => {
      assert.ok(sameResource(first, first))
      assert.equal(sameResource(first, second), sameResource(second, first))
      assert.equal(
        sameResource(first, second),
        canonicalResource(first) === canonicalResource(second),
      )
      assert.ok(sameResource(first, canonicalResource(first)))
      if (sameResource(first, second)) assert.equal(pathOf(first), pathOf(second))
    }),
    { numRuns: 500 },
  )
})

function pathOf(text: string): string {
  const rest = text.replace(/^[a-z]+:\/\/[^/?]*/i, '')
  return rest === '/' ? '' : rest
}
