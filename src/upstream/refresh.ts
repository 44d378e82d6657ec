// Keeps tokens alive. A refresh is a leased, written-ahead step: what will be sent is written before the first byte
// leaves, one process at a time sends it, and the result is stored only over the generation it was made from. Everybody
// else reads the winner's result. No caller's abort reaches it, and no network call is made inside a transaction.
import type { Clock } from '../base/clock.ts'
import { randomId } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import { grantDoubt } from './doubts.ts'
import { refreshInTurns } from './due.ts'
import type { RoundOptions } from './due.ts'
import { nameOf } from './held.ts'
import type { Held } from './held.ts'
import type { Holder, StatusReason } from './holder.ts'
import { createHosts } from './hosts.ts'
import { createPauses } from './pauses.ts'
import { ending, unavailable } from './refresh-engine.ts'
import type { Engine, Outcome, RefreshNeeds, Wish } from './refresh-engine.ts'
import { lose } from './refresh-end.ts'
import { createRefusedTokens } from './refused-tokens.ts'
import type { RefusedTokens } from './refused-tokens.ts'
import { refreshGeneration } from './refresh-step.ts'
import { takeUp } from './refresh-store.ts'
import { scopesOf } from './scopes.ts'
import { createSpool } from './spool.ts'

/** Whose token, and how alive it has to be. */
export interface LiveTokenRequest extends Holder {
  /** Refreshes a token that has no longer than this to live; otherwise the vault's own time counts (S1-60). */
  readonly minimumMs?: number
  /** One attempt: whoever waits would rather be told to come again. */
  readonly isQuick?: boolean
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
      /** The key that it is bound to, and of no use without (RFC 9449). */
      readonly proofKey?: Secret
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
  readonly refreshDue: (options?: RoundOptions) => Promise<number>
  /**
   * Waits for what is under way, for a while, and waits for nothing else any more: the last step before the process ends.
   */
  readonly drain: () => Promise<void>
  /**
   * Before anybody is served: ends the leases of the process before this one, which is dead, and takes up what the database
   * did not take when a refresh brought it. Gives how many connections were taken up.
   */
  readonly takeUp: () => Promise<number>
}

// A call is over after ten seconds, and what it brought is stored or on disk soon after.
const drainMs = 15_000

/** Makes the refresh engine of one process. */
export function createRefresh(needs: RefreshNeeds): Refresh {
  const owner = needs.processName ?? randomId(needs.random, 'run_')
  const closing = new AbortController()
  const engine: Engine = {
    ...needs,
    owner,
    pauses: createPauses(needs.clock),
    hosts: createHosts(needs.clock),
    spool: createSpool(needs, needs.spoolFolder),
    closing: closing.signal,
  }
  const refusals = createRefusedTokens(needs.clock)
  const { joinFlight, underWay } = createFlights(engine, refusals)

  const alive = async (request: LiveTokenRequest, isWaitedFor: boolean): Promise<LiveToken> => {
    const held = await needs.vault.read(request)
    if (held === undefined) return { kind: 'none' }
    if (held.accessToken === undefined) {
      return { kind: 'reauthorization_required', reason: 'refresh_token_rejected' }
    }
    const now = needs.clock.now()
    const isNeeded = isWaitedFor ? isDue(held, request, now) : (held.refreshAt ?? Infinity) <= now
    if (!isNeeded) return toLive(held, held.accessToken)
    const isGood = isUsable(held, request, now)
    const isSpent = request.spentGeneration === held.generation
    if (held.refreshToken === undefined && held.binding.grant === undefined) {
      if (isGood) return toLive(held, held.accessToken)
      return answer(await lose(engine, held, isSpent ? 'token_rejected' : 'token_expired'))
    }
    // Both who made the token and who takes it say that it is dead: there is nobody left to ask.
    if (isSpent && held.doubt === grantDoubt) {
      return answer(await lose(engine, held, 'refresh_token_rejected'))
    }
    const enough = isSpent ? refusals.find(held) : undefined
    if (enough !== undefined) return enough
    // SEP-1933: what was refused without a browser is not asked again while somebody waits.
    const isPatient = held.binding.grant === undefined && request.isQuick !== true
    const isUrgent = isPatient && isWaitedFor && (!isGood || request.force === true)
    const paused = engine.pauses.find(nameOf(held))
    const outcome = paused ? unavailable(paused) : await joinFlight(held, { isUrgent, isSpent })
    const mayGoOn = isUsable(held, request, needs.clock.now()) && request.force !== true
    if (outcome.kind === 'unavailable' && mayGoOn) return toLive(held, held.accessToken)
    return answer(outcome)
  }

  return {
    liveToken: (request) => alive(request, true),

    // Nobody waits here: one attempt each, so that a provider that is down does not hold up the others.
    refreshDue: async (options) => {
      await takeUp(engine)
      return refreshInTurns(engine, (holder) => alive(holder, false), options)
    },
    takeUp: () => takeUpAll(engine),

    drain: () => {
      closing.abort()
      return inTime(needs.clock, Promise.allSettled(underWay()))
    },
  }
}

/** One refresh of a generation at a time, which all who want it wait for. */
function createFlights(engine: Engine, refusals: RefusedTokens) {
  const flights = new Map<string, Promise<Outcome>>()
  const fly = async (held: Held, wish: Wish): Promise<Outcome> => {
    const outcome = await refreshGeneration(engine, held, wish)
    if (wish.isSpent && outcome.kind === 'renewed') refusals.count(held)
    return outcome
  }
  const joinFlight = (held: Held, wish: Wish): Promise<Outcome> => {
    const name = nameOf(held)
    const running = flights.get(name)
    if (running) return running
    if (engine.closing.aborted) return Promise.resolve(unavailable(ending()))
    const flight = fly(held, wish).finally(() => flights.delete(name))
    flights.set(name, flight)
    return flight
  }
  return { joinFlight, underWay: () => [...flights.values()] }
}

/** A provider may take a spent refresh token again for a few seconds only, so nothing waits for the end of a dead lease. */
async function takeUpAll(engine: Engine): Promise<number> {
  const { vault, owner, log } = engine
  const count = await vault.inherit(owner)
  if (count > 0) log.warn({ count }, 'refreshes that an ended process left are begun again')
  return takeUp(engine)
}

/** Waits for what is under way, but not for ever. */
async function inTime(clock: Clock, work: Promise<unknown>): Promise<void> {
  const isThrough = new AbortController()
  const patience = clock.sleep(drainMs, isThrough.signal).catch(() => {})
  await Promise.race([work, patience])
  isThrough.abort()
}

function isDue(held: Held, request: LiveTokenRequest, now: number): boolean {
  if (request.force === true || request.spentGeneration === held.generation) return true
  if (held.expiresAt === undefined) return false
  if (held.expiresAt <= now) return true
  if (request.minimumMs !== undefined) return held.expiresAt - now <= request.minimumMs
  const isLate = held.expiresAt - now <= held.aheadAtUseMs
  return isLate && (held.refreshAt ?? Infinity) <= now
}

function isUsable(held: Held, request: LiveTokenRequest, now: number): boolean {
  return request.spentGeneration !== held.generation && (held.expiresAt ?? Infinity) > now
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
    ...(held.proofKey === undefined ? {} : { proofKey: held.proofKey }),
    ...(held.expiresAt === undefined ? {} : { expiresAt: held.expiresAt }),
    scopes: scopesOf(held.scope),
    generation: held.generation,
    serverUrl: held.binding.serverUrl,
  }
}
