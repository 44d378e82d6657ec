// Sharing a connection: its owner, an administrator, lets everybody use it who may use the server and has none. Any
// administrator may end that; it also ends by itself when the owner is no enabled administrator any more.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Journal } from '../journal/entries.ts'
import { isAdmin } from '../people/principal.ts'
import { actorOf } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import { ownerOf, requireManaged, requireOwn } from './connection-rows.ts'
import type { JoinedConnection } from './connection-rows.ts'
import { invalid } from './server-input.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
}

/** Shares it, or no longer. Throws Fault('not_found' | 'forbidden' | 'invalid_input'). */
export async function shareConnection(
  needs: Needs,
  principal: Principal,
  { id, isShared }: { readonly id: string; readonly isShared: boolean },
): Promise<JoinedConnection> {
  const { db } = needs
  const connection = isShared
    ? await requireOwn(db, ownerOf(principal), id)
    : await requireManaged(db, principal, id)
  if (isShared && !isAdmin(principal)) {
    throw new Fault('forbidden', { because: 'only an administrator shares a connection' })
  }
  if (isShared && connection.server_auth !== 'oauth') {
    throw invalid('shared', 'Everybody reaches this server without a connection.')
  }
  if (connection.of_tenant === 1) throw invalid('shared', 'This connection is everybody’s already.')
  await store(needs, principal, connection, isShared)
  return requireManaged(db, principal, id)
}

/** One statement decides, so that of many at once one changes it and one entry says so. */
async function store(
  { db, clock, journal }: Needs,
  principal: Principal,
  { tenant_id: tenantId, id, user_id: userId, server_id: serverId }: JoinedConnection,
  isShared: boolean,
): Promise<void> {
  const now = clock.now()
  await db.transaction().execute(async (tx) => {
    const changed = await tx
      .updateTable('connections')
      .set({ shared_at: isShared ? now : null, updated_at: now })
      .where('tenant_id', '=', tenantId)
      .where('id', '=', id)
      .where('shared_at', isShared ? 'is' : 'is not', null)
      .returning('id')
      .executeTakeFirst()
    if (changed === undefined) return
    await journal.record(tx, {
      tenantId,
      type: isShared ? 'connection.shared' : 'connection.unshared',
      actor: actorOf(principal),
      userId,
      subject: { kind: 'connection', id },
      data: { serverId },
    })
  })
}
