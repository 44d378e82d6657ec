// A server that refuses an operation for want of scope: what it asked for is kept at the connection, for the next sign-in to
// ask for, and refusals are counted by operation and sign-in, so that nobody is sent to sign in again and again (MCP
// authorization, "Step-Up Authorization Flow": a few times and no more).
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import type { ConnectionRow, StepUpRow } from '../store/schema.ts'
import { scopesOf, unionScopes } from '../upstream/scopes.ts'
import { withoutScopeReason } from './status.ts'

/** What helps now: one more sign-in, or only whoever gives access at the server. */
export type StepUp =
  | { readonly kind: 'sign_in' }
  | { readonly kind: 'over'; readonly scopes: readonly string[] }

/** What was refused, and the scopes that the server named. */
export interface Refused {
  readonly operation: string
  readonly scope: string
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
}

interface Key {
  readonly tenantId: string
  readonly connectionId: string
}

const roundsMax = 3
const scopesMax = 50
const scopeCharsMax = 1000
const wishCharsMax = 2000
const operationsMax = 100
/** Where a server has refused more operations than are told apart. */
const allOthers = '(others)'

/** Notes a refusal, and says what helps. */
export function noteInsufficientScope(
  { db, clock }: Needs,
  key: Key,
  { operation, scope }: Refused,
): Promise<StepUp> {
  const scopes = scope.length <= scopeCharsMax ? scopesOf(scope) : []
  return db.transaction().execute(async (tx) => {
    const connection = await lockConnection(tx, key)
    if (connection === undefined) return { kind: 'sign_in' } // It was deleted meanwhile.
    const now = clock.now()
    const round = {
      operation,
      scope: scopes.join(' '),
      sign_in: connection.sign_ins,
      asked_at: now,
    }
    const rounds = await countRound(tx, key, round)
    const stepUp: StepUp = rounds < roundsMax ? { kind: 'sign_in' } : { kind: 'over', scopes }
    await keepWish(tx, connection, { scopes, words: wordsOf(stepUp, scopes), now })
    return stepUp
  })
}

/** After an operation went through: it is refused no more. */
export async function noteSufficientScope(
  { db }: Needs,
  { tenantId, connectionId }: Key,
  operation: string,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if ((await lockConnection(tx, { tenantId, connectionId })) === undefined) return
    await tx
      .deleteFrom('step_ups')
      .where('tenant_id', '=', tenantId)
      .where('connection_id', '=', connectionId)
      .where('operation', '=', operation)
      .execute()
    const left = await tx
      .selectFrom('step_ups')
      .select('operation')
      .where('tenant_id', '=', tenantId)
      .where('connection_id', '=', connectionId)
      .limit(1)
      .executeTakeFirst()
    if (left !== undefined) return
    await tx
      .updateTable('connections')
      .set((row) => ({ step_up_scope: null, status_reason: withoutScopeReason(row) }))
      .where('tenant_id', '=', tenantId)
      .where('id', '=', connectionId)
      .execute()
  })
}

/** The scopes that the server has asked for on top. */
export function wishedScopes({ step_up_scope: wish }: Pick<ConnectionRow, 'step_up_scope'>) {
  return scopesOf(wish ?? undefined)
}

/** One statement waits for whoever else notes something of this connection. */
function lockConnection(tx: Database, { tenantId, connectionId }: Key) {
  return tx
    .updateTable('connections')
    .set((row) => ({ updated_at: row.ref('updated_at') }))
    .where('tenant_id', '=', tenantId)
    .where('id', '=', connectionId)
    .returningAll()
    .executeTakeFirst()
}

type Round = Pick<StepUpRow, 'operation' | 'scope' | 'sign_in' | 'asked_at'>

/** Many refusals of one sign-in are one round. */
async function countRound(tx: Database, { tenantId, connectionId }: Key, round: Round) {
  const known = await tx
    .selectFrom('step_ups')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('connection_id', '=', connectionId)
    .limit(operationsMax + 1)
    .execute()
  const same = (name: string) => known.find(({ operation }) => operation === name)
  const isOther = same(round.operation) === undefined && known.length >= operationsMax
  const operation = isOther ? allOthers : round.operation
  const before = same(operation)
  const rounds = (before?.rounds ?? 0) + (before?.sign_in === round.sign_in ? 0 : 1)
  const facts = { ...round, rounds, operation }
  await tx
    .insertInto('step_ups')
    .values({ tenant_id: tenantId, connection_id: connectionId, ...facts })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'connection_id', 'operation']).doUpdateSet(facts),
    )
    .execute()
  return rounds
}

interface Wish {
  readonly scopes: readonly string[]
  readonly words: string
  readonly now: number
}

/** A connection that works goes on for everything else. */
async function keepWish(tx: Database, connection: ConnectionRow, { scopes, words, now }: Wish) {
  const before = wishedScopes(connection)
  const all = unionScopes(before, scopes).slice(0, scopesMax).join(' ')
  const wish = all.length <= wishCharsMax ? all : before.join(' ')
  const isWorking = connection.status === 'connected'
  await tx
    .updateTable('connections')
    .set({
      step_up_scope: wish,
      updated_at: now,
      ...(isWorking ? { status_reason: 'scope_insufficient', last_error: words } : {}),
    })
    .where('tenant_id', '=', connection.tenant_id)
    .where('id', '=', connection.id)
    .execute()
}

function wordsOf({ kind }: StepUp, scopes: readonly string[]): string {
  const named = scopes.length === 0 ? '.' : `: ${scopes.join(' ')}`
  return kind === 'over'
    ? `The server still refuses this after ${roundsMax} sign-ins. Whoever gives you access there has to allow it${named}`
    : `The server wants more permission than this connection has${named}`
}
