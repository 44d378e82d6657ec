// One refresh of one generation: one process at a time takes the lease and sends, the others wait for what comes of it.
import type { Held } from './held.ts'
import { proofOf } from './proofs.ts'
import { backoffMs, callLeaseMs, holderOf, unanswered } from './refresh-engine.ts'
import type { Engine, Outcome, Refused } from './refresh-engine.ts'
import { afterChange, clientLost, lose, postpone, rejected, settle } from './refresh-end.ts'
import type { Registration } from './register.ts'
import type { TokenAnswer } from './token-endpoint.ts'

// S1-63: three attempts over 30 seconds.
const delaysMs = [10_000, 20_000]
const waitStepMs = 50
const waitMaxMs = 5_000
const urgentWaitMaxMs = 90_000

/** Refreshes one generation, or waits for whoever does. */
export async function refreshGeneration(
  engine: Engine,
  held: Held,
  isUrgent: boolean,
): Promise<Outcome> {
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
  { binding, refreshToken, proofKey }: Held,
  registration: Registration,
): Promise<TokenAnswer> {
  const { grant } = binding
  if (grant !== undefined) return ownGrants.ask({ binding, grant, registration, proofKey })
  if (refreshToken === undefined) throw new Error('a refresh without a refresh token')
  const place = { ...binding, registration, proof: proofOf(proofKey) }
  return tokenEndpoint.refreshTokens(place, refreshToken)
}

function delayBefore(attempt: number, { refusal, fault }: Refused): number | undefined {
  const delayMs = delaysMs[attempt]
  if (refusal !== 'trouble' || delayMs === undefined) return undefined
  const askedMs = (fault.retryAfterS ?? 0) * 1000
  return askedMs > backoffMs ? undefined : Math.max(delayMs, askedMs)
}
