import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import {
  acceptableRedirectUris,
  loopbackRedirectUris,
  malformedRedirectUris,
  mismatchedRedirectUris,
  registeredRedirectUri,
} from './redirect-uri.corpus.ts'
import {
  checkRedirectUri,
  isLoopbackRedirect,
  matchRedirectUri,
  redirectHost,
} from './redirect-uri.ts'

// Every UTF-16 unit, lone surrogates included, ASCII more often than the rest.
const anyUnit = fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }))
const anyText = fc.string({ unit: anyUnit.map((unit) => String.fromCharCode(unit)) })

const applicationTypes = ['web', 'native'] as const

function mayRegister(uri: string, applicationType: 'web' | 'native'): boolean {
  return checkRedirectUri(uri, { applicationType }).ok
}

test('no hostile spelling can be registered', (t) => {
  verifies(t, 'X-01', 'P-05', 'P-08', 'S3-18')
  for (const uri of malformedRedirectUris) {
    for (const type of applicationTypes) assert.ok(!mayRegister(uri, type), JSON.stringify(uri))
  }
})

test('what clients really use can be registered, private schemes of apps by native ones only', (t) => {
  verifies(t, 'X-01', 'B35')
  const { everyone, nativeOnly } = acceptableRedirectUris
  for (const uri of everyone) {
    for (const type of applicationTypes) {
      assert.deepEqual(checkRedirectUri(uri, { applicationType: type }), { ok: true }, uri)
    }
  }
  for (const uri of nativeOnly) {
    assert.ok(mayRegister(uri, 'native'), uri)
    assert.ok(!mayRegister(uri, 'web'), uri)
  }
})

test('a refusal says why', () => {
  assert.deepEqual(checkRedirectUri('http://app.test/cb', { applicationType: 'web' }), {
    ok: false,
    because: 'is http; only 127.0.0.1, [::1] and localhost may be (RFC 8252 §7.3)',
  })
})

test('2048 characters are read, one more is not', (t) => {
  verifies(t, 'X-01')
  const exact = 'https://app.test/'.padEnd(2048, 'a')
  assert.ok(mayRegister(exact, 'web'))
  assert.ok(!mayRegister(`${exact}a`, 'web'))
})

test('only the registered bytes match', (t) => {
  verifies(t, 'X-01', 'S3-18')
  const registered = ['https://other.test/', registeredRedirectUri]
  assert.equal(matchRedirectUri(registered, registeredRedirectUri), registeredRedirectUri)
  for (const uri of mismatchedRedirectUris) {
    assert.equal(matchRedirectUri(registered, uri), undefined, JSON.stringify(uri))
  }
  assert.equal(matchRedirectUri([], registeredRedirectUri), undefined)
})

test('a loopback URI matches on any port and in nothing else', (t) => {
  verifies(t, 'X-01')
  for (const { registered, accept, reject } of loopbackRedirectUris) {
    assert.ok(mayRegister(registered, 'native'), registered)
    for (const uri of accept) assert.equal(matchRedirectUri([registered], uri), uri)
    for (const uri of reject) {
      assert.equal(matchRedirectUri([registered], uri), undefined, `${registered} ${uri}`)
    }
  }
})

test('a person is shown the host, or the scheme of an app', () => {
  assert.equal(redirectHost('https://app.test:8443/cb'), 'app.test')
  assert.equal(redirectHost('http://127.0.0.1:49152/cb'), '127.0.0.1')
  assert.equal(redirectHost('com.example.app:/cb'), 'com.example.app:')
  assert.equal(redirectHost('cursor://anysphere.cursor-mcp/x'), 'cursor://anysphere.cursor-mcp')
})

test('loopback is told from the rest', () => {
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
    assert.ok(isLoopbackRedirect(`http://${host}:1/cb`), host)
  }
  for (const uri of [
    registeredRedirectUri,
    'cursor://localhost/x',
    'http://localhost.evil.test/',
    'x',
  ]) {
    assert.ok(!isLoopbackRedirect(uri), uri)
  }
})

const piece = fc.constantFrom(
  'https',
  'http',
  ':',
  '/',
  '//',
  '@',
  '?',
  '#',
  '\\',
  '.',
  '..',
  ';',
  '%2e',
  '%2f',
  '%',
  ':80',
  'app.test',
  'evil.test',
  '127.0.0.1',
  '[::1]',
  'localhost',
  'cb',
  'CB',
  '\t',
  ' ',
  'é',
  'com.a.b',
)
const seeds = [...mismatchedRedirectUris, ...acceptableRedirectUris.everyone, 'com.example.app:/cb']
const mutated = fc
  .tuple(fc.constantFrom(...seeds), piece, fc.nat({ max: 60 }), fc.nat({ max: 4 }))
  .map(([seed, insert, at, cut]) => seed.slice(0, at) + insert + seed.slice(at + cut))
const candidate = fc.oneof(
  mutated,
  fc.array(piece, { maxLength: 8 }).map((all) => all.join('')),
)

// RFC 3986 appendix B, word for word.
const rfc3986 = /^(([^:/?#]+):)?(\/\/([^/?#]*))?([^?#]*)(\?([^#]*))?(#(.*))?$/s

test('whatever may be registered means the same to a browser and to RFC 3986', (t) => {
  verifies(t, 'X-01')
  fc.assert(
    fc.property(candidate, (uri) => {
      if (!mayRegister(uri, 'native')) return
      const [, , scheme, , authority, path, , query] = rfc3986.exec(uri) ?? []
      const url = new URL(uri)
      const isHttp = /^https?:$/.test(url.protocol)
      assert.equal(url.protocol, `${scheme}:`)
      assert.equal(url.host, authority ?? '')
      assert.equal(url.pathname, path === '' && isHttp ? '/' : path)
      assert.equal(url.search, query === undefined ? '' : `?${query}`)
      assert.equal(url.username + url.password + url.hash, '')
    }),
    { numRuns: 3000 },
  )
})

test('a match is equal bytes, but for the port of a loopback host', (t) => {
  verifies(t, 'X-01')
  const withoutPort = (uri: string) =>
    uri.replace(/^(http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)):\d+/, '$1')
  fc.assert(
    fc.property(candidate, candidate, (registered, given) => {
      const isMatch = matchRedirectUri([registered], given) === given
      if (given === registered) assert.ok(isMatch)
      else if (isMatch) assert.equal(withoutPort(given), withoutPort(registered))
    }),
    { numRuns: 2000 },
  )
})

test('any text at all gets an answer, and soon', (t) => {
  verifies(t, 'X-01')
  fc.assert(
    fc.property(anyText, (text) => {
      mayRegister(text, 'native')
      assert.equal(matchRedirectUri(['http://127.0.0.1/cb'], text), undefined)
    }),
  )
  const started = performance.now()
  for (const long of ['a.', 'a:', '/..', '%2', '[', '@', '1']) {
    mayRegister(`https://${long.repeat(50_000)}`, 'native')
    mayRegister(long.repeat(500), 'native')
    matchRedirectUri(['http://127.0.0.1/cb'], `http://127.0.0.1:1/${long.repeat(50_000)}`)
  }
  assert.ok(performance.now() - started < 500)
})
