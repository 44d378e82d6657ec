// What REST reads of servers, connections and flows, over GraphQL: the same calls, the same words, moments as GraphQL has them.
import type { PageRequest } from '../../base/page.ts'
import type { Connections } from '../../connectors/connections.ts'
import type { Servers } from '../../connectors/servers.ts'
import type { Principal } from '../../people/principal.ts'
import { toDateTime } from './results.ts'

interface Needs {
  readonly servers: Servers
  readonly connections: Connections
}

interface Reader {
  readonly principal: Principal
}

interface ById {
  readonly id: string
}

interface Paging {
  readonly cursor?: string | null
  readonly limit?: number | null
}

interface Which extends Paging {
  readonly serverId?: string | null
  readonly label?: string | null
}

/** The fields of Query that only read. */
export function readings({ servers, connections }: Needs) {
  return {
    servers: async (paging: Paging, { principal }: Reader) =>
      withMoments(await servers.list(principal, pageRequestOf(paging))),
    server: async ({ id }: ById, { principal }: Reader) =>
      withMoments(await servers.get(principal, id)),
    connections: async ({ serverId, label, ...paging }: Which, { principal }: Reader) =>
      withMoments(
        await connections.list(principal, pageRequestOf(paging), {
          serverId: serverId ?? undefined,
          label: label ?? undefined,
        }),
      ),
    connection: async ({ id }: ById, { principal }: Reader) =>
      withMoments(await connections.get(principal, id)),
    flow: async ({ id }: ById, { principal }: Reader) =>
      withMoments(await connections.flow(principal, id)),
  }
}

function pageRequestOf({ cursor, limit }: Paging): PageRequest {
  return {
    ...(cursor === undefined || cursor === null ? {} : { cursor }),
    ...(limit === undefined || limit === null ? {} : { limit }),
  }
}

/** Everywhere in what rooms show, a number whose name ends in "at" is a moment. */
function withMoments(shown: unknown): unknown {
  if (Array.isArray(shown)) return shown.map(withMoments)
  if (typeof shown !== 'object' || shown === null) return shown
  const pairs = Object.entries(shown).map(([name, value]) => [name, inGraphql(name, value)])
  return Object.fromEntries(pairs)
}

function inGraphql(name: string, value: unknown): unknown {
  const isMoment = typeof value === 'number' && /(?:^a|A)t$/.test(name)
  return isMoment ? toDateTime(value) : withMoments(value)
}
