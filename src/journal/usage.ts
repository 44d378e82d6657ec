// How the authorization server is used, in numbers: asked of the tables each time, each question by an index or counted up
// to a limit. The journal has what is not in a table any more.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import type { Schema } from '../store/schema.ts'
import { dayMs } from './refusal-counts.ts'

export interface Usage {
  /** The numbers of one tenant. */
  readonly report: (tenantId: string) => Promise<UsageReport>
  /** Rows per table of the whole installation, at most five minutes old. */
  readonly tableRows: () => Promise<Readonly<Record<string, number>>>
}

export interface UsageReport {
  readonly at: number
  readonly activeTokens: number
  /** Clients that have a token that works. */
  readonly activeClients: number
  /** Expired tokens that have not been swept yet. */
  readonly expiredTokens: number
  readonly tokensPerClient: readonly ClientCount[]
  /** Clients with more than a hundred codes that expired unused or attempts that failed, of the last thirty days. */
  readonly troubledClients: readonly TroubledClient[]
  /** Access tokens given out per day (UTC), of the last thirty days, newest first. */
  readonly tokensPerDay: readonly { readonly day: string; readonly tokens: number }[]
  readonly failedAuthorizations: number
  /** Refusals of the last thirty days by what was refused and why. */
  readonly refusals: readonly RefusalCount[]
  /** Up to a million each. */
  readonly tableRows: Readonly<Record<string, number>>
  /** Rows of the journal of the last day, by which it grows. */
  readonly journalEntriesLastDay: number
}

export interface ClientCount {
  readonly clientId: string
  readonly name: string
  readonly tokens: number
}

export interface TroubledClient {
  readonly clientId: string
  readonly name: string | undefined
  readonly expiredCodes: number
  readonly failedAttempts: number
}

export interface RefusalCount {
  readonly type: string
  readonly error: string
  readonly count: number
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  /** Brings the counts of this process into the table. */
  readonly flush: () => Promise<void>
}

const daysShown = 30
const listedMax = 100
const troubledFrom = 100
const tableRowsAgeMs = 300_000
const countedMax = 1_000_000

/** Makes the numbers over one database. */
export function createUsage(needs: Needs): Usage {
  const { db, clock, flush } = needs
  let counted: { readonly at: number; readonly rows: Promise<Record<string, number>> } | undefined

  const tableRows = () => {
    if (counted === undefined || clock.now() - counted.at >= tableRowsAgeMs) {
      const rows = countTables(db).catch((thrown: unknown) => {
        counted = undefined
        throw thrown
      })
      counted = { at: clock.now(), rows }
    }
    return counted.rows
  }

  return {
    tableRows,
    report: async (tenantId) => {
      await flush()
      const at = clock.now()
      const asked = { db, tenantId, now: at, from: at - daysShown * dayMs }
      const refusals = await countRefusals(asked)
      const ended = await countEnded(asked)
      return {
        at,
        ...(await countTokens(asked)),
        tokensPerClient: await tokensPerClient(asked),
        troubledClients: await findTroubled(asked),
        tokensPerDay: await tokensPerDay(asked),
        failedAuthorizations:
          ended +
          refusals
            .filter(({ type }) => type === 'authorization.refused')
            .reduce((sum, { count }) => sum + count, 0),
        refusals,
        tableRows: await tableRows(),
        journalEntriesLastDay: await countEntries(asked),
      }
    },
  }
}

interface Asked {
  readonly db: Database
  readonly tenantId: string
  readonly now: number
  readonly from: number
}

/** The tokens that work: unexpired, not revoked, of a grant that is not. */
function activeTokens({ db, tenantId, now }: Asked) {
  return db
    .selectFrom('access_tokens')
    .innerJoin('grants', (join) =>
      join
        .onRef('grants.tenant_id', '=', 'access_tokens.tenant_id')
        .onRef('grants.id', '=', 'access_tokens.grant_id'),
    )
    .where('access_tokens.tenant_id', '=', tenantId)
    .where('access_tokens.expires_at', '>', now)
    .where('access_tokens.revoked_at', 'is', null)
    .where('grants.revoked_at', 'is', null)
}

async function countTokens(asked: Asked) {
  const active = await activeTokens(asked)
    .select(({ fn }) => [
      fn.countAll<number>().as('tokens'),
      fn.count<number>('access_tokens.client_id').distinct().as('clients'),
    ])
    .executeTakeFirstOrThrow()
  const expired = await asked.db
    .selectFrom('access_tokens')
    .select(({ fn }) => fn.countAll<number>().as('tokens'))
    .where('tenant_id', '=', asked.tenantId)
    .where('expires_at', '<=', asked.now)
    .executeTakeFirstOrThrow()
  return {
    activeTokens: active.tokens,
    activeClients: active.clients,
    expiredTokens: expired.tokens,
  }
}

async function tokensPerClient(asked: Asked): Promise<readonly ClientCount[]> {
  const rows = await activeTokens(asked)
    .innerJoin('clients', (join) =>
      join
        .onRef('clients.tenant_id', '=', 'access_tokens.tenant_id')
        .onRef('clients.id', '=', 'access_tokens.client_id'),
    )
    .select(['clients.id', 'clients.name'])
    .select(({ fn }) => fn.countAll<number>().as('tokens'))
    .groupBy(['clients.id', 'clients.name'])
    .orderBy('tokens', 'desc')
    .orderBy('clients.id')
    .limit(listedMax)
    .execute()
  return rows.map(({ id, name, tokens }) => ({ clientId: id, name, tokens: tokens }))
}

async function findTroubled(asked: Asked): Promise<readonly TroubledClient[]> {
  const codes = await asked.db
    .selectFrom('codes')
    .select('client_id')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', asked.tenantId)
    .where('claimed_at', 'is', null)
    .where('expires_at', '<=', asked.now)
    .groupBy('client_id')
    .execute()
  const failed = await asked.db
    .selectFrom('refusal_counts')
    .select('client_id')
    .select(({ fn }) => fn.sum<number>('count').as('count'))
    .where('tenant_id', '=', asked.tenantId)
    .where('day', '>=', dayOf(asked.from))
    .where('client_id', '<>', '')
    .groupBy('client_id')
    .execute()
  const expiredCodes = new Map(codes.map((row) => [row.client_id, row.count]))
  const failedAttempts = new Map(failed.map((row) => [row.client_id, row.count]))
  const clients = [...new Set([...expiredCodes.keys(), ...failedAttempts.keys()])]
    .map((clientId) => ({
      clientId,
      expiredCodes: expiredCodes.get(clientId) ?? 0,
      failedAttempts: failedAttempts.get(clientId) ?? 0,
    }))
    .filter((each) => each.expiredCodes + each.failedAttempts > troubledFrom)
    .toSorted((one, other) => troubleOf(other) - troubleOf(one))
    .slice(0, listedMax)
  const names = await namesOf(
    asked,
    clients.map(({ clientId }) => clientId),
  )
  return clients.map(({ clientId, expiredCodes, failedAttempts }) => ({
    clientId,
    name: names.get(clientId),
    expiredCodes,
    failedAttempts,
  }))
}

function troubleOf(client: Pick<TroubledClient, 'expiredCodes' | 'failedAttempts'>): number {
  return client.expiredCodes + client.failedAttempts
}

async function namesOf(
  { db, tenantId }: Asked,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map()
  const rows = await db
    .selectFrom('clients')
    .select(['id', 'name'])
    .where('tenant_id', '=', tenantId)
    .where('id', 'in', [...ids])
    .execute()
  return new Map(rows.map(({ id, name }) => [id, name]))
}

async function tokensPerDay({ db, tenantId, from, now }: Asked) {
  const day = sql<number>`at / ${sql.lit(dayMs)}`
  const rows = await db
    .selectFrom('journal_entries')
    .select([day.as('day')])
    .select(({ fn }) => fn.countAll<number>().as('tokens'))
    .where('tenant_id', '=', tenantId)
    .where('at', '>', from)
    .where('type', 'in', ['token.issued', 'token.refreshed', 'token.exchanged'])
    .groupBy(day)
    .execute()
  const counts = new Map(rows.map((row) => [row.day, row.tokens]))
  return Array.from({ length: daysShown }, (_, back) => {
    const number = dayOf(now) - back
    return {
      day: new Date(number * dayMs).toISOString().slice(0, 10),
      tokens: counts.get(number) ?? 0,
    }
  })
}

async function countRefusals({ db, tenantId, from }: Asked): Promise<readonly RefusalCount[]> {
  const rows = await db
    .selectFrom('refusal_counts')
    .select(['type', 'error'])
    .select(({ fn }) => fn.sum<number>('count').as('count'))
    .where('tenant_id', '=', tenantId)
    .where('day', '>=', dayOf(from))
    .groupBy(['type', 'error'])
    .orderBy('count', 'desc')
    .limit(listedMax)
    .execute()
  return rows.map(({ type, error, count }) => ({ type, error, count: count }))
}

/** Authorizations that began and ended with an error or a no. */
async function countEnded({ db, tenantId, from }: Asked): Promise<number> {
  const row = await db
    .selectFrom('journal_entries')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('at', '>', from)
    .where('type', 'in', ['authorization.failed', 'consent.denied'])
    .executeTakeFirstOrThrow()
  return row.count
}

async function countEntries({ db, tenantId, now }: Asked): Promise<number> {
  const row = await db
    .selectFrom('journal_entries')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('at', '>', now - dayMs)
    .executeTakeFirstOrThrow()
  return row.count
}

function dayOf(ms: number): number {
  return Math.floor(ms / dayMs)
}

/** The tables that grow with use. */
const countedTables = [
  'access_tokens',
  'api_keys',
  'attempts',
  'authorization_requests',
  'call_contents',
  'call_counts',
  'client_assertions',
  'client_secrets',
  'clients',
  'codes',
  'connections',
  'consents',
  'credentials',
  'device_codes',
  'device_guesses',
  'discoveries',
  'dpop_proofs',
  'flows',
  'grants',
  'idempotency_keys',
  'journal_entries',
  'provider_grants',
  'providers',
  'pushed_requests',
  'rate_limits',
  'refresh_tokens',
  'refusal_counts',
  'sessions',
  'setup_links',
  'sign_in_flows',
  'step_ups',
  'subject_tokens',
  'token_ancestors',
  'upstream_revocations',
  'users',
  'webhook_deliveries',
] as const satisfies readonly (keyof Schema)[]

async function countTables(db: Database): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of countedTables) {
    const some = sql`select 1 from ${sql.table(table)} limit ${sql.lit(countedMax)}`
    const { rows } = await sql<{
      count: number
    }>`select count(*) as count from (${some}) as counted`.execute(db)
    counts[table] = rows[0]?.count ?? 0
  }
  return counts
}
