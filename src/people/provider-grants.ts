// What a person's sign-in at a provider of the tenant brought: our sessions and grants hang on it and end with it, whether
// the person, the provider or an administrator ends it.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { ProviderGrantRow } from '../store/schema.ts'
import { bindingOfSignIn, isSignIn, withScope } from '../upstream/provider-client.ts'
import type { SignInProvider } from '../upstream/sign-in-provider.ts'
import type { TokenSet } from '../upstream/token-endpoint.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Tenant } from './tenants.ts'
import type { User } from './users.ts'

/** Why it ended. */
export type ProviderGrantEnd = 'signed_out_there' | 'provider_ended' | 'person_removed'

/** Which of them: all of a provider, of a subject or session there, of a person here, or one. */
export interface WhichGrants {
  readonly providerId?: string | undefined
  readonly subject?: string | undefined
  readonly sid?: string | undefined
  readonly id?: string | undefined
  readonly userId?: string | undefined
  /** Those that began by then. */
  readonly before?: number | undefined
}

export interface Arrived {
  readonly user: User
  readonly subject: string
  readonly sid?: string | undefined
  readonly tokens: TokenSet
}

export interface ProviderGrants {
  /** Keeps what a sign-in brought; gives its id, which sessions and grants name. */
  readonly begin: (tenant: Tenant, provider: SignInProvider, arrived: Arrived) => Promise<string>
  /**
   * Does it stand at the provider too? Its tokens are refreshed if that is due, once for all who ask. Throws
   * Fault('temporarily_unavailable') when only the provider could say and does not.
   */
  readonly standing: (tenant: Pick<Tenant, 'id'>, id: string) => Promise<ProviderStanding>
  /** Takes a provider's word that a session there has ended. Throws Fault('invalid_request'), and then ends nothing. */
  readonly signedOutThere: (
    tenant: Tenant,
    provider: SignInProvider,
    token: Secret,
  ) => Promise<void>
  /** Ends them with all that hangs on them, inside the caller's transaction; gives how many ended now. */
  readonly end: (
    tx: Database,
    tenant: Pick<Tenant, 'id'>,
    which: WhichGrants,
    reason: ProviderGrantEnd,
  ) => Promise<number>
}

export type ProviderStanding =
  | { readonly kind: 'ended' }
  /** `endsAt`: from then on the provider's token is good no more, and there is no newer one to be had. */
  | { readonly kind: 'standing'; readonly endsAt?: number | undefined }

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  /** Ends the grants of ours that hang on one, inside the same transaction. */
  readonly providerGrantEnded: (
    tx: Database,
    tenant: Pick<Tenant, 'id'>,
    id: string,
  ) => Promise<void>
  readonly upstream: Pick<Upstream, 'vault' | 'refresh' | 'revocations' | 'events' | 'signIns'>
}

/** Makes them for all tenants over one database. */
export function createProviderGrants(needs: Needs): ProviderGrants {
  const { db, clock, random, upstream } = needs
  const end: ProviderGrants['end'] = async (tx, tenant, which, reason) => {
    const ended = await markEnded({ tx, clock }, tenant, which, reason)
    for (const row of ended) await endHanging(needs, tx, tenant, row)
    return ended.length
  }
  // The provider will give no newer token: whatever hangs on the old one ends in the same transaction.
  upstream.events.listen(async (tx, { tenantId, connectionId: id }, change) => {
    const isOver = change.kind === 'lost' && isSignIn({ connectionId: id })
    if (isOver) await end(tx, { id: tenantId }, { id }, 'provider_ended')
  })
  return {
    end,
    standing: (tenant, id) => standing(needs, tenant, id),

    signedOutThere: async (tenant, provider, token) => {
      const ended = await upstream.signIns.loggedOut(provider, token)
      const which = { ...ended, providerId: provider.id }
      await db.transaction().execute((tx) => end(tx, tenant, which, 'signed_out_there'))
    },

    begin: async (tenant, provider, { user, subject, sid, tokens }) => {
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
      await db.transaction().execute(async (tx) => {
        await tx.insertInto('provider_grants').values(row).execute()
        if (tokens.refreshToken === undefined && !provider.keepsTokens) return
        const holder = { tenant, connectionId: row.id }
        const kept = withScope(tokens, provider.scopes)
        await upstream.vault.keep(tx, holder, bindingOfSignIn(provider, user.id), kept)
      })
      return row.id
    },
  }
}

async function standing(
  { db, upstream }: Needs,
  tenant: Pick<Tenant, 'id'>,
  id: string,
): Promise<ProviderStanding> {
  const row = await db
    .selectFrom('provider_grants')
    .select('ended_at')
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined || row.ended_at !== null) return { kind: 'ended' }
  const holder = { tenant, connectionId: id }
  const held = await upstream.vault.read(holder)
  if (held === undefined) return { kind: 'standing' }
  const live = await orLater(() => upstream.refresh.liveToken({ ...holder, isQuick: true }))
  if (live.kind === 'none') return { kind: 'standing' }
  if (live.kind === 'reauthorization_required') return { kind: 'ended' }
  return { kind: 'standing', endsAt: held.refreshToken === undefined ? live.expiresAt : undefined }
}

/** A provider that gives no answer ends nothing: whoever asks comes again a little later. */
async function orLater<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!isFault(cause)) throw cause
    const { because, retryAfterS = laterS } = cause
    throw new Fault('temporarily_unavailable', { because, cause, retryAfterS })
  }
}

const laterS = 30

function markEnded(
  { tx, clock }: { readonly tx: Database; readonly clock: Clock },
  tenant: Pick<Tenant, 'id'>,
  { providerId, subject, sid, id, userId, before }: WhichGrants,
  reason: ProviderGrantEnd,
) {
  if (providerId === undefined && id === undefined && userId === undefined) {
    throw new Error('nothing says which grants')
  }
  return tx
    .updateTable('provider_grants')
    .set({ ended_at: clock.now(), end_reason: reason })
    .where('tenant_id', '=', tenant.id)
    .where('ended_at', 'is', null)
    .$if(providerId !== undefined, (some) => some.where('provider_id', '=', providerId ?? ''))
    .$if(subject !== undefined, (some) => some.where('subject', '=', subject ?? ''))
    .$if(sid !== undefined, (some) => some.where('sid', '=', sid ?? ''))
    .$if(before !== undefined, (some) => some.where('created_at', '<=', before ?? 0))
    .$if(userId !== undefined, (some) => some.where('user_id', '=', userId ?? ''))
    .$if(id !== undefined, (some) => some.where('id', '=', id ?? ''))
    .returningAll()
    .execute()
}

async function endHanging(
  { journal, providerGrantEnded, upstream }: Needs,
  tx: Database,
  tenant: Pick<Tenant, 'id'>,
  row: ProviderGrantRow,
): Promise<void> {
  const held = await upstream.vault.remove(tx, { tenant, connectionId: row.id })
  await upstream.revocations.add(tx, held)
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
