// The sessions of clients at `/mcp`, without a table: an id is given out with `initialize`, remembers what the client
// can, and proves itself later. All that hangs on one is that a call can be cancelled by another request of the same session.
import { randomUUID } from 'node:crypto'
import type { TokenPrincipal } from '../people/principal.ts'
import type { SessionBinding, SessionFacts } from './sessions.ts'

export interface OwnSessions {
  readonly begin: (principal: TokenPrincipal, facts: SessionFacts) => string
  /** Was it given to this caller? */
  readonly isTheirs: (principal: TokenPrincipal, id: string) => boolean
  /** Ends with the call; the other half is `cancel`. */
  readonly running: (call: RunningCall) => {
    readonly signal: AbortSignal
    readonly end: () => void
  }
  readonly cancel: (call: RunningCall) => void
}

/** One request of one session. */
export interface RunningCall {
  readonly sessionId: string
  readonly requestId: string | number
}

/** Makes them for one process: a call is cancelled where it runs. */
export function createOwnSessions({
  sessions,
}: {
  readonly sessions: SessionBinding
}): OwnSessions {
  const running = new Map<string, AbortController>()
  const ownerOf = (principal: TokenPrincipal) => ({ principal, serverId: 'mcp' })
  return {
    begin: (principal, facts) => sessions.bind(ownerOf(principal), randomUUID(), facts),
    isTheirs: (principal, id) => sessions.unbind(ownerOf(principal), id) !== undefined,
    running: (call) => {
      const controller = new AbortController()
      const key = keyOf(call)
      running.set(key, controller)
      return {
        signal: controller.signal,
        end: () => void (running.get(key) === controller && running.delete(key)),
      }
    },
    cancel: (call) => running.get(keyOf(call))?.abort(),
  }
}

function keyOf({ sessionId, requestId }: RunningCall): string {
  return JSON.stringify([sessionId, requestId])
}
