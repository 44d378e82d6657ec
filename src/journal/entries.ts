// Everything that happened, once: audit, webhooks, live feed and usage read it. An entry is written inside the
// transaction of what it tells, and only ever inserted; chain.ts numbers it later, live.ts hands it on.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { randomId } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import { hotQuery } from '../store/hot-query.ts'
import type { JournalEntryRow } from '../store/schema.ts'
import { createChain } from './chain.ts'
import type { Chain, Verdict } from './chain.ts'
import { createLive } from './live.ts'
import { refuseSecrets } from './no-secrets.ts'

/** What can happen: the thing, then what became of it. */
export type EntryType =
  | 'setup.completed'
  | 'tenant.created'
  | 'tenant.updated'
  | 'tenant.disabled'
  | 'tenant.enabled'
  | 'tenant.deleted'
  | 'tenant.setup_link_made'
  | 'user.created'
  | 'user.updated'
  | 'user.disabled'
  | 'user.enabled'
  | 'user.deleted'
  | 'user.signed_in'
  | 'user.sign_in_failed'
  | 'user.signed_out'
  | 'user.role_changed'
  | 'user.password_reset'
  | 'user.access_ended'
  | 'client.registered'
  | 'client.registered_again'
  | 'client.updated'
  | 'client.disabled'
  | 'client.enabled'
  | 'client.secret_rotated'
  | 'client.secret_revoked'
  | 'client.deleted'
  | 'client.document_fetched'
  | 'authorization.pushed'
  | 'client.registration_refused'
  | 'discovery.answered'
  | 'authorization.started'
  | 'authorization.refused'
  | 'authorization.failed'
  | 'device.started'
  | 'device.claimed'
  | 'device.code_refused'
  | 'consent.given'
  | 'consent.denied'
  | 'grant.created'
  | 'grant.revoked'
  | 'token.issued'
  | 'token.refused'
  | 'token.refreshed'
  | 'token.exchanged'
  | 'token.replayed'
  | 'token.reuse_detected'
  | 'token.revoked'
  | 'scope.created'
  | 'scope.updated'
  | 'scope.deleted'
  | 'signing_key.rotated'
  | 'trusted_issuer.created'
  | 'trusted_issuer.updated'
  | 'trusted_issuer.disabled'
  | 'trusted_issuer.enabled'
  | 'trusted_issuer.deleted'
  | 'identity.linked'
  | 'identity.unlinked'
  | 'provider.created'
  | 'provider.updated'
  | 'provider.deleted'
  | 'provider.refreshed'
  | 'provider.refresh_failed'
  | 'provider.signed_out'
  | 'server.created'
  | 'server.updated'
  | 'server.deleted'
  | 'server.discovered'
  | 'server.tested'
  | 'connection.created'
  | 'connection.shared'
  | 'connection.unshared'
  | 'connection.authorizing'
  | 'connection.connected'
  | 'connection.refreshed'
  | 'connection.refresh_failed'
  | 'connection.reauthorization_required'
  | 'connection.revoked'
  | 'connection.revocation_failed'
  | 'connection.deleted'
  | 'connection.token_given'
  | 'identity.token_kept'
  | 'registration.created'
  | 'registration.failed'
  | 'registration.lost'
  | 'flow.completed'
  | 'flow.failed'
  | 'call.completed'
  | 'call.refused'
  | 'call.content_read'
  | 'limit.reached'
  | 'api_key.created'
  | 'api_key.revoked'
  | 'webhook.created'
  | 'webhook.updated'
  | 'webhook.deleted'
  | 'webhook.enabled'
  | 'webhook.disabled'
  | 'webhook.secret_rotated'
  | 'webhook.tested'
  | 'webhook.redelivery_requested'
  | 'support.changed'
  | 'support_request.created'
  | 'support_request.changed'

/** Who did it. */
export interface Actor {
  readonly kind: 'user' | 'client' | 'key' | 'operator' | 'system' | 'anonymous'
  readonly id?: string | undefined
}

/** Facts about it; never a secret, never content of a call. */
export type EntryData = Readonly<
  Record<string, string | number | boolean | null | readonly string[]>
>

/** One thing that happened. */
export interface Entry {
  readonly tenantId: string
  readonly type: EntryType
  readonly actor: Actor
  /** Whose business it is: live events go only to them. */
  readonly userId?: string | undefined
  readonly subject?: { readonly kind: string; readonly id: string } | undefined
  /** Joins the entries of one attempt, such as one sign-in from start to end. */
  readonly attempt?: string | undefined
  /** When it happened, if it is written a moment later. */
  readonly at?: number | undefined
  readonly data?: EntryData | undefined
}

/** An entry with its place in the order of its tenant. */
export interface SealedEntry extends Entry {
  readonly id: string
  /** Counts from 1 without gaps; also the cursor for reading on. */
  readonly seq: number
  readonly at: number
  readonly data: EntryData
}

/** Which entries to read: those after a seq, in order. */
export interface JournalQuery {
  readonly tenantId: string
  readonly after?: number | undefined
  /** At most 200. */
  readonly limit?: number | undefined
  readonly type?: EntryType | undefined
  /** Of one attempt, or of several that are one story. */
  readonly attempt?: string | readonly string[] | undefined
  readonly subjectId?: string | undefined
  readonly userId?: string | undefined
}

/** The journal of all tenants. */
export interface Journal {
  /** Writes an entry inside the caller's transaction. Throws, before it writes, on what looks like a secret. */
  readonly record: (tx: Database, entry: Entry) => Promise<void>
  /** Numbers and chains what is new, in every tenant, and says how much that was. Many processes may do so at once. */
  readonly seal: () => Promise<number>
  /** Reads a tenant's entries, the newest included. */
  readonly list: (query: JournalQuery) => Promise<readonly SealedEntry[]>
  /** The seq of the newest entry of a tenant; what comes after it is yet to happen. */
  readonly head: (tenantId: string) => Promise<number>
  /** Has anybody changed a sealed entry? */
  readonly verify: (tenantId: string) => Promise<Verdict>
  /** Calls the listener with every entry sealed from now on; call what it returns to stop. */
  readonly subscribe: (listener: (entry: SealedEntry) => void) => () => void
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
}

const entriesListedMax = 200
const dataMaxCharacters = 16_384

/** Makes the journal over one database. */
export function createJournal(needs: Needs): Journal {
  const { db } = needs
  const toRow = createToRow(needs)
  const chain = createChain(needs)
  const live = createLive<SealedEntry>({
    heads: async () =>
      (await chain.heads()).map(({ tenant_id, seq }) => ({ tenantId: tenant_id, seq })),
    read: (tenantId, after) => readSealed(db, { tenantId, after }),
  })

  const sealTenant = async (tenantId: string) => {
    await live.mark()
    if ((await chain.seal(tenantId)) > 0) await live.deliver()
  }

  return {
    record: async (tx, entry) => {
      await insertEntry(tx, toRow(entry))
    },
    seal: async () => {
      await live.mark()
      const sealed = await sealEveryTenant(chain)
      await live.deliver()
      return sealed
    },
    list: async (query) => {
      await sealTenant(query.tenantId)
      return readSealed(db, query)
    },
    head: async (tenantId) => {
      await sealTenant(tenantId)
      return chain.head(tenantId)
    },
    verify: chain.verify,
    subscribe: live.subscribe,
  }
}

// Part of everything that happens.
const insertEntry = hotQuery((db, row: Pick<JournalEntryRow, keyof JournalEntryRow>) =>
  db.insertInto('journal_entries').values(row),
)

async function sealEveryTenant(chain: Chain): Promise<number> {
  let sealed = 0
  for (const tenantId of await chain.pendingTenantIds()) sealed += await chain.seal(tenantId)
  return sealed
}

function createToRow({ clock, random }: Needs) {
  let count = 0
  // What one process records within a millisecond keeps its order: the id begins with a count.
  const nextId = () => {
    count += 1
    return randomId(random, `evt_${count.toString(36).padStart(8, '0')}`)
  }

  return (entry: Entry): JournalEntryRow => {
    const { tenantId, type, actor, userId, subject, attempt, at, data = {} } = entry
    refuseSecrets(data)
    refuseSecrets({ 'actor.id': actor.id, userId, 'subject.id': subject?.id, attempt })
    return {
      tenant_id: tenantId,
      id: nextId(),
      at: at ?? clock.now(),
      type,
      actor_kind: actor.kind,
      actor_id: actor.id ?? null,
      user_id: userId ?? null,
      subject_kind: subject?.kind ?? null,
      subject_id: subject?.id ?? null,
      attempt: attempt ?? null,
      data: toText(data),
      is_pending: 1,
    }
  }
}

function toText(data: EntryData): string {
  const text = JSON.stringify(data)
  if (text.length <= dataMaxCharacters) return text
  throw new Error(`the data of a journal entry is longer than ${dataMaxCharacters} characters`)
}

async function readSealed(db: Database, query: JournalQuery): Promise<readonly SealedEntry[]> {
  const { tenantId, after = 0, limit = entriesListedMax, type, attempt, subjectId, userId } = query
  const rows = await db
    .selectFrom('journal_chain as chain')
    .innerJoin('journal_entries as entry', (join) =>
      join
        .onRef('entry.tenant_id', '=', 'chain.tenant_id')
        .onRef('entry.id', '=', 'chain.entry_id'),
    )
    .selectAll('entry')
    .select('chain.seq')
    .where('chain.tenant_id', '=', tenantId)
    .where('chain.seq', '>', after)
    .$if(type !== undefined, (some) => some.where('entry.type', '=', type ?? ''))
    .$if(attempt !== undefined, (some) => some.where('entry.attempt', 'in', [attempt ?? ''].flat()))
    .$if(subjectId !== undefined, (some) => some.where('entry.subject_id', '=', subjectId ?? ''))
    .$if(userId !== undefined, (some) => some.where('entry.user_id', '=', userId ?? ''))
    .orderBy('chain.seq')
    .limit(Math.max(1, Math.min(limit, entriesListedMax)))
    .execute()
  return rows.map(toSealedEntry)
}

/** An entry as the tables have it. */
export function toSealedEntry(row: JournalEntryRow & { readonly seq: number }): SealedEntry {
  const { actor_id: actorId, subject_kind: kind, subject_id: id } = row
  return {
    tenantId: row.tenant_id,
    id: row.id,
    seq: row.seq,
    at: row.at,
    type: row.type as EntryType, // only toRow writes it, from an EntryType
    actor: {
      kind: row.actor_kind as Actor['kind'], // likewise
      ...(actorId === null ? {} : { id: actorId }),
    },
    ...(row.user_id === null ? {} : { userId: row.user_id }),
    ...(kind === null || id === null ? {} : { subject: { kind, id } }),
    ...(row.attempt === null ? {} : { attempt: row.attempt }),
    data: JSON.parse(row.data) as EntryData, // likewise
  }
}
