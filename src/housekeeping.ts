// What runs on a timer. The only file that starts timers; each job is a function of a room that can also be called by hand.
import type { Clock } from './base/clock.ts'
import type { Log } from './base/log.ts'
import { sweepIdempotencyKeys } from './http/idempotency.ts'
import { sweepRateLimits } from './http/limit-counts.ts'
import type { Issuer } from './issuer/issuer.ts'
import type { IssuerSweep } from './issuer/sweep.ts'
import { sweepAttempts } from './journal/attempts.ts'
import type { AttemptSweep } from './journal/attempts.ts'
import { sweepContents } from './journal/call-contents.ts'
import type { CallContentSweep } from './journal/call-contents.ts'
import type { CallCounts } from './journal/call-counts.ts'
import type { Journal } from './journal/entries.ts'
import type { RefusalCounts } from './journal/refusal-counts.ts'
import type { Webhooks } from './journal/webhooks.ts'
import { sweepWebhooks } from './journal/webhook-sweep.ts'
import type { WebhookSweep } from './journal/webhook-sweep.ts'
import { sweepPeople } from './people/sweep.ts'
import type { PeopleSweep } from './people/sweep.ts'
import type { Database } from './store/database.ts'
import type { Refresh } from './upstream/refresh.ts'
import type { Revocations } from './upstream/revocations.ts'
import { sweepUpstream } from './upstream/sweep.ts'
import type { UpstreamSweep } from './upstream/sweep.ts'

interface Needs {
  readonly journal: Journal
  readonly refresh: Refresh
  readonly revocations: Pick<Revocations, 'sendDue'>
  readonly webhooks: Pick<Webhooks, 'begin'>
  readonly issuer: Pick<Issuer, 'writeUses'> & {
    readonly signingKeys: Pick<Issuer['signingKeys'], 'rotateDue'>
  }
  readonly counts: Pick<RefusalCounts, 'flush'>
  readonly callCounts: Pick<CallCounts, 'flush'>
  readonly sweep: () => Promise<SweepCounts>
  readonly log: Log
}

/** How many expired rows went, by what they were. */
export type SweepCounts = IssuerSweep &
  PeopleSweep &
  UpstreamSweep &
  WebhookSweep &
  AttemptSweep &
  CallContentSweep & { readonly idempotencyKeys: number; readonly rateLimits: number }

export interface Housekeeping {
  /** Stops the timers and waits for the jobs that run. */
  readonly stop: () => Promise<void>
}

interface Job {
  readonly name: string
  readonly everyMs: number
  /** The signal comes when the timers stop: a job that may take long ends early. */
  readonly run: (signal: AbortSignal) => Promise<unknown>
}

/** Starts the timers. A job never overlaps itself; one that fails is logged and comes round again. */
export function startHousekeeping(needs: Needs): Housekeeping {
  const { webhooks, issuer, counts, callCounts, sweep, log } = needs
  return startJobs(log, [
    ...jobsOfReachingOut(needs),
    { name: 'deliver webhooks', everyMs: 1_000, run: webhooks.begin },
    { name: 'rotate signing keys', everyMs: 60_000, run: issuer.signingKeys.rotateDue },
    { name: 'write uses', everyMs: 60_000, run: issuer.writeUses },
    { name: 'count refusals', everyMs: 10_000, run: counts.flush },
    { name: 'count calls', everyMs: 10_000, run: callCounts.flush },
    { name: 'sweep', everyMs: 600_000, run: async () => tellSwept(log, { ...(await sweep()) }) },
  ])
}

/** Starts the timers of the client half alone. */
export function startClientHousekeeping(
  needs: Pick<Needs, 'journal' | 'refresh' | 'revocations' | 'log'> & {
    readonly db: Database
    readonly clock: Clock
  },
): Housekeeping {
  const { db, clock, log } = needs
  const sweep = async () => tellSwept(log, { ...(await sweepUpstream(db, clock.now())) })
  return startJobs(log, [
    ...jobsOfReachingOut(needs),
    { name: 'sweep', everyMs: 600_000, run: sweep },
  ])
}

function jobsOfReachingOut({
  journal,
  refresh,
  revocations,
}: Pick<Needs, 'journal' | 'refresh' | 'revocations'>): readonly Job[] {
  return [
    { name: 'seal the journal', everyMs: 1_000, run: journal.seal },
    // Also takes up what a process elsewhere left behind when it died in the middle of a refresh: soon after its lease is over,
    // because a provider that takes a spent refresh token again does so for half a minute.
    { name: 'refresh ahead', everyMs: 5_000, run: (signal) => refresh.refreshDue({ signal }) },
    { name: 'revoke at providers', everyMs: 5_000, run: revocations.sendDue },
  ]
}

function startJobs(log: Log, jobs: readonly Job[]): Housekeeping {
  const stops = jobs.map((job) => startJob(job, log))
  return {
    stop: async () => {
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}

/** Makes the sweep of every room's expired rows; a sweep in another process at the same time does no harm. */
export function createSweep({
  db,
  clock,
  issuer,
}: {
  readonly db: Database
  readonly clock: Clock
  readonly issuer: Issuer
}): () => Promise<SweepCounts> {
  return async () => {
    const now = clock.now()
    return {
      ...(await issuer.sweep(now)),
      ...(await sweepPeople(db, now)),
      ...(await sweepUpstream(db, now)),
      ...(await sweepWebhooks(db, now)),
      ...(await sweepAttempts(db, now)),
      ...(await sweepContents(db, now)),
      idempotencyKeys: await sweepIdempotencyKeys(db, now),
      rateLimits: await sweepRateLimits(db, now),
    }
  }
}

function tellSwept(log: Log, counts: Readonly<Record<string, number>>): void {
  const swept = Object.entries(counts).filter(([, count]) => count > 0)
  if (swept.length > 0) log.info(Object.fromEntries(swept), 'what had expired was deleted')
}

/** Runs a job now and then again and again; the result stops it. */
function startJob({ name, everyMs, run }: Job, log: Log): () => Promise<void> {
  let running: Promise<void> | undefined
  const ending = new AbortController()
  const once = async () => {
    try {
      await run(ending.signal)
    } catch (cause) {
      log.warn({ job: name, cause }, 'a job of the housekeeping failed; it will come round again')
    } finally {
      running = undefined
    }
  }
  const begin = () => {
    running ??= once()
  }
  begin()
  const timer = setInterval(begin, everyMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    ending.abort()
    await running
  }
}
