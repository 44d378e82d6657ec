// Sessions that are ours and no server's: at `/mcp`, and where a server has none but the client wants one. Without a table: an
// id is given out with `initialize`, remembers what is to be known of the client, and proves itself later. All that hangs on
// one is that a call can be cancelled by another request of the same session.
import { randomUUID } from 'node:crypto'
import type { Call } from './calls.ts'
import { isJsonObject } from './exact-json.ts'
import type { SessionBinding, SessionFacts, SessionOwner } from './sessions.ts'

export interface OwnSessions {
  readonly begin: (owner: SessionOwner, facts: SessionFacts) => string
  /** Was it given to this caller, for this server? */
  readonly isTheirs: (owner: SessionOwner, id: string) => boolean
  /** A call that can be cancelled until it ends; undefined for what has no session or no id. */
  readonly running: (sessionId: string | undefined, call: Pick<Call, 'id'>) => Running | undefined
  /** Cancels what a message of a session says is to be cancelled (MCP 2025-11-25, "Cancellation"). */
  readonly heed: (sessionId: string, message: unknown) => void
}

export interface Running {
  readonly signal: AbortSignal
  readonly end: () => void
}

/** Makes them for one process: a call is cancelled where it runs. */
export function createOwnSessions({
  sessions,
}: {
  readonly sessions: SessionBinding
}): OwnSessions {
  const running = new Map<string, AbortController>()
  return {
    begin: (owner, facts) => sessions.bind(owner, randomUUID(), facts),
    isTheirs: (owner, id) => sessions.unbind(owner, id) !== undefined,
    running: (sessionId, { id }) => {
      if (sessionId === undefined || id === null) return undefined
      const controller = new AbortController()
      const key = keyOf(sessionId, id)
      running.set(key, controller)
      return {
        signal: controller.signal,
        end: () => void (running.get(key) === controller && running.delete(key)),
      }
    },
    heed: (sessionId, message) => {
      if (!isJsonObject(message) || message['method'] !== 'notifications/cancelled') return
      const { requestId } = isJsonObject(message['params']) ? message['params'] : {}
      if (typeof requestId !== 'string' && typeof requestId !== 'number') return
      running.get(keyOf(sessionId, requestId))?.abort()
    },
  }
}

function keyOf(sessionId: string, requestId: string | number): string {
  return JSON.stringify([sessionId, requestId])
}
