// What a person's sign-in at a provider of the tenant brought: our sessions and grants hang on it and end with it, whether
// the person, the provider or an administrator ends it.
import type { Clock } from '../base/clock.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { ProviderGrantRow } from '../store/schema.ts'
import type { SignInProvider } from '../upstream/sign-in-provider.ts'
import type { Tenant } from './tenants.ts'
import type { User } from './users.ts'

/** Why it ended. */
export type ProviderGrantEnd = 'signed_out_there' | 'provider_ended'

/** Which of them: all of a provider, of a subject or session there, or one. */
export interface WhichGrants {
  readonly providerId?: string | undefined
  readonly subject?: string | undefined
  readonly sid?: string | undefined
  readonly id?: string | undefined
}

export interface ProviderGrants {
  /** Keeps what a sign-in brought; gives its id, which sessions and grants name. */
  readonly begin: (
    tenant: Tenant,
    provider: SignInProvider,
    arrived: { readonly user: User; readonly subject: string; readonly sid?: string | undefined },
  ) => Promise<string>
  /** Ends them with all that hangs on them, inside the caller's transaction; gives how many ended now. */
  readonly end: (
    tx: Database,
    tenant: Tenant,
    which: WhichGrants,
    reason: ProviderGrantEnd,
  ) => Promise<number>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  /** Ends the grants of ours that hang on one, inside the same transaction. */
  readonly providerGrantEnded: (tx: Database, tenant: Tenant, id: string) => Promise<void>
}

/** Makes them for all tenants over one database. */
export function createProviderGrants(needs: Needs): ProviderGrants {
  const { db, clock, random } = needs
  return {
    begin: async (tenant, provider, { user, subject, sid }) => {
      const row: ProviderGrantRow = {
        tenant_id: tenant.id,
        id: randomId(random, 'pgr_'),
        provider_id: provider.id,
        user_id: user.id,
        subject,
        sid: sid ?? null,
        created_at: clock.now(),
        ended_at: null,
        end_reason: null,
      }
      await db.insertInto('provider_grants').values(row).execute()
      return row.id
    },

    end: async (tx, tenant, which, reason) => {
      const ended = await markEnded({ tx, clock }, tenant, which, reason)
      for (const row of ended) await endHanging(needs, tx, tenant, row)
      return ended.length
    },
  }
}

function markEnded(
  { tx, clock }: { readonly tx: Database; readonly clock: Clock },
  tenant: Tenant,
  { providerId, subject, sid, id }: WhichGrants,
  reason: ProviderGrantEnd,
) {
  if (providerId === undefined && id === undefined) throw new Error('nothing says which grants')
  return tx
    .updateTable('provider_grants')
    .set({ ended_at: clock.now(), end_reason: reason })
    .where('tenant_id', '=', tenant.id)
    .where('ended_at', 'is', null)
    .$if(providerId !== undefined, (some) => some.where('provider_id', '=', providerId ?? ''))
    .$if(subject !== undefined, (some) => some.where('subject', '=', subject ?? ''))
    .$if(sid !== undefined, (some) => some.where('sid', '=', sid ?? ''))
    .$if(id !== undefined, (some) => some.where('id', '=', id ?? ''))
    .returningAll()
    .execute()
}

async function endHanging(
  { journal, providerGrantEnded }: Needs,
  tx: Database,
  tenant: Tenant,
  row: ProviderGrantRow,
): Promise<void> {
  await tx
    .deleteFrom('sessions')
    .where('tenant_id', '=', tenant.id)
    .where('provider_grant_id', '=', row.id)
    .execute()
  await providerGrantEnded(tx, tenant, row.id)
  await journal.record(tx, {
    tenantId: tenant.id,
    type: 'provider.signed_out',
    actor: { kind: 'system' },
    userId: row.user_id,
    subject: { kind: 'provider', id: row.provider_id },
    data: { reason: row.end_reason ?? '' },
  })
}
