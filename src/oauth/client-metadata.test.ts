import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { isFault, type FaultCode } from '../base/fault.ts'
import {
  checkClientDocumentUrl,
  isClientDocumentUrl,
  readClientDocument,
  readClientMetadata,
} from './client-metadata.ts'
import { malformedRedirectUris } from './redirect-uri.corpus.ts'

// Every UTF-16 unit, lone surrogates included, ASCII more often than the rest.
const anyUnit = fc.oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }))
const anyText = fc.string({ unit: anyUnit.map((unit) => String.fromCharCode(unit)) })

const redirect_uris = ['https://app.test/cb']
const defaults = {
  redirect_uris,
  grant_types: ['authorization_code'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
  application_type: 'web',
}
const publicKey = { kty: 'EC', crv: 'P-256', x: 'eA', y: 'eQ', kid: '1' }
const full = {
  ...defaults,
  redirect_uris: ['https://app.test/cb', 'http://127.0.0.1/cb'],
  client_name: 'An app',
  client_uri: 'https://app.test',
  logo_uri: 'https://app.test/logo.png',
  policy_uri: 'https://app.test/policy',
  tos_uri: 'https://app.test/terms',
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'private_key_jwt',
  scope: 'a b',
  contacts: ['a@app.test'],
  jwks: { keys: [publicKey] },
  dpop_bound_access_tokens: true,
  software_id: 'app',
  software_version: '1.0',
}

function hasCode(code: FaultCode) {
  return (error: unknown) => isFault(error) && error.code === code
}

test('the least a client can say gets the defaults of RFC 7591', () => {
  assert.deepEqual(readClientMetadata({ redirect_uris }), defaults)
  assert.deepEqual(
    readClientMetadata({ redirect_uris, client_name: null, logo_uri: '', scope: '' }),
    defaults,
  )
})

test('all a client can say is kept, unknown fields are not', () => {
  assert.deepEqual(readClientMetadata({ ...full, client_secret: 'x', 'client_name#ja': 'x' }), full)
})

test('redirect URIs: one to ten, each as it must be', (t) => {
  verifies(t, 'P-05', 'X-01', 'X-33')
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => `https://app.test/${index}`)
  assert.equal(readClientMetadata({ redirect_uris: many(10) }).redirect_uris.length, 10)
  const wrongs = [
    undefined,
    null,
    [],
    many(11),
    'https://app.test/cb',
    [7],
    { 0: 'https://app.test/cb', length: 1 },
  ]
  for (const wrong of wrongs) {
    assert.throws(
      () => readClientMetadata({ redirect_uris: wrong }),
      hasCode('invalid_redirect_uri'),
    )
  }
  for (const uri of malformedRedirectUris) {
    const list = [...redirect_uris, uri]
    assert.throws(
      () => readClientMetadata({ redirect_uris: list }),
      hasCode('invalid_redirect_uri'),
      uri,
    )
  }
})

test('an app that comes back to this machine only is native, said or not', () => {
  const typeOf = (uris: string[], said?: string) =>
    readClientMetadata({ redirect_uris: uris, application_type: said }).application_type
  assert.equal(typeOf(['http://localhost:8787/callback', 'com.example.app:/cb']), 'native')
  assert.equal(typeOf(['http://localhost:8787/callback'], 'web'), 'web')
  assert.equal(typeOf(['cursor://anysphere.cursor-mcp/oauth/callback'], 'web'), 'web')
  assert.equal(typeOf(['https://app.test/cb', 'http://127.0.0.1/cb']), 'web')
  const mixed = ['https://app.test/cb', 'com.example.app:/cb']
  assert.equal(typeOf(mixed, 'native'), 'native')
  assert.throws(() => typeOf(mixed), hasCode('invalid_redirect_uri'))
  assert.throws(() => typeOf(['com.example.app:/cb'], 'web'), hasCode('invalid_redirect_uri'))
})

test('what is malformed or unsupported is refused', (t) => {
  verifies(t, 'P-08')
  const wrongs: Record<string, unknown[]> = {
    client_name: [7, ['x'], {}],
    grant_types: ['x', [], ['password'], ['implicit', 'authorization_code'], [7]],
    response_types: ['code', ['token'], ['code', 'token'], [], [7]],
    token_endpoint_auth_method: ['x', 'client_secret_jwt', '', 7],
    application_type: ['mobile', 7, ''],
    scope: ['a  b', 'a"', 7, ['a']],
    contacts: ['x', [7], Array.from({ length: 11 }, () => 'x')],
    jwks: [
      {},
      { keys: [] },
      { keys: [{ ...publicKey, d: 'x' }] },
      { keys: [{ kty: 'oct', k: 'x' }] },
      'x',
    ],
    software_id: [7, '', 'x'.repeat(256)],
  }
  for (const [name, values] of Object.entries(wrongs)) {
    for (const value of values) {
      const json = { ...defaults, [name]: value }
      assert.throws(
        () => readClientMetadata(json),
        hasCode('invalid_client_metadata'),
        `${name} ${String(value)}`,
      )
    }
  }
  for (const json of [undefined, null, [], 'x', 7]) {
    assert.throws(() => readClientMetadata(json), hasCode('invalid_client_metadata'))
  }
})

test('a page of a client is an https URL and nothing else', (t) => {
  verifies(t, 'P-08')
  const bad = [
    'javascript:x',
    'data:text/html,x',
    'http://app.test',
    'ftp://x',
    '/logo',
    'https://u@app.test/',
    'https://app.test/#x',
    7,
  ]
  for (const name of ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri', 'jwks_uri']) {
    for (const value of bad) {
      assert.throws(
        () => readClientMetadata({ ...defaults, [name]: value }),
        hasCode('invalid_client_metadata'),
      )
    }
  }
})

test('the code grant and the code response go together', () => {
  const machine = readClientMetadata({ redirect_uris, grant_types: ['client_credentials'] })
  assert.deepEqual(machine.response_types, [])
  const contradiction = {
    redirect_uris,
    grant_types: ['client_credentials'],
    response_types: ['code'],
  }
  assert.throws(() => readClientMetadata(contradiction), hasCode('invalid_client_metadata'))
})

test('a client that signs has its keys in exactly one place', () => {
  const { jwks, ...bare } = full
  readClientMetadata({ ...bare, jwks_uri: 'https://app.test/jwks' })
  assert.throws(() => readClientMetadata(bare), hasCode('invalid_client_metadata'))
  const both = { ...bare, jwks, jwks_uri: 'https://app.test/jwks' }
  assert.throws(() => readClientMetadata(both), hasCode('invalid_client_metadata'))
})

test('a name is one short line without tricks', () => {
  const nameOf = (client_name: string) =>
    readClientMetadata({ ...defaults, client_name }).client_name
  assert.equal(nameOf('  Claude \n\t Code '), 'Claude Code')
  assert.equal(nameOf('\u202Eevil\u2066 \u200Bapp\uFEFF\0'), 'evil app')
  assert.equal(nameOf('"><img src=x>'), '"><img src=x>')
  assert.equal(nameOf('\uD800x'), 'x')
  assert.equal(nameOf('\u202E \n'), undefined)
  assert.equal(nameOf('\u{1F600}'.repeat(64)), '\u{1F600}'.repeat(64))
  assert.equal(nameOf('\u{1F600}'.repeat(65)), '\u{1F600}'.repeat(64))
  assert.equal(nameOf('x'.repeat(10_240))?.length, 64)
})

test('reading is idempotent, blind to noise, and frozen', (t) => {
  verifies(t, 'X-33')
  const noise = fc.dictionary(
    fc.string().filter((name) => !/^[a-z_]+$/.test(name)),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(noise, anyText, (extra, client_name) => {
      const document = { ...full, client_name }
      const metadata = readClientMetadata({ ...extra, ...document })
      assert.deepEqual(metadata, readClientMetadata(document))
      assert.deepEqual(readClientMetadata(metadata), metadata)
      assert.ok(Object.isFrozen(metadata) && Object.isFrozen(metadata.redirect_uris))
    }),
  )
})

test('any JSON is read or refused by one of the two codes of RFC 7591', (t) => {
  verifies(t, 'X-33')
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...Object.keys(full)), fc.jsonValue()), (wrong) => {
      try {
        const metadata = readClientMetadata({ ...full, ...wrong })
        assert.ok(Object.keys(metadata).every((name) => Object.hasOwn(full, name)))
      } catch (error) {
        assert.ok(isFault(error) && /^invalid_(?:redirect_uri|client_metadata)$/.test(error.code))
      }
    }),
  )
  const polluted: unknown = JSON.parse(`{"__proto__": ${JSON.stringify(full)}}`)
  assert.throws(() => readClientMetadata(polluted), hasCode('invalid_redirect_uri'))
})

const url = 'https://app.test/client.json'
const document = { client_id: url, client_name: 'An app', redirect_uris }

test('a client document speaks for its own URL and is public unless it signs', () => {
  const expected = { ...defaults, client_name: 'An app', token_endpoint_auth_method: 'none' }
  assert.deepEqual(readClientDocument(document, url), expected)
  const signing = { ...document, token_endpoint_auth_method: 'private_key_jwt', jwks: full.jwks }
  assert.equal(readClientDocument(signing, url).token_endpoint_auth_method, 'private_key_jwt')
})

test('a client document that is not what it should be is an invalid client', () => {
  const wrongs: unknown[] = [
    null,
    [],
    { ...document, client_id: undefined },
    { ...document, client_id: `${url}/` },
    { ...document, client_id: 'https://APP.test/client.json' },
    { ...document, client_name: undefined },
    { ...document, client_name: '\u202E' },
    { ...document, redirect_uris: undefined },
    { ...document, redirect_uris: ['javascript:alert(1)'] },
    { ...document, client_secret: 'x' },
    { ...document, client_secret: null },
    { ...document, client_secret_expires_at: 0 },
    { ...document, token_endpoint_auth_method: 'client_secret_basic' },
    { ...document, token_endpoint_auth_method: 'private_key_jwt' },
    { ...document, logo_uri: 'javascript:x' },
    { ...document, grant_types: ['password'] },
  ]
  for (const json of wrongs) {
    assert.throws(
      () => readClientDocument(json, url),
      hasCode('invalid_client'),
      JSON.stringify(json),
    )
  }
})

test('a client document may name grant types that we do not have', () => {
  const grant_types = ['urn:example:grant', 'refresh_token', 'authorization_code']
  const read = readClientDocument({ ...document, grant_types }, url)
  assert.deepEqual(read.grant_types, ['authorization_code', 'refresh_token'])
})

test('a client id is a document URL when there is nothing to normalise in it', () => {
  const good = [
    url,
    'https://claude.ai/oauth/mcp-oauth-client-metadata',
    'https://app.test:8443/c?v=1',
    'https://app.test/c/',
  ]
  for (const id of good) assert.ok(isClientDocumentUrl(id), id)
  const bad = [
    '',
    'mcp_oauth_abc',
    'https://app.test',
    'https://app.test/',
    'http://app.test/c',
    'HTTPS://app.test/c',
    'https://app.test/a/../c',
    'https://app.test/./c',
    'https://app.test/%2e%2e/c',
    'https://app.test/c#f',
    'https://app.test/c#',
    'https://u@app.test/c',
    'https://u:p@app.test/c',
    'https://app.test:443/c',
    'https://App.test/c',
    'https://app.test\\c',
    ' https://app.test/c',
    'https://app.test/c\n',
    'https:app.test/c',
    'http://localhost:1/c',
    `https://app.test/${'c'.repeat(2048)}`,
  ]
  for (const id of bad) assert.ok(!isClientDocumentUrl(id), JSON.stringify(id))
})

test('development may serve a client document on loopback http', () => {
  assert.ok(checkClientDocumentUrl('http://localhost:3000/c', true))
  assert.ok(checkClientDocumentUrl(url, true))
  assert.ok(!checkClientDocumentUrl('http://localhost:3000/c', false))
  assert.ok(!checkClientDocumentUrl('http://app.test/c', true))
})
