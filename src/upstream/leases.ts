// Who may refresh, and when: the lease under which one process at a time sends a refresh token, and the moment at which a
// refresh is due.
import type { ExpressionBuilder } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import type { CredentialRow, Schema } from '../store/schema.ts'
import type { SharedTime } from '../store/time.ts'
import { change, hostOf, noLease, noTokens, readBinding } from './held.ts'
import type { Held } from './held.ts'
import type { Holder, HolderKey } from './holder.ts'

export interface Leases {
  /**
   * Takes the lease and writes down what will be sent, in one step; false when another one was first, or when a provider
   * that refused once is not to be asked again yet.
   */
  readonly lease: (
    held: Held,
    lease: Lease & {
      /** What was refused is no more what will be asked. */
      readonly isDoubtOver?: boolean
    },
  ) => Promise<boolean>
  /** Keeps the lease for longer; false when it is no longer ours. */
  readonly extend: (held: Held, lease: Lease) => Promise<boolean>
  /** Gives the lease back without new tokens, and says when to try again. */
  readonly release: (tx: Database, held: Held, release: Release) => Promise<boolean>
  /** The same with what was refused, which is not asked again before this time is over. */
  readonly doubt: (held: Held, doubt: Lease & { readonly doubt: string }) => Promise<boolean>
  /** How the row stands, for who may not work on it now. */
  readonly standing: (holder: Holder) => Promise<Standing | undefined>
  /** Whose tokens should be refreshed by now and by nobody yet, the most overdue first, of all tenants that are switched on. */
  readonly due: (limit: number) => Promise<readonly Due[]>
  /**
   * Ends the leases that an earlier process of this name left, and lets what it sent be due at once. Gives how many these
   * were.
   */
  readonly inherit: (owner: string) => Promise<number>
  /** Lets tokens that are due wait: they cannot be refreshed as they are. */
  readonly defer: (holder: Holder, until: number) => Promise<void>
}

export interface Due extends HolderKey {
  /** Whom its refresh asks. */
  readonly host: string
}

export interface Lease {
  readonly owner: string
  readonly ms: number
}

export interface Release {
  readonly owner: string
  readonly retryAt: number
  /** Bytes went out and no answer came: what was sent may be spent. */
  readonly isUnanswered: boolean
}

export interface Standing {
  readonly generation: number
  readonly isEmptied: boolean
  /** Somebody works on it; undefined when nobody does, and over when they died. */
  readonly lease: 'running' | 'over' | undefined
  /** How long a provider that refused once is still left alone. */
  readonly doubtMs: number
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  /** By what a lease is judged; when a refresh is due is judged by the clock, as the end of a token is. */
  readonly time: SharedTime
}

/** Makes the leases of one process. */
export function createLeases(needs: Needs): Leases {
  return { ...createLease(needs), ...createSchedule(needs) }
}

type Scheduling = 'due' | 'defer' | 'inherit'

function createSchedule({ db, clock, time }: Needs): Pick<Leases, Scheduling> {
  return {
    due: async (limit) => {
      const rows = await db
        .selectFrom('credentials')
        .select(['tenant_id', 'connection_id', 'binding'])
        .where('next_refresh_at', '<=', clock.now())
        .where((is) => isOver(is, 'lease_until', time))
        // Nobody can use the tokens of a tenant that is switched off.
        .where('tenant_id', 'not in', (of) =>
          of.selectFrom('tenants').select('id').where('disabled_at', 'is not', null),
        )
        .orderBy('next_refresh_at')
        .limit(limit)
        .execute()
      return rows.map(({ tenant_id: tenantId, connection_id: connectionId, ...row }) => {
        return { tenantId, connectionId, host: hostOf(readBinding(row)) }
      })
    },

    inherit: async (owner) => {
      const { numUpdatedRows } = await db
        .updateTable('credentials')
        .set((row) => ({
          lease_until: time.in(0),
          next_refresh_at: atLatest(row, clock.now()),
        }))
        .where('lease_owner', '=', owner)
        .executeTakeFirst()
      return Number(numUpdatedRows)
    },

    defer: async ({ tenant, connectionId }, until) => {
      await db
        .updateTable('credentials')
        .set({ next_refresh_at: until })
        .where('tenant_id', '=', tenant.id)
        .where('connection_id', '=', connectionId)
        .where('next_refresh_at', '<=', clock.now())
        .execute()
    },
  }
}

function createLease({ db, clock, time }: Needs): Omit<Leases, Scheduling> {
  return {
    lease: async (held, { owner, ms, isDoubtOver = false }) => {
      const taking = change(db, held, {
        lease_owner: owner,
        intent_generation: held.generation,
        intent_at: clock.now(),
      })
        .set((row) => ({
          lease_until: time.in(ms),
          next_refresh_at: atLatest(row, clock.now() + ms),
        }))
        // Emptied tokens keep their generation: who read them a moment earlier must not send them again.
        .where('access_token_sealed', '!=', noTokens.access_token_sealed)
        .where((is) => isOver(is, 'lease_until', time))
      const asking = isDoubtOver ? taking : taking.where((is) => isOver(is, 'doubt_until', time))
      return (await asking.executeTakeFirst()) !== undefined
    },

    extend: async (held, { owner, ms }) => {
      const extension = change(db, held, {}).set({ lease_until: time.in(ms) })
      return (await extension.where('lease_owner', '=', owner).executeTakeFirst()) !== undefined
    },

    release: async (tx, held, { owner, retryAt, isUnanswered }) => {
      const { intent_generation, intent_at, ...lease } = noLease
      const intent = isUnanswered ? {} : { intent_generation, intent_at }
      const release = change(tx, held, { ...lease, ...intent, next_refresh_at: retryAt })
      return (await release.where('lease_owner', '=', owner).executeTakeFirst()) !== undefined
    },

    doubt: async (held, { owner, ms, doubt }) => {
      const facts = { ...noLease, doubt, next_refresh_at: clock.now() + ms }
      const doubting = change(db, held, facts).set({ doubt_until: time.in(ms) })
      return (await doubting.where('lease_owner', '=', owner).executeTakeFirst()) !== undefined
    },

    standing: async ({ tenant, connectionId }) => {
      const row = await db
        .selectFrom('credentials')
        .select(['generation', 'access_token_sealed', 'lease_until', 'doubt_until'])
        .select(time.in(0).as('now'))
        .where('tenant_id', '=', tenant.id)
        .where('connection_id', '=', connectionId)
        .executeTakeFirst()
      return row && toStanding(row)
    },
  }
}

/** Was it never taken, or is its time over? Judged where the row is, in the statement that takes it. */
function isOver(
  is: ExpressionBuilder<Schema, 'credentials'>,
  column: 'lease_until' | 'doubt_until',
  time: SharedTime,
) {
  return is.or([is(column, 'is', null), is(column, '<=', time.in(0))])
}

function toStanding(
  row: Pick<CredentialRow, 'generation' | 'access_token_sealed' | 'lease_until' | 'doubt_until'> & {
    readonly now: number
  },
): Standing {
  const { generation, lease_until: leaseUntil, doubt_until: doubtUntil, now } = row
  const isEmptied = row.access_token_sealed === noTokens.access_token_sealed
  const lease = leaseUntil === null ? undefined : leaseUntil > now ? 'running' : 'over'
  return { generation, isEmptied, lease, doubtMs: Math.max((doubtUntil ?? now) - now, 0) }
}

/** What was sent and has no outcome when the lease is over is due then, also where a refresh was not due otherwise. */
function atLatest(row: ExpressionBuilder<Schema, 'credentials'>, until: number) {
  return row
    .case()
    .when('next_refresh_at', '<=', until)
    .then(row.ref('next_refresh_at'))
    .else(until)
    .end()
}
