import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemRandom } from '../base/random.ts'
import { makeUserCode, readUserCode, showUserCode, typedCharsMax } from './user-code.ts'

const shape = /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/

test('a code is eight letters of twenty, each as likely as the others', () => {
  const seen = new Map<string, number>()
  for (let made = 0; made < 2000; made += 1) {
    const shown = showUserCode(makeUserCode(systemRandom))
    assert.match(shown, shape)
    for (const letter of shown.replace('-', '')) seen.set(letter, (seen.get(letter) ?? 0) + 1)
  }
  assert.equal(seen.size, 20)
  // 16 000 letters, 800 of each: eight standard deviations of room.
  for (const [letter, count] of seen) assert.ok(Math.abs(count - 800) < 225, `${letter} ${count}`)
})

test('a byte that would make some letters likelier is not used', () => {
  const bytes = [255, 240, 239, 0, 1, 2, 3, 4, 5, 6]
  const random = { ...systemRandom, bytes: () => Uint8Array.of(bytes.shift() ?? 0) }
  assert.equal(makeUserCode(random).reveal(), 'ZBCDFGHJ')
})

test('a code is read however a person types it (RFC 8628 §6.1)', () => {
  for (const typed of [
    'WDJB-MJHT',
    'wdjbmjht',
    ' wdjb mjht ',
    'WDJB–MJHT',
    'W D J B - M J H T',
    'WDJB.MJHT',
    'ＷＤＪＢ－ＭＪＨＴ',
    'wdjb\u200b-mjht\n',
  ]) {
    const reading = readUserCode(typed)
    assert.ok(reading.kind === 'code', typed)
    assert.equal(reading.code.reveal(), 'WDJBMJHT')
  }
})

test('what was misread is told kindly, and is no code', () => {
  const hints: readonly (readonly [string, RegExp])[] = [
    ['', /^Type the code/],
    [' - ', /^Type the code/],
    ['WDJB-MJH', /has 8 letters, and this has 7/],
    ['WDJB-MJHTT', /this has 9/],
    ['WDJB-MJH0', /“0” may be Q or D/],
    ['WDJB-M1HT', /“1” may be L or J/],
    ['8DJB-MJHT', /“8” may be B/],
    ['WDUB-MJHT', /“U” may be V/],
    ['WDJB-MJH!', /“!” is in no code/],
    ['\0\0', /^Type the code/],
    ['я'.repeat(10_000), /“Я” is in no code/],
  ]
  for (const [typed, hint] of hints) {
    const reading = readUserCode(typed)
    assert.ok(reading.kind === 'misread', typed)
    assert.match(reading.hint, hint)
    assert.ok(reading.hint.length < 250)
  }
  assert.equal(readUserCode(`${' '.repeat(typedCharsMax)}WDJBMJHT`).kind, 'misread')
})
