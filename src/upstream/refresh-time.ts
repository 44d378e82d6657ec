// When an access token is refreshed: at use shortly before its end; unused a little earlier, so that a refresh that fails
// leaves minutes, and by chance, so that what began together does not come due together.

/** How long a token lives, and whether it came from a refresh. */
export interface TokenLife {
  readonly lifetimeMs: number
  readonly isRenewal: boolean
}

const atUseMs = 5 * 60_000
const leastMs = 60_000
const mostMs = 10 * 60_000
const shareOfLife = 0.2
const earliest = 0.3
const spreadAtUse = 0.2

/**
 * How long before its end whoever uses a token refreshes it first (S1-60). A provider whose refreshed tokens live only
 * minutes would be asked on every call if each were refreshed five minutes ahead; those are refreshed after half their life.
 */
export function aheadAtUseMs({ lifetimeMs, isRenewal }: TokenLife): number {
  return isRenewal ? Math.min(atUseMs, Math.floor(lifetimeMs / 2)) : atUseMs
}

/** How long before its end a token is refreshed that nobody uses; `chance` is between 0 and 1. */
export function aheadUnusedMs(life: TokenLife, chance: number): number {
  const share = Math.min(life.lifetimeMs * shareOfLife, mostMs)
  const wantedMs = Math.min(Math.max(share, leastMs), life.lifetimeMs / 2)
  const spreadMs = wantedMs * (1 - earliest * (1 - chance))
  return Math.round(Math.max(spreadMs, aheadAtUseMs(life) * (1 + spreadAtUse * chance)))
}
