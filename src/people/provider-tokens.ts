// The tokens of people's own sign-ins at the providers of the tenant, for the servers that take them. Never another person's;
// what ends a sign-in is decided by provider-grants.ts.
import type { Database } from '../store/database.ts'
import { sql } from 'kysely'
import { steadyQuery } from '../store/hot-query.ts'
import type { LiveToken } from '../upstream/refresh.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Tenant } from './tenants.ts'

/** Whose token, and of which provider. */
export interface TokenOwner {
  readonly tenant: Tenant
  readonly user: { readonly id: string }
  readonly providerId: string
  /** The sign-in on which the caller's own session or client hangs; it comes first. */
  readonly providerGrantId?: string | undefined
}

/** A token that a server has just refused. */
interface Spent {
  readonly connectionId: string
  readonly generation: number
}

/** A token that works now, and the sign-in it is of. */
export type ProviderToken = Extract<LiveToken, { readonly kind: 'live' }> & { readonly id: string }

export interface ProviderTokens {
  /**
   * Refreshed if that is due, once for all who ask; undefined when the person has no sign-in there that gives one. Throws
   * Fault('provider_unreachable' | …) when that may pass.
   */
  readonly live: (owner: TokenOwner, spent?: Spent) => Promise<ProviderToken | undefined>
  /** Does this sign-in of theirs still stand? Nothing is refreshed for that. */
  readonly stands: (owner: TokenOwner, id: string) => Promise<boolean>
}

interface Needs {
  readonly db: Database
  readonly upstream: Pick<Upstream, 'vault' | 'refresh'>
}

/** How many sign-ins of one person are tried, the newest first. */
const triedMax = 5

// Asked for every call to a server that takes such a token.
const findStanding = steadyQuery(
  (db, { tenantId, userId, providerId, ownId }: Readonly<Record<Asked, string>>) =>
    db
      .selectFrom('provider_grants')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('user_id', '=', userId)
      .where('provider_id', '=', providerId)
      .where('ended_at', 'is', null)
      .orderBy((is) => is.case().when('id', '=', ownId).then(sql.lit(0)).else(sql.lit(1)).end())
      .orderBy('created_at', 'desc')
      .orderBy('id')
      .limit(sql.lit(triedMax)),
)

type Asked = 'tenantId' | 'userId' | 'providerId' | 'ownId'

/** Makes them for all tenants over one database. */
export function createProviderTokens(needs: Needs): ProviderTokens {
  return {
    live: (owner, spent) => live(needs, owner, spent),
    stands: async ({ tenant, user, providerId }, id) => {
      const row = await needs.db
        .selectFrom('provider_grants')
        .select('ended_at')
        .where('tenant_id', '=', tenant.id)
        .where('id', '=', id)
        .where('user_id', '=', user.id)
        .where('provider_id', '=', providerId)
        .executeTakeFirst()
      return row !== undefined && row.ended_at === null
    },
  }
}

async function live(
  { db, upstream }: Needs,
  { tenant, user, providerId, providerGrantId: ownId = '' }: TokenOwner,
  spent: Spent | undefined,
): Promise<ProviderToken | undefined> {
  const asked = { tenantId: tenant.id, userId: user.id, providerId, ownId }
  for (const { id } of await findStanding(db, asked)) {
    const holder = { tenant, connectionId: id }
    const isRefused = spent?.connectionId === id
    // One server's refusal must not end a sign-in that serves others: what cannot be made newer is only passed over.
    if (isRefused && !(await isRenewable(upstream, holder))) continue
    const spentGeneration = isRefused ? spent.generation : undefined
    const token = await upstream.refresh.liveToken({
      ...holder,
      ...(spentGeneration === undefined ? {} : { spentGeneration }),
    })
    if (token.kind === 'live') return { ...token, id }
  }
  return undefined
}

async function isRenewable(
  { vault }: Pick<Upstream, 'vault'>,
  holder: { readonly tenant: Tenant; readonly connectionId: string },
): Promise<boolean> {
  return (await vault.read(holder))?.refreshToken !== undefined
}
