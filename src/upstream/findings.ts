// What discovery found before, kept in the database (S1-21): used again while it is young, and remembered for longer as the
// place where people signed in.
import type { Clock } from '../base/clock.ts'
import { readAuthorizationServerMetadata } from '../oauth/metadata.ts'
import type { AuthorizationServerMetadata, ProtectedResourceMetadata } from '../oauth/metadata.ts'
import type { Database } from '../store/database.ts'
import type { TenantFacts } from './holder.ts'
import { createTrace } from './trace.ts'
import type { TraceStep } from './trace.ts'

/** How to sign in at a server. */
export interface Discovery {
  readonly serverUrl: string
  /** RFC 8707: sent with every request; the server's own spelling of itself, verbatim. */
  readonly resource: string
  readonly challengeScope?: string
  readonly protectedResource?: ProtectedResourceMetadata
  readonly issuer: string
  readonly metadata: AuthorizationServerMetadata
  /** Nothing was published: these are the places that MCP 2025-03-26 prescribes. */
  readonly isGuessed: boolean
  /** The server answered without a token. */
  readonly openToAll: boolean
  /** Both servers take tokens that are bound to a key of ours (RFC 9449); `required`: no others. */
  readonly proofs?: 'required' | 'offered'
  readonly trace: readonly TraceStep[]
}

/** Of what a finding is. */
interface Place {
  readonly tenant: TenantFacts
  readonly serverUrl: string
  /** The authorization server that an admin named. */
  readonly issuer?: string | undefined
  readonly isForPrograms?: boolean
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
}

// No finding is used for longer by anybody, so it is swept then.
const findingKeptMs = 30 * 24 * 60 * 60 * 1000

/** What is kept of a finding. */
type Cached = Omit<Discovery, 'trace'> & {
  readonly askedIssuer?: string
  /** What protects codes was not asked for, so it is no finding for people. */
  readonly isForPrograms?: boolean
}

/** What was found before, if it is young enough. */
export async function readCached(
  { db, clock }: Needs,
  { tenant, serverUrl, issuer, isForPrograms = false }: Place,
  cacheMs: number,
): Promise<Discovery | undefined> {
  const row = await db
    .selectFrom('discoveries')
    .select(['document', 'fetched_at'])
    .where('tenant_id', '=', tenant.id)
    .where('resource_url', '=', serverUrl)
    .where('fetched_at', '>', clock.now() - cacheMs)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const {
    askedIssuer,
    isForPrograms: isLax = false,
    ...cached
  } = JSON.parse(row.document) as Cached // only writeCached writes it
  if (askedIssuer !== issuer || (isLax && !isForPrograms)) return undefined
  const metadata = readAuthorizationServerMetadata(cached.metadata, cached.issuer)
  const trace = createTrace(clock)
  trace.note({ step: 'discovery', url: serverUrl, outcome: 'known from before' })
  return { ...cached, metadata, trace: trace.steps() }
}

/** Where people signed in before, however long ago that was looked up. */
export async function rememberedIssuer(
  { db }: Needs,
  { tenant, serverUrl, issuer }: Place,
): Promise<string | undefined> {
  if (issuer !== undefined) return undefined
  const row = await db
    .selectFrom('discoveries')
    .select('document')
    .where('tenant_id', '=', tenant.id)
    .where('resource_url', '=', serverUrl)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { askedIssuer, issuer: found } = JSON.parse(row.document) as Cached // only writeCached writes it
  return askedIssuer === undefined ? found : undefined
}

/** Keeps a finding. */
export async function writeCached(
  { db, clock }: Needs,
  { tenant, serverUrl, issuer, isForPrograms = false }: Place,
  discovery: Discovery,
): Promise<void> {
  const { trace: _shownOnce, ...kept } = discovery
  const asked = issuer === undefined ? {} : { askedIssuer: issuer }
  const cached: Cached = { ...kept, ...asked, isForPrograms }
  const now = clock.now()
  const facts = {
    document: JSON.stringify(cached),
    fetched_at: now,
    expires_at: now + findingKeptMs,
  }
  await db
    .insertInto('discoveries')
    .values({ tenant_id: tenant.id, resource_url: serverUrl, ...facts })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'resource_url']).doUpdateSet(facts))
    .execute()
}

/**
 * Somebody failed with it: the next one looks anew (S1-22). Which authorization server was taken stays known, because a
 * sign-in that failed there says nothing against it.
 */
export async function doubtFinding(
  db: Database,
  tenant: Pick<TenantFacts, 'id'>,
  serverUrl: string,
): Promise<void> {
  await db
    .updateTable('discoveries')
    .set({ fetched_at: 0 })
    .where('tenant_id', '=', tenant.id)
    .where('resource_url', '=', serverUrl)
    .execute()
}

/** Forgets it, and with it which authorization server was taken. */
export async function forgetFinding(
  { db }: Pick<Needs, 'db'>,
  tenant: TenantFacts,
  serverUrl: string,
): Promise<void> {
  await db
    .deleteFrom('discoveries')
    .where('tenant_id', '=', tenant.id)
    .where('resource_url', '=', serverUrl)
    .execute()
}
