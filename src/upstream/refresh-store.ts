// What a refresh brought, until the database has it: tried for a while, on disk meanwhile, and taken up from there.
import type { Held } from './held.ts'
import { holderOf, pause } from './refresh-engine.ts'
import type { Engine, Outcome } from './refresh-engine.ts'
import { note, tell } from './refresh-end.ts'
import type { Registration } from './register.ts'
import type { Spooled } from './spool.ts'
import type { TokenSet } from './token-endpoint.ts'

/** Stores what came back, unless somebody signed in again or took the connection away meanwhile. */
export async function settle(
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
    await engine.revocations.giveBack({ ...held, registration }, tokens)
  }
  return { kind: 'gone' }
}

// 2b-5: about a minute, which a database that is started anew needs. The shorter the pause, the less likely that another
// process asks with the old token when the database is back.
const firstDelaysMs = [100, 400]
const delayMs = 1_000
const storeForMs = 60_000

/** What a provider gave it gives once: a database that is away for a moment must not cost the connection. */
async function storeInTheEnd(engine: Engine, held: Held, tokens: TokenSet): Promise<boolean> {
  const { clock, log, spool, closing } = engine
  const { connectionId } = held.key
  const giveUpAt = clock.now() + storeForMs
  for (let attempt = 0; ; attempt += 1) {
    try {
      const isStored = await store(engine, held, tokens)
      if (attempt > 0) await spool.remove(held)
      return isStored
    } catch (cause) {
      const isOver = closing.aborted || clock.now() >= giveUpAt
      const isTold = attempt === 0 || isOver
      if (isTold)
        log.error({ connectionId, attempt, cause }, 'refreshed tokens could not be stored')
      if (attempt === 0) await spool.put(held, tokens)
      if (isOver) throw cause
      await pause(engine, firstDelaysMs[attempt] ?? delayMs)
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

/** Stores what waits on disk, each over the generation that it follows. Gives how many are done with. */
export async function takeUp(engine: Engine): Promise<number> {
  const { log, spool } = engine
  let count = 0
  for (const spooled of await spool.list()) {
    const { connectionId } = spooled.key
    try {
      await takeUpOne(engine, spooled)
      count += 1
      log.warn({ connectionId }, 'refreshed tokens were taken up from disk')
    } catch (cause) {
      log.error({ connectionId, cause }, 'refreshed tokens on disk could not be stored yet')
    }
  }
  return count
}

async function takeUpOne(engine: Engine, { binding, tokens, ...spoolKey }: Spooled): Promise<void> {
  const held: Held = { ...spoolKey, ...nothingElse, binding }
  const isStored = await store(engine, held, tokens)
  const isGone = !isStored && (await engine.vault.binding(holderOf(held))) === undefined
  const registration = await engine.register.find({ ...binding, tenantId: held.key.tenantId })
  if (isGone && registration !== undefined) {
    await engine.revocations.giveBack({ ...held, registration }, tokens)
  }
  await engine.spool.remove(spoolKey)
}

const nothingElse = {
  accessToken: undefined,
  tokenType: 'Bearer',
  refreshToken: undefined,
  scope: undefined,
  expiresAt: undefined,
  refreshAt: undefined,
  aheadAtUseMs: 0,
  proofKey: undefined,
  intentGeneration: undefined,
  doubt: undefined,
} as const
