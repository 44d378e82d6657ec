// How a user of an app that embeds us begins to connect: to a server that is known by its id or found by its URL, over a
// connection with a label, both made when they are not there.
import { isFault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { AppPrincipal, Principal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { Connections } from './connections.ts'
import { checkUrl } from './server-input.ts'
import type { Servers } from './servers.ts'

export interface BeginOptions {
  /** One of the person's several connections to this server; `default` unless said. */
  readonly label?: string
  /** Scopes to ask for on top of what was asked for before. */
  readonly scopes?: readonly string[]
  /** Where the person goes afterwards: a path or a URL on the app's own origin. */
  readonly returnTo?: string
  /** Signs in even where that is not needed, for instance as somebody else. */
  readonly again?: boolean
}

export type Begun =
  | {
      readonly authorizeUrl: string
      readonly flowId: string
      readonly expiresAt: number
      readonly connectionId: string
    }
  | { readonly alreadyAuthorized: true; readonly connectionId: string }

interface Needs {
  readonly db: Database
  readonly tenant: Tenant
  readonly outbound: Outbound
  /** Adds servers that users name by their URL. */
  readonly operator: Principal
  readonly servers: Servers
  readonly connections: Connections
}

/** Makes the beginning. Throws what discovery and registration throw. */
export function createAppBegin(needs: Needs) {
  const serverFor = createServerFinder(needs)
  return async (
    person: AppPrincipal,
    server: string,
    { label = 'default', scopes = [], returnTo, again }: BeginOptions = {},
  ): Promise<Begun> => {
    const { connections, servers, tenant } = needs
    const serverId = await serverFor(server)
    const connectionId = await connectionWith(connections, person, {
      serverId,
      label: label.trim(),
    })
    const { auth } = (await servers.byId(tenant, serverId)) ?? { auth: 'none' }
    if (auth !== 'oauth') return { alreadyAuthorized: true, connectionId }
    const begun = await connections.authorize(person, connectionId, {
      returnTo,
      additionalScopes: scopes.join(' '),
      again,
    })
    if ('alreadyAuthorized' in begun) return { alreadyAuthorized: true, connectionId }
    const { authorizeUrl, flowId, expiresAt } = begun
    return { authorizeUrl, flowId, expiresAt, connectionId }
  }
}

/** Finds a server by id or URL, or adds it. Of fifty who name a new URL at once one adds it. */
function createServerFinder({ db, tenant, outbound, operator, servers }: Needs) {
  const adding = new Map<string, Promise<string>>()
  const findAt = async (url: string) => {
    const row = await db
      .selectFrom('servers')
      .select('id')
      .where('tenant_id', '=', tenant.id)
      .where('url', '=', url)
      .orderBy('created_at')
      .orderBy('id')
      .limit(1)
      .executeTakeFirst()
    return row?.id
  }
  const add = async (url: string) =>
    (await findAt(url)) ?? (await servers.create(operator, { url })).id

  return async (server: string): Promise<string> => {
    if (server.startsWith('srv_')) return server
    const url = checkUrl(outbound, server)
    const known = adding.get(url) ?? add(url).finally(() => adding.delete(url))
    adding.set(url, known)
    return known
  }
}

async function connectionWith(
  connections: Connections,
  person: AppPrincipal,
  which: { readonly serverId: string; readonly label: string },
): Promise<string> {
  try {
    return (await connections.create(person, which)).id
  } catch (thrown) {
    if (!isFault(thrown) || thrown.code !== 'conflict') throw thrown
    const { items } = await connections.list(person, { limit: 1 }, which)
    if (items[0] === undefined) throw thrown
    return items[0].id
  }
}
