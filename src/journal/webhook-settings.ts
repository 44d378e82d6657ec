// The numbers of webhooks, and when to try again: a delivery waits longer after each failure, and a receiver that answers
// nobody is left alone the longer, the longer it has been down.
import type { Random } from '../base/random.ts'

/** How webhooks are sent; each number has a default. */
export interface WebhookSettings {
  /** For one attempt, from looking the name up to the end of the answer. */
  readonly attemptTimeMs: number
  /** Attempts that run at once to one webhook. */
  readonly perWebhookMax: number
  /** Attempts that run at once in this process. */
  readonly atOnceMax: number
  /** How long a delivery is tried before it is marked failed. */
  readonly retryForMs: number
  /** The wait after the first failure; it doubles with each. */
  readonly retryFirstMs: number
  readonly retryMaxMs: number
  /** A webhook counts as down after this many failures in a row. */
  readonly downAfterFailures: number
  /** How long the secret before the new one signs too. */
  readonly secretOverlapMs: number
  /** How long this process may send before it has to say that it is alive. */
  readonly leaseMs: number
  /** Deliveries of one webhook that wait at once; what comes after waits in the journal. */
  readonly pendingMax: number
  /** How long finished deliveries are kept. */
  readonly keptMs: number
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

export const webhookDefaults: WebhookSettings = {
  attemptTimeMs: 15_000,
  perWebhookMax: 2,
  atOnceMax: 32,
  retryForMs: 3 * dayMs,
  retryFirstMs: 5_000,
  retryMaxMs: hourMs,
  downAfterFailures: 5,
  secretOverlapMs: dayMs,
  leaseMs: minuteMs,
  pendingMax: 10_000,
  keptMs: 30 * dayMs,
}

/** The columns of a delivery that ends now. */
export function finishedColumns({ keptMs }: WebhookSettings, now: number) {
  return { finished_at: now, expires_at: now + keptMs } as const
}

/** How long a delivery waits after so many failures of its own. */
export function retryDelayMs(settings: WebhookSettings, failures: number): number {
  const { retryFirstMs, retryMaxMs } = settings
  return Math.min(retryFirstMs * 2 ** Math.max(0, failures - 1), retryMaxMs)
}

// Down for an hour: asked once a minute, so that it has everything a minute after it is back. Down for a day: every 24.
const patience = 60

/** How long a receiver that is down is left alone. */
export function pauseMs(settings: WebhookSettings, downForMs: number): number {
  const { retryFirstMs, retryMaxMs } = settings
  return Math.min(Math.max(retryFirstMs, downForMs / patience), retryMaxMs)
}

/** Up to a fifth less, so that what failed together does not come back together. */
export function jittered(random: Random, ms: number): number {
  const chance = Buffer.from(random.bytes(4)).readUInt32BE() / 2 ** 32
  return Math.round(ms * (0.8 + 0.2 * chance))
}
