// What was said in calls, for tenants that want it kept for some days: sealed, and in a table of its own, so that the journal
// and its readers never hold it. Whether it is kept, and for how long, is the tenant's setting, which is asked with each row.
import type { Clock } from '../base/clock.ts'
import type { Keyring, SealPlace } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import { randomId } from '../base/random.ts'
import type { Database } from '../store/database.ts'
import type { CallContentRow } from '../store/schema.ts'
import { inBatches, sweepBatchRows } from '../store/sweep.ts'
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
}

interface Needs {
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
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

function placeOf(
  { tenantId, id }: { readonly tenantId: string; readonly id: string },
  column: 'input_sealed' | 'output_sealed',
): SealPlace {
  return { tenant: tenantId, table: 'call_contents', row: id, column }
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
