// Which of MCP's two eras a request belongs to. Both pass through; only what differs for a gateway is decided by it:
// since 2026-07-28 there are no sessions (MCP 2026-07-28, Streamable HTTP).
import type { Call } from './calls.ts'

export type Era = 'legacy' | 'modern'

/** The first revision without sessions. */
const modernSince = '2026-07-28'
const revisionPattern = /^\d{4}-\d{2}-\d{2}$/

/** The era that a request claims: by its header, else by its body; without a claim it is legacy. */
export function eraOf(versionHeader: string | undefined, call: Call): Era {
  const claimed = versionHeader ?? call.claimedVersion ?? ''
  return revisionPattern.test(claimed) && claimed >= modernSince ? 'modern' : 'legacy'
}
