// Keeps tokens alive. A refresh is a leased, written-ahead step: what will be sent is written before the first byte
// leaves, one process at a time sends it, and the result is stored only over the generation it was made from. Everybody
// else reads the winner's result. No caller's abort reaches it, and no network call is made inside a transaction.
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import { randomId } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Journal } from '../journal/entries.ts'
import type { Database } from '../store/database.ts'
import type { Holder, HolderChange, HolderEvents, HolderKey, StatusReason } from './holder.ts'
import type { OwnGrants } from './own-grants.ts'
import { createPauses } from './pauses.ts'
import type { Pauses } from './pauses.ts'
import type { Register, Registration } from './register.ts'
import { scopesOf } from './scopes.ts'
import { giveBack } from './token-endpoint.ts'
import type { TokenAnswer, TokenEndpoint, TokenSet } from './token-endpoint.ts'
import type { Held, Vault } from './vault.ts'

/** Whose token, and how alive it has to be. */
export interface LiveTokenRequest extends Holder {
  /** Refreshes a token that has no longer than this to live; otherwise the vault's own time counts (S1-60). */
  readonly minimumMs?: number
  /** Refreshes in any case (S1-67). */
  readonly force?: boolean
  /** The generation that the server just refused: a newer one is good, this one is refreshed. */
  readonly spentGeneration?: number
}

export type LiveToken =
  | {
      readonly kind: 'live'
      readonly accessToken: Secret
      readonly tokenType: string
      readonly expiresAt?: number
      readonly scopes: readonly string[]
      readonly generation: number
      /** The only address that the token may be sent to. */
      readonly serverUrl: string
    }
  | { readonly kind: 'reauthorization_required'; readonly reason: StatusReason }
  | { readonly kind: 'none' }

export interface Refresh {
  /** A token that works now. Throws Fault('provider_unreachable' | …) when there is none and it may pass. */
  readonly liveToken: (request: LiveTokenRequest) => Promise<LiveToken>
  /**
   * Refreshes what is due, of all tenants; also takes up what a process that died left without an outcome. Gives the
   * number of connections looked at.
   */
  readonly refreshDue: (options?: { readonly limit?: number }) => Promise<number>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly log: Log
  readonly vault: Vault
  readonly register: Register
  readonly tokenEndpoint: TokenEndpoint
  readonly ownGrants: OwnGrants
  readonly events: HolderEvents
}

/** How one refresh went, for everybody who waited for it. */
type Outcome =
  | { readonly kind: 'renewed'; readonly held: Held }
  | { readonly kind: 'lost'; readonly reason: StatusReason }
  | { readonly kind: 'unavailable'; readonly fault: Fault }
  | { readonly kind: 'gone' }

// The lease outlives the deadline of a call, so that a lease that ran out means a process that died.
const callLeaseMs = 20_000
// S1-63: three attempts over 30 seconds.
const delaysMs = [10_000, 20_000]
const backoffMs = 30_000
const waitStepMs = 50
const waitMaxMs = 5_000
const urgentWaitMaxMs = 90_000
const dueLimit = 100
const dueAtOnce = 8
const backoffMaxMs = 3_600_000

/** Makes the refresh engine of one process. */
export function createRefresh(needs: Needs): Refresh {
  const owner = randomId(needs.random, 'run_')
  const engine: Engine = { ...needs, owner, pauses: createPauses(needs.clock) }
  const flights = new Map<string, Promise<Outcome>>()

  const joinFlight = (held: Held, isUrgent: boolean): Promise<Outcome> => {
    const name = nameOf(held)
    const running = flights.get(name)
    if (running) return running
    const flight = refreshGeneration(engine, held, isUrgent).finally(() => flights.delete(name))
    flights.set(name, flight)
    return flight
  }

  const alive = async (request: LiveTokenRequest, isWaitedFor: boolean): Promise<LiveToken> => {
    const held = await needs.vault.read(request)
    if (held === undefined) return { kind: 'none' }
    if (held.accessToken === undefined) {
      return { kind: 'reauthorization_required', reason: 'refresh_token_rejected' }
    }
    const now = needs.clock.now()
    if (!isDue(held, request, now)) return toLive(held, held.accessToken)
    const isGood = isUsable(held, request, now)
    if (held.refreshToken === undefined && held.binding.grant === undefined) {
      if (isGood) return toLive(held, held.accessToken)
      const isSpent = request.spentGeneration !== undefined
      return answer(await lose(engine, held, isSpent ? 'token_rejected' : 'token_expired'))
    }
    // SEP-1933: what was refused without a browser is not asked again while somebody waits.
    const isPatient = held.binding.grant === undefined
    const isUrgent = isPatient && isWaitedFor && (!isGood || request.force === true)
    const paused = engine.pauses.find(nameOf(held))
    const outcome = paused ? unavailable(paused) : await joinFlight(held, isUrgent)
    const mayGoOn = isUsable(held, request, needs.clock.now()) && request.force !== true
    if (outcome.kind === 'unavailable' && mayGoOn) return toLive(held, held.accessToken)
    return answer(outcome)
  }

  return {
    liveToken: (request) => alive(request, true),

    refreshDue: async ({ limit = dueLimit } = {}) => {
      const due = await needs.vault.due(limit)
      // Nobody waits here: one attempt each, so that a provider that is down does not hold up the others.
      const refreshOne = (holder: Holder) =>
        refreshQuietly(engine, () => alive(holder, false), holder)
      for (let at = 0; at < due.length; at += dueAtOnce) {
        const holders = due.slice(at, at + dueAtOnce).map(toHolder)
        await Promise.all(holders.map(refreshOne))
      }
      return due.length
    },
  }
}

function nameOf({ key, generation }: Held): string {
  return JSON.stringify([key.tenantId, key.connectionId, generation])
}

interface Engine extends Needs {
  readonly pauses: Pauses
  /** Names this process in a lease. */
  readonly owner: string
}

function isDue(held: Held, request: LiveTokenRequest, now: number): boolean {
  if (request.force === true || request.spentGeneration === held.generation) return true
  if (held.expiresAt === undefined) return false
  if (held.expiresAt <= now) return true
  if (request.minimumMs !== undefined) return held.expiresAt - now <= request.minimumMs
  return (held.refreshAt ?? Infinity) <= now
}

function isUsable(held: Held, request: LiveTokenRequest, now: number): boolean {
  return request.spentGeneration !== held.generation && (held.expiresAt ?? Infinity) > now
}

function unavailable(fault: Fault): Outcome {
  return { kind: 'unavailable', fault }
}

function answer(outcome: Outcome): LiveToken {
  if (outcome.kind === 'unavailable') throw outcome.fault
  if (outcome.kind === 'gone') return { kind: 'none' }
  if (outcome.kind === 'lost') return { kind: 'reauthorization_required', reason: outcome.reason }
  const { held } = outcome
  if (held.accessToken !== undefined) return toLive(held, held.accessToken)
  return { kind: 'reauthorization_required', reason: 'refresh_token_rejected' }
}

function toLive(held: Held, accessToken: Secret): LiveToken {
  return {
    kind: 'live',
    accessToken,
    tokenType: held.tokenType,
    ...(held.expiresAt === undefined ? {} : { expiresAt: held.expiresAt }),
    scopes: scopesOf(held.scope),
    generation: held.generation,
    serverUrl: held.binding.serverUrl,
  }
}

/** One connection that cannot be refreshed holds up no other one. */
async function refreshQuietly(
  { log, vault, clock }: Engine,
  work: () => Promise<unknown>,
  holder: Holder,
): Promise<void> {
  const { connectionId } = holder
  try {
    await work()
  } catch (cause) {
    if (isFault(cause)) {
      log.warn({ connectionId, code: cause.code, because: cause.because }, 'a refresh failed')
    } else {
      log.error({ connectionId, cause }, 'a refresh failed in an unforeseen way')
    }
    // What cannot be read would otherwise stay the most overdue of all, round after round.
    const isUnreadable = isFault(cause) && cause.code === 'decrypt_failed'
    if (isUnreadable) await vault.defer(holder, clock.now() + backoffMaxMs)
  }
}

/** Refreshes one generation, or waits for whoever does. */
async function refreshGeneration(engine: Engine, held: Held, isUrgent: boolean): Promise<Outcome> {
  const { vault, clock, owner } = engine
  const giveUpAt = clock.now() + (isUrgent ? urgentWaitMaxMs : waitMaxMs)
  let current = held
  for (;;) {
    if (await vault.lease(current, { owner, ms: callLeaseMs })) {
      return present(engine, current, { isUrgent, isRepeat: isUnanswered(current) })
    }
    const next = await waitForOther(engine, current, giveUpAt)
    if (next.kind !== 'free') return next
    current = next.held
  }
}

/** Sent once already, and nobody wrote down what came of it: the process that sent it died. */
function isUnanswered(held: Held): boolean {
  return held.intentGeneration === held.generation
}

async function waitForOther(
  { vault, clock }: Engine,
  held: Held,
  giveUpAt: number,
): Promise<Outcome | { readonly kind: 'free'; readonly held: Held }> {
  let hadOwner = false
  for (;;) {
    const now = await vault.read(holderOf(held))
    if (now === undefined) return { kind: 'gone' }
    if (now.generation !== held.generation) return { kind: 'renewed', held: now }
    if (now.accessToken === undefined) return { kind: 'lost', reason: 'refresh_token_rejected' }
    if (now.leaseUntil === undefined && hadOwner)
      return { kind: 'unavailable', fault: unanswered() }
    if ((now.leaseUntil ?? 0) <= clock.now()) return { kind: 'free', held: now }
    if (clock.now() >= giveUpAt) return { kind: 'unavailable', fault: unanswered() }
    hadOwner = true
    await clock.sleep(waitStepMs)
  }
}

function unanswered(): Fault {
  return new Fault('provider_unreachable', {
    because: 'another process refreshes this connection and had no success yet',
  })
}

/** Sends the refresh token, again only after an answer that says "later", or none at all. */
async function present(
  engine: Engine,
  held: Held,
  { isUrgent, isRepeat }: { readonly isUrgent: boolean; readonly isRepeat: boolean },
): Promise<Outcome> {
  const registration = await engine.register.find({ ...held.binding, tenantId: held.key.tenantId })
  if (registration === undefined) return lose(engine, held, 'client_lost')
  for (let attempt = 0; ; attempt += 1) {
    const result = await send(engine, held, registration)
    if (result.kind === 'tokens') return settle(engine, held, registration, result.tokens)
    if (held.binding.grant !== undefined) return postpone(engine, held, result)
    if (result.refusal === 'grant') {
      return rejected(engine, held, isRepeat ? 'refresh_interrupted' : 'refresh_token_rejected')
    }
    if (result.refusal === 'client') return clientLost(engine, held, registration, result.fault)
    const delayMs = isUrgent ? delayBefore(attempt, result) : undefined
    if (delayMs === undefined) return postpone(engine, held, result)
    const lease = { owner: engine.owner, ms: delayMs + callLeaseMs }
    if (!(await engine.vault.extend(held, lease))) return afterChange(engine, held)
    await engine.clock.sleep(delayMs)
  }
}

function send(
  { tokenEndpoint, ownGrants }: Engine,
  { binding, refreshToken }: Held,
  registration: Registration,
): Promise<TokenAnswer> {
  const { grant } = binding
  if (grant !== undefined) return ownGrants.ask({ binding, grant, registration })
  if (refreshToken === undefined) throw new Error('a refresh without a refresh token')
  return tokenEndpoint.refreshTokens({ ...binding, registration }, refreshToken)
}

type Refused = Extract<TokenAnswer, { kind: 'refused' }>

function delayBefore(attempt: number, { refusal, fault }: Refused): number | undefined {
  const delayMs = delaysMs[attempt]
  if (refusal !== 'trouble' || delayMs === undefined) return undefined
  const askedMs = (fault.retryAfterS ?? 0) * 1000
  return askedMs > backoffMs ? undefined : Math.max(delayMs, askedMs)
}

/** Stores what came back, unless somebody signed in again or took the connection away meanwhile. */
async function settle(
  engine: Engine,
  held: Held,
  registration: Registration,
  tokens: TokenSet,
): Promise<Outcome> {
  const isStored = await storeInTheEnd(engine, held, tokens)
  const now = await engine.vault.read(holderOf(held))
  if (now !== undefined) return { kind: 'renewed', held: now }
  if (!isStored) {
    // The connection was revoked meanwhile.
    await giveBack(engine.tokenEndpoint, { ...held.binding, registration }, tokens)
  }
  return { kind: 'gone' }
}

// 2b-5: about a minute, which a database that is started anew needs.
const storeDelaysMs = [100, 400, 1_500, 4_000, 9_000, 15_000, 30_000]

/** What a provider gave it gives once: a database that is away for a moment must not cost the connection. */
async function storeInTheEnd(engine: Engine, held: Held, tokens: TokenSet): Promise<boolean> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await store(engine, held, tokens)
    } catch (cause) {
      const delayMs = storeDelaysMs[attempt]
      const { connectionId } = held.key
      engine.log.error({ connectionId, attempt, cause }, 'refreshed tokens could not be stored')
      if (delayMs === undefined) throw cause
      await engine.clock.sleep(delayMs)
    }
  }
}

function store(engine: Engine, held: Held, tokens: TokenSet): Promise<boolean> {
  return engine.db.transaction().execute(async (tx) => {
    if (!(await engine.vault.renew(tx, held, tokens))) return false
    await tell(engine, tx, held, { kind: 'refreshed' })
    await note(engine, tx, held, 'connection.refreshed', {})
    return true
  })
}

/** RFC 6749 §5.2 invalid_grant: final, but for a generation that was replaced while we asked. */
async function rejected(engine: Engine, held: Held, reason: StatusReason): Promise<Outcome> {
  const now = await engine.vault.read(holderOf(held))
  if (now !== undefined && now.generation !== held.generation) return { kind: 'renewed', held: now }
  return lose(engine, held, reason)
}

/** The provider no longer knows us: our own registrations are made anew at the next sign-in, a given one is the admin's. */
async function clientLost(
  engine: Engine,
  held: Held,
  registration: Registration,
  fault: Fault,
): Promise<Outcome> {
  const { clientId } = registration
  engine.log.error({ issuer: held.binding.issuer, clientId }, 'a provider does not know our client')
  if (registration.method === 'preregistered') {
    return postpone(engine, held, { kind: 'refused', refusal: 'client', fault })
  }
  await engine.register.forget({ ...held.binding, tenantId: held.key.tenantId })
  return lose(engine, held, 'client_lost')
}

/**
 * Gives up for now. A token that is still valid stays in use and a refresh is tried again a little later; without one, a
 * refusal that no waiting will change sends the person to sign in again (S1-64). The refresh token is kept in any case.
 */
async function postpone(engine: Engine, held: Held, refused: Refused): Promise<Outcome> {
  const { clock, owner, vault, db } = engine
  const overdueMs = clock.now() - (held.expiresAt ?? Infinity)
  const isExpired = overdueMs >= 0
  // The longer a provider has been down, the less often it is asked when nobody waits for the answer.
  const patienceMs = Math.min(Math.max(backoffMs, overdueMs / 2), backoffMaxMs)
  const waitMs = Math.max(Math.floor(patienceMs), (refused.fault.retryAfterS ?? 0) * 1000)
  const reason = troubleOf(refused)
  const asksAlone = held.binding.grant !== undefined
  const isFinal = isExpired && refused.refusal === 'request' && !asksAlone
  await db.transaction().execute(async (tx) => {
    if (!(await vault.release(tx, held, owner, clock.now() + waitMs))) return
    if (isExpired) await tell(engine, tx, held, { kind: isFinal ? 'lost' : 'troubled', reason })
    const data = { reason, requiresReauthorization: isFinal }
    await note(engine, tx, held, 'connection.refresh_failed', data)
  })
  if (isFinal) return { kind: 'lost', reason }
  // Until then nobody's wish makes us ask: a limit that is run against only grows.
  const askedMs = asksAlone ? waitMs : (refused.fault.retryAfterS ?? 0) * 1000
  if (askedMs > 0) engine.pauses.begin(nameOf(held), refused.fault, clock.now() + askedMs)
  return unavailable(refused.fault)
}

function troubleOf({ refusal }: Refused): StatusReason {
  if (refusal === 'client') return 'client_lost'
  return refusal === 'trouble' ? 'provider_unreachable' : 'refresh_failed'
}

/** The tokens are dead: they are emptied, and the connection says so. */
async function lose(engine: Engine, held: Held, reason: StatusReason): Promise<Outcome> {
  const isEmptied = await engine.db.transaction().execute(async (tx) => {
    if (!(await engine.vault.empty(tx, held))) return false
    await tell(engine, tx, held, { kind: 'lost', reason })
    const data = { reason, requiresReauthorization: true }
    await note(engine, tx, held, 'connection.refresh_failed', data)
    return true
  })
  return isEmptied ? { kind: 'lost', reason } : afterChange(engine, held)
}

async function afterChange(engine: Engine, held: Held): Promise<Outcome> {
  const now = await engine.vault.read(holderOf(held))
  if (now === undefined) return { kind: 'gone' }
  if (now.generation !== held.generation) return { kind: 'renewed', held: now }
  return { kind: 'unavailable', fault: unanswered() }
}

function tell({ events }: Engine, tx: Database, held: Held, change: HolderChange): Promise<void> {
  return events.changed(tx, held.key, change)
}

function note(
  { journal }: Engine,
  tx: Database,
  { key, binding }: Held,
  type: 'connection.refreshed' | 'connection.refresh_failed',
  data: Readonly<Record<string, string | boolean>>,
): Promise<void> {
  return journal.record(tx, {
    tenantId: key.tenantId,
    type,
    actor: { kind: 'system' },
    ...(binding.userId === undefined ? {} : { userId: binding.userId }),
    subject: { kind: 'connection', id: key.connectionId },
    data: { ...data, issuer: binding.issuer },
  })
}

function holderOf({ key }: Held): Holder {
  return toHolder(key)
}

function toHolder({ tenantId, connectionId }: HolderKey): Holder {
  return { tenant: { id: tenantId }, connectionId }
}
