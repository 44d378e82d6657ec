// How a person stands with each server that they may use, and where they connect those that want a sign-in of theirs.
import type { TokenPrincipal } from '../people/principal.ts'
import { needsBrowser } from '../upstream/grant.ts'
import { connectUrlOf } from './connection-rows.ts'
import type { Connections, PublicConnection } from './connections.ts'
import type { Server, Servers } from './servers.ts'

/** One server as the person stands with it. */
export interface ConnectionState {
  readonly server: string
  readonly name: string
  readonly status: string
  readonly statusReason?: string
  /** Where they connect it, if that is what is needed. */
  readonly connectUrl?: string
}

interface Needs {
  readonly servers: Pick<Servers, 'usable'>
  readonly connections: Pick<Connections, 'list' | 'ensure' | 'sharedServers'>
}

/** One line for each server, by their slugs; none for a program behind which nobody stands. */
export async function connectionStates(
  needs: Needs,
  principal: TokenPrincipal,
): Promise<readonly ConnectionState[]> {
  if (principal.user === undefined) return []
  const shared = await needs.connections.sharedServers(principal.tenant)
  const states: ConnectionState[] = []
  for (const server of await needs.servers.usable(principal)) {
    states.push(await stateOf(needs, principal, { server, isShared: shared.has(server.id) }))
  }
  return states
}

/** Does somebody sign in to it with an account of their own? */
export function isSignedInTo({ auth, grantType }: Pick<Server, 'auth' | 'grantType'>): boolean {
  return auth === 'provider' || (auth === 'oauth' && needsBrowser(grantType))
}

/** The page where this person signs in to the server. */
export async function connectLink(
  { connections }: Pick<Needs, 'connections'>,
  principal: TokenPrincipal,
  { id }: Pick<Server, 'id'>,
): Promise<string> {
  return connectUrlOf(principal.tenant, await connections.ensure(principal, id))
}

async function stateOf(
  needs: Needs,
  principal: TokenPrincipal,
  { server, isShared }: { readonly server: Server; readonly isShared: boolean },
): Promise<ConnectionState> {
  const { slug, name, id: serverId } = server
  if (!isSignedInTo(server)) return { server: slug, name, status: 'connected' }
  // Who has signed in at the provider is connected, whether or not they were ever here.
  if (server.auth === 'provider') await needs.connections.ensure(principal, serverId)
  const { items } = await needs.connections.list(principal, {}, { serverId })
  const own = chosen(items)
  if (own?.authorized !== true && isShared) return { server: slug, name, status: 'connected' }
  const { status = 'disconnected', statusReason: reason } = own ?? {}
  const facts = {
    server: slug,
    name,
    status,
    ...(reason === undefined ? {} : { statusReason: reason }),
  }
  if (own?.authorized === true) return facts
  const connectUrl =
    own === undefined
      ? await connectLink(needs, principal, server)
      : connectUrlOf(principal.tenant, own.id)
  return { ...facts, connectUrl }
}

/** One that works, else the first. */
function chosen(items: readonly PublicConnection[]): PublicConnection | undefined {
  return items.find(({ authorized }) => authorized) ?? items[0]
}
