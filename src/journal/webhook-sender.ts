// Sends what is due. Each webhook is drained by one process at a time, a few deliveries at once; a slow or dead receiver
// takes up its own few attempts and nobody else's.
import { randomId } from '../base/random.ts'
import type { WebhookDeliveryRow, WebhookRow } from '../store/schema.ts'
import { failOverdue, findDueAfter, findDueHeads } from './webhook-deliveries.ts'
import { dropHold, keepHold, takeHold } from './webhook-lease.ts'
import type { Hold } from './webhook-lease.ts'
import { recordOutcome } from './webhook-outcome.ts'
import type { Ending } from './webhook-outcome.ts'
import type { WebhookKey, WebhookNeeds } from './webhook-rows.ts'
import { sendOnce } from './webhook-send.ts'
import { spreadNew } from './webhook-spread.ts'

export interface WebhookSender {
  /** Begins to send what is due, of all tenants, and does not wait for any receiver. */
  readonly begin: () => Promise<void>
  /** Waits for what was begun. */
  readonly settle: () => Promise<void>
  /** Sends one delivery now, outside of every order. */
  readonly sendNow: (webhook: WebhookRow, delivery: WebhookDeliveryRow) => Promise<void>
  /** Breaks off what runs; it will be sent again by whoever comes next. */
  readonly close: () => Promise<void>
}

const webhooksAtOnce = 1_000
const roundsMax = 1_000
const headsPerRound = 50
/** So many of one subject go before another has its turn. */
const chainMax = 20

interface Engine extends WebhookNeeds {
  readonly closing: AbortSignal
  readonly inSlot: <T>(work: () => Promise<T>) => Promise<T>
}

/** Makes the sender of one process. */
export function createWebhookSender(needs: WebhookNeeds): WebhookSender {
  const closing = new AbortController()
  const inSlot = createSlots(needs.settings.atOnceMax)
  const engine: Engine = { ...needs, closing: closing.signal, inSlot }
  const running = new Map<string, Promise<void>>()

  const drainQuietly = async (key: WebhookKey) => {
    try {
      await drain(engine, key)
    } catch (cause) {
      needs.log.warn({ webhookId: key.id, cause }, 'a webhook could not be served; it comes again')
    }
  }
  const settle = async () => {
    await Promise.all(running.values())
  }
  return {
    begin: async () => {
      for (const key of await findWaiting(engine)) {
        const name = JSON.stringify([key.tenantId, key.id])
        if (closing.signal.aborted || running.has(name)) continue
        running.set(
          name,
          drainQuietly(key).finally(() => running.delete(name)),
        )
      }
    },
    settle,
    sendNow: async (webhook, delivery) => {
      await inSlot(() => attempt(engine, webhook, delivery))
    },
    close: async () => {
      closing.abort()
      await settle()
    },
  }
}

/** At most so many at once; whoever comes later waits in line. */
function createSlots(max: number) {
  const line: (() => void)[] = []
  let taken = 0
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (taken >= max) await new Promise<void>((resolve) => line.push(resolve))
    else taken += 1
    try {
      return await work()
    } finally {
      const next = line.shift()
      if (next === undefined) taken -= 1
      else next() // The slot goes to them.
    }
  }
}

/** The webhooks for which there is something to read or to send, and which nobody holds. */
async function findWaiting({ db, clock }: Engine): Promise<readonly WebhookKey[]> {
  const now = clock.now()
  return db
    .selectFrom('webhooks as webhook')
    .leftJoin('journal_heads as head', 'head.tenant_id', 'webhook.tenant_id')
    .select(['webhook.tenant_id as tenantId', 'webhook.id'])
    .where('webhook.disabled_at', 'is', null)
    .where((is) => is.or([is('paused_until', 'is', null), is('paused_until', '<=', now)]))
    .where((is) => is.or([is('lease_until', 'is', null), is('lease_until', '<=', now)]))
    .where((is) =>
      is.or([
        is('head.seq', '>', is.ref('webhook.cursor_seq')),
        is.exists(
          is
            .selectFrom('webhook_deliveries as delivery')
            .select('delivery.id')
            .whereRef('delivery.tenant_id', '=', 'webhook.tenant_id')
            .whereRef('delivery.webhook_id', '=', 'webhook.id')
            .where('delivery.status', '=', 'pending'),
        ),
      ]),
    )
    .limit(webhooksAtOnce)
    .execute()
}

async function drain(engine: Engine, key: WebhookKey): Promise<void> {
  const { db, clock, random, settings } = engine
  const hold = { ...key, owner: randomId(random, 'run_') }
  if (!(await isWorth(engine, key))) return
  if (!(await takeHold(db, hold, { now: clock.now(), leaseMs: settings.leaseMs }))) return
  try {
    await failOverdue(db, key, { now: clock.now(), settings })
    for (let round = 0; round < roundsMax; round += 1) {
      await spreadNew(engine, hold)
      const webhook = await keepHold(db, hold, { now: clock.now(), leaseMs: settings.leaseMs })
      if (webhook === undefined) return
      // A receiver that was down is asked once whether it is back.
      const limit = webhook.paused_until === null ? headsPerRound : 1
      const heads = await findDueHeads(db, key, { now: clock.now(), limit })
      if (heads.length === 0 || !(await sendRound(engine, hold, heads))) return
    }
  } finally {
    await dropHold(db, hold)
  }
}

/** A look costs no lock: most of the time what waits is not due yet. */
async function isWorth({ db, clock, journal }: Engine, key: WebhookKey): Promise<boolean> {
  const due = await findDueHeads(db, key, { now: clock.now(), limit: 1 })
  if (due.length > 0) return true
  const webhook = await db
    .selectFrom('webhooks')
    .select('cursor_seq')
    .where('tenant_id', '=', key.tenantId)
    .where('id', '=', key.id)
    .executeTakeFirst()
  return webhook !== undefined && webhook.cursor_seq < (await journal.head(key.tenantId))
}

/** Sends these and what follows each of them in its order; false when the webhook is to be left alone. */
async function sendRound(
  engine: Engine,
  hold: Hold,
  heads: readonly WebhookDeliveryRow[],
): Promise<boolean> {
  const waiting = [...heads]
  let mayGoOn = true
  const work = async () => {
    while (mayGoOn) {
      const head = waiting.shift()
      if (head === undefined) return
      if ((await sendChain(engine, hold, head, () => mayGoOn)) === 'stop') mayGoOn = false
    }
  }
  await Promise.all(Array.from({ length: engine.settings.perWebhookMax }, work))
  return mayGoOn
}

async function sendChain(
  engine: Engine,
  hold: Hold,
  head: WebhookDeliveryRow,
  mayGoOn: () => boolean,
): Promise<Ending> {
  let next: WebhookDeliveryRow | undefined = head
  let ending: Ending = 'later'
  for (let link = 0; link < chainMax && next !== undefined && mayGoOn(); link += 1) {
    ending = await sendHeld(engine, hold, next)
    if (ending !== 'delivered') return ending
    next = await findDueAfter(engine.db, next, engine.clock.now())
  }
  return ending
}

/** Sends one, if the webhook is still there, switched on, and ours. */
function sendHeld(engine: Engine, hold: Hold, delivery: WebhookDeliveryRow): Promise<Ending> {
  const { db, clock, settings, closing } = engine
  return engine.inSlot(async () => {
    const term = { now: clock.now(), leaseMs: settings.leaseMs }
    const webhook = closing.aborted ? undefined : await keepHold(db, hold, term)
    return webhook === undefined ? 'stop' : attempt(engine, webhook, delivery)
  })
}

async function attempt(
  engine: Engine,
  webhook: WebhookRow,
  delivery: WebhookDeliveryRow,
): Promise<Ending> {
  const outcome = await sendOnce(engine, { webhook, delivery, closing: engine.closing })
  if (outcome.kind === 'interrupted') return 'stop'
  return recordOutcome(engine, { webhook, delivery }, outcome)
}
