// What all instances know together about how much of a quota is used: one row for one key. Adding is one statement, so of
// any number at once none gets lost. A store that does not answer soon is left alone for a moment.
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Database } from '../store/database.ts'
import type { Schema } from '../store/schema.ts'
import { sweepExpired } from '../store/sweep.ts'

/** What is counted: one quota of one key in one tenant. A window begins with the first that is counted. */
export interface Counter {
  readonly tenantId: string
  readonly name: string
  readonly key: string
  readonly quota: number
  readonly windowMs: number
}

/** How much is used, by everybody, until when. */
export interface Count {
  readonly taken: number
  readonly endsAt: number
}

export interface SharedCounts {
  /** Adds, whatever there is already. Rejects when the store cannot be asked now. */
  readonly add: (counter: Counter, amount: number) => Promise<Count>
  /** Adds unless there were more than `most` then; `isWithin` says which. Rejects likewise. */
  readonly addWithin: (
    counter: Counter,
    amount: number,
    most: number,
  ) => Promise<Count & { readonly isWithin: boolean }>
  /** Takes back what was added to the window that ends then. Rejects likewise. */
  readonly subtract: (counter: Counter, amount: number, endsAt: number) => Promise<void>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Pick<Keyring, 'digest'>
  readonly log: Log
}

/** Makes the shared counts of all tenants. */
export function createSharedCounts(needs: Needs): SharedCounts {
  const { db, clock } = needs
  const ask = createAsking(needs)
  const rowOf = (counter: Counter, amount: number) => ({
    tenant_id: counter.tenantId,
    // Addresses and e-mails are nobody's business in a table, and may be long.
    key_digest: digestOf(needs, counter),
    taken: amount,
    expires_at: clock.now() + counter.windowMs,
  })

  return {
    add: (counter, amount) =>
      ask(async () => toCount(await upsert(db, rowOf(counter, amount), clock.now()))),

    addWithin: (counter, amount, most) =>
      ask(async () => {
        const row = rowOf(counter, amount)
        const added = await upsert(db, row, clock.now(), most - amount)
        if (added !== undefined) return { ...toCount(added), isWithin: true }
        const known = await find(db, row)
        return { ...toCount(known ?? { ...row, taken: most }), isWithin: false }
      }),

    subtract: (counter, amount, endsAt) =>
      ask(async () => {
        await db
          .updateTable('rate_limits')
          .set((of) => ({ taken: of('taken', '-', amount) }))
          .where('tenant_id', '=', counter.tenantId)
          .where('key_digest', '=', digestOf(needs, counter))
          .where('expires_at', '=', endsAt)
          .where('taken', '>=', amount)
          .execute()
      }),
  }
}

const answerTimeMs = 1_000
const leftAloneMs = 1_000

/** Asks the store, but not for long, and not again right after it failed: whoever waits here is a request. */
function createAsking({ clock, log }: Needs) {
  let closedUntil = 0

  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (clock.now() < closedUntil) throw new Error('the store is left alone for a moment')
    try {
      return await within(clock, answerTimeMs, work())
    } catch (cause) {
      closedUntil = clock.now() + leftAloneMs
      log.warn({ cause }, 'limits are counted by this process alone: the store does not answer')
      throw cause
    }
  }
}

async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  const answered = new AbortController()
  const late = clock.sleep(ms, answered.signal).then(() => {
    throw new Error(`no answer within ${ms} ms`)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    answered.abort()
  }
}

type Row = Schema['rate_limits']

/** Adds to the window that runs, or begins one; with `most`, only where there is no more than that already. */
function upsert(
  db: Kysely<Schema>,
  row: Row,
  now: number,
  most = Number.MAX_SAFE_INTEGER,
): Promise<Row | undefined> {
  const isRunning = sql<boolean>`rate_limits.expires_at > ${now}`
  return db
    .insertInto('rate_limits')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .columns(['tenant_id', 'key_digest'])
        .doUpdateSet({
          taken: sql`case when ${isRunning} then rate_limits.taken + excluded.taken else excluded.taken end`,
          expires_at: sql`case when ${isRunning} then rate_limits.expires_at else excluded.expires_at end`,
        })
        .where((is) =>
          is.or([is('rate_limits.expires_at', '<=', now), is('rate_limits.taken', '<=', most)]),
        ),
    )
    .returningAll()
    .executeTakeFirst()
}

function find(db: Database, { tenant_id, key_digest }: Row): Promise<Row | undefined> {
  return db
    .selectFrom('rate_limits')
    .selectAll()
    .where('tenant_id', '=', tenant_id)
    .where('key_digest', '=', key_digest)
    .executeTakeFirst()
}

function toCount(row: Row | undefined): Count {
  if (row === undefined) throw new Error('a count was neither made nor found')
  return { taken: row.taken, endsAt: row.expires_at }
}

function digestOf({ keyring }: Needs, { tenantId, name, key }: Counter): string {
  return keyring.digest('rate_limit', JSON.stringify([tenantId, name, key]))
}

/** Deletes the counts of windows that are over, of all tenants; says how many went. */
export function sweepRateLimits(db: Database, now: number): Promise<number> {
  return sweepExpired(db, { table: 'rate_limits', key: ['key_digest'] }, now)
}
