// Who may refresh, and when: the lease under which one process at a time sends a refresh token, and the moment at which a
// refresh is due.
import type { ExpressionBuilder } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import type { Schema } from '../store/schema.ts'
import { change, noLease, noTokens } from './held.ts'
import type { Held } from './held.ts'
import type { Holder, HolderKey } from './holder.ts'

export interface Leases {
  /** Takes the lease and writes down what will be sent, in one step; false when another one was first. */
  readonly lease: (held: Held, lease: Lease) => Promise<boolean>
  /** Keeps the lease for longer; false when it is no longer ours. */
  readonly extend: (held: Held, lease: Lease) => Promise<boolean>
  /** Gives the lease back without new tokens, and says when to try again. */
  readonly release: (tx: Database, held: Held, owner: string, retryAt: number) => Promise<boolean>
  /** Whose tokens should be refreshed by now and by nobody yet, the most overdue first, of all tenants. */
  readonly due: (limit: number) => Promise<readonly HolderKey[]>
  /** Lets tokens that are due wait: they cannot be refreshed as they are. */
  readonly defer: (holder: Holder, until: number) => Promise<void>
}

export interface Lease {
  readonly owner: string
  readonly ms: number
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
}

/** Makes the leases of one process. */
export function createLeases(needs: Needs): Leases {
  return { ...createLease(needs), ...createSchedule(needs) }
}

function createSchedule({ db, clock }: Needs): Pick<Leases, 'due' | 'defer'> {
  return {
    due: (limit) =>
      db
        .selectFrom('credentials')
        .select(['tenant_id as tenantId', 'connection_id as connectionId'])
        .where('next_refresh_at', '<=', clock.now())
        .where((is) => is.or([is('lease_until', 'is', null), is('lease_until', '<=', clock.now())]))
        .orderBy('next_refresh_at')
        .limit(limit)
        .execute(),

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

function createLease({ db, clock }: Needs): Pick<Leases, 'lease' | 'extend' | 'release'> {
  return {
    lease: async (held, { owner, ms }) => {
      const now = clock.now()
      const until = now + ms
      const taking = change(db, held, {
        lease_owner: owner,
        lease_until: until,
        intent_generation: held.generation,
        intent_at: now,
      })
        .set((row) => ({ next_refresh_at: atLatest(row, until) }))
        // Emptied tokens keep their generation: who read them a moment earlier must not send them again.
        .where('access_token_sealed', '!=', noTokens.access_token_sealed)
        .where((is) => is.or([is('lease_until', 'is', null), is('lease_until', '<=', now)]))
      return (await taking.executeTakeFirst()) !== undefined
    },

    extend: async (held, { owner, ms }) => {
      const extension = change(db, held, { lease_until: clock.now() + ms })
      return (await extension.where('lease_owner', '=', owner).executeTakeFirst()) !== undefined
    },

    release: async (tx, held, owner, retryAt) => {
      const release = change(tx, held, { ...noLease, next_refresh_at: retryAt })
      return (await release.where('lease_owner', '=', owner).executeTakeFirst()) !== undefined
    },
  }
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
