// A write with an Idempotency-Key happens once: the first answer is kept, sealed, for a day, and given again. The same key
// with another request is refused, and so is one whose first request still runs.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { openUnder, sealUnder } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import type { KeyPrincipal, SessionPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import { sweepExpired } from '../store/sweep.ts'
import type { Route, Visit } from './route.ts'

export interface Idempotency {
  /** Runs the write, or gives the answer that the same write got before. */
  readonly once: (
    visit: Visit,
    caller: { readonly row: Route; readonly principal: SessionPrincipal | KeyPrincipal },
    run: () => Promise<Response>,
  ) => Promise<Response>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
}

interface Place {
  readonly tenant_id: string
  readonly principal: string
  readonly key_digest: string
}

/** One run of a write: a later run, which took this one for dead, has the same place and another beginning. */
interface Turn extends Place {
  readonly created_at: number
  readonly request_digest: string
}

const sealPurpose = 'idempotent_answer'
const keptMs = 24 * 3_600_000
/** After this long without an answer the first request is taken for dead. */
const abandonedMs = 120_000
const keyShape = /^[\x21-\x7e]{1,255}$/

/** Makes the memory of writes that were done. */
export function createIdempotency(needs: Needs): Idempotency {
  return {
    once: async (visit, { row, principal }, run) => {
      const key = visit.request.headers.get('idempotency-key')
      if (key === null || row.method === 'GET') return run()
      if (!keyShape.test(key)) {
        throw new Fault('invalid_input', {
          because: 'the Idempotency-Key is empty, too long or odd',
        })
      }
      const place = placeOf(needs, principal, key)
      const requestDigest = needs.keyring.digest(
        'idempotent_request',
        JSON.stringify([row.method, new URL(visit.request.url).pathname, visit.body]),
      )
      const turn = { ...place, request_digest: requestDigest, created_at: needs.clock.now() }
      const secret = new Secret(key)
      if (!(await begin(needs.db, turn))) return replay(needs, { place, secret, requestDigest })
      return finish(needs, { turn, secret }, run)
    },
  }
}

function placeOf(
  { keyring }: Needs,
  principal: SessionPrincipal | KeyPrincipal,
  key: string,
): Place {
  return {
    tenant_id: principal.tenant.id,
    principal: principal.user.id,
    key_digest: keyring.digest('idempotency_key', key),
  }
}

/** One conditional insert: of fifty at once one begins, the others find the row. */
async function begin(db: Database, turn: Turn): Promise<boolean> {
  const { created_at: now, request_digest } = turn
  const begun = await db
    .insertInto('idempotency_keys')
    .values({ ...turn, response_sealed: null, expires_at: now + keptMs })
    .onConflict((conflict) =>
      conflict
        .columns(['tenant_id', 'principal', 'key_digest'])
        .doUpdateSet({
          request_digest,
          response_sealed: null,
          created_at: now,
          expires_at: now + keptMs,
        })
        .where((where) =>
          where.or([
            where('idempotency_keys.expires_at', '<=', now),
            where.and([
              where('idempotency_keys.response_sealed', 'is', null),
              where('idempotency_keys.created_at', '<=', now - abandonedMs),
            ]),
          ]),
        ),
    )
    .returning('key_digest')
    .executeTakeFirst()
  return begun !== undefined
}

async function replay(
  { db, keyring }: Needs,
  asked: { readonly place: Place; readonly secret: Secret; readonly requestDigest: string },
): Promise<Response> {
  const { place, secret, requestDigest } = asked
  const row = await rowAt(db, place).executeTakeFirst()
  if (row !== undefined && row.request_digest !== requestDigest) {
    throw new Fault('idempotency_mismatch', { because: 'the key belongs to another request' })
  }
  if (row === undefined || row.response_sealed === null) {
    throw new Fault('idempotency_in_flight', {
      because: 'the first request has no answer yet',
      retryAfterS: 1,
    })
  }
  const sealed = keyring.open(row.response_sealed, sealPlace(place)).reveal()
  const kept = openUnder(secret, sealed, sealPurpose)
  if (kept === undefined) throw new Error('an idempotent answer does not open')
  const { status, headers, body } = JSON.parse(kept.reveal()) as Kept // only finish() writes it
  return new Response(body === '' ? null : body, { status, headers: [...headers] })
}

interface Kept {
  readonly status: number
  readonly headers: readonly [string, string][]
  readonly body: string
}

/**
 * Runs the write and keeps its answer. An answer may hold a new secret, so it is sealed under the Idempotency-Key too,
 * which is stored as a digest only: the database and the master key together do not open it.
 */
async function finish(
  { db, keyring, random }: Needs,
  { turn, secret }: { readonly turn: Turn; readonly secret: Secret },
  run: () => Promise<Response>,
): Promise<Response> {
  const response = await runOrForget(db, turn, run)
  const kept: Kept = {
    status: response.status,
    headers: [...response.headers],
    body: await response.clone().text(),
  }
  const sealed = sealUnder(secret, JSON.stringify(kept), sealPurpose, random)
  await db
    .updateTable('idempotency_keys')
    .set({ response_sealed: keyring.seal(sealed, sealPlace(turn)) })
    .where((is) => is.and({ ...turn }))
    .execute()
  return response
}

/** A write that was refused did not happen: the same key may try again. One whose answer was not kept did happen. */
async function runOrForget(
  db: Database,
  turn: Turn,
  run: () => Promise<Response>,
): Promise<Response> {
  try {
    return await run()
  } catch (thrown) {
    await db
      .deleteFrom('idempotency_keys')
      .where((is) => is.and({ ...turn }))
      .execute()
    throw thrown
  }
}

function rowAt(db: Database, place: Place) {
  return db
    .selectFrom('idempotency_keys')
    .selectAll()
    .where('tenant_id', '=', place.tenant_id)
    .where('principal', '=', place.principal)
    .where('key_digest', '=', place.key_digest)
}

function sealPlace(place: Place) {
  return {
    tenant: place.tenant_id,
    table: 'idempotency_keys',
    row: `${place.principal}|${place.key_digest}`,
    column: 'response_sealed',
  }
}

/** Deletes the answers that are too old to be asked for again, of all tenants; says how many went. */
export function sweepIdempotencyKeys(db: Database, now: number): Promise<number> {
  const key = ['principal', 'key_digest'] as const
  return sweepExpired(db, { table: 'idempotency_keys', key }, now)
}
