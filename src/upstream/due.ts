// Refreshing ahead of need: one round over everything that is due, of all tenants, in which the providers' hosts take turns.
import { isFault } from '../base/fault.ts'
import type { Holder } from './holder.ts'
import type { Due } from './leases.ts'
import { backoffMaxMs, toHolder } from './refresh-engine.ts'
import type { Engine } from './refresh-engine.ts'

export interface RoundOptions {
  /** How many connections are looked at. */
  readonly limit?: number
  /** Ends the round at once: what is under way goes on by itself, nothing more is begun. */
  readonly signal?: AbortSignal
}

const roundLimit = 50_000
const pageLimit = 500
const atOnceMax = 64
const atOnceAtOneHostMax = 8

/** Refreshes page after page of what is due, each connection once. Gives the number of connections looked at. */
export async function refreshInTurns(
  engine: Engine,
  refreshOne: (holder: Holder) => Promise<unknown>,
  { limit = roundLimit, signal }: RoundOptions = {},
): Promise<number> {
  const seen = new Set<string>()
  for (;;) {
    const page = await engine.vault.due(Math.min(pageLimit, limit))
    const fresh = page.filter((due) => !seen.has(idOf(due))).slice(0, limit - seen.size)
    if (fresh.length === 0 || signal?.aborted === true) return seen.size
    for (const due of fresh) seen.add(idOf(due))
    const turns = takeTurns(linesOf(fresh), async (due) => {
      if (signal?.aborted !== true) await refreshQuietly(engine, refreshOne, toHolder(due))
    })
    await Promise.race(signal === undefined ? [turns] : [turns, aborted(signal)])
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  return promise
}

function idOf({ tenantId, connectionId }: Due): string {
  return JSON.stringify([tenantId, connectionId])
}

/** Those who wait for one host. */
interface Line {
  readonly waiting: Due[]
  running: number
}

function linesOf(due: readonly Due[]): readonly Line[] {
  const lines = new Map<string, Line>()
  for (const one of due) {
    const line = lines.get(one.host) ?? { waiting: [], running: 0 }
    lines.set(one.host, line)
    line.waiting.push(one)
  }
  return [...lines.values()]
}

/**
 * Works on all lines at once, each worker on the next line after the one it worked on. One that finds nothing to do ends:
 * what is still waiting has as many workers as one host bears.
 */
async function takeTurns(lines: readonly Line[], work: (due: Due) => Promise<void>): Promise<void> {
  let turn = 0
  const nextLine = (): Line | undefined => {
    for (let passed = 0; passed < lines.length; passed += 1) {
      turn = (turn + 1) % lines.length
      const line = lines[turn]
      if (line && line.waiting.length > 0 && line.running < atOnceAtOneHostMax) return line
    }
    return undefined
  }
  const worker = async () => {
    for (let line = nextLine(); line !== undefined; line = nextLine()) {
      const due = line.waiting.shift()
      if (due === undefined) return
      line.running += 1
      await work(due)
      line.running -= 1
    }
  }
  await Promise.all(Array.from({ length: atOnceMax }, worker))
}

/** One connection that cannot be refreshed holds up no other one. */
async function refreshQuietly(
  { log, vault, clock }: Engine,
  work: (holder: Holder) => Promise<unknown>,
  holder: Holder,
): Promise<void> {
  const { connectionId } = holder
  try {
    await work(holder)
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
