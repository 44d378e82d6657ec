// The one place where a connection comes into being, and the journal's word of it. Who may have one, and where, is decided
// by those who ask.
import type { Clock } from '../base/clock.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Actor, Entry, Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { ConnectionRow } from '../store/schema.ts'

export interface NewConnectionNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
}

export interface NewConnection {
  readonly tenantId: string
  readonly serverId: string
  /** Whose it is; of one for everybody, who needed it first. */
  readonly userId: string
  readonly label: string
  /** Everybody uses it who may use the server. */
  readonly isForEverybody: boolean
  readonly actor: Actor
}

/** Makes a connection that holds no tokens yet, and gives its id; undefined when there is such a one already. */
export async function makeConnection(
  { db, clock, random, journal }: NewConnectionNeeds,
  wanted: NewConnection,
): Promise<string | undefined> {
  const row = rowOf(wanted, { id: randomId(random, 'con_'), now: clock.now() })
  return db.transaction().execute(async (tx) => {
    const stored = await tx
      .insertInto('connections')
      .values(row)
      // A person has each label once at a server, and a server one connection for everybody.
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst()
    if (stored === undefined) return undefined
    await journal.record(tx, entryOf(wanted, row.id))
    return row.id
  })
}

function rowOf(
  { tenantId, serverId, userId, label, isForEverybody }: NewConnection,
  { id, now }: { readonly id: string; readonly now: number },
): ConnectionRow {
  return {
    tenant_id: tenantId,
    id,
    server_id: serverId,
    user_id: userId,
    label,
    status: 'disconnected',
    status_reason: null,
    last_error: null,
    created_at: now,
    updated_at: now,
    of_tenant: isForEverybody ? 1 : 0,
    shared_at: null,
    sign_ins: 0,
    step_up_scope: null,
  }
}

function entryOf(
  { tenantId, serverId, userId, isForEverybody, actor }: NewConnection,
  id: string,
): Entry {
  return {
    tenantId,
    type: 'connection.created',
    actor,
    ...(isForEverybody ? {} : { userId }),
    subject: { kind: 'connection', id },
    data: isForEverybody ? { serverId, shared: true } : { serverId },
  }
}
