// The throw-away person and client of `latchkey test-flow`. The person has an identity that only this file writes, with the
// id of the run; the client has a redirect URI with that id, which nobody can guess. So a run finds exactly its own data,
// and a later one finds what a run left that was killed.
import { randomId } from '../base/random.ts'
import type { BegunSession } from '../people/sessions.ts'
import type { User } from '../people/users.ts'
import type { Workshop } from '../workshop.ts'
import type { Database } from '../store/database.ts'

/** One run, and the person that it made. */
export interface TestRun {
  readonly id: string
  readonly user: User
  readonly session: BegunSession
  /** Where the client is answered: an address that cannot exist (RFC 6761 §6.4). */
  readonly redirectUri: string
}

/** How many rows went, by what they were. */
export interface RemovedData {
  readonly people: number
  readonly clients: number
  readonly grants: number
  readonly codes: number
  readonly accessTokens: number
  readonly refreshTokens: number
  readonly attempts: number
}

/** What goes when nothing was made. */
export const nothingRemoved: RemovedData = {
  people: 0,
  clients: 0,
  grants: 0,
  codes: 0,
  accessTokens: 0,
  refreshTokens: 0,
  attempts: 0,
}

const provider = 'latchkey test-flow'
/** Longer than any run may take, so that no run cleans up after one that is under way. */
const leftoverAfterMs = 10 * 60_000
/** The server's clock may be behind ours. */
const clockSkewMs = 60 * 60_000

/** Makes the person, marked in the same transaction, and signs them in. */
export async function beginTestRun({
  ground,
  tenant,
  users,
  sessions,
}: Workshop): Promise<TestRun> {
  const { db, random, clock } = ground
  const id = randomId(random, 'run_')
  const email = `${id}@test-flow.invalid`
  const prepared = await users.prepare({ tenant, email, name: 'Latchkey test-flow', role: 'user' })
  const user = await db.transaction().execute(async (tx) => {
    const made = await prepared.store(tx)
    await tx
      .insertInto('identities')
      .values({
        tenant_id: tenant.id,
        issuer: provider,
        subject: id,
        user_id: made.id,
        created_at: clock.now(),
      })
      .execute()
    return made
  })
  return { id, user, session: await sessions.begin(tenant, user), redirectUri: redirectUriOf(id) }
}

function redirectUriOf(id: string): string {
  return `https://test-flow.invalid/${id}`
}

/** Removes what this run made. */
export async function endTestRun(workshop: Workshop, { id }: TestRun): Promise<RemovedData> {
  const runs = await findRuns(workshop)
  return removeRuns(
    workshop,
    runs.filter((run) => run.subject === id),
  )
}

/** Removes what runs made that were killed. */
export async function removeLeftovers(workshop: Workshop): Promise<RemovedData> {
  const before = workshop.ground.clock.now() - leftoverAfterMs
  const runs = await findRuns(workshop)
  return removeRuns(
    workshop,
    runs.filter((run) => run.created_at < before),
  )
}

const runsMax = 1000

function findRuns({ ground, tenant }: Workshop) {
  return ground.db
    .selectFrom('identities')
    .select(['subject', 'user_id', 'created_at'])
    .where('tenant_id', '=', tenant.id)
    .where('issuer', '=', provider)
    .limit(runsMax)
    .execute()
}

type MarkedRun = Awaited<ReturnType<typeof findRuns>>[number]

/** The clients go first and the person with the mark last, so that what is left half-way can be found again. */
async function removeRuns(workshop: Workshop, runs: readonly MarkedRun[]): Promise<RemovedData> {
  const { ground, tenant, issuer } = workshop
  const removed = { ...nothingRemoved }
  for (const run of runs) {
    const clientIds = await findClients(workshop, run)
    const counts = await countData(ground.db, tenant.id, { userId: run.user_id, clientIds })
    for (const id of clientIds) {
      // Nobody finds them without the client; and until it is gone, a request under way may make one anew.
      removed.attempts += await removeAttempts(ground.db, tenant.id, id)
      await issuer.clients.remove({ tenant }, id)
      removed.attempts += await removeAttempts(ground.db, tenant.id, id)
      await removeCallCounts(ground.db, tenant.id, id)
    }
    await removePerson(workshop, run)
    removed.people += 1
    removed.clients += clientIds.length
    removed.grants += counts.grants
    removed.codes += counts.codes
    removed.accessTokens += counts.accessTokens
    removed.refreshTokens += counts.refreshTokens
  }
  return removed
}

async function findClients(
  { ground, tenant }: Workshop,
  run: MarkedRun,
): Promise<readonly string[]> {
  const rows = await ground.db
    .selectFrom('clients')
    .select(['id', 'metadata'])
    .where('tenant_id', '=', tenant.id)
    .where('created_at', '>=', run.created_at - clockSkewMs)
    .where('metadata', 'like', `%${run.subject}%`)
    .execute()
  const redirectUri = redirectUriOf(run.subject)
  const isOurs = (metadata: string) => {
    const { redirect_uris: uris } = JSON.parse(metadata) as { readonly redirect_uris: unknown } // only the issuer writes it
    return Array.isArray(uris) && uris.includes(redirectUri)
  }
  return rows.filter(({ metadata }) => isOurs(metadata)).map(({ id }) => id)
}

async function countData(
  db: Database,
  tenantId: string,
  { userId, clientIds }: { readonly userId: string; readonly clientIds: readonly string[] },
) {
  const grants = await db
    .selectFrom('grants')
    .select(['id', 'client_id'])
    .where('tenant_id', '=', tenantId)
    .where('user_id', '=', userId)
    .execute()
  const ids = grants
    .filter(({ client_id: clientId }) => clientIds.includes(clientId))
    .map(({ id }) => id)
  const count = async (table: 'codes' | 'access_tokens' | 'refresh_tokens') => {
    if (ids.length === 0) return 0
    const rows = await db
      .selectFrom(table)
      .select('grant_id')
      .where('tenant_id', '=', tenantId)
      .where('grant_id', 'in', ids)
      .execute()
    return rows.length
  }
  return {
    grants: ids.length,
    codes: await count('codes'),
    accessTokens: await count('access_tokens'),
    refreshTokens: await count('refresh_tokens'),
  }
}

/** Who looks why clients do not connect must not find a test among them. */
async function removeAttempts(db: Database, tenantId: string, clientId: string): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('attempts')
    .where('tenant_id', '=', tenantId)
    .where('client_id', '=', clientId)
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}

/** The calls of a test are nobody's use. */
async function removeCallCounts(db: Database, tenantId: string, clientId: string): Promise<void> {
  await db
    .deleteFrom('call_counts')
    .where('tenant_id', '=', tenantId)
    .where('client_id', '=', clientId)
    .execute()
}

/** Takes sessions, consents, grants and the mark with them. */
async function removePerson({ ground, tenant }: Workshop, { user_id }: MarkedRun): Promise<void> {
  const { db, journal } = ground
  await db.transaction().execute(async (tx) => {
    await tx
      .deleteFrom('users')
      .where('tenant_id', '=', tenant.id)
      .where('id', '=', user_id)
      .execute()
    await journal.record(tx, {
      tenantId: tenant.id,
      type: 'user.deleted',
      actor: { kind: 'operator' },
      subject: { kind: 'user', id: user_id },
      data: { by: 'test-flow' },
    })
  })
}
