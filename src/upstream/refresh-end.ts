// How a refresh ends that brought no tokens: what stays, what the owner of the connection is told, what goes into the
// journal.
import type { Fault } from '../base/fault.ts'
import type { Database } from '../store/database.ts'
import { secondQuestionMs } from './doubts.ts'
import { nameOf } from './held.ts'
import type { Held } from './held.ts'
import type { HolderChange, StatusReason } from './holder.ts'
import {
  backoffMaxMs,
  backoffMs,
  doubted,
  holderOf,
  unanswered,
  unavailable,
} from './refresh-engine.ts'
import type { Engine, Outcome, Refused } from './refresh-engine.ts'
import { isSignIn } from './provider-client.ts'
import type { Registration } from './register.ts'

/** The refusal is final, but for a generation that was replaced while we asked. */
export async function rejected(engine: Engine, held: Held, reason: StatusReason): Promise<Outcome> {
  const now = await engine.vault.read(holderOf(held))
  if (now !== undefined && now.generation !== held.generation) return { kind: 'renewed', held: now }
  return lose(engine, held, reason)
}

/**
 * The provider no longer knows us, and said so twice: our own registrations are made anew at the next sign-in, a given one
 * is the admin's.
 */
export async function clientLost(
  engine: Engine,
  held: Held,
  registration: Registration,
  refused: Refused,
): Promise<Outcome> {
  const { clientId } = registration
  engine.log.error({ issuer: held.binding.issuer, clientId }, 'a provider does not know our client')
  if (registration.method === 'preregistered') return postpone(engine, held, refused)
  await engine.register.forget({ ...held.binding, tenantId: held.key.tenantId })
  return lose(engine, held, 'client_lost')
}

/** Refused once: what is there stays in use, nobody is told, and the same question is asked again half a minute later. */
export async function beginDoubt(
  engine: Engine,
  held: Held,
  doubt: string,
  { refusal, fault }: Refused,
): Promise<Outcome> {
  const { owner, log, vault } = engine
  const { connectionId } = held.key
  if (!(await vault.doubt(held, { owner, ms: secondQuestionMs, doubt }))) {
    return afterChange(engine, held)
  }
  log.warn({ connectionId, refusal, because: fault.because }, 'a refresh was refused once')
  return unavailable(doubted(secondQuestionMs, fault))
}

/**
 * Gives up for now. A token that is still valid stays in use and a refresh is tried again a little later; without one, a
 * refusal that no waiting will change sends the person to sign in again (S1-64). The refresh token is kept in any case.
 */
export async function postpone(
  engine: Engine,
  held: Held,
  refused: Refused & { readonly isUnanswered?: boolean },
): Promise<Outcome> {
  const { clock, owner, vault, db } = engine
  const isExpired = (held.expiresAt ?? Infinity) <= clock.now()
  const waitMs = Math.max(patienceMs(engine, held), (refused.fault.retryAfterS ?? 0) * 1000)
  const reason = troubleOf(refused)
  const asksAlone = held.binding.grant !== undefined
  const isFinal = isExpired && refused.refusal === 'request' && !asksAlone
  await db.transaction().execute(async (tx) => {
    const { isUnanswered = false } = refused
    const retryAt = clock.now() + waitMs
    if (!(await vault.release(tx, held, { owner, retryAt, isUnanswered }))) return
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

/** The longer a provider has been down, the less often it is asked when nobody waits for the answer. */
function patienceMs({ clock }: Engine, { expiresAt = Infinity }: Held): number {
  const overdueMs = clock.now() - expiresAt
  return Math.floor(Math.min(Math.max(backoffMs, overdueMs / 2), backoffMaxMs))
}

/** The host has no place for us: nothing was asked, and who is due comes again later. */
export async function turnedAway(engine: Engine, held: Held, fault: Fault): Promise<Outcome> {
  const { vault, clock } = engine
  await vault.defer(holderOf(held), clock.now() + patienceMs(engine, held))
  return unavailable(fault)
}

function troubleOf({ refusal }: Refused): StatusReason {
  if (refusal === 'client') return 'client_lost'
  return refusal === 'trouble' ? 'provider_unreachable' : 'refresh_failed'
}

/** The tokens are dead: they are emptied, and the connection says so. */
export async function lose(engine: Engine, held: Held, reason: StatusReason): Promise<Outcome> {
  const isEmptied = await engine.db.transaction().execute(async (tx) => {
    if (!(await engine.vault.empty(tx, held))) return false
    await tell(engine, tx, held, { kind: 'lost', reason })
    const data = { reason, requiresReauthorization: true }
    await note(engine, tx, held, 'connection.refresh_failed', data)
    return true
  })
  return isEmptied ? { kind: 'lost', reason } : afterChange(engine, held)
}

export async function afterChange(engine: Engine, held: Held): Promise<Outcome> {
  const now = await engine.vault.read(holderOf(held))
  if (now === undefined) return { kind: 'gone' }
  if (now.generation !== held.generation) return { kind: 'renewed', held: now }
  return { kind: 'unavailable', fault: unanswered() }
}

/** Tells the owner of the connection, in the transaction that makes it true. */
export function tell(
  { events }: Engine,
  tx: Database,
  held: Held,
  change: HolderChange,
): Promise<void> {
  return events.changed(tx, held.key, change)
}

const ofSignIns = {
  'connection.refreshed': 'provider.refreshed',
  'connection.refresh_failed': 'provider.refresh_failed',
} as const

/** Writes it into the journal, likewise. */
export function note(
  { journal }: Engine,
  tx: Database,
  { key, binding }: Held,
  type: 'connection.refreshed' | 'connection.refresh_failed',
  data: Readonly<Record<string, string | boolean>>,
): Promise<void> {
  return journal.record(tx, {
    tenantId: key.tenantId,
    actor: { kind: 'system' },
    ...(binding.userId === undefined ? {} : { userId: binding.userId }),
    ...(isSignIn(key)
      ? { type: ofSignIns[type], subject: { kind: 'provider', id: binding.serverId } }
      : { type, subject: { kind: 'connection', id: key.connectionId } }),
    data: { ...data, issuer: binding.issuer },
  })
}
