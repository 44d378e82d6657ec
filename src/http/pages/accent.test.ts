import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accentFor, contrast } from './accent.ts'

test('every colour becomes one that can be read, in the light and in the dark', () => {
  const levels = ['00', '33', '66', '99', 'cc', 'ff']
  for (const red of levels)
    for (const green of levels)
      for (const blue of levels) {
        const { light, dark } = accentFor(`#${red}${green}${blue}`)
        assert.ok(contrast(light.accent, '#ffffff') >= 4.5)
        assert.ok(contrast(light.accent, light.ink) >= 4.5)
        assert.ok(contrast(dark.accent, '#1b2029') >= 4.5)
        assert.ok(contrast(dark.accent, dark.ink) >= 4.5)
      }
})

test('a colour that can be read stays as it is', () => {
  assert.equal(accentFor('#1f5fbf').light.accent, '#1f5fbf')
  assert.equal(accentFor('#8ab4ff').dark.accent, '#8ab4ff')
  assert.deepEqual([contrast('#000000', '#ffffff'), contrast('#777777', '#777777')], [21, 1])
})
