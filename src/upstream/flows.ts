// One sign-in elsewhere, from the signed state to the stored tokens: begun for one user and one connection, carried by
// one browser, finished once. The callback may touch nothing before signature, user, browser and context have held.
import { Fault, isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { readParameters, requireNoRepeats } from '../oauth/parameters.ts'
import { challengeOf, createVerifier } from '../oauth/pkce.ts'
import { claimOnce } from '../store/claim.ts'
import type { Database } from '../store/database.ts'
import type { FlowRow } from '../store/schema.ts'
import { authorizationUrl } from './adapt.ts'
import { completeFlow, endFlows, failFlow, keyOf } from './flow-outcome.ts'
import type { FlowOutcome, OutcomeNeeds } from './flow-outcome.ts'
import { readAnswer } from './flow-answer.ts'
import { bindingOfPlan, planOf, readPlan } from './flow-plan.ts'
import type { BeginFlow, FlowPlan } from './flow-plan.ts'
import type { TenantFacts } from './holder.ts'
import { newProof } from './proofs.ts'
import type { Proofs } from './proofs.ts'
import { doubtClient } from './refused-client.ts'
import type { Register, Registration } from './register.ts'
import { toldScopes } from './scopes.ts'
import { bindingOf, readState, writeState } from './state.ts'
import type { TokenEndpoint, TokenSet } from './token-endpoint.ts'
import { createTrace } from './trace.ts'
import type { Trace, TraceStep } from './trace.ts'

export interface BegunFlow {
  readonly flowId: string
  /** The provider's page, or our own that binds the browser first. */
  readonly authorizeUrl: string
  readonly expiresAt: number
}

/** A flow with its browser. */
export interface BoundFlow {
  readonly authorizeUrl: string
  readonly expiresAt: number
  readonly usedRegistration: Registration['method']
}

export type { FlowOutcome }

/** A flow as its owner may see it. */
export interface FlowView {
  readonly id: string
  readonly status: 'pending' | 'completed' | 'failed' | 'expired'
  readonly connectionId: string
  readonly beganAt: number
  readonly expiresAt: number
  readonly endedAt?: number
  readonly error?: string
  readonly retryable?: boolean
  readonly trace: readonly TraceStep[]
}

export interface Callback {
  readonly tenant: TenantFacts
  /** The redirect URI that was called. */
  readonly redirectUri: string
  /** Whose answer an app says it brings; our own callback learns that from the state. */
  readonly connectionId?: string | undefined
  readonly query: URLSearchParams
  readonly browser: Secret | undefined
  readonly user: { readonly id: string } | undefined
}

export interface Flows {
  readonly begin: (facts: BeginFlow) => Promise<BegunFlow>
  /** Binds a flow of this user and connection to this browser; gives the way to the provider. Throws Fault('not_found' | 'flow_expired' | 'state_mismatch'). */
  readonly bindBrowser: (facts: {
    readonly tenant: TenantFacts
    readonly flowId: string
    readonly connectionId: string
    readonly user: { readonly id: string }
    readonly browser: Secret
  }) => Promise<BoundFlow>
  /** Takes the callback. Throws Fault('state_mismatch' | 'flow_expired' | 'invalid_request') when nothing may be touched. */
  readonly finish: (callback: Callback) => Promise<FlowOutcome>
  /** A flow of this user. Throws Fault('not_found'). */
  readonly view: (
    tenant: TenantFacts,
    user: { readonly id: string },
    id: string,
  ) => Promise<FlowView>
  /** Which of these connections have a sign-in under way. */
  readonly pending: (
    tenant: Pick<TenantFacts, 'id'>,
    connectionIds: readonly string[],
  ) => Promise<ReadonlySet<string>>
  /** Ends what is under way for these connections, inside the transaction that takes their tokens, and before it does. */
  readonly end: (
    tx: Database,
    holders: { readonly tenantId: string; readonly connectionIds: readonly string[] },
  ) => Promise<void>
}

interface FlowNeeds extends OutcomeNeeds {
  readonly random: Random
  readonly keyring: Keyring
  readonly register: Register
  readonly tokenEndpoint: TokenEndpoint
  readonly proofs: Proofs
}

const flowLifetimeMs = 5 * 60 * 1000

/** Makes the flows of all tenants over one database. */
export function createFlows(
  needs: FlowNeeds,
  { lifetimeMs = flowLifetimeMs }: { readonly lifetimeMs?: number } = {},
): Flows {
  return {
    begin: (facts) => begin(needs, facts, lifetimeMs),
    bindBrowser: (facts) => bindBrowser(needs, facts),
    finish: (callback) => finish(needs, callback),

    view: async (tenant, user, id) => {
      const row = await findFlow(needs, tenant, id)
      if (row !== undefined && row.user_id === user.id) return toView(row, needs.clock.now())
      throw new Fault('not_found', { because: 'no such flow of this person' })
    },

    pending: async (tenant, connectionIds) => {
      if (connectionIds.length === 0) return new Set()
      const rows = await needs.db
        .selectFrom('flows')
        .select('connection_id')
        .where('tenant_id', '=', tenant.id)
        .where('connection_id', 'in', connectionIds)
        .where('status', '=', 'pending')
        .where('expires_at', '>', needs.clock.now())
        .execute()
      return new Set(rows.map((row) => row.connection_id))
    },

    end: (tx, holders) => endFlows(tx, needs.clock.now(), holders),
  }
}

async function begin(needs: FlowNeeds, facts: BeginFlow, lifetimeMs: number): Promise<BegunFlow> {
  const { tenant, user, connection, discovery, browser } = facts
  const now = needs.clock.now()
  const id = randomId(needs.random, 'flw_')
  const verifier = createVerifier(needs.random)
  const plan = planOf(facts)
  const trace = createTrace(needs.clock, discovery.trace)
  trace.note({ step: 'registration', url: discovery.issuer, outcome: plan.method })
  trace.note({
    step: 'authorization',
    url: plan.authorizationEndpoint,
    outcome:
      browser === undefined && !plan.isOfApp ? 'waits for a browser' : 'the browser goes there',
  })
  const row: FlowRow = {
    tenant_id: tenant.id,
    id,
    connection_id: connection.id,
    user_id: user.id,
    browser_digest: browser === undefined ? null : needs.keyring.digest('browser', browser),
    issuer: discovery.issuer,
    context: facts.server.context,
    plan: JSON.stringify(plan),
    verifier_sealed: needs.keyring.seal(verifier, verifierPlace(tenant.id, id)),
    status: 'pending',
    error: null,
    retryable: null,
    return_to: facts.returnTo ?? null,
    trace: JSON.stringify(trace.steps()),
    created_at: now,
    expires_at: now + lifetimeMs,
    claimed_at: null,
    completed_at: null,
  }
  await storeFlow(needs, row, plan)
  const authorizeUrl =
    browser === undefined && !isOfApp(row)
      ? `${tenant.issuer}/connect/${connection.id}?flow=${id}`
      : authorizeUrlOf(needs, row, verifier)
  return { flowId: id, authorizeUrl, expiresAt: row.expires_at }
}

async function storeFlow(
  { db, journal }: FlowNeeds,
  row: FlowRow,
  { scopes }: FlowPlan,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.insertInto('flows').values(row).execute()
    await journal.record(tx, {
      tenantId: row.tenant_id,
      type: 'connection.authorizing',
      actor: { kind: 'user', id: row.user_id },
      userId: row.user_id,
      subject: { kind: 'connection', id: row.connection_id },
      attempt: row.id,
      data: { issuer: row.issuer, scopes: toldScopes(scopes) },
    })
  })
}

function authorizeUrlOf({ keyring }: FlowNeeds, row: FlowRow, verifier: Secret): string {
  const state = writeState(keyring, row.tenant_id, {
    flowId: row.id,
    expiresAt: row.expires_at,
    binding: bindingOf(row.user_id, row.connection_id),
  })
  return authorizationUrl(readPlan(row), { state, challenge: challengeOf(verifier) })
}

async function bindBrowser(
  needs: FlowNeeds,
  { tenant, flowId, connectionId, user, browser }: Parameters<Flows['bindBrowser']>[0],
): Promise<BoundFlow> {
  const { db, keyring, clock } = needs
  await db
    .updateTable('flows')
    .set({ browser_digest: keyring.digest('browser', browser) })
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', flowId)
    .where('connection_id', '=', connectionId)
    .where('user_id', '=', user.id)
    .where('browser_digest', 'is', null)
    .where('claimed_at', 'is', null)
    .where('expires_at', '>', clock.now())
    .execute()
  const row = await findFlow(needs, tenant, flowId)
  if (row === undefined || row.user_id !== user.id || row.connection_id !== connectionId) {
    throw new Fault('not_found', { because: 'no such flow of this person' })
  }
  if (row.expires_at <= clock.now() || row.claimed_at !== null) {
    throw new Fault('flow_expired', { because: 'the flow is over' })
  }
  requireBrowser(needs, row, browser)
  const verifier = keyring.open(row.verifier_sealed, verifierPlace(tenant.id, flowId))
  return {
    authorizeUrl: authorizeUrlOf(needs, row, verifier),
    expiresAt: row.expires_at,
    usedRegistration: readPlan(row).method,
  }
}

/**
 * RFC 9700 §4.7 and §4.4, RFC 9207: nothing is read before the signature held, nothing spent before user, browser and
 * context held, and no code is sent anywhere before `iss` held.
 */
async function finish(needs: FlowNeeds, callback: Callback): Promise<FlowOutcome> {
  const parameters = readParameters(callback.query)
  requireNoRepeats(parameters)
  const row = await provenFlow(needs, callback, parameters.get('state'))
  const key = { tenant_id: row.tenant_id, id: row.id }
  const claimed = await claimOnce(needs.db, 'flows', key, needs.clock.now())
  if (claimed === undefined) throw mismatch('the state was used before')

  const plan = readPlan(claimed)
  const trace = createTrace(needs.clock, JSON.parse(claimed.trace) as readonly TraceStep[]) // storeFlow writes it
  const answer = readAnswer(parameters, plan)
  trace.note({
    step: 'callback',
    url: plan.issuer,
    outcome: answer.kind === 'code' ? 'code' : answer.error,
  })
  if (answer.kind === 'failed') return failFlow(needs, claimed, trace, answer.error)
  return redeem(needs, { row: claimed, plan, trace, code: answer.code })
}

async function provenFlow(
  needs: FlowNeeds,
  { tenant, redirectUri, connectionId, browser, user }: Callback,
  text: string | undefined,
): Promise<FlowRow> {
  const state = text === undefined ? undefined : readState(needs.keyring, tenant.id, text)
  if (state === undefined) throw mismatch('there is no state of ours')
  if (state.expiresAt <= needs.clock.now()) {
    throw new Fault('flow_expired', { because: 'the state is older than the flow may be' })
  }
  const row = await findFlow(needs, tenant, state.flowId)
  if (row === undefined) throw mismatch('the flow of the state is gone')
  if (state.binding !== bindingOf(row.user_id, row.connection_id)) {
    throw mismatch('the state is for another user or connection')
  }
  if (readPlan(row).redirectUri !== redirectUri) {
    throw mismatch('the answer came to another server’s redirect URI')
  }
  if (connectionId !== undefined && connectionId !== row.connection_id) {
    throw mismatch('the answer was brought for another connection')
  }
  if (user === undefined || user.id !== row.user_id) throw mismatch('somebody else began this')
  requireBrowser(needs, row, browser)
  return row
}

function requireBrowser({ keyring }: FlowNeeds, row: FlowRow, browser: Secret | undefined): void {
  const { browser_digest: bound } = row
  if (bound === null && isOfApp(row)) return // The app answers for its browser, and for nobody but its own user.
  const isSame =
    bound !== null && browser !== undefined && keyring.matches('browser', browser, bound)
  if (isSame) return
  throw mismatch('another browser began this')
}

/** Does an app take the answer, on a page of its own? */
function isOfApp(row: FlowRow): boolean {
  return readPlan(row).isOfApp
}

function mismatch(because: string): Fault {
  return new Fault('state_mismatch', { because })
}

async function redeem(
  needs: FlowNeeds,
  facts: {
    readonly row: FlowRow
    readonly plan: FlowPlan
    readonly trace: Trace
    readonly code: Secret
  },
): Promise<FlowOutcome> {
  const { row, plan, trace, code } = facts
  const registration = await needs.register.find({ ...plan, tenantId: row.tenant_id })
  if (registration === undefined) return failFlow(needs, row, trace, 'client_lost')
  const verifier = needs.keyring.open(row.verifier_sealed, verifierPlace(row.tenant_id, row.id))
  const proof = newProof(needs.proofs, plan)
  const place = { ...plan, registration, proof }
  const answer = await needs.tokenEndpoint.exchangeCode(place, { code, verifier })
  const url = plan.tokenEndpoint
  if (answer.kind === 'tokens') {
    trace.note({ step: 'token', url, status: answer.status, outcome: 'tokens' })
    return keepTokens(needs, { row, plan, trace, registration, tokens: answer.tokens })
  }
  const { status } = answer
  trace.note({
    step: 'token',
    url,
    outcome: answer.fault.code,
    ...(status === undefined ? {} : { status }),
  })
  if (answer.refusal === 'client') {
    await doubtClient(needs, { ...plan, tenantId: row.tenant_id })
  }
  return failFlow(
    needs,
    row,
    trace,
    answer.refusal === 'grant' ? 'authorization_timeout' : answer.fault.code,
  )
}

/** Keeps what was brought, or gives it back: the connection may have been ended, or its server changed, meanwhile. */
async function keepTokens(
  needs: FlowNeeds,
  facts: {
    readonly row: FlowRow
    readonly plan: FlowPlan
    readonly trace: Trace
    readonly registration: Registration
    readonly tokens: TokenSet
  },
): Promise<FlowOutcome> {
  const { row, plan, trace, registration, tokens } = facts
  try {
    const completed = await completeFlow(needs, facts)
    if (completed !== undefined) return completed
    throw new Fault('flow_expired', { because: 'the connection was ended meanwhile' })
  } catch (thrown) {
    await needs.revocations.giveBack(
      { key: keyOf(row), binding: bindingOfPlan(plan), registration },
      tokens,
    )
    if (!isFault(thrown)) throw thrown
    trace.note({ step: 'tokens', url: plan.issuer, outcome: 'given back' })
    return failFlow(needs, row, trace, thrown.code)
  }
}

function findFlow(
  { db }: FlowNeeds,
  tenant: TenantFacts,
  id: string,
): Promise<FlowRow | undefined> {
  return db
    .selectFrom('flows')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .where('id', '=', id)
    .executeTakeFirst()
}

function verifierPlace(tenant: string, row: string) {
  return { tenant, table: 'flows', row, column: 'verifier_sealed' }
}

function toView(row: FlowRow, now: number): FlowView {
  const isOver = row.status === 'pending' && row.expires_at <= now
  return {
    id: row.id,
    status: isOver ? 'expired' : (row.status as FlowView['status']), // only this room writes it
    connectionId: row.connection_id,
    beganAt: row.created_at,
    expiresAt: row.expires_at,
    ...(row.completed_at === null ? {} : { endedAt: row.completed_at }),
    ...(row.error === null ? {} : { error: row.error }),
    ...(row.retryable === null ? {} : { retryable: row.retryable === 1 }),
    trace: JSON.parse(row.trace) as readonly TraceStep[], // only this room writes it
  }
}
