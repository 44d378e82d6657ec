import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import {
  bearerChallenge,
  challengeCharsMax,
  challengesMax,
  formatBearerChallenge,
  parseChallenges,
  type Challenge,
} from './challenge.ts'

// Every UTF-16 unit, lone surrogates included, ASCII more often than the rest.
const anyUnit = fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }))
const anyText = fc.string({ unit: anyUnit.map((unit) => String.fromCharCode(unit)) })

const metadataUrl = 'https://app.test/.well-known/oauth-protected-resource'

function plain(header: string): unknown[] {
  return parseChallenges(header).map((challenge) =>
    Object.assign({}, challenge, { parameters: { ...challenge.parameters } }),
  )
}

test('several challenges, quotes, escapes and token68 are told apart', (t) => {
  verifies(t, 'C3', 'G16')
  const basic = (realm: string) => ({ scheme: 'Basic', parameters: { realm } })
  const table: [string, unknown[]][] = [
    ['', []],
    [' , ,', []],
    ['Bearer', [{ scheme: 'Bearer', parameters: {} }]],
    ['Basic realm="a, Bearer error=evil"', [basic('a, Bearer error=evil')]],
    ['Basic realm="a scope=evil"', [basic('a scope=evil')]],
    [String.raw`Basic realm="a\"b\\c\d"`, [basic('a"b\\cd')]],
    ['Basic realm=a', [basic('a')]],
    ['Basic REALM = "a" , realm=b', [basic('a')]],
    ['Negotiate abc/+==', [{ scheme: 'Negotiate', parameters: {}, token68: 'abc/+==' }]],
    [
      'Negotiate a==, Basic realm=x',
      [{ scheme: 'Negotiate', parameters: {}, token68: 'a==' }, basic('x')],
    ],
    ['Negotiate, Basic realm=x', [{ scheme: 'Negotiate', parameters: {} }, basic('x')]],
    [
      'Basic realm="x", Bearer error="e"',
      [basic('x'), { scheme: 'Bearer', parameters: { error: 'e' } }],
    ],
  ]
  for (const [header, challenges] of table) assert.deepEqual(plain(header), challenges, header)
})

test('the first Bearer challenge counts, in any case and any place', (t) => {
  verifies(t, 'C2', 'C3', 'G16')
  const header = `Basic realm="x", bEaReR resource_metadata="${metadataUrl}", scope="a b", Bearer scope="c"`
  assert.deepEqual(bearerChallenge(header), { resourceMetadata: metadataUrl, scope: 'a b' })
  assert.deepEqual(bearerChallenge('Bearer'), {})
  assert.equal(bearerChallenge('Basic realm="Bearer scope=a"'), undefined)
  assert.equal(bearerChallenge(null), undefined)
})

test('a name must be the whole name', (t) => {
  verifies(t, 'G16')
  assert.deepEqual(bearerChallenge('Bearer x_scope="no", scope="yes"'), { scope: 'yes' })
  assert.deepEqual(bearerChallenge('Bearer scope="first", scope="second"'), { scope: 'first' })
})

test('an address that is not http(s) is left out, an unquoted one is read', () => {
  for (const url of [
    'javascript:x',
    'file:///etc/passwd',
    '/relative',
    'https://u@app.test/',
    '',
  ]) {
    assert.deepEqual(bearerChallenge(`Bearer resource_metadata="${url}", error="e"`), {
      error: 'e',
    })
  }
  assert.deepEqual(bearerChallenge(`Bearer resource_metadata=${metadataUrl}, scope=a`), {
    resourceMetadata: metadataUrl,
    scope: 'a',
  })
})

test('a string that is never closed takes the rest with it', (t) => {
  verifies(t, 'C3')
  assert.deepEqual(
    bearerChallenge('Bearer error="e", scope="a, resource_metadata=https://app.test'),
    { error: 'e' },
  )
  assert.deepEqual(bearerChallenge('Bearer scope="a\\'), {})
  assert.deepEqual(bearerChallenge('Bearer @"x, scope=a'), {})
})

test('control characters and names of the prototype do no harm', (t) => {
  verifies(t, 'X-33')
  assert.deepEqual(plain('Bearer error="a\r\nX: 1", scope=a\0, realm=b'), [
    { scheme: 'Bearer', parameters: { realm: 'b' } },
  ])
  const [challenge] = parseChallenges('Bearer __proto__="x", constructor=y')
  assert.equal(Object.getPrototypeOf(challenge?.parameters), null)
  assert.equal(challenge?.parameters['__proto__'], 'x')
})

test('our own challenge is read back as it was meant', () => {
  const parts = { resourceMetadata: metadataUrl, scope: 'a b', error: 'invalid_token' }
  const header = `Bearer resource_metadata="${metadataUrl}", scope="a b", error="invalid_token"`
  assert.equal(formatBearerChallenge(parts), header)
  assert.deepEqual(bearerChallenge(header), parts)
  assert.equal(formatBearerChallenge({}), 'Bearer')
})

test('nothing can break out of the field we write', () => {
  fc.assert(
    fc.property(anyText, anyText, (scope, errorDescription) => {
      const header = formatBearerChallenge({ scope, errorDescription })
      assert.match(header, /^[\x20-\x7E]+$/)
      const [challenge, ...others] = parseChallenges(header)
      assert.deepEqual(others, [])
      assert.deepEqual(Object.keys(challenge?.parameters ?? {}), ['scope', 'error_description'])
      assert.match(
        challenge?.parameters['error_description'] ?? '',
        /^[\x20-\x21\x23-\x5B\x5D-\x7E]*$/,
      )
    }),
  )
})

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,6}$/)
const quotable = fc.stringMatching(/^[\t\x20-\x7E\x80-\xFF]{0,12}$/)
const parameters = fc.uniqueArray(fc.tuple(token, quotable), {
  selector: ([name]) => name.toLowerCase(),
  maxLength: 4,
})
const token68 = fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,8}={0,2}$/)
const space = fc.constantFrom('', ' ', '\t ', '  ')
const written = fc.record({ scheme: token, body: fc.oneof(parameters, token68), space })

function write({
  scheme,
  body,
  space,
}: {
  scheme: string
  body: string | [string, string][]
  space: string
}): string {
  if (typeof body === 'string') return `${scheme} ${space}${body}`
  const list = body.map(
    ([name, value]) => `${name}${space}=${space}"${value.replace(/["\\]/g, '\\$&')}"`,
  )
  return [scheme, list.join(`${space},${space}`)].filter((part) => part !== '').join(' ')
}

function meaning({
  scheme,
  body,
}: {
  scheme: string
  body: string | [string, string][]
}): Challenge {
  if (typeof body === 'string') return { scheme, parameters: {}, token68: body }
  return {
    scheme,
    parameters: Object.fromEntries(body.map(([name, value]) => [name.toLowerCase(), value])),
  }
}

test('whatever the grammar of RFC 9110 can write is read back', (t) => {
  verifies(t, 'C3', 'G16')
  fc.assert(
    fc.property(fc.array(written, { maxLength: 4 }), space, (challenges, gap) => {
      const header = challenges.map(write).join(`${gap},${gap}`)
      assert.deepEqual(plain(header), challenges.map(meaning))
    }),
    { numRuns: 500 },
  )
})

test('nothing makes the parser throw', (t) => {
  verifies(t, 'C3')
  const fragment = fc.constantFrom(
    'Bearer',
    'Basic',
    ' ',
    ',',
    '"',
    '\\',
    '=',
    '==',
    'a',
    'scope',
    '\t',
    'é',
    '\0',
    '@',
  )
  const noise = fc.oneof(
    fc.array(fragment).map((all) => all.join('')),
    anyText,
  )
  fc.assert(
    fc.property(noise, (header) => {
      bearerChallenge(header)
      for (const { scheme } of parseChallenges(header)) assert.notEqual(scheme, '')
    }),
    { numRuns: 1000 },
  )
})

test('thirty-two challenges are read, the next is not', () => {
  const basics = Array.from({ length: challengesMax - 1 }, () => 'Basic realm=x')
  assert.deepEqual(bearerChallenge([...basics, 'Bearer scope=a'].join(', ')), { scope: 'a' })
  assert.equal(bearerChallenge([...basics, 'Basic', 'Bearer scope=a'].join(', ')), undefined)
})

test('64 KB of the worst are read in the time of a blink', () => {
  const hostile = 'a |a| |,|"|\\|="|a=|a="b", |a="\\"|=|a/|b/b |Bearer |a@|\t=|a=b '.split('|')
  for (const piece of hostile) {
    const header = `Bearer ${piece.repeat(challengeCharsMax)}`.slice(0, challengeCharsMax)
    assert.ok(fastest(() => parseChallenges(header)) < 150, `${JSON.stringify(piece)} is slow`)
  }
  assert.deepEqual(parseChallenges(`Bearer ${' '.repeat(challengeCharsMax)}`), [])
})

function fastest(run: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const started = performance.now()
    run()
    return performance.now() - started
  })
  return Math.min(...times)
}
