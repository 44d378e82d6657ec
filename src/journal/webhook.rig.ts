// For the tests of webhooks: receivers on loopback that keep what they got and answer as told, a receiver's check of a
// signature, and webhooks over a given database with a clock that is turned by hand.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { listenOnLoopback } from '../../test/counterparts/loopback.ts'
import { createManualClock } from '../base/clock.ts'
import { createKeyring } from '../base/keyring.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import type { Connector, Resolve } from '../base/outbound.ts'
import { systemRandom } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Store } from '../store/database.ts'
import { createJournal } from './entries.ts'
import type { Entry } from './entries.ts'
import type { WebhookSettings } from './webhook-settings.ts'
import { createWebhooks } from './webhooks.ts'

/** One request that a receiver got. */
export interface Received {
  readonly id: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  // Tests look into many shapes; what they find there they assert.
  readonly json: any // oxlint-disable-line typescript/no-explicit-any
}

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly received: readonly Received[]
  /** From now on every request is answered by this. */
  readonly answerWith: (answer: (response: ServerResponse, got: Received) => void) => void
  /** Resolves once so many requests were received. */
  readonly until: (count: number) => Promise<void>
}

/** Starts a receiver that answers 204 unless told otherwise. */
export async function startReceiver(t: TestContext): Promise<Receiver> {
  const received: Received[] = []
  let watchers: (() => void)[] = []
  let answer = (response: ServerResponse, _got: Received): void =>
    void response.writeHead(204).end()
  const { origin, port, stop } = await listenOnLoopback(() => (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const { headers } = request
      const got = { id: String(headers['webhook-id']), headers, body, json: JSON.parse(body) }
      received.push(got)
      answer(response, got)
      for (const watcher of watchers) watcher()
    })
  })
  t.after(stop)
  return {
    url: `${origin}/hook`,
    port,
    received,
    answerWith: (next) => void (answer = next),
    until: (count) =>
      new Promise((resolve) => {
        const watcher = () => {
          if (received.length < count) return
          watchers = watchers.filter((other) => other !== watcher)
          resolve()
        }
        watchers.push(watcher)
        watcher()
      }),
  }
}

const toleranceS = 300

/** What a receiver does (Standard Webhooks, "Verifying webhook authenticity"): is any signature ours, and the time near? */
export function isAuthentic(got: Received, secret: string, nowMs: number): boolean {
  const timestamp = Number(got.headers['webhook-timestamp'])
  if (!Number.isInteger(timestamp) || Math.abs(nowMs / 1000 - timestamp) > toleranceS) return false
  const [, key = ''] = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(secret) ?? []
  const expected = createHmac('sha256', Buffer.from(key, 'base64'))
    .update(`${got.id}.${timestamp}.${got.body}`)
    .digest('base64')
  return String(got.headers['webhook-signature']).split(' ').includes(`v1,${expected}`)
}

export const tenantId = 'ten_test'
export const manager = { tenantId, actor: { kind: 'user', id: 'usr_admin' } } as const

const keyring = createKeyring({ random: systemRandom }, [{ id: 'key', key: new Uint8Array(32) }])

export interface RigOptions {
  readonly clock?: ReturnType<typeof createManualClock>
  readonly settings?: Partial<WebhookSettings>
  readonly allow?: readonly string[]
  readonly resolve?: Resolve
  readonly connect?: Connector
}

/** Webhooks over this store, as one process has them. */
export async function startRig(t: TestContext, { db }: Store, options: RigOptions = {}) {
  const { clock = createManualClock(), settings = {}, allow = ['loopback'], ...network } = options
  const needs = { db, clock, random: systemRandom, keyring, log: silentLog }
  const outbound = createOutbound({ ...needs, ...network }, { allow })
  const journal = createJournal(needs)
  const webhooks = createWebhooks({ ...needs, journal, outbound }, settings)
  t.after(async () => {
    await webhooks.close()
    await outbound.close()
  })
  await db
    .insertInto('tenants')
    .values({ id: tenantId, slug: 'test', issuer: 'https://test', name: 'Test', created_at: 0 })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  /** What the timers do each second. */
  const begin = async () => {
    await journal.seal()
    await webhooks.begin()
  }
  const deliver = async () => {
    await begin()
    await webhooks.settle()
  }
  const record = (changes: Partial<Entry> = {}) =>
    journal.record(db, { tenantId, type: 'token.issued', actor: { kind: 'system' }, ...changes })
  /** A webhook that wants tokens and connections, and nothing of its own making. */
  const subscribe = async (url: string, eventTypes = ['token.*', 'connection.*']) => {
    const made = await webhooks.create(manager, { url, eventTypes })
    return { key: { tenantId, id: made.webhook.id }, ...made, secret: plain(made.secret) }
  }
  return { clock, db, journal, webhooks, begin, deliver, record, subscribe }
}

function plain(secret: Secret): string {
  return secret.reveal()
}

/** The entry of a subject, with a number by which its place is seen. */
export function numbered(subject: string, number: number): Partial<Entry> {
  return { subject: { kind: 'connection', id: subject }, data: { number } }
}

/** The numbers that were received for a subject, in order. */
export function numbersOf(receiver: Receiver, subject: string): readonly number[] {
  return receiver.received
    .filter(({ json }) => json.data.subject?.id === subject)
    .map(({ json }) => json.data.data.number)
}

/** Answers with this status and nothing else. */
export function status(code: number) {
  return (response: ServerResponse): void => void response.writeHead(code).end()
}

export function assertOnce(receiver: Receiver): void {
  const ids = receiver.received.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length, 'no id came twice')
}
