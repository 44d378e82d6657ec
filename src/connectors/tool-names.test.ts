// Names of tools for a model: at most 64 characters of its alphabet, and never one name for two tools.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../test/requirements.ts'
import { toolNameFor } from './tool-names.ts'

test('a tool is named after its server, as long as that fits', (t) => {
  verifies(t, 'S2-16')
  assert.equal(toolNameFor('notes', 'search'), 'mcp__notes__search')
  const fits = 'a'.repeat(64 - 'mcp__notes__'.length)
  assert.equal(toolNameFor('notes', fits), `mcp__notes__${fits}`)
  const long = toolNameFor('notes', `${fits}b`)
  assert.equal(long.length, 64)
  assert.match(long, /^mcp__notes__a+_[0-9a-f]{12}$/)
  assert.match(toolNameFor('notes', 'pages.list'), /^mcp__notes__pages_list_[0-9a-f]{12}$/)
})

test('two tools never share a name, and every name is one that models take', () => {
  const tool = fc.record({
    slug: fc.stringMatching(/^[a-z0-9-]{1,36}$/),
    tool: fc.string({ minLength: 1, maxLength: 130, unit: 'grapheme' }),
  })
  fc.assert(
    fc.property(tool, tool, (one, other) => {
      const names = [one, other].map((each) => toolNameFor(each.slug, each.tool))
      for (const name of names) assert.match(name, /^[A-Za-z0-9_-]{1,64}$/)
      const isSame = one.slug === other.slug && one.tool === other.tool
      assert.equal(names[0] === names[1], isSame)
    }),
  )
})
