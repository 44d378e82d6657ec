// Whose requests go unnoted: those of `latchkey test-flow`, for ten minutes, in one tenant.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import { createTestMarks, testMarkMs } from './test-mark.ts'

test('a mark holds for ten minutes, in its tenant, and only as we made it', async () => {
  const clock = createManualClock()
  const marksOf = () => {
    const keyring = createKeyring({ random: systemRandom }, [{ id: 'k1', key: newKey() }])
    return createTestMarks({ clock, keyring })
  }
  const marks = marksOf()
  const mark = marks.make('ten_1').reveal()
  assert.equal(marks.holds('ten_1', mark), true)
  assert.equal(marks.holds('ten_2', mark), false)
  assert.equal(marksOf().holds('ten_1', mark), false, 'another installation made it')

  const [until = '', tag = ''] = mark.split('.')
  for (const forged of ['', until, `${until}.`, `${Number(until) + 1}.${tag}`, `0${mark}x`]) {
    assert.equal(marks.holds('ten_1', forged), false, forged)
  }
  await clock.advance(testMarkMs - 1)
  assert.equal(marks.holds('ten_1', mark), true)
  await clock.advance(1)
  assert.equal(marks.holds('ten_1', mark), false)
})

function newKey(): Uint8Array {
  return systemRandom.bytes(32)
}
