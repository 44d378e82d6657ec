// What was said in calls, for tenants that want it kept for some days: sealed, and in a table of its own, so that the journal
// and its readers never hold it. Whether it is kept, and for how long, is the tenant's setting, which is asked with each row.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Keyring, SealPlace } from '../base/keyring.ts'
import { beforeNewest, limitOf, pageOf, positionOf } from '../base/page.ts'
import type { Page, PageRequest } from '../base/page.ts'
import type { Random } from '../base/random.ts'
import { randomId } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import type { CallContentRow } from '../store/schema.ts'
import { inBatches, sweepBatchRows } from '../store/sweep.ts'
import type { Actor, Journal } from './entries.ts'
import { dayMs } from './refusal-counts.ts'

/** One call with what was said in it: JSON texts, each perhaps cut. */
export interface KeptCall {
  readonly id: string
  readonly tenantId: string
  /** Absent for a client that acts for itself. */
  readonly userId?: string | undefined
  readonly clientId: string
  readonly serverId: string
  /** Its slug. */
  readonly server: string
  readonly method: string
  /** Absent for what is no call of a tool. */
  readonly tool?: string | undefined
  readonly status: number
  readonly durationMs: number
  readonly input: KeptText
  /** Absent where no answer came. */
  readonly output?: KeptText | undefined
}

export interface KeptText {
  readonly text: string
  /** Only its beginning is there. */
  readonly isCut: boolean
}

export interface CallContents {
  /** The id of a call whose content will be kept, for its entry in the journal. */
  readonly newId: () => string
  /** Keeps it, unless its tenant does not want that any more, or its person is gone. */
  readonly keep: (tx: Database, call: KeptCall) => Promise<void>
  /** The newest first, without what was said. */
  readonly list: (whose: Readers, page?: PageRequest) => Promise<Page<ListedContent>>
  /** What was said, and who reads it goes into the journal. Throws Fault('not_found'), also for somebody else's. */
  readonly read: (whose: Readers, id: string, by: Actor) => Promise<ReadContent>
}

/** Of which tenant, as long as it keeps them, and of whom; without a person everybody's. */
export interface Readers {
  readonly tenant: { readonly id: string; readonly callContentDays?: number }
  readonly userId?: string | undefined
  /** Of this one among those. */
  readonly ofUserId?: string | undefined
}

/** A call whose content is kept. */
export interface ListedContent {
  readonly id: string
  readonly at: number
  readonly userId?: string
  readonly clientId: string
  readonly serverId: string
  readonly server: string
  readonly method: string
  readonly tool?: string
  readonly status: number
  readonly durationMs: number
  readonly inputIsCut: boolean
  readonly outputIsCut: boolean
}

export type ReadContent = ListedContent & { readonly input: string; readonly output?: string }

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Pick<Journal, 'record'>
}

/** Makes what keeps the contents of all tenants. */
export function createCallContents(needs: Needs): CallContents {
  const { random } = needs
  return {
    newId: () => randomId(random, 'cnt_'),
    keep: async (tx, call) => {
      if (!(await isWanted(tx, call))) return
      await tx.insertInto('call_contents').values(rowOf(needs, call)).execute()
    },
    list: (whose, page = {}) => list(needs, whose, page),
    read: (whose, id, by) => read(needs, whose, { id, by }),
  }
}

async function isWanted(
  tx: Database,
  { tenantId, userId }: Pick<KeptCall, 'tenantId' | 'userId'>,
): Promise<boolean> {
  const found = await tx
    .selectFrom('tenants')
    .leftJoin('users', (join) =>
      join.onRef('users.tenant_id', '=', 'tenants.id').on('users.id', '=', userId ?? ''),
    )
    .select('users.id as person')
    .where('tenants.id', '=', tenantId)
    .where('tenants.call_content_days', 'is not', null)
    .executeTakeFirst()
  return found !== undefined && (userId === undefined || found.person !== null)
}

function rowOf({ keyring, clock }: Needs, call: KeptCall): CallContentRow {
  const { id, tenantId, input, output } = call
  const place = { tenantId, id }
  return {
    tenant_id: tenantId,
    id,
    user_id: call.userId ?? null,
    client_id: call.clientId,
    server_id: call.serverId,
    server: call.server,
    method: call.method,
    tool: call.tool ?? null,
    status: call.status,
    duration_ms: call.durationMs,
    input_sealed: keyring.seal(input.text, placeOf(place, 'input_sealed')),
    input_cut: input.isCut ? 1 : 0,
    output_sealed:
      output === undefined ? null : keyring.seal(output.text, placeOf(place, 'output_sealed')),
    output_cut: output?.isCut === true ? 1 : 0,
    created_at: clock.now(),
  }
}

type SealedColumn = 'input_sealed' | 'output_sealed'

function placeOf(
  { tenantId, id }: { readonly tenantId: string; readonly id: string },
  column: SealedColumn,
): SealPlace {
  return { tenant: tenantId, table: 'call_contents', row: id, column }
}

const listedColumns = [
  'id',
  'created_at',
  'user_id',
  'client_id',
  'server_id',
  'server',
  'method',
  'tool',
  'status',
  'duration_ms',
  'input_cut',
  'output_cut',
] as const

type ListedRow = Pick<CallContentRow, (typeof listedColumns)[number]>

async function list(
  needs: Needs,
  whose: Readers,
  request: PageRequest,
): Promise<Page<ListedContent>> {
  const { createdAt, id } = positionOf(request, beforeNewest)
  const rows = await readable(needs, needs.db, whose)
    .select(listedColumns)
    .where((is) => is(is.refTuple('created_at', 'id'), '<', is.tuple(createdAt, id)))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limitOf(request) + 1)
    .execute()
  return pageOf(rows, request, toListed)
}

/** What the tenant keeps at this moment, whatever is still there, and what is theirs of it. */
function readable({ clock }: Needs, db: Database, { tenant, userId, ofUserId }: Readers) {
  const { id, callContentDays: days = 0 } = tenant
  return db
    .selectFrom('call_contents')
    .where('tenant_id', '=', id)
    .where('created_at', '>', clock.now() - days * dayMs)
    .$if(days === 0, (none) => none.where('id', '=', ''))
    .$if(userId !== undefined, (own) => own.where('user_id', '=', userId ?? ''))
    .$if(ofUserId !== undefined, (some) => some.where('user_id', '=', ofUserId ?? ''))
}

async function read(
  needs: Needs,
  whose: Readers,
  { id, by }: { readonly id: string; readonly by: Actor },
): Promise<ReadContent> {
  const tenantId = whose.tenant.id
  return needs.db.transaction().execute(async (tx) => {
    const row = await readable(needs, tx, whose).selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) {
      throw new Fault('not_found', { because: 'nothing is kept of such a call, or not for them' })
    }
    await needs.journal.record(tx, {
      tenantId,
      type: 'call.content_read',
      actor: by,
      userId: row.user_id ?? undefined,
      subject: { kind: 'call_content', id },
      data: { server: row.server, method: row.method, ...(row.tool && { tool: row.tool }) },
    })
    return opened(needs, row)
  })
}

function opened({ keyring }: Needs, row: CallContentRow): ReadContent {
  const { input_sealed: input, output_sealed: output } = row
  const place = { tenantId: row.tenant_id, id: row.id }
  const open = (sealed: string, column: SealedColumn) =>
    keyring.open(sealed, placeOf(place, column)).reveal()
  try {
    return {
      ...toListed(row),
      input: open(input, 'input_sealed'),
      ...(output === null ? {} : { output: open(output, 'output_sealed') }),
    }
  } catch (cause) {
    // In its own words it is about credentials, and would have people connect again.
    throw new Fault('internal', { because: 'the content of a call does not open', cause })
  }
}

function toListed(row: ListedRow): ListedContent {
  return {
    id: row.id,
    at: row.created_at,
    ...(row.user_id === null ? {} : { userId: row.user_id }),
    clientId: row.client_id,
    serverId: row.server_id,
    server: row.server,
    method: row.method,
    ...(row.tool === null ? {} : { tool: row.tool }),
    status: row.status,
    durationMs: row.duration_ms,
    inputIsCut: row.input_cut === 1,
    outputIsCut: row.output_cut === 1,
  }
}

/** Deletes all that is kept of a tenant. */
export async function forgetContents(db: Database, tenantId: string): Promise<number> {
  return forgetUntil(db, tenantId, Number.MAX_SAFE_INTEGER)
}

/** How many rows went. */
export interface CallContentSweep {
  readonly callContents: number
}

/** Deletes what is older than its tenant wants, and all of tenants that want none any more. */
export async function sweepContents(db: Database, now: number): Promise<CallContentSweep> {
  const tenants = await db
    .selectFrom('tenants')
    .select(['id', 'call_content_days as days'])
    .where((is) =>
      is.exists(
        is
          .selectFrom('call_contents')
          .select('call_contents.id')
          .whereRef('call_contents.tenant_id', '=', 'tenants.id'),
      ),
    )
    .execute()
  let callContents = 0
  for (const { id, days } of tenants) {
    callContents +=
      days === null ? await forgetContents(db, id) : await forgetUntil(db, id, now - days * dayMs)
  }
  return { callContents }
}

function forgetUntil(db: Database, tenantId: string, createdAt: number): Promise<number> {
  return inBatches(async () => {
    const deleted = await db
      .deleteFrom('call_contents')
      .where('tenant_id', '=', tenantId)
      .where('id', 'in', (is) =>
        is
          .selectFrom('call_contents as over')
          .select('over.id')
          .where('over.tenant_id', '=', tenantId)
          .where('over.created_at', '<=', createdAt)
          .orderBy('over.created_at')
          .limit(sweepBatchRows),
      )
      .executeTakeFirst()
    return deleted.numDeletedRows
  })
}
