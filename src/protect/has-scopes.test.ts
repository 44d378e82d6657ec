// The questions that tools ask about their caller's scopes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { getScopes, getScopesMatching, hasAllScopes, hasAnyScope, hasScope } from './index.ts'

test('a tool asks for a scope, for one of several, for all, and for those that begin alike', (t) => {
  verifies(t, 'S1-89')
  const caller = { scopes: ['entity:read', 'entity:write', 'notes'] }
  assert.deepEqual(getScopes(caller), caller.scopes)
  assert.deepEqual(getScopes(undefined), [])
  assert.ok(hasScope(caller, 'notes') && !hasScope(caller, 'note') && !hasScope(undefined, 'notes'))
  assert.ok(hasAnyScope(caller, ['x', 'notes']) && !hasAnyScope(caller, ['x']))
  assert.ok(!hasAnyScope(caller, []))
  assert.ok(hasAllScopes(caller, ['notes', 'entity:read']) && !hasAllScopes(caller, ['notes', 'x']))
  assert.deepEqual(getScopesMatching(caller, 'entity:*'), ['entity:read', 'entity:write'])
  assert.deepEqual(getScopesMatching(caller, 'entity'), [])
  assert.deepEqual(getScopesMatching(caller, 'notes'), ['notes'])
  assert.deepEqual(getScopesMatching(undefined, '*'), [])
})
