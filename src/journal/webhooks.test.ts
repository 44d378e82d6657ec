import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { systemRandom } from '../base/random.ts'
import type { Store } from '../store/database.ts'
import { onEveryDatabase } from '../../test/on-every-database.ts'
import { verifies } from '../../test/requirements.ts'
import { jittered, pauseMs, retryDelayMs, webhookDefaults } from './webhook-settings.ts'
import { sweepWebhooks } from './webhook-sweep.ts'
import {
  assertOnce,
  isAuthentic,
  manager,
  numbered,
  numbersOf,
  startReceiver,
  startRig,
  status,
  tenantId,
} from './webhook.rig.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

function fault(code: string) {
  return (thrown: unknown) => isFault(thrown) && thrown.code === code
}

onEveryDatabase('an entry arrives once, signed, with its public facts', async (t, store) => {
  verifies(t, 'X-36')
  const receiver = await startReceiver(t)
  const rig = await startRig(t, store)
  await rig.record({ data: { before: true } })
  const { key, secret } = await rig.subscribe(receiver.url)
  const entry = {
    actor: { kind: 'client', id: 'c' },
    userId: 'usr_1',
    subject: { kind: 'grant', id: 'grt_1' },
    attempt: 'att_1',
    data: { scopes: ['mcp'] },
  } as const
  await rig.record(entry)

  await rig.deliver()
  await rig.deliver()

  assert.equal(receiver.received.length, 1)
  const [got] = receiver.received
  assert.ok(got && isAuthentic(got, secret, rig.clock.now()))
  const [stored] = (await rig.journal.list({ tenantId })).slice(-1)
  assert.deepEqual(got.json, {
    type: 'token.issued',
    timestamp: new Date(rig.clock.now()).toISOString(),
    data: { id: stored?.id, seq: stored?.seq, ...entry },
  })
  assert.equal(got.headers['content-type'], 'application/json')
  const { items } = await rig.webhooks.deliveries(key)
  assert.deepEqual(
    items.map((item) => [item.id, item.status, item.attempts]),
    [[got.id, 'delivered', [{ at: rig.clock.now(), status: 204 }]]],
  )
})

onEveryDatabase('a webhook hears of the event types that it wants', async (t, store) => {
  const receivers = await Promise.all([startReceiver(t), startReceiver(t), startReceiver(t)])
  const rig = await startRig(t, store)
  const filters = [['token.issued'], ['grant.*', 'connection.revoked'], ['*']]
  for (const [index, types] of filters.entries()) {
    await rig.subscribe(receivers[index]!.url, types)
  }
  const happened = ['token.issued', 'token.revoked', 'grant.created', 'connection.revoked'] as const
  for (const type of happened) await rig.record({ type })

  await rig.deliver()

  const [exact, area, all] = receivers.map(({ received }) => received.map(({ json }) => json.type))
  assert.deepEqual(exact, ['token.issued'])
  assert.deepEqual(area?.sort(), ['connection.revoked', 'grant.created'])
  // The third was made last, so the one webhook that it hears of is itself.
  assert.deepEqual(all?.sort(), [...happened, 'webhook.created'].sort())
})

onEveryDatabase('while a secret is replaced both sign, and only those two', async (t, store) => {
  verifies(t, 'X-36')
  const receiver = await startReceiver(t)
  const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key, secret: first } = await subscribe(receiver.url)
  const rotate = async () => (await webhooks.rotateSecret(manager, key.id)).secret.reveal()
  const signedBy = async (secrets: readonly string[]) => {
    await record()
    await deliver()
    const got = receiver.received.at(-1)!
    return secrets.map((secret) => isAuthentic(got, secret, clock.now()))
  }

  const second = await rotate()
  assert.deepEqual(await signedBy([first, second]), [true, true])
  const { secretOverlapMs } = webhookDefaults
  await clock.advance(secretOverlapMs - 1)
  assert.deepEqual(await signedBy([first, second]), [true, true])
  assert.equal((await webhooks.get(key)).previousSecretExpiresAt, clock.now() + 1)
  await clock.advance(1)
  assert.deepEqual(await signedBy([first, second]), [false, true])
  assert.equal((await webhooks.get(key)).previousSecretExpiresAt, undefined)

  const third = await rotate()
  const fourth = await rotate()
  assert.deepEqual(await signedBy([second, third, fourth]), [false, true, true])
})

onEveryDatabase(
  'after fifty rotations at once the newest secrets sign, and their owners hold them',
  async (t, store) => {
    const receiver = await startReceiver(t)
    const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
    const { key } = await subscribe(receiver.url)

    const rotations = Array.from({ length: 50 }, () => webhooks.rotateSecret(manager, key.id))
    const settled = await Promise.allSettled(rotations)

    const shown = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value.secret] : []))
    const refused = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    assert.ok(refused.every(fault('conflict')))
    await record()
    await deliver()
    const works = shown.filter((one) =>
      isAuthentic(receiver.received[0]!, one.reveal(), clock.now()),
    )
    // Two that did not meet may both have won; the two newest are alive, and somebody holds each.
    assert.ok(shown.length >= 1 && shown.length < 50)
    assert.equal(works.length, Math.min(2, shown.length))
  },
)

onEveryDatabase('a failure holds back its own subject and no other', async (t, store) => {
  const receiver = await startReceiver(t)
  const rig = await startRig(t, store, { settings: { downAfterFailures: 1_000 } })
  await rig.subscribe(receiver.url)
  receiver.answerWith((response, { json }) =>
    status(json.data.subject?.id === 'bad' ? 500 : 204)(response),
  )
  for (let number = 0; number < 20; number += 1) {
    await rig.record(numbered('bad', number))
    await rig.record(numbered('good', number))
    await rig.record({ data: { number } })
  }
  const inOrder = Array.from({ length: 20 }, (_, number) => number)

  await rig.deliver()
  assert.deepEqual(numbersOf(receiver, 'bad'), [0])
  assert.deepEqual(numbersOf(receiver, 'good'), inOrder)
  assert.equal(receiver.received.length, 41)

  receiver.answerWith(status(204))
  await rig.deliver()
  assert.deepEqual(numbersOf(receiver, 'bad'), [0], 'it waits before it is tried again')
  await rig.clock.advance(2 * webhookDefaults.retryFirstMs)
  await rig.deliver()
  assert.deepEqual(numbersOf(receiver, 'bad'), [0, ...inOrder])
})

onEveryDatabase('every attempt has the same id and a time of its own', async (t, store) => {
  const receiver = await startReceiver(t)
  const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key, secret } = await subscribe(receiver.url)
  receiver.answerWith((response) => void response.writeHead(503).end('busy\u0000, come <later>'))
  await record()
  await deliver()
  const { items } = await webhooks.deliveries(key)
  assert.deepEqual(items[0]?.attempts, [
    {
      at: clock.now(),
      status: 503,
      error: 'The receiver answered 503.',
      excerpt: 'busy , come <later>',
    },
  ])
  assert.equal(items[0]?.status, 'pending')
  assert.ok(items[0].nextAttemptAt! > clock.now())

  await clock.advance(hourMs)
  receiver.answerWith(status(200))
  await deliver()
  const [first, second] = receiver.received
  assert.ok(isAuthentic(second!, secret, clock.now()))
  assert.ok(!isAuthentic(first!, secret, clock.now()), 'the first is too old by now')
  assert.equal(first!.id, second!.id)
  assert.equal(first!.body, second!.body)
})

onEveryDatabase('after three days a delivery is given up', async (t, store) => {
  const receiver = await startReceiver(t)
  const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(receiver.url)
  receiver.answerWith(status(500))
  await record(numbered('a', 1))
  await record(numbered('a', 2))
  const madeAt = clock.now()
  const statuses = async () =>
    (await webhooks.deliveries(key)).items.map((item) => item.status).sort()

  let attempts = 0
  while (clock.now() < madeAt + 3 * dayMs - 2 * hourMs) {
    await clock.advance(30 * minuteMs)
    await deliver()
    attempts += 1
  }
  assert.deepEqual(await statuses(), ['pending', 'pending'])
  assert.ok(receiver.received.length <= attempts, 'no more than one attempt at a time')
  await clock.set(madeAt + 4 * dayMs)
  await deliver()
  assert.deepEqual(await statuses(), ['failed', 'failed'])
  const { items } = await webhooks.deliveries(key, { status: 'failed' })
  assert.deepEqual(items.map((item) => `${item.error}`).sort(), [
    'Its time was over before it could be sent.',
    'The receiver answered 500.',
  ])
  assert.deepEqual(new Set(numbersOf(receiver, 'a')), new Set([1]))
})

onEveryDatabase(
  'a receiver that was down for an hour has everything a minute after it is back [R-13, smaller]',
  async (t, store) => {
    const receiver = await startReceiver(t)
    const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
    const { key } = await subscribe(receiver.url)
    receiver.answerWith((response) => response.destroy())
    const subjects = Array.from({ length: 5 }, (_, index) => `con_${index}`)
    for (let minute = 0; minute < 60; minute += 1) {
      for (const subject of subjects) await record(numbered(subject, minute))
      await deliver()
      await clock.advance(minuteMs)
    }
    assert.ok(receiver.received.length < 120, 'it was asked now and then')
    assert.ok((await webhooks.get(key)).failingSince !== undefined)

    receiver.answerWith(status(200))
    const downs = receiver.received.length
    for (let second = 0; second < 60; second += 1) {
      await clock.advance(1_000)
      await deliver()
    }

    assert.equal((await webhooks.deliveries(key, { status: 'pending' })).items.length, 0)
    const inOrder = Array.from({ length: 60 }, (_, number) => number)
    for (const subject of subjects) {
      const numbers = receiver.received
        .slice(downs)
        .filter(({ json }) => json.data.subject.id === subject)
      assert.deepEqual(
        numbers.map(({ json }) => json.data.data.number),
        inOrder,
      )
    }
    assert.equal(receiver.received.length - downs, 300)
    assert.equal((await webhooks.get(key)).failingSince, undefined)
  },
)

onEveryDatabase(
  'a receiver that fails every third time misses nothing, and nothing overtakes [R-13, smaller]',
  async (t, store) => {
    const receiver = await startReceiver(t)
    const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
    const { key } = await subscribe(receiver.url)
    let count = 0
    receiver.answerWith((response) => status((count += 1) % 3 === 0 ? 500 : 200)(response))
    const inOrder = Array.from({ length: 20 }, (_, number) => number)
    const subjects = ['con_a', 'con_b', 'con_c']
    for (const number of inOrder) {
      for (const subject of subjects) await record(numbered(subject, number))
    }

    for (let minute = 0; minute < 60; minute += 1) {
      await deliver()
      await clock.advance(minuteMs)
    }

    assert.equal((await webhooks.deliveries(key, { status: 'pending' })).items.length, 0)
    for (const subject of subjects) {
      const numbers = numbersOf(receiver, subject)
      assert.deepEqual([...new Set(numbers)], inOrder)
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      )
    }
  },
)

onEveryDatabase(
  'what was sent by a process that died before it wrote that down is sent again',
  async (t, store, openAnother) => {
    const receiver = await startReceiver(t)
    const clock = createManualClock()
    const rig = await startRig(t, store, { clock })
    const { key } = await rig.subscribe(receiver.url)
    await rig.record(numbered('a', 1))
    await rig.record(numbered('a', 2))
    const dying = await openAnother()
    const other = await startRig(t, dying, { clock })
    receiver.answerWith((response) => {
      void dying.close().then(() => response.writeHead(204).end())
    })
    await other.begin()
    await receiver.until(1)
    await other.webhooks.settle()

    receiver.answerWith(status(204))
    await clock.advance(webhookDefaults.leaseMs - 1)
    await rig.deliver()
    assert.equal(receiver.received.length, 1, 'the dead one may still be alive')
    await clock.advance(1)
    await rig.deliver()

    assert.deepEqual(numbersOf(receiver, 'a'), [1, 1, 2])
    const [first, second] = receiver.received
    assert.equal(first?.id, second?.id)
    const { items } = await rig.webhooks.deliveries(key)
    assert.ok(items.every((item) => item.status === 'delivered'))
  },
  { needsConnections: true },
)

onEveryDatabase('a process that is told to stop leaves its work to the next', async (t, store) => {
  const receiver = await startReceiver(t)
  const clock = createManualClock()
  const stopped = await startRig(t, store, { clock })
  const { key } = await stopped.subscribe(receiver.url)
  await stopped.record()
  receiver.answerWith(() => {})
  await stopped.begin()
  await receiver.until(1)
  await stopped.webhooks.close()

  receiver.answerWith(status(204))
  const next = await startRig(t, store, { clock })
  await next.deliver()
  const [item] = (await next.webhooks.deliveries(key)).items
  assert.deepEqual([item?.status, item?.attemptCount], ['delivered', 1])
})

async function startProcesses(
  t: Parameters<typeof startRig>[0],
  store: Store,
  openAnother: () => Promise<Store>,
) {
  const clock = createManualClock()
  const one = await startRig(t, store, { clock })
  return [one, await startRig(t, await openAnother(), { clock })] as const
}

onEveryDatabase(
  'two processes that look fifty times at once send each thing once',
  async (t, store, openAnother) => {
    const receiver = await startReceiver(t)
    const [one, two] = await startProcesses(t, store, openAnother)
    await one.subscribe(receiver.url)
    let running = 0
    let most = 0
    receiver.answerWith((response) => {
      running += 1
      most = Math.max(most, running)
      setImmediate(() => {
        running -= 1
        response.writeHead(204).end()
      })
    })
    await Promise.all(
      Array.from({ length: 50 }, (_, number) => one.record(numbered(`con_${number % 5}`, number))),
    )

    await Promise.all(
      Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? one : two).deliver()),
    )
    // The one that holds the webhook has read everything; what the other saw as taken is done.
    await one.deliver()

    assert.equal(receiver.received.length, 50)
    assertOnce(receiver)
    assert.ok(most <= webhookDefaults.perWebhookMax, `${most} at once`)
    const numbers = Array.from({ length: 5 }, (_, index) => numbersOf(receiver, `con_${index}`))
    const seqs = receiver.received.map(({ json }) => json.data.seq)
    assert.equal(numbers.flat().length, 50)
    assert.equal(new Set(seqs).size, 50)
  },
  { needsConnections: true },
)

onEveryDatabase('a slow receiver holds up nobody else, and is given up on', async (t, store) => {
  verifies(t, 'X-36')
  const attemptTimeMs = 1_000
  const [slow, quick] = [await startReceiver(t), await startReceiver(t)]
  const rig = await startRig(t, store, { settings: { attemptTimeMs, atOnceMax: 3 } })
  const { key } = await rig.subscribe(slow.url)
  await rig.subscribe(quick.url)
  slow.answerWith((response, { json }) => {
    // One never answers; the other begins to, and then takes for ever.
    if (json.data.subject.id === 'con_0') return
    response.writeHead(200).write('.')
  })
  for (let number = 0; number < 3; number += 1) await rig.record(numbered(`con_${number}`, number))

  const begunAt = performance.now()
  await rig.begin()
  await quick.until(3)
  assert.ok(performance.now() - begunAt < attemptTimeMs, 'the quick one did not wait')
  await rig.webhooks.settle()

  const { items } = await rig.webhooks.deliveries(key)
  const silent = items.find((item) => item.status === 'pending')
  assert.equal(silent?.error, 'There was no answer within 1 seconds.')
  assert.equal(items.filter((item) => item.status === 'delivered').length, 2, 'the status counts')
})

onEveryDatabase('a huge answer is read no further than it has to be', async (t, store) => {
  verifies(t, 'X-36')
  const receiver = await startReceiver(t)
  const { deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(receiver.url)
  const chunk = 'x'.repeat(65_536)
  let sent = 0
  receiver.answerWith((response) => {
    response.writeHead(500)
    const pour = () => {
      while (!response.destroyed && sent < 1e9 && response.write(chunk)) sent += chunk.length
      if (!response.destroyed) response.once('drain', pour)
    }
    pour()
  })
  await record()
  await deliver()

  assert.ok(sent < 50e6, `${sent} bytes went out`)
  const [item] = (await webhooks.deliveries(key)).items
  assert.equal(item?.attempts[0]?.excerpt, 'x'.repeat(500))
})

onEveryDatabase('a redirect is a failure, and nobody is asked further on', async (t, store) => {
  verifies(t, 'X-36')
  const [receiver, elsewhere] = [await startReceiver(t), await startReceiver(t)]
  const rig = await startRig(t, store)
  const { key } = await rig.subscribe(receiver.url)
  for (const code of [301, 302, 303, 307, 308]) {
    receiver.answerWith(
      (response) => void response.writeHead(code, { location: elsewhere.url }).end(),
    )
    await rig.record({ subject: { kind: 'grant', id: `grt_${code}` } })
    await rig.webhooks.update(manager, key.id, { url: receiver.url })
    await rig.deliver()
  }
  assert.equal(elsewhere.received.length, 0)
  const { items } = await rig.webhooks.deliveries(key)
  const errors = new Set(items.map((item) => item.error))
  assert.deepEqual([...errors], ['The receiver redirects, and redirects are not followed.'])
})

onEveryDatabase(
  'an address of a private network is refused, also behind a name',
  async (t, store) => {
    verifies(t, 'X-36')
    const canary = await startReceiver(t)
    let address = '10.0.0.7'
    const dialled: string[] = []
    const { deliver, record, subscribe, webhooks } = await startRig(t, store, {
      allow: [],
      resolve: async () => [address],
      connect: (target) => {
        dialled.push(target.address)
        return { address: '127.0.0.1', port: canary.port }
      },
    })
    for (const [url, code] of [
      ['https://10.0.0.7/', 'discovery_blocked'],
      ['https://169.254.169.254/latest', 'discovery_blocked'],
      ['https://[::1]/', 'discovery_blocked'],
      ['https://hooks.test:8443/', 'discovery_blocked'],
      ['https://user:pass@hooks.test/', 'discovery_blocked'],
      ['http://hooks.test/', 'insecure_endpoint'],
      ['file:///etc/passwd', 'insecure_endpoint'],
      ['https://hooks.test/#x', 'invalid_input'],
      [`https://hooks.test/${'x'.repeat(2_000)}`, 'invalid_input'],
    ] as const) {
      await assert.rejects(webhooks.create(manager, { url }), fault(code), url)
    }
    const { key } = await subscribe('https://hooks.test/in')
    await assert.rejects(
      webhooks.update(manager, key.id, { url: 'https://10.0.0.7/' }),
      fault('discovery_blocked'),
    )

    for (address of ['10.0.0.7', '127.0.0.1', '::1', 'fd00::1', '169.254.169.254']) {
      await record({ subject: { kind: 'grant', id: address } })
      await webhooks.update(manager, key.id, { url: 'https://hooks.test/in' })
      await deliver()
    }
    assert.deepEqual(dialled, [])
    assert.equal(canary.received.length, 0)
    const { items } = await webhooks.deliveries(key)
    assert.deepEqual(
      [...new Set(items.map((item) => item.error))],
      ['This address cannot be reached from here.'],
    )
  },
)

onEveryDatabase('no secret is in a list, a delivery, a row or the journal', async (t, store) => {
  verifies(t, 'X-36')
  const receiver = await startReceiver(t)
  const rig = await startRig(t, store)
  const { key, secret } = await rig.subscribe(receiver.url, ['*'])
  const second = (await rig.webhooks.rotateSecret(manager, key.id)).secret.reveal()
  // Receivers that show their own secret to whoever asks, whole or as they hold it.
  for (const text of [second, bare(second), bare(secret), bare(second).slice(0, -1)]) {
    receiver.answerWith((response) => void response.writeHead(500).end(`my secret is ${text}`))
    await rig.record({ subject: { kind: 'grant', id: `grt_${text.length}` } })
    await rig.webhooks.update(manager, key.id, { url: receiver.url })
    await rig.deliver()
  }

  const seen = JSON.stringify([
    await rig.webhooks.list(tenantId),
    await rig.webhooks.get(key),
    await rig.webhooks.deliveries(key),
    await rig.journal.list({ tenantId }),
    await store.db.selectFrom('webhooks').selectAll().execute(),
    await store.db.selectFrom('webhook_deliveries').selectAll().execute(),
    receiver.received,
  ])
  for (const text of [secret, second]) {
    assert.ok(!seen.includes(bare(text).slice(0, 20)), 'a secret was shown')
  }
})

/** A secret without what says that it is one. */
function bare(secret: string): string {
  return secret.slice('whsec_'.length)
}

onEveryDatabase(
  'a receiver that is gone is switched off, and can be switched on',
  async (t, store) => {
    const receiver = await startReceiver(t)
    const { clock, deliver, journal, record, subscribe, webhooks } = await startRig(t, store)
    const { key } = await subscribe(receiver.url)
    receiver.answerWith(status(410))
    await record(numbered('a', 1))
    await deliver()

    const off = await webhooks.get(key)
    assert.deepEqual([off.disabled, off.disabledReason], [true, 'gone'])
    const told = await journal.list({ tenantId, type: 'webhook.disabled' })
    assert.deepEqual(
      told.map(({ actor, subject, data }) => ({ actor, subject, data })),
      [
        {
          actor: { kind: 'system' },
          subject: { kind: 'webhook', id: key.id },
          data: { reason: 'gone' },
        },
      ],
    )
    await record(numbered('a', 2))
    await deliver()
    assert.equal(receiver.received.length, 1, 'it is left alone')
    await assert.rejects(webhooks.test(manager, key.id), fault('conflict'))

    receiver.answerWith(status(204))
    await webhooks.update(manager, key.id, { disabled: false })
    await clock.advance(1)
    await deliver()
    assert.deepEqual(numbersOf(receiver, 'a'), [1, 2], 'it hears of what happened meanwhile')
  },
)

onEveryDatabase('what is older than three days is not told to whom was off', async (t, store) => {
  const receiver = await startReceiver(t)
  const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(receiver.url)
  await webhooks.update(manager, key.id, { disabled: true })
  await record(numbered('a', 1))
  await clock.advance(1)
  await record(numbered('a', 2))
  await clock.advance(3 * dayMs)
  await deliver()
  await webhooks.update(manager, key.id, { disabled: false })
  await deliver()
  assert.deepEqual(numbersOf(receiver, 'a'), [2])
})

onEveryDatabase('a test says at once how it went, and is not tried again', async (t, store) => {
  const receiver = await startReceiver(t)
  const { clock, deliver, subscribe, webhooks } = await startRig(t, store)
  const { key, secret } = await subscribe(receiver.url)
  const good = await webhooks.test(manager, key.id)
  const [got] = receiver.received
  assert.ok(isAuthentic(got!, secret, clock.now()))
  assert.deepEqual(got!.json, {
    type: 'webhook.test',
    timestamp: new Date(clock.now()).toISOString(),
    data: { subject: { kind: 'webhook', id: key.id } },
  })
  assert.deepEqual([good.id, good.status, good.attemptCount], [got!.id, 'delivered', 1])

  receiver.answerWith(status(500))
  const bad = await webhooks.test(manager, key.id)
  assert.deepEqual([bad.status, bad.error], ['failed', 'The receiver answered 500.'])
  await clock.advance(hourMs)
  await deliver()
  assert.equal(receiver.received.length, 2)
})

onEveryDatabase('a delivery is sent again under its id when asked to', async (t, store) => {
  const receiver = await startReceiver(t)
  const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(receiver.url)
  await record(numbered('a', 1))
  await deliver()
  const { id } = receiver.received[0]!
  receiver.answerWith((response, got) => status(got.id === id ? 500 : 204)(response))
  const asked = await webhooks.redeliver(manager, key.id, id)
  assert.equal(asked.status, 'pending')
  await record(numbered('a', 2))
  await deliver()
  assert.deepEqual(
    numbersOf(receiver, 'a').toSorted((a, b) => a - b),
    [1, 1, 2],
    'it holds nothing up',
  )

  receiver.answerWith(status(204))
  await webhooks.redeliver(manager, key.id, id)
  await deliver()
  const { items } = await webhooks.deliveries(key)
  const again = items.find((item) => item.id === id)
  assert.deepEqual([again?.status, again?.attemptCount], ['delivered', 3])

  await assert.rejects(webhooks.redeliver(manager, key.id, 'msg_none'), fault('not_found'))
  const foreign = { ...manager, tenantId: 'other' }
  await assert.rejects(webhooks.redeliver(foreign, key.id, id), fault('not_found'))
  await clock.advance(1)
})

onEveryDatabase('a webhook that is removed or moved takes its waiting along', async (t, store) => {
  const [old, other] = [await startReceiver(t), await startReceiver(t)]
  const { deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(old.url)
  old.answerWith(status(500))
  await record()
  await deliver()
  await webhooks.update(manager, key.id, { url: other.url, description: 'moved' })
  await record({ type: 'token.revoked' })
  await deliver()
  assert.deepEqual([old.received.length, other.received.length], [1, 1], 'its turn is not yet')

  await webhooks.remove(manager, key.id)
  await deliver()
  await assert.rejects(webhooks.get(key), fault('not_found'))
  assert.deepEqual(await store.db.selectFrom('webhook_deliveries').selectAll().execute(), [])
})

onEveryDatabase('one tenant sees and manages no webhook of another', async (t, store) => {
  const receiver = await startReceiver(t)
  const { subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(receiver.url)
  const foreign = { ...manager, tenantId: 'other' }
  assert.deepEqual(await webhooks.list('other'), [])
  for (const refused of [
    () => webhooks.get({ ...key, tenantId: 'other' }),
    () => webhooks.update(foreign, key.id, { disabled: true }),
    () => webhooks.remove(foreign, key.id),
    () => webhooks.rotateSecret(foreign, key.id),
    () => webhooks.test(foreign, key.id),
    () => webhooks.deliveries({ ...key, tenantId: 'other' }),
  ]) {
    await assert.rejects(refused, fault('not_found'))
  }
})

onEveryDatabase('more than may wait stays in the journal until there is room', async (t, store) => {
  const receiver = await startReceiver(t)
  const rig = await startRig(t, store, { settings: { pendingMax: 3, downAfterFailures: 1_000 } })
  const { key } = await rig.subscribe(receiver.url)
  receiver.answerWith(status(500))
  for (let number = 0; number < 8; number += 1) await rig.record(numbered('a', number))
  await rig.deliver()
  assert.equal((await rig.webhooks.deliveries(key)).items.length, 3)
  receiver.answerWith(status(204))
  await rig.clock.advance(minuteMs)
  await rig.deliver()
  assert.deepEqual(numbersOf(receiver, 'a'), [0, 0, 1, 2, 3, 4, 5, 6, 7])
})

onEveryDatabase('deliveries are listed in pages and forgotten after a month', async (t, store) => {
  const receiver = await startReceiver(t)
  const { clock, deliver, record, subscribe, webhooks } = await startRig(t, store)
  const { key } = await subscribe(receiver.url)
  for (let number = 0; number < 5; number += 1) {
    await record(numbered('a', number))
    await clock.advance(1)
    await deliver()
  }
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = await webhooks.deliveries(key, { limit: 2, ...(cursor && { cursor }) })
    seen.push(...page.items.map(({ id }) => id))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  assert.deepEqual(seen, receiver.received.map(({ id }) => id).reverse())
  await assert.rejects(webhooks.deliveries(key, { cursor: "'" }), fault('invalid_input'))

  const { db } = store
  const firstEnds = clock.now() - 4 + webhookDefaults.keptMs
  assert.deepEqual(await sweepWebhooks(db, firstEnds - 1), { webhookDeliveries: 0 })
  assert.deepEqual(await sweepWebhooks(db, firstEnds), { webhookDeliveries: 1 })
})

test('the waits double up to an hour, and a receiver that is down is asked less and less', () => {
  const delays = [1, 2, 3, 11, 60].map((failures) => retryDelayMs(webhookDefaults, failures))
  assert.deepEqual(delays, [5_000, 10_000, 20_000, hourMs, hourMs])
  const pauses = [0, hourMs, dayMs, 3 * dayMs].map((downMs) => pauseMs(webhookDefaults, downMs))
  assert.deepEqual(pauses, [5_000, minuteMs, 24 * minuteMs, hourMs])
  const low = { ...systemRandom, bytes: () => new Uint8Array(4) }
  const high = { ...systemRandom, bytes: () => new Uint8Array(4).fill(255) }
  assert.deepEqual([jittered(low, 1_000), jittered(high, 1_000)], [800, 1_000])
})
