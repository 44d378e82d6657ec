// How much of us one provider's host bears at a time, and how long one that is silent is left alone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { createHosts } from './hosts.ts'
import type { Hosts, Place } from './hosts.ts'

const slow = 'slow.example'

function start() {
  const clock = createManualClock()
  return { clock, hosts: createHosts(clock) }
}

async function enter(hosts: Hosts, host = slow, waitMs = 10_000): Promise<Place> {
  const place = await hosts.enter(host, waitMs)
  if (isFault(place)) throw place
  return place
}

function enterAll(hosts: Hosts, count: number): Promise<readonly Place[]> {
  return Promise.all(Array.from({ length: count }, () => enter(hosts)))
}

/** Seconds until the host may be asked again. */
async function refusedFor(hosts: Hosts, waitMs = 10_000): Promise<number | undefined> {
  const place = await hosts.enter(slow, waitMs)
  assert.ok(isFault(place))
  assert.equal(place.code, 'provider_unreachable')
  return place.retryAfterS
}

/** What has come of a promise by now. */
async function soFar<T>(promise: Promise<T>): Promise<T | 'waiting'> {
  await new Promise((resolve) => setImmediate(resolve))
  return Promise.race([promise, Promise.resolve('waiting' as const)])
}

test('eight are at a host at once, the ninth has the place of the first that leaves, others go on', async () => {
  const { hosts } = start()
  const places = await enterAll(hosts, 8)
  const ninth = enter(hosts)
  const tenth = enter(hosts)
  assert.equal(await soFar(ninth), 'waiting')
  await enter(hosts, 'other.example')

  places[0]?.leave('answered')
  places[0]?.leave('answered')
  assert.notEqual(await soFar(ninth), 'waiting')
  assert.equal(await soFar(tenth), 'waiting', 'a place is given back once')
})

test('nobody waits longer for a place than they said', async () => {
  const { clock, hosts } = start()
  const [first] = await enterAll(hosts, 8)
  const waiting = hosts.enter(slow, 2000)
  await clock.advance(1999)
  assert.equal(await soFar(waiting), 'waiting')
  await clock.advance(1)
  const refused = await waiting
  assert.ok(isFault(refused) && refused.code === 'provider_unreachable')
  assert.ok((refused.retryAfterS ?? 0) > 0)

  first?.leave('answered')
  await enter(hosts, slow, 0)
})

test('a host that is silent three times in a row is left alone, also by those who wait', async () => {
  const { clock, hosts } = start()
  const places = await enterAll(hosts, 8)
  const waiting = hosts.enter(slow, 10_000)
  places[0]?.leave('silent')
  places[1]?.leave('silent')
  places[2]?.leave('answered')
  places[3]?.leave('silent')
  places[4]?.leave('silent')
  assert.ok(!isFault(await waiting), 'an answer between them counts')
  const next = [await enter(hosts), await enter(hosts), await enter(hosts), await enter(hosts)]
  assert.equal(next.length, 4)
  const late = hosts.enter(slow, 10_000)
  places[5]?.leave('silent')
  assert.ok(isFault(await late))
  assert.equal(await refusedFor(hosts), 30)
  await clock.advance(29_999)
  assert.equal(await refusedFor(hosts), 1)
  next[0]?.leave('answered')
  await enter(hosts)
})

test('after its rest a silent host is asked by one, and by all again when that one is answered', async () => {
  const { clock, hosts } = start()
  for (const place of await enterAll(hosts, 3)) place.leave('silent')
  await clock.advance(30_000)
  const probe = await enter(hosts)
  assert.ok(((await refusedFor(hosts)) ?? 0) > 0)
  probe.leave('silent')
  assert.equal(await refusedFor(hosts), 30)

  await clock.advance(30_000)
  const second = await enter(hosts)
  second.leave('answered')
  await enterAll(hosts, 8)
})

test('a probe that was not sent leaves the host to the next one', async () => {
  const { clock, hosts } = start()
  for (const place of await enterAll(hosts, 3)) place.leave('silent')
  await clock.advance(30_000)
  const unsent = await enter(hosts)
  unsent.leave('unasked')
  const probe = await enter(hosts)
  assert.ok(((await refusedFor(hosts)) ?? 0) > 0)
  probe.leave('answered')
})

test('a host that is asked too often is left alone for as long as it says, at most five seconds', async () => {
  const { clock, hosts } = start()
  const [first, second] = await enterAll(hosts, 2)
  first?.leave({ busyMs: 1000 })
  const waiting = enter(hosts)
  assert.equal(await refusedFor(hosts, 999), 1)
  assert.equal(await soFar(waiting), 'waiting')
  await clock.advance(1000)
  assert.notEqual(await soFar(waiting), 'waiting')

  second?.leave({ busyMs: 300_000 })
  const after = enter(hosts)
  await clock.advance(5000)
  assert.notEqual(await soFar(after), 'waiting')
})
