// One refresh of one generation: one process at a time takes the lease and sends, the others wait for what comes of it.
import { hostOf } from './held.ts'
import type { Held } from './held.ts'
import type { HostAnswer, Place } from './hosts.ts'
import { isFault } from '../base/fault.ts'
import { clientDoubt, grantDoubt, isClientInDoubt } from './doubts.ts'
import { proofOf } from './proofs.ts'
import {
  backoffMs,
  callLeaseMs,
  doubted,
  ending,
  holderOf,
  pause,
  unanswered,
  unavailable,
} from './refresh-engine.ts'
import type { Engine, Outcome, Refused, Wish } from './refresh-engine.ts'
import {
  afterChange,
  beginDoubt,
  clientLost,
  lose,
  postpone,
  rejected,
  turnedAway,
} from './refresh-end.ts'
import { settle } from './refresh-store.ts'
import type { Registration } from './register.ts'
import type { TokenAnswer } from './token-endpoint.ts'

// S1-63: three attempts over 30 seconds.
const delaysMs = [10_000, 20_000]
// A client that changes with every call is not run after.
const clientChangesMax = 2
// For a place at the host: who has a token that works waits less for a newer one.
const placeWaitMs = 10_000
const placeWaitUsableMs = 2_000
const waitStepMs = 50
const waitMaxMs = 5_000
const urgentWaitMaxMs = 90_000

/** Refreshes one generation, or waits for whoever does. */
export async function refreshGeneration(engine: Engine, held: Held, wish: Wish): Promise<Outcome> {
  const { clock } = engine
  const giveUpAt = clock.now() + (wish.isUrgent ? urgentWaitMaxMs : waitMaxMs)
  let current = held
  for (;;) {
    // Before the lease, which would run out in a queue.
    const place = await engine.hosts.enter(hostOf(held.binding), placeWaitOf(wish))
    if (isFault(place)) return turnedAway(engine, current, place)
    try {
      if (engine.closing.aborted) return unavailable(ending())
      if (await takeLease(engine, current)) return await present(engine, current, wish, place)
    } finally {
      place.leave('unasked')
    }
    const next = await waitForOther(engine, current, giveUpAt)
    if (next.kind !== 'free') return next
    current = next.held
  }
}

function placeWaitOf({ isUrgent }: Wish): number {
  return isUrgent ? placeWaitMs : placeWaitUsableMs
}

async function takeLease(engine: Engine, held: Held): Promise<boolean> {
  const { vault, owner } = engine
  const isDoubtOver = await isClientChanged(engine, held)
  return vault.lease(held, { owner, ms: callLeaseMs, isDoubtOver })
}

/** A client that an administrator changed since it was refused is another one. */
async function isClientChanged(engine: Engine, held: Held): Promise<boolean> {
  if (!isClientInDoubt(held)) return false
  const registration = await findRegistration(engine, held)
  return registration === undefined || clientDoubt(engine, registration) !== held.doubt
}

function findRegistration(
  { register }: Engine,
  { binding, key }: Held,
): Promise<Registration | undefined> {
  return register.find({ ...binding, tenantId: key.tenantId })
}

async function waitForOther(
  { vault, clock, closing }: Engine,
  held: Held,
  giveUpAt: number,
): Promise<Outcome | { readonly kind: 'free'; readonly held: Held }> {
  let hadOwner = false
  for (;;) {
    const standing = await vault.standing(holderOf(held))
    if (standing === undefined) return { kind: 'gone' }
    const { lease, doubtMs } = standing
    const isSame = standing.generation === held.generation
    if (isSame && standing.isEmptied) return { kind: 'lost', reason: 'refresh_token_rejected' }
    const mayWait = clock.now() < giveUpAt && !closing.aborted
    if (isSame && lease === 'running' && mayWait) {
      hadOwner = true
      await clock.sleep(waitStepMs)
      continue
    }
    if (isSame && doubtMs > 0) return unavailable(doubted(doubtMs))
    const isGivenBack = hadOwner && lease === undefined
    if (isSame && (isGivenBack || lease === 'running')) return unavailable(unanswered())
    const now = await vault.read(holderOf(held))
    if (now === undefined) return { kind: 'gone' }
    return isSame ? { kind: 'free', held: now } : { kind: 'renewed', held: now }
  }
}

/** How the tokens are being asked for: it changes from one attempt to the next. */
interface Asking extends Wish {
  readonly registration: Registration
  /** It was sent once already, and nobody saw an answer. */
  readonly isRepeat: boolean
  readonly attempt: number
  /** At the host, for one call. */
  readonly place: Place
}

/** Sends the refresh token, again only after an answer that says "later", or none at all. */
async function present(engine: Engine, held: Held, wish: Wish, place: Place): Promise<Outcome> {
  const registration = await findRegistration(engine, held)
  if (registration === undefined) return lose(engine, held, 'client_lost')
  // What an earlier call brought, and the database did not take.
  const kept = await engine.spool.find(held)
  if (kept !== undefined) {
    const outcome = await settle(engine, held, registration, kept.tokens)
    await engine.spool.remove(held)
    return outcome
  }
  // The process that sent it died, or heard nothing.
  const isRepeat = held.intentGeneration === held.generation
  let asking: Asking = { ...wish, registration, isRepeat, attempt: 0, place }
  for (;;) {
    const result = await send(engine, held, asking)
    if (result.kind === 'tokens') return settle(engine, held, asking.registration, result.tokens)
    if (held.binding.grant !== undefined) return postpone(engine, held, result)
    const next = await judge(engine, held, asking, result)
    if (next.kind !== 'ask') return next
    asking = next.asking
  }
}

async function send(engine: Engine, held: Held, asking: Asking): Promise<TokenAnswer> {
  const { place } = asking
  try {
    const answer = await ask(engine, held, asking)
    place.leave(hostAnswerOf(answer))
    return answer
  } finally {
    place.leave('unasked')
  }
}

function ask(
  { tokenEndpoint, ownGrants }: Engine,
  { key, binding, refreshToken, proofKey }: Held,
  { registration }: Asking,
): Promise<TokenAnswer> {
  const { grant } = binding
  if (grant !== undefined) {
    return ownGrants.ask({ ...key, binding, grant, registration, proofKey })
  }
  if (refreshToken === undefined) throw new Error('a refresh without a refresh token')
  const place = { ...binding, registration, proof: proofOf(proofKey) }
  return tokenEndpoint.refreshTokens(place, refreshToken)
}

function hostAnswerOf(answer: TokenAnswer): HostAnswer {
  if (answer.kind === 'tokens') return 'answered'
  const { refusal, fault } = answer
  if (fault.code === 'timeout') return 'silent'
  const isBusy = refusal === 'trouble' && fault.retryAfterS !== undefined
  return isBusy ? { busyMs: (fault.retryAfterS ?? 0) * 1000 } : 'answered'
}

type Next = Outcome | { readonly kind: 'ask'; readonly asking: Asking }

/** What a refusal means: the end, another question at once or a little later, or none now. */
async function judge(engine: Engine, held: Held, asking: Asking, refused: Refused): Promise<Next> {
  if (refused.refusal === 'grant') return grantRefused(engine, held, asking, refused)
  if (refused.refusal === 'client') return clientRefused(engine, held, asking, refused)
  const isRepeat = asking.isRepeat || isUnanswered(refused)
  const delayMs = (asking.isUrgent ? delayBefore : momentBefore)(asking.attempt, refused)
  if (delayMs === undefined) return postpone(engine, held, { ...refused, isUnanswered: isRepeat })
  return askAgain(engine, held, { ...asking, isRepeat }, { delayMs, refused })
}

/** Under a longer lease, and from a new place at the host: the wait between two calls is nobody's turn. */
async function askAgain(
  engine: Engine,
  held: Held,
  asking: Asking,
  { delayMs, refused }: { readonly delayMs: number; readonly refused: Refused },
): Promise<Next> {
  const { vault, owner, hosts, closing } = engine
  const ms = delayMs + placeWaitOf(asking) + callLeaseMs
  if (!(await vault.extend(held, { owner, ms }))) return afterChange(engine, held)
  await pause(engine, delayMs)
  const later = { ...refused, isUnanswered: asking.isRepeat }
  if (closing.aborted) return postpone(engine, held, later)
  const place = await hosts.enter(hostOf(held.binding), placeWaitOf(asking))
  if (isFault(place)) return postpone(engine, held, later)
  return { kind: 'ask', asking: { ...asking, place, attempt: asking.attempt + 1 } }
}

/** Bytes went out, and what came back says nothing: the token may be spent. */
function isUnanswered({ refusal, fault }: Refused): boolean {
  return refusal === 'trouble' && fault.isUnsent !== true && fault.code !== 'provider_unreachable'
}

/** RFC 6749 §5.2 invalid_grant: final when nothing else explains it, or when it is said again half a minute later. */
function grantRefused(
  engine: Engine,
  held: Held,
  asking: Asking,
  refused: Refused,
): Promise<Outcome> {
  if (asking.isRepeat) return rejected(engine, held, 'refresh_interrupted')
  if (asking.isSpent || held.doubt === grantDoubt) {
    return rejected(engine, held, 'refresh_token_rejected')
  }
  return beginDoubt(engine, held, grantDoubt, refused)
}

/** RFC 6749 §5.2 invalid_client: not the person's matter, and not the matter of one connection alone. */
async function clientRefused(
  engine: Engine,
  held: Held,
  asking: Asking,
  refused: Refused,
): Promise<Next> {
  const registration = await findRegistration(engine, held)
  if (registration === undefined) return lose(engine, held, 'client_lost')
  const doubt = clientDoubt(engine, registration)
  const isAnother = doubt !== clientDoubt(engine, asking.registration)
  if (isAnother && asking.attempt < clientChangesMax) {
    return askAgain(engine, held, { ...asking, registration }, { delayMs: 0, refused })
  }
  if (held.doubt === doubt) return clientLost(engine, held, registration, refused)
  return beginDoubt(engine, held, doubt, refused)
}

function delayBefore(attempt: number, { refusal, fault }: Refused): number | undefined {
  const delayMs = delaysMs[attempt]
  if (refusal !== 'trouble' || delayMs === undefined) return undefined
  const askedMs = (fault.retryAfterS ?? 0) * 1000
  return askedMs > backoffMs ? undefined : Math.max(delayMs, askedMs)
}

/** For whom nobody waits: one more attempt after the moment that a busy provider asks for, in which its host rests anyway. */
function momentBefore(attempt: number, { refusal, fault }: Refused): number | undefined {
  const askedMs = (fault.retryAfterS ?? 0) * 1000
  const isMoment = askedMs > 0 && askedMs <= placeWaitUsableMs
  return refusal === 'trouble' && attempt === 0 && isMoment ? askedMs : undefined
}
