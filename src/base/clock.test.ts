import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock, systemClock } from './clock.ts'

test('a manual clock stands still until it is turned', async () => {
  const clock = createManualClock(1000)
  assert.equal(clock.now(), 1000)
  await clock.advance(5)
  assert.equal(clock.now(), 1005)
  await clock.set(2000)
  assert.equal(clock.now(), 2000)
})

test('a sleeper wakes at its moment and not before', async () => {
  const clock = createManualClock()
  let isAwake = false
  const sleeping = clock.sleep(100).then(() => (isAwake = true))
  await clock.advance(99)
  assert.equal(isAwake, false)
  await clock.advance(1)
  assert.equal(isAwake, true)
  await sleeping
})

test('a sleep of nothing does not wait for the clock', async () => {
  await createManualClock().sleep(0)
})

test('an aborted sleep rejects with the reason, on both clocks', async () => {
  for (const clock of [createManualClock(), systemClock]) {
    const reason = new Error('enough')
    await assert.rejects(clock.sleep(60_000, AbortSignal.abort(reason)), reason)
    const controller = new AbortController()
    const sleeping = clock.sleep(60_000, controller.signal)
    controller.abort(reason)
    await assert.rejects(sleeping, reason)
  }
})

test('an abort after waking changes nothing', async () => {
  const clock = createManualClock()
  const controller = new AbortController()
  const sleeping = clock.sleep(10, controller.signal)
  await clock.advance(10)
  controller.abort()
  await sleeping
})

test('the system clock does not take a very long sleep for a short one', async () => {
  const controller = new AbortController()
  let isAwake = false
  const sleeping = systemClock.sleep(2 ** 40, controller.signal).then(() => (isAwake = true))
  await systemClock.sleep(20)
  assert.equal(isAwake, false)
  controller.abort()
  await assert.rejects(sleeping)
})
