// The event stream: what a person hears, from where on, and when they stop hearing it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../src/base/clock.ts'
import { operator, restAs, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { addPerson, assertAnswer, openDoors, openDoorsOn } from './doors.ts'
import type { Doors } from './doors.ts'
import { cookieOf, listen } from './event-stream.ts'

async function signInEve(doors: Doors) {
  const id = await addPerson(doors, 'eve@example.com')
  const browser = await signIn(doors.origin, { ...operator, email: 'eve@example.com' })
  return { id, browser, rest: restAs(browser, doors.origin) }
}

async function makeKey(rest: ReturnType<typeof restAs>, name: string) {
  const { status, body } = await rest('POST', '/api-keys', { name, scopes: ['api'] })
  assert.equal(status, 201)
  return body as { readonly id: string; readonly key: string }
}

onEveryDatabase('a person hears of what is theirs, an admin of all', async (t, store) => {
  const doors = await openDoorsOn(t, store)
  const { origin } = doors
  const ada = await signIn(origin)
  const eve = await signInEve(doors)
  const own = await listen(t, origin, cookieOf(eve.browser))
  const all = await listen(t, origin, cookieOf(ada))

  const { id: adaKeyId } = await makeKey(restAs(ada, origin), 'of ada')
  const { id: eveKeyId } = await makeKey(eve.rest, 'of eve')

  const heard = await own.nextEvent()
  assert.equal(heard?.type, 'api_key.created')
  assert.equal(heard.json.data.subject.id, eveKeyId)
  assert.equal(heard.json.data.userId, eve.id)
  assert.deepEqual(Object.keys(heard.json).sort(), ['data', 'timestamp', 'type'])
  const both = [await all.nextEvent(), await all.nextEvent()]
  assert.deepEqual(
    both.map((event) => event?.json.data.subject.id),
    [adaKeyId, eveKeyId],
  )
})

test('a stream goes on where the last one ended, and misses nothing', async (t) => {
  const doors = await openDoors(t)
  const { origin } = doors
  const ada = await signIn(origin)
  const rest = restAs(ada, origin)
  const first = await listen(t, origin, cookieOf(ada))
  const one = await makeKey(rest, 'one')
  const event = await first.nextEvent()
  first.leave()
  const two = await makeKey(rest, 'two')

  const headers = { ...cookieOf(ada), 'last-event-id': event!.id }
  const second = await listen(t, origin, headers, '?cursor=0')
  assert.equal((await second.nextEvent())?.json.data.subject.id, two.id)
  const third = await listen(t, origin, cookieOf(ada), `?cursor=${first.cursor}`)
  assert.equal((await third.nextEvent())?.json.data.subject.id, one.id)
  assert.equal((await third.nextEvent())?.json.data.subject.id, two.id)

  for (const bad of ['-1', 'x', '1.5', '9007199254740993', "'"]) {
    const answer = await doors.ask({ path: `/api/v1/events?cursor=${bad}`, browser: ada })
    assertAnswer(answer, { status: 422, error: 'invalid_input' })
  }
})

test('a long past comes page by page, in order', async (t) => {
  const doors = await openDoors(t)
  const ada = await signIn(doors.origin)
  const { db } = doors.store
  const sample = await db.selectFrom('journal_entries').selectAll().executeTakeFirstOrThrow()
  for (let count = 0; count < 450; count += 1) {
    const id = `evt_sample${String(count).padStart(4, '0')}`
    await db
      .insertInto('journal_entries')
      .values({ ...sample, id, is_pending: 1 })
      .execute()
  }
  const stream = await listen(t, doors.origin, cookieOf(ada), '?cursor=0')
  for (let seq = 1; seq <= 450; seq += 1) {
    assert.equal((await stream.nextEvent())?.id, String(seq))
  }
})

test('silence is broken now and then, and a stream ends after an hour', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const ada = await signIn(doors.origin)
  const stream = await listen(t, doors.origin, cookieOf(ada))
  let ended = false
  const blocks: (string | undefined)[] = []
  while (!ended && blocks.length < 1_000) {
    const next = stream.nextBlock()
    // The stream may not be waiting yet when the clock is turned.
    const turning = setInterval(() => void clock.advance(15_000), 5)
    const block = await next
    clearInterval(turning)
    blocks.push(block)
    ended = block === undefined
  }
  assert.ok(ended, 'it ended')
  assert.ok(blocks.length > 10)
  assert.ok(blocks.slice(0, -1).every((block) => block === ': still here'))
})

test('a stream ends with the session or the key that opened it', async (t) => {
  const clock = createManualClock(Date.now())
  const doors = await openDoors(t, { clock })
  const { origin } = doors
  const ada = await signIn(origin)
  const eve = await signInEve(doors)
  const { id, key } = await makeKey(eve.rest, 'a key')
  const byKey = await listen(t, origin, { authorization: `Bearer ${key}` })
  const bySession = await listen(t, origin, cookieOf(eve.browser))
  const still = await listen(t, origin, cookieOf(ada))
  await eve.rest('DELETE', `/api-keys/${id}`)
  await doors.store.db.deleteFrom('sessions').where('user_id', '=', eve.id).execute()

  await clock.advance(30_000)
  const { id: adaKeyId } = await makeKey(restAs(ada, origin), 'after the end')
  const heardOf = async (stream: typeof still) => {
    const heard: string[] = []
    for (let event = await stream.nextEvent(); event; event = await stream.nextEvent()) {
      heard.push(event.type)
    }
    return heard
  }
  // At most of its own end, if that was written down before the clock was turned.
  for (const stream of [byKey, bySession]) {
    assert.deepEqual(
      (await heardOf(stream)).filter((type) => type !== 'api_key.revoked'),
      [],
    )
  }
  const types: (string | undefined)[] = []
  for (let event = await still.nextEvent(); event; event = await still.nextEvent()) {
    types.push(event.type)
    if (event.json.data.subject?.id === adaKeyId) break
  }
  assert.ok(types.includes('api_key.revoked'))
})

test('a person has so many streams and no more; a place is free when one leaves', async (t) => {
  const doors = await openDoors(t)
  const { origin } = doors
  const ada = await signIn(origin)
  const streams = []
  for (let count = 0; count < 8; count += 1) {
    streams.push(await listen(t, origin, cookieOf(ada)))
  }
  const { status, headers } = await fetch(`${origin}/api/v1/events`, { headers: cookieOf(ada) })
  assert.equal(status, 429)
  assert.equal(headers.get('retry-after'), '30')
  streams[0]!.leave()
  for (;;) {
    const answer = await fetch(`${origin}/api/v1/events`, { headers: cookieOf(ada) })
    await answer.body?.cancel()
    if (answer.status === 200) break
    assert.equal(answer.status, 429)
  }
})

test('HEAD says what GET would be and opens nothing', async (t) => {
  const doors = await openDoors(t)
  const ada = await signIn(doors.origin)
  for (let count = 0; count < 20; count += 1) {
    const answer = await doors.ask({ method: 'HEAD', path: '/api/v1/events', browser: ada })
    assertAnswer(answer, { status: 200, has: { 'content-type': /^text\/event-stream/ } })
  }
  assertAnswer(await doors.ask({ path: '/api/v1/events' }), { status: 401 })
})
