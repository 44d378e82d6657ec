// The parts of `/mcp`, put together: what asks servers in our own words, their lists, the aggregate, our own tools, the door.
import { createAggregate } from './aggregate.ts'
import { createBuiltin } from './builtin.ts'
import { createOwn } from './own.ts'
import type { Own } from './own.ts'
import { createOwnSessions } from './own-sessions.ts'
import { createReadingOnly } from './reading-only.ts'
import type { RequireReading } from './reading-only.ts'
import { createServerLists } from './server-lists.ts'
import type { SessionBinding } from './sessions.ts'
import { createAskServer } from './upstream-call.ts'
import { createServerEras } from '../connectors/server-eras.ts'

type Needs = Omit<Parameters<typeof createOwn>[0], 'aggregate' | 'builtin' | 'sessions'> &
  Omit<Parameters<typeof createAggregate>[0], 'lists' | 'askServer' | 'requireReading'> &
  Omit<Parameters<typeof createBuiltin>[0], 'aggregate'> &
  Omit<Parameters<typeof createAskServer>[0], 'eras'> &
  Parameters<typeof createServerEras>[0] & { readonly sessions: SessionBinding }

/** Makes them for one process. */
export function createOwnEndpoint(needs: Needs): {
  readonly own: Own
  /** For the servers' own endpoints too: they ask with the same memory. */
  readonly requireReading: RequireReading
} {
  const eras = createServerEras(needs)
  const askServer = createAskServer({ ...needs, eras })
  const lists = createServerLists({ ...needs, askServer })
  const requireReading = createReadingOnly({ ...needs, lists })
  const aggregate = createAggregate({ ...needs, lists, askServer, requireReading })
  const builtin = createBuiltin({ ...needs, aggregate })
  const sessions = createOwnSessions(needs)
  return { own: createOwn({ ...needs, aggregate, builtin, sessions }), requireReading }
}
