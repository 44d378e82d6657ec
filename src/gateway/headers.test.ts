// The allow-lists by themselves.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../base/secret.ts'
import { requestHeaders, responseHeaders } from './headers.ts'

const credential = { authorization: new Secret('Bearer upstream') }

test('Connection takes its own fields out, but never what we add (threat X-29)', () => {
  const headers = requestHeaders({
    incoming: {
      connection: 'Authorization, MCP-Session-Id, mcp-param-extra, close',
      authorization: 'Bearer mcp_at_client',
      'mcp-param-extra': 'hop',
      'mcp-name': 'search',
    },
    sessionId: 'abc',
    credential,
  })

  assert.equal(headers['authorization'], 'Bearer upstream')
  assert.equal(headers['mcp-session-id'], 'abc')
  assert.equal(headers['mcp-name'], 'search')
  assert.equal(headers['mcp-param-extra'], undefined)
  assert.equal(headers['connection'], undefined)
})

test('a fixed header of the server stands above what the client sent, in any case', () => {
  const headers = requestHeaders({
    incoming: { accept: 'text/html' },
    sessionId: undefined,
    credential: { Accept: new Secret('application/json'), 'User-Agent': new Secret('ours') },
  })

  assert.deepEqual(headers, {
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'ours',
  })
})

test('a server may make caching stricter, never wider', () => {
  const cacheControlOf = (value?: string) =>
    responseHeaders(value === undefined ? {} : { 'cache-control': value }, (id) => id)[
      'cache-control'
    ]

  assert.equal(cacheControlOf(), 'no-store')
  assert.equal(cacheControlOf('public, max-age=5'), 'no-store')
  assert.equal(cacheControlOf('max-age=5, S-MaxAge=9'), 'no-store')
  assert.equal(cacheControlOf('no-cache, no-transform'), 'no-cache, no-transform')
})
