// Which of MCP's transports over HTTP a server speaks, found out by the calls themselves and kept with the server (MCP
// 2025-11-25, "Backwards Compatibility"). A call is never done twice: what was refused for its address was not done.
import { createBoundedMap } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Server, Servers } from '../connectors/servers.ts'
import { saysNoSessions } from './doubted-answer.ts'
import type { Doubted } from './doubted-answer.ts'
import type { Outcome } from './proxy.ts'

export interface Transports {
  /** Sends a call the way its server speaks; where that is not known, the older way when the newer one leads nowhere. */
  readonly send: (call: TransportCall, ways: Ways) => Promise<Outcome | WithoutSessions>
}

export interface TransportCall {
  readonly server: Server
  /** It asks for one answer and begins nothing that went before: it may be what finds the transport out. */
  readonly mayFindOut: boolean
  /** It asks for a session. */
  readonly isHello: boolean
}

/** It was asked to begin a session, and knows only the revisions that have none. Nothing is sent. */
export interface WithoutSessions {
  readonly kind: 'without_sessions'
}

/** The two ways of one call. */
export interface Ways {
  readonly overHttp: (keeping: { readonly keepsDoubtful: boolean }) => Promise<Outcome | Doubted>
  /** Sends an answer that was kept. */
  readonly pass: (doubted: Doubted) => Outcome
  readonly overSse: (way: {
    readonly opened?: () => void
  }) => Promise<Outcome | { readonly kind: 'other_transport' }>
}

interface Needs {
  readonly servers: Pick<Servers, 'noteTransport'>
  readonly clock: Clock
  readonly log: Log
}

const refusedMax = 1_000
/** A server that says 404 to everything is not asked twice for each call. */
const refusedMs = 60_000

/** Makes the memory of one process. */
export function createTransports({ servers, clock, log }: Needs): Transports {
  const refused = createBoundedMap<number>(refusedMax)

  /** The call is answered already: that this is found out again with the next one does no harm. */
  const note = async (server: Server, transport: Server['transport']) => {
    try {
      await servers.noteTransport(server, transport)
    } catch (cause) {
      log.warn({ server: server.slug, cause }, 'how a server speaks could not be kept')
    }
  }

  const tryOlder = async (server: Server, ways: Ways, doubted: Doubted): Promise<Outcome> => {
    let isOlder = false
    const outcome = await ways.overSse({ opened: () => (isOlder = true) })
    if (isOlder) await note(server, 'sse')
    if (outcome.kind === 'other_transport') {
      refused.set(placeOf(server), clock.now() + refusedMs)
      return ways.pass(doubted)
    }
    return isOlder || isTelling(outcome) ? outcome : ways.pass(doubted)
  }

  return {
    send: async ({ server, mayFindOut, isHello }, ways) => {
      if (server.transport === 'sse') {
        const outcome = await ways.overSse({})
        if (outcome.kind !== 'other_transport') return outcome
        // It has learnt the newer transport, or is not there at the moment.
        await note(server, undefined)
      }
      const isOpen = server.transport === undefined && mayFindOut
      const mayBeOlder = isOpen && (refused.get(placeOf(server)) ?? 0) <= clock.now()
      const first = await ways.overHttp({ keepsDoubtful: mayBeOlder || isHello })
      if (first.kind === 'doubted') {
        if (isHello && saysNoSessions(first)) return { kind: 'without_sessions' }
        return mayBeOlder ? tryOlder(server, ways, first) : ways.pass(first)
      }
      const isAnswered = first.kind === 'passed' && first.status === 200
      if (isOpen && isAnswered) await note(server, 'streamable_http')
      return first
    },
  }
}

function placeOf({ id, url }: Server): string {
  return `${id} ${url}`
}

/** The stream was refused for our credential, so it is there; or nobody waits any more. */
function isTelling(outcome: Outcome): boolean {
  if (outcome.kind === 'broken') return true
  if (outcome.kind !== 'held') return false
  const isForbidden = outcome.status === 403 && outcome.headers['www-authenticate'] !== undefined
  return outcome.status === 401 || isForbidden
}
