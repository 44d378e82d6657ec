// Ties a server's session ids to the caller they were given to, without a table: the id that the client sees carries a tag
// over (tenant, server, caller, connection, id). A session id is never proof of who calls (MCP security best practices, R13).
import type { Keyring } from '../base/keyring.ts'
import type { TokenPrincipal } from '../people/principal.ts'

/** Whose session it is. */
export interface SessionOwner {
  readonly principal: TokenPrincipal
  readonly serverId: string
  /** Whose account it is there; absent where the server knows none. */
  readonly connectionId?: string | undefined
}

export interface SessionBinding {
  /** The id as the client gets it. */
  readonly bind: (owner: SessionOwner, id: string) => string
  /** The id as the server knows it; undefined when it was not given to this caller for this server. */
  readonly unbind: (owner: SessionOwner, bound: string) => string | undefined
}

const purpose = 'upstream_session'
const boundCharsMax = 2048

/** Makes the binding under one keyring; it outlives restarts and key rotation. */
export function createSessionBinding({ keyring }: { readonly keyring: Keyring }): SessionBinding {
  return {
    bind: (owner, id) => `${id}.${keyring.sign(purpose, describe(owner, id))}`,
    unbind: (owner, bound) => {
      const dot = bound.lastIndexOf('.')
      if (dot < 1 || bound.length > boundCharsMax) return undefined
      const id = bound.slice(0, dot)
      const isTheirs = keyring.verify(purpose, describe(owner, id), bound.slice(dot + 1))
      return isTheirs ? id : undefined
    },
  }
}

function describe({ principal, serverId, connectionId }: SessionOwner, id: string): string {
  const { tenant, user, clientId } = principal
  const caller = user === undefined ? ['client', clientId] : ['user', user.id]
  return JSON.stringify([tenant.id, serverId, ...caller, connectionId ?? null, id])
}
