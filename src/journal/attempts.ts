// Which steps of a client belong to one attempt to connect. Discovery and registration come without any id, from a visitor
// who is known by a keyed digest of address and user agent only; authorize comes from a person's browser and is joined by
// client id, where that is nobody else's; what follows carries the attempt on its grant. What happened in an attempt is the
// journal's matter.
import { createBoundedMap, createWindowCounter } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import type { AttemptRow } from '../store/schema.ts'
import { sweepExpired } from '../store/sweep.ts'

/** Who comes without an id. Neither address nor agent is stored: only digests of them are. */
export interface Visitor {
  readonly tenantId: string
  readonly address: string | undefined
  readonly agent: string | undefined
  /** What may prove that it is a test of ours, of which nothing is noted. */
  readonly testMark?: string | undefined
}

/** The attempts of all tenants. */
export interface Attempts {
  /** The attempt that this visitor is making, begun now if none is. */
  readonly of: (visitor: Visitor) => Promise<string>
  /** The attempt that this visitor is making, if one is under way. */
  readonly current: (visitor: Visitor) => Promise<string | undefined>
  /** The attempt that a registration belongs to: the visitor's, unless a client came out of that one; none in a flood. */
  readonly forRegistration: (visitor: Visitor) => Promise<string | undefined>
  /** Says which client came out of an attempt. */
  readonly registered: (visitor: Visitor, attempt: string, clientId: string) => Promise<void>
  /** The attempt of this client that a visitor who names it goes on with; undefined where the name may be anybody's. */
  readonly forClient: (visitor: Visitor, clientId: string) => Promise<string | undefined>
  /** Notes, inside the caller's transaction, that a browser came with it; makes it if it is not there. */
  readonly authorized: (tx: Database, facts: AuthorizedFacts) => Promise<void>
  /** A visitor proved, by redeeming a code, that its own attempt is the story's beginning. Nobody waits for it. */
  readonly redeemed: (visitor: Visitor, attempt: string, clientId: string) => void
  /** Waits for what is on its way. */
  readonly settle: () => Promise<void>
}

export interface AuthorizedFacts {
  readonly tenantId: string
  readonly attempt: string
  readonly clientId: string
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly log: Log
}

/** So long may the steps of one attempt lie apart. */
export const attemptWindowMs = 30 * 60_000
/** How long an attempt can be found. */
export const attemptKeptMs = 30 * 24 * 3_600_000
const visitorsMax = 10_000
const candidatesMax = 20
const minuteMs = 60_000
/** The most registrations of one tenant in a minute that are joined to an attempt, in one process. */
export const registrationsPerTenantMinute = 300
const redeemingMax = 200

/** Makes the attempts over one database; the memory in front of it is bounded. */
export function createAttempts(needs: Needs): Attempts {
  const { db, clock, log } = needs
  const registrations = createWindowCounter(clock, { windowMs: minuteMs, namesMax: visitorsMax })
  const redeeming = new Set<Promise<void>>()
  const known = createBoundedMap<Known>(visitorsMax)

  const begin = (visitor: Visitor): Promise<string> => {
    const digest = visitorDigest(needs, visitor)
    const key = `${visitor.tenantId} ${digest}`
    const found = known.get(key)
    if (found !== undefined && found.until > clock.now()) return found.attempt
    const attempt = findOrBegin(needs, visitor, digest).catch((thrown: unknown) => {
      known.delete(key)
      throw thrown
    })
    known.set(key, { attempt, until: clock.now() + knownMs })
    return attempt
  }
  const forget = (visitor: Visitor) =>
    known.delete(`${visitor.tenantId} ${visitorDigest(needs, visitor)}`)

  return {
    of: begin,
    current: (visitor) => findCurrent(needs, visitor),
    forRegistration: async (visitor) => {
      if (registrations.count(visitor.tenantId) >= registrationsPerTenantMinute) return undefined
      registrations.add(visitor.tenantId)
      const attempt = await begin(visitor)
      if (!(await isTaken(db, visitor, attempt))) return attempt
      await release(db, visitor, attempt)
      forget(visitor)
      return begin(visitor)
    },
    registered: async ({ tenantId }, attempt, clientId) => {
      await db
        .updateTable('attempts')
        .set({ client_id: clientId })
        .where('tenant_id', '=', tenantId)
        .where('id', '=', attempt)
        .execute()
    },
    forClient: (visitor, clientId) => findOfClient(needs, visitor, clientId),
    authorized: (tx, facts) => noteAuthorized(needs, tx, facts),
    redeemed: (visitor, attempt, clientId) => {
      forget(visitor)
      if (redeeming.size >= redeemingMax) return
      const linking = link(needs, visitor, { attempt, clientId })
        .catch((cause: unknown) => log.warn({ cause }, 'two parts of an attempt were not joined'))
        .finally(() => redeeming.delete(linking))
      redeeming.add(linking)
    },
    settle: async () => {
      await Promise.all(redeeming)
    },
  }
}

interface Known {
  readonly attempt: Promise<string>
  readonly until: number
}

/** Another process may have ended the attempt meanwhile, so what is remembered is asked anew after this long. */
const knownMs = 60_000

function visitorDigest({ keyring }: Needs, { tenantId, address, agent }: Visitor): string {
  return keyring.digest('attempt_visitor', JSON.stringify([tenantId, address, agent]))
}

function addressDigest({ keyring }: Needs, { tenantId, address }: Visitor): string | null {
  if (address === undefined) return null
  return keyring.digest('attempt_address', JSON.stringify([tenantId, address]))
}

/** At most one attempt at a time per visitor, however many processes ask: the table says which. */
async function findOrBegin(needs: Needs, visitor: Visitor, digest: string): Promise<string> {
  const { db, clock, random } = needs
  const { tenantId } = visitor
  const now = clock.now()
  return db.transaction().execute(async (tx) => {
    await tx
      .updateTable('attempts')
      .set({ visitor_digest: null })
      .where('tenant_id', '=', tenantId)
      .where('visitor_digest', '=', digest)
      .where('began_at', '<=', now - attemptWindowMs)
      .execute()
    // One statement, so that the row which is there cannot be let go between a look and an insert.
    const row = await tx
      .insertInto('attempts')
      .values({
        tenant_id: tenantId,
        id: randomId(random, 'att_'),
        visitor_digest: digest,
        address_digest: addressDigest(needs, visitor),
        began_at: now,
        expires_at: now + attemptKeptMs,
      })
      .onConflict((conflict) =>
        conflict.columns(['tenant_id', 'visitor_digest']).doUpdateSet({ visitor_digest: digest }),
      )
      .returning('id')
      .executeTakeFirstOrThrow()
    return row.id
  })
}

async function findCurrent(needs: Needs, visitor: Visitor): Promise<string | undefined> {
  const row = await needs.db
    .selectFrom('attempts')
    .select('id')
    .where('tenant_id', '=', visitor.tenantId)
    .where('visitor_digest', '=', visitorDigest(needs, visitor))
    .where('began_at', '>', needs.clock.now() - attemptWindowMs)
    .executeTakeFirst()
  return row?.id
}

/** One registration per attempt: whoever registers again begins anew. */
async function isTaken(db: Database, { tenantId }: Visitor, attempt: string): Promise<boolean> {
  const row = await db
    .selectFrom('attempts')
    .select(['client_id', 'visitor_digest'])
    .where('tenant_id', '=', tenantId)
    .where('id', '=', attempt)
    .executeTakeFirst()
  return row === undefined || row.client_id !== null || row.visitor_digest === null
}

async function release(db: Database, { tenantId }: Visitor, attempt: string): Promise<void> {
  await db
    .updateTable('attempts')
    .set({ visitor_digest: null })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', attempt)
    .execute()
}

// RFC 6749 appendix A.1; a database must never see a NUL.
const clientIdShape = /^[\x20-\x7E]{1,2048}$/

/**
 * The attempt that is under way with this client where the visitor is (a program on the person's own machine), else the one
 * attempt that the client is known from, when nobody else ever was given its id. A name that others have too joins nothing:
 * anybody can say it, and would write into somebody's story. The code joins exactly then, once it is redeemed.
 */
async function findOfClient(
  needs: Needs,
  visitor: Visitor,
  clientId: string,
): Promise<string | undefined> {
  if (!clientIdShape.test(clientId)) return undefined
  const rows = await needs.db
    .selectFrom('attempts')
    .select(['id', 'address_digest', 'authorized_at', 'linked_to', 'visitor_digest'])
    .where('tenant_id', '=', visitor.tenantId)
    .where('client_id', '=', clientId)
    .where('began_at', '>', needs.clock.now() - attemptWindowMs)
    .orderBy('began_at', 'desc')
    .limit(candidatesMax)
    .execute()
  const address = addressDigest(needs, visitor)
  const open = rows.filter((row) => !isOver(row))
  const near = open.find((row) => address !== null && row.address_digest === address)
  if (near !== undefined) return near.id
  const [only, ...others] = rows
  const isWaiting = only?.authorized_at === null && others.length === 0 && !isOver(only)
  return isWaiting && (await isRegisteredOnce(needs, visitor, clientId)) ? only.id : undefined
}

/** Its code was redeemed, or its visitor began another one after a browser had come. */
function isOver({
  authorized_at,
  linked_to,
  visitor_digest,
}: Pick<AttemptRow, 'authorized_at' | 'linked_to' | 'visitor_digest'>): boolean {
  return linked_to !== null || (authorized_at !== null && visitor_digest === null)
}

/** A registration in the same words finds the same public client again, and notes when it did. */
async function isRegisteredOnce(
  { db }: Needs,
  { tenantId }: Visitor,
  clientId: string,
): Promise<boolean> {
  const client = await db
    .selectFrom('clients')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('id', '=', clientId)
    .whereRef('registered_at', '=', 'created_at')
    .executeTakeFirst()
  return client !== undefined
}

async function noteAuthorized(
  { clock }: Needs,
  tx: Database,
  { tenantId, attempt, clientId }: AuthorizedFacts,
): Promise<void> {
  const now = clock.now()
  await tx
    .insertInto('attempts')
    .values({
      tenant_id: tenantId,
      id: attempt,
      client_id: clientId,
      began_at: now,
      authorized_at: now,
      expires_at: now + attemptKeptMs,
    })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'id']).doUpdateSet({ authorized_at: now }),
    )
    .execute()
}

/**
 * The code's attempt is over for this visitor: its next step begins a new one. If the visitor had one of its own, not yet
 * known to be of another client, that one is the beginning of this story.
 */
async function link(
  needs: Needs,
  visitor: Visitor,
  { attempt, clientId }: { readonly attempt: string; readonly clientId: string },
): Promise<void> {
  await needs.db
    .updateTable('attempts')
    .set((row) => ({
      visitor_digest: null,
      client_id: clientId,
      linked_to: row.case().when('id', '=', attempt).then(row.ref('linked_to')).else(attempt).end(),
    }))
    .where('tenant_id', '=', visitor.tenantId)
    .where('visitor_digest', '=', visitorDigest(needs, visitor))
    .where((is) => is.or([is('client_id', 'is', null), is('client_id', '=', clientId)]))
    .execute()
}

/** How many rows of this room's own went. */
export interface AttemptSweep {
  readonly attempts: number
  readonly refusalCounts: number
  readonly callCounts: number
}

/** Forgets attempts and counts that are too old to be asked for, of all tenants. */
export async function sweepAttempts(db: Database, now: number): Promise<AttemptSweep> {
  const counts = { table: 'refusal_counts', key: ['day', 'client_id', 'type', 'error'] } as const
  const calls = {
    table: 'call_counts',
    key: ['day', 'user_id', 'client_id', 'server_id', 'tool', 'outcome'],
  } as const
  return {
    attempts: await sweepExpired(db, { table: 'attempts', key: ['id'] }, now),
    refusalCounts: await sweepExpired(db, counts, now),
    callCounts: await sweepExpired(db, calls, now),
  }
}
