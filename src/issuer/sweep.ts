// What this room throws away: requests (pushed or not), codes, tokens and secrets that have expired, and registrations
// that nobody ever used. A refresh token hangs on its grant, so it outlives the access token that came with it (seed 003, weakness 1).
import type { Database } from '../store/database.ts'
import { inBatches, sweepBatchRows, sweepExpired } from '../store/sweep.ts'
import { isIdle, neverUsedMs } from './client-hygiene.ts'

/** How many rows went, by what they were. */
export interface IssuerSweep {
  readonly authorizationRequests: number
  readonly pushedRequests: number
  readonly codes: number
  readonly accessTokens: number
  readonly refreshTokens: number
  readonly deviceCodes: number
  readonly deviceGuesses: number
  readonly clientSecrets: number
  readonly clientAssertions: number
  readonly dpopProofs: number
  readonly clients: number
}

/** A code, of a device too, is kept for a day after it expired: one that comes back ends what was made from it (RFC 6749 §4.1.2). */
const codeKeptMs = 24 * 3_600_000

/** Deletes what is over at this time, of all tenants. */
export async function sweepIssuer(db: Database, now: number): Promise<IssuerSweep> {
  return {
    authorizationRequests: await sweepExpired(
      db,
      { table: 'authorization_requests', key: ['id'] },
      now,
    ),
    pushedRequests: await sweepExpired(
      db,
      { table: 'pushed_requests', key: ['request_digest'] },
      now,
    ),
    codes: await sweepExpired(db, { table: 'codes', key: ['code_digest'] }, now - codeKeptMs),
    accessTokens: await sweepExpired(db, { table: 'access_tokens', key: ['token_digest'] }, now),
    // A spent one stays until it expires, so that its coming back is noticed (RFC 9700 §4.14.2).
    refreshTokens: await sweepExpired(db, { table: 'refresh_tokens', key: ['token_digest'] }, now),
    deviceCodes: await sweepExpired(db, { table: 'device_codes', key: ['id'] }, now - codeKeptMs),
    deviceGuesses: await sweepExpired(db, { table: 'device_guesses', key: ['guesser'] }, now),
    clientSecrets: await sweepExpired(db, { table: 'client_secrets', key: ['secret_digest'] }, now),
    clientAssertions: await sweepExpired(
      db,
      { table: 'client_assertions', key: ['assertion_id'] },
      now,
    ),
    dpopProofs: await sweepExpired(db, { table: 'dpop_proofs', key: ['proof_id'] }, now),
    clients: await inBatches(() => sweepNeverUsed(db, now)),
  }
}

/** Clients that registered themselves and were never let in; one that is being asked about right now stays. */
async function sweepNeverUsed(db: Database, now: number): Promise<bigint> {
  const { numDeletedRows } = await db
    .deleteFrom('clients')
    .where((is) =>
      is(is.refTuple('tenant_id', 'id'), 'in', neverUsed(db, now).$asTuple('tenant_id', 'id')),
    )
    .executeTakeFirstOrThrow()
  return numDeletedRows
}

function neverUsed(db: Database, now: number) {
  return db
    .selectFrom('clients as old')
    .select(['old.tenant_id', 'old.id'])
    .where('old.used_at', 'is', null)
    .where('old.registered_at', '<=', now - neverUsedMs)
    .where((is) => isIdle(is, now))
    .orderBy('old.registered_at')
    .limit(sweepBatchRows)
}
