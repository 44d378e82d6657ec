// Ends a connection: what is ours is forgotten first and at once, then the provider is asked to forget too (RFC 7009).
import type { Clock } from '../base/clock.ts'
import type { Entry, Journal } from '../journal/entries.ts'
import { actorOf } from '../people/principal.ts'
import type { Principal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { userOf } from './connection-rows.ts'
import type { JoinedConnection } from './connection-rows.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly journal: Journal
  readonly upstream: Upstream
}

/** Whether the connection stays, disconnected, or goes. */
export type End =
  | { readonly kind: 'revoke'; readonly reason?: string | undefined }
  | { readonly kind: 'remove' }

/** Ends it. After the first step no process of ours has the tokens, whatever the provider says. */
export async function endConnection(
  needs: Needs,
  principal: Principal,
  connection: JoinedConnection,
  end: End,
): Promise<void> {
  await forget(needs, principal, connection, end)
  const { tenant_id: tenantId, id: connectionId } = connection
  await needs.upstream.revocations.sendSoon({ tenantId, connectionId })
}

function forget(
  { db, clock, journal, upstream }: Needs,
  principal: Principal,
  connection: JoinedConnection,
  end: End,
): Promise<void> {
  const { tenant_id: tenantId, id } = connection
  const owner = userOf(connection)
  return db.transaction().execute(async (tx) => {
    await upstream.flows.end(tx, { tenantId, connectionIds: [id] })
    const held = await upstream.vault.remove(tx, { tenant: { id: tenantId }, connectionId: id })
    await upstream.revocations.add(tx, held)
    if (end.kind === 'remove') await deleteRow(tx, connection)
    else await markRevoked(tx, connection, clock.now())
    const entry = {
      tenantId,
      type: end.kind === 'remove' ? 'connection.deleted' : 'connection.revoked',
      actor: actorOf(principal),
      ...(owner === undefined ? {} : { userId: owner.id }),
      subject: { kind: 'connection', id },
    } as const
    await note(journal, tx, entry, end.kind === 'revoke' ? end.reason : undefined)
  })
}

/** A reason that the journal refuses (a secret was pasted into it) must not stop the end of the connection. */
async function note(
  journal: Journal,
  tx: Database,
  entry: Entry,
  reason: string | undefined,
): Promise<void> {
  if (reason === undefined) return journal.record(tx, entry)
  try {
    await journal.record(tx, { ...entry, data: { reason } })
  } catch {
    await journal.record(tx, { ...entry, data: { reason: '(withheld: it holds a secret)' } })
  }
}

async function deleteRow(tx: Database, { tenant_id, id }: JoinedConnection): Promise<void> {
  await tx
    .deleteFrom('connections')
    .where('tenant_id', '=', tenant_id)
    .where('id', '=', id)
    .execute()
}

async function markRevoked(
  tx: Database,
  { tenant_id, id }: JoinedConnection,
  now: number,
): Promise<void> {
  await tx
    .updateTable('connections')
    // Whoever signs in again decides anew whether everybody may use it.
    .set({
      status: 'disconnected',
      status_reason: 'revoked',
      last_error: null,
      shared_at: null,
      updated_at: now,
    })
    .where('tenant_id', '=', tenant_id)
    .where('id', '=', id)
    .execute()
}
