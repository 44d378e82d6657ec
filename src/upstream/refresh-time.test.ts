// When a token is refreshed, in numbers: at use five minutes before its end, unused earlier and not all at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../../test/requirements.ts'
import { aheadAtUseMs, aheadUnusedMs } from './refresh-time.ts'

const minuteMs = 60_000

const cases: readonly (readonly [lifetimeMinutes: number, least: number, most: number])[] = [
  // A fifth of the life, ten minutes at most, times 0.7 to 1.
  [24 * 60, 7, 10],
  [60, 7, 10],
  [40, 5.6, 8],
  // Never later than at use, and spread there too.
  [20, 5, 6],
  [10, 5, 6],
  [4, 2, 2.4],
  [1, 0.5, 0.6],
]

for (const [minutes, least, most] of cases) {
  test(`a token of ${minutes} minutes is refreshed ${least} to ${most} minutes ahead`, (t) => {
    verifies(t, '§2b-8')
    const life = { lifetimeMs: minutes * minuteMs, isRenewal: true }
    assert.equal(aheadUnusedMs(life, 0), Math.round(least * minuteMs))
    assert.equal(aheadUnusedMs(life, 1), Math.round(most * minuteMs))
    assert.ok(aheadUnusedMs(life, 0.5) >= aheadAtUseMs(life))
  })
}

test('at use a token is refreshed five minutes ahead, and a renewed one not before half its life', (t) => {
  verifies(t, 'S1-60')
  const lifetimeMs = 4 * minuteMs
  assert.equal(aheadAtUseMs({ lifetimeMs: 60 * minuteMs, isRenewal: true }), 5 * minuteMs)
  assert.equal(aheadAtUseMs({ lifetimeMs, isRenewal: false }), 5 * minuteMs)
  assert.equal(aheadAtUseMs({ lifetimeMs, isRenewal: true }), 2 * minuteMs)
})
