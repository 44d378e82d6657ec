import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { isFault, type FaultCode } from '../base/fault.ts'
import {
  readAuthorizationServerMetadata,
  readProtectedResourceMetadata,
  requireS256,
} from './metadata.ts'

const issuer = 'https://as.test/t/1'
const minimal = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  response_types_supported: ['code'],
}
const full = {
  ...minimal,
  registration_endpoint: `${issuer}/register`,
  revocation_endpoint: `${issuer}/revoke`,
  introspection_endpoint: `${issuer}/introspect`,
  jwks_uri: `${issuer}/jwks`,
  scopes_supported: ['a', 'offline_access'],
  grant_types_supported: ['authorization_code'],
  token_endpoint_auth_methods_supported: ['none'],
  code_challenge_methods_supported: ['S256'],
  authorization_response_iss_parameter_supported: true,
  client_id_metadata_document_supported: true,
}

function hasCode(code: FaultCode) {
  return (error: unknown) => isFault(error) && error.code === code
}

function read(json: unknown) {
  return readAuthorizationServerMetadata(json, issuer)
}

test('every field the flow needs is extracted, unknown ones are not', (t) => {
  verifies(t, 'S1-17', 'S1-18')
  assert.deepEqual(read(full), full)
  assert.deepEqual(read({ ...full, x_unknown: 1 }), full)
  assert.deepEqual(read(minimal), minimal)
})

test('a document without a required field is refused', (t) => {
  verifies(t, 'S1-17')
  for (const name of Object.keys(minimal)) {
    for (const wrong of [undefined, null, 7, '', [], {}, [7], 'relative/path']) {
      if (name === 'response_types_supported' && Array.isArray(wrong) && wrong.length === 0)
        continue
      if (name === 'issuer' && typeof wrong === 'string') continue
      assert.throws(
        () => read({ ...full, [name]: wrong }),
        hasCode('metadata_discovery_failed'),
        name,
      )
    }
  }
  for (const json of [undefined, null, [], [full], 'x', 7, '<html>']) {
    assert.throws(() => read(json), hasCode('metadata_discovery_failed'))
  }
})

test('the issuer is the one asked for, byte for byte', (t) => {
  verifies(t, 'C5', 'G18')
  for (const other of [
    `${issuer}/`,
    'https://AS.test/t/1',
    'https://as.test',
    'https://as.test:443/t/1',
    ' ',
    '',
  ]) {
    assert.throws(() => read({ ...full, issuer: other }), hasCode('issuer_mismatch'), other)
  }
})

const dangerous = [
  'javascript:alert(1)',
  'JaVaScRiPt:x',
  'data:text/html,x',
  'file:///etc/passwd',
  'ms-settings:x',
  'ftp://as.test/',
]

test('an endpoint of another scheme is refused where it is needed and ignored where it is not', (t) => {
  verifies(t, 'G6')
  for (const url of dangerous) {
    for (const name of ['authorization_endpoint', 'token_endpoint']) {
      assert.throws(() => read({ ...full, [name]: url }), hasCode('insecure_endpoint'), url)
    }
    assert.deepEqual(read({ ...minimal, registration_endpoint: url, jwks_uri: url }), minimal)
  }
})

test('an optional field of the wrong type is as if it were not there', (t) => {
  verifies(t, 'X-33')
  const names = Object.keys(full).filter((name) => !Object.hasOwn(minimal, name))
  const optional = names.filter((name) => name !== 'authorization_response_iss_parameter_supported')
  const wrongs = [
    null,
    7,
    'x y',
    {},
    [[]],
    [null],
    { 0: 'x', length: 1 },
    Array.from({ length: 1001 }, () => 'a'),
  ]
  for (const name of optional) {
    for (const wrong of wrongs) assert.deepEqual(read({ ...minimal, [name]: wrong }), minimal, name)
  }
})

test('a malformed promise to send iss is not read as "no"', () => {
  const name = 'authorization_response_iss_parameter_supported'
  assert.throws(() => read({ ...full, [name]: 'true' }), hasCode('metadata_discovery_failed'))
  assert.equal(read({ ...full, [name]: null })[name], undefined)
  assert.equal(read({ ...full, [name]: false })[name], false)
})

test('a server that does not promise S256 is refused, a missing list included', (t) => {
  verifies(t, 'S1-24', 'C13', 'G7')
  requireS256(read(full))
  requireS256(read({ ...full, code_challenge_methods_supported: ['plain', 'S256'] }))
  for (const methods of [undefined, [], ['plain'], ['s256'], 'S256', ['S256', 7]]) {
    const metadata = read({ ...full, code_challenge_methods_supported: methods })
    assert.throws(() => requireS256(metadata), hasCode('pkce_unsupported'))
  }
})

test('a protected resource is read into known keys', () => {
  const document = {
    resource: 'https://app.test/mcp',
    authorization_servers: [issuer, 'https://other.test'],
    scopes_supported: ['a', 'b'],
    bearer_methods_supported: ['header'],
    resource_name: 'A server',
    resource_documentation: 'https://app.test/docs',
    jwks_uri: 'https://app.test/jwks',
  }
  assert.deepEqual(readProtectedResourceMetadata({ ...document, extra: [] }), document)
  assert.deepEqual(readProtectedResourceMetadata({ resource: document.resource }), {
    resource: document.resource,
  })
})

test('a protected resource needs a resource, and its servers must be possible issuers', () => {
  for (const resource of [undefined, null, 7, '', 'mcp', 'https://app.test/#f', ...dangerous]) {
    assert.throws(
      () => readProtectedResourceMetadata({ resource }),
      hasCode('metadata_discovery_failed'),
    )
  }
  const servers = [
    ...dangerous,
    'https://as.test?x',
    'https://as.test#f',
    'https://u@as.test',
    issuer,
  ]
  const document = { resource: 'https://app.test', authorization_servers: servers }
  assert.deepEqual(readProtectedResourceMetadata(document).authorization_servers, [issuer])
})

test('at most twenty authorization servers are looked at, and names are made fit to show', () => {
  const servers = Array.from({ length: 30 }, (_, index) => `https://as${index}.test`)
  const read = readProtectedResourceMetadata({
    resource: 'https://app.test',
    authorization_servers: servers,
    resource_name: 'A\u202E\nserver',
  })
  assert.equal(read.authorization_servers?.length, 20)
  assert.equal(read.resource_name, 'A server')
})

const noise = fc.dictionary(
  fc.string().filter((name) => !Object.hasOwn(full, name) && !name.endsWith('_endpoint')),
  fc.jsonValue(),
)

test('noise changes nothing, reading twice is reading once, and what is read is frozen', (t) => {
  verifies(t, 'X-33')
  fc.assert(
    fc.property(noise, (extra) => {
      const json: unknown = JSON.parse(JSON.stringify({ ...extra, ...full }))
      const metadata = read(json)
      assert.deepEqual(metadata, full)
      assert.deepEqual(read(metadata), metadata)
      assert.ok(Object.isFrozen(metadata) && Object.isFrozen(metadata.scopes_supported))
    }),
  )
})

test('any JSON is read or refused by a Fault, and never inherits', (t) => {
  verifies(t, 'X-33')
  const field = fc.constantFrom(...Object.keys(full))
  fc.assert(
    fc.property(fc.dictionary(field, fc.jsonValue()), (wrong) => {
      try {
        const metadata = read({ ...full, ...wrong })
        assert.ok(Object.keys(metadata).every((name) => Object.hasOwn(full, name)))
      } catch (error) {
        assert.ok(isFault(error))
      }
    }),
  )
  const polluted: unknown = JSON.parse(
    `{"__proto__": ${JSON.stringify(full)}, "constructor": {"prototype": {}}}`,
  )
  assert.throws(() => read(polluted), hasCode('metadata_discovery_failed'))
  assert.throws(() => read(Object.create(full)), hasCode('metadata_discovery_failed'))
})
