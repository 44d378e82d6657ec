// How long a nonce is good, for whom, and that nothing else passes for one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { systemRandom } from '../base/random.ts'
import { dpopNonces, nonceSlotMs } from './dpop-nonces.ts'

const tenant = { id: 'ten_1', slug: 'one', issuer: 'https://one.test', name: 'One' }
const key = (id: string) => ({ id, key: systemRandom.bytes(32) })

function create(masterKeys = [key('a')], clock = createManualClock()) {
  const keyring = createKeyring({ random: systemRandom }, masterKeys)
  return { clock, keyring, nonces: dpopNonces({ clock, keyring }, tenant) }
}

/** Turns the clock to the beginning of the next slot. */
function toNextSlot({ clock }: ReturnType<typeof create>): Promise<void> {
  return clock.advance(nonceSlotMs - (clock.now() % nonceSlotMs))
}

test('a nonce is good in its own slot and the next one, and not a moment longer', async () => {
  const made = create()
  await toNextSlot(made)
  const { clock, nonces } = made
  const nonce = nonces.current()
  const goodUntil = clock.now() + 2 * nonceSlotMs
  assert.match(nonce, /^[\x21\x23-\x5B\x5D-\x7E]+$/, 'RFC 9449 §8.1')
  assert.equal(nonces.goodUntil(nonce), goodUntil)
  await clock.advance(nonceSlotMs - 1)
  assert.equal(nonces.current(), nonce)
  await clock.advance(1)
  assert.notEqual(nonces.current(), nonce)
  await clock.advance(nonceSlotMs - 1)
  assert.equal(nonces.goodUntil(nonce), goodUntil)
  await clock.advance(1)
  assert.equal(nonces.goodUntil(nonce), undefined)
})

test('the nonce of an instance whose clock is ahead is good, of one far ahead it is not', async () => {
  const masterKeys = [key('a')]
  const [here, there] = [create(masterKeys), create(masterKeys)]
  await toNextSlot(there)
  assert.notEqual(here.nonces.goodUntil(there.nonces.current()), undefined)
  await toNextSlot(there)
  assert.equal(here.nonces.goodUntil(there.nonces.current()), undefined)
})

test('a nonce is for one tenant and one master key, and while keys rotate for both', () => {
  const [old, young] = [key('a'), key('b')]
  const { nonces, clock, keyring } = create([old])
  const nonce = nonces.current()
  const other = dpopNonces({ clock, keyring }, { ...tenant, id: 'ten_2' })
  assert.equal(other.goodUntil(nonce), undefined)
  assert.equal(create([young], clock).nonces.goodUntil(nonce), undefined)
  assert.notEqual(create([young, old], clock).nonces.goodUntil(nonce), undefined)
})

test('nothing else is a nonce', () => {
  const { nonces } = create()
  const nonce = nonces.current()
  const [slot = '', tag = ''] = nonce.split('.')
  for (const text of [
    '',
    slot,
    `${slot}.`,
    `${slot}.${'A'.repeat(43)}`,
    `${Number(slot) + 1}.${tag}`,
    `${nonce}A`,
    ` ${nonce}`,
    `${slot}.${tag.slice(1)}`,
    `-${slot}.${tag}`,
    'x'.repeat(5000),
  ]) {
    assert.equal(nonces.goodUntil(text), undefined, text.slice(0, 60))
  }
})
