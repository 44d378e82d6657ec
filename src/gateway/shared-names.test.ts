// A name or a URI leads back to its server without a table, whatever the server calls its things.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { toolNameFor } from '../connectors/tool-names.ts'
import { isHashed, readName, readUri, uriFor, withOurUris } from './shared-names.ts'

const slugs = fc.stringMatching(/^[a-z0-9-]{1,36}$/)

test('what is plain leads back by itself, and what is not is known to be hashed', (t) => {
  verifies(t, 'S4-9')
  fc.assert(
    fc.property(slugs, fc.string({ minLength: 1, unit: 'grapheme' }), (slug, tool) => {
      const name = toolNameFor(slug, tool)
      const owned = readName(name) ?? assert.fail(name)
      assert.equal(owned.slug, slug)
      assert.ok(owned.own === tool || isHashed(owned))
      assert.deepEqual(readUri(uriFor(slug, tool)), { slug, own: tool })
    }),
  )
  for (const name of [
    'whoami',
    'mcp__',
    'mcp__a',
    'mcp__a__',
    'mcp__A__b',
    'mcp__a_b__c',
    'x__a__b',
  ]) {
    assert.equal(readName(name), undefined, name)
  }
  assert.deepEqual(readName('mcp__a__b__c'), { slug: 'a', own: 'b__c' })
  for (const uri of [
    'file:///a',
    'mcp.a',
    'mcp.a+',
    'mcp.+file:///a',
    `mcp.${'a'.repeat(37)}+x:y`,
  ]) {
    assert.equal(readUri(uri), undefined, uri)
  }
  assert.deepEqual(readUri('MCP.Notes+file:///A'), { slug: 'notes', own: 'file:///A' })
})

test('what an answer says of resources can be read here, and the rest of it is as it was', () => {
  const answer = {
    content: [
      { type: 'text', text: 'file:///a' },
      { type: 'resource_link', uri: 'file:///a', name: 'a', _meta: { uri: 'x' } },
      { type: 'resource', resource: { uri: 'file:///b', text: 'b' } },
      null,
    ],
    messages: [{ role: 'user', content: { type: 'resource', resource: { uri: 'c:d' } } }],
    contents: [{ uri: 'e:f' }, { other: 1 }],
    structuredContent: { uri: 'file:///a' },
  }
  assert.deepEqual(withOurUris('s', answer), {
    content: [
      { type: 'text', text: 'file:///a' },
      { type: 'resource_link', uri: 'mcp.s+file:///a', name: 'a', _meta: { uri: 'x' } },
      { type: 'resource', resource: { uri: 'mcp.s+file:///b', text: 'b' } },
      null,
    ],
    messages: [{ role: 'user', content: { type: 'resource', resource: { uri: 'mcp.s+c:d' } } }],
    contents: [{ uri: 'mcp.s+e:f' }, { other: 1 }],
    structuredContent: { uri: 'file:///a' },
  })
})
