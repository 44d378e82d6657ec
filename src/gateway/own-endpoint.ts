// The parts of what asks servers in our own words, put together: their lists, the aggregate, our own tools and the door of
// `/mcp`, and what serves older clients at a server that has no sessions.
import { createAggregate } from './aggregate.ts'
import { createBuiltin } from './builtin.ts'
import { createOwn } from './own.ts'
import type { Own } from './own.ts'
import { createOlderClients } from './older-clients.ts'
import type { OlderClients } from './older-clients.ts'
import { createOwnSessions } from './own-sessions.ts'
import { withParamFields } from './param-fields.ts'
import { createReadingOnly } from './reading-only.ts'
import type { RequireReading } from './reading-only.ts'
import { createServerLists } from './server-lists.ts'
import type { SessionBinding } from './sessions.ts'
import { createAskServer } from './upstream-call.ts'
import { createServerEras } from '../connectors/server-eras.ts'

type Needs = Omit<Parameters<typeof createOwn>[0], 'aggregate' | 'builtin' | 'sessions'> &
  Omit<Parameters<typeof createOlderClients>[0], 'askServer' | 'ownSessions'> &
  Omit<Parameters<typeof createAggregate>[0], 'lists' | 'askServer' | 'requireReading'> &
  Omit<Parameters<typeof createBuiltin>[0], 'aggregate'> &
  Omit<Parameters<typeof createAskServer>[0], 'eras'> &
  Parameters<typeof createServerEras>[0] & { readonly sessions: SessionBinding }

/** Makes them for one process. */
export function createOwnEndpoint(needs: Needs): {
  readonly own: Own
  readonly olderClients: OlderClients
  /** For the servers' own endpoints too: they ask with the same memory. */
  readonly requireReading: RequireReading
} {
  const eras = createServerEras(needs)
  const askOnce = createAskServer({ ...needs, eras })
  const lists = createServerLists({ ...needs, askServer: askOnce })
  const askServer = withParamFields({ askServer: askOnce, lists })
  const requireReading = createReadingOnly({ ...needs, lists })
  const aggregate = createAggregate({ ...needs, lists, askServer, requireReading })
  const builtin = createBuiltin({ ...needs, aggregate })
  const sessions = createOwnSessions(needs)
  const own = createOwn({ ...needs, aggregate, builtin, sessions })
  const olderClients = createOlderClients({ ...needs, askServer, ownSessions: sessions })
  return { own, olderClients, requireReading }
}
