import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { isFault } from '../base/fault.ts'
import { authorizationServerUrls, protectedResourceUrls } from './well-known.ts'

test('a resource is asked for under its path, then at the root', (t) => {
  verifies(t, 'C2')
  const root = 'https://app.test/.well-known/oauth-protected-resource'
  const table = [
    ['https://app.test', [root]],
    ['https://app.test/', [root]],
    ['https://app.test/mcp', [`${root}/mcp`, root]],
    ['https://app.test/a/mcp/', [`${root}/a/mcp/`, root]],
    ['https://app.test/mcp?server=a', [`${root}/mcp?server=a`, root]],
    ['https://app.test/?server=a', [`${root}?server=a`, root]],
  ] as const
  for (const [resource, urls] of table) assert.deepEqual(protectedResourceUrls(resource), urls)
})

test('an issuer is asked for in the order of the MCP specification', (t) => {
  verifies(t, 'C4')
  const origin = 'https://as.test:8443'
  const atRoot = [
    `${origin}/.well-known/oauth-authorization-server`,
    `${origin}/.well-known/openid-configuration`,
  ]
  const withPath = [
    `${origin}/.well-known/oauth-authorization-server/t/1`,
    `${origin}/.well-known/openid-configuration/t/1`,
    `${origin}/t/1/.well-known/openid-configuration`,
  ]
  assert.deepEqual(authorizationServerUrls(origin), atRoot)
  assert.deepEqual(authorizationServerUrls(`${origin}/`), atRoot)
  assert.deepEqual(authorizationServerUrls(`${origin}/t/1`), withPath)
  assert.deepEqual(authorizationServerUrls(`${origin}/t/1/`), withPath)
})

test('what is no http(s) URL has no well-known place', () => {
  const isRefused = (error: unknown) => isFault(error) && error.code === 'metadata_discovery_failed'
  for (const text of [
    '',
    'javascript:x',
    'file:///etc',
    'https://u@as.test',
    'https://as.test#f',
    'as.test',
  ]) {
    assert.throws(() => authorizationServerUrls(text), isRefused, text)
    assert.throws(() => protectedResourceUrls(text), isRefused, text)
  }
  assert.throws(() => authorizationServerUrls('https://as.test?x'), isRefused)
})
