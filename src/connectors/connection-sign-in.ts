// How a connection is signed in, for whoever watches over it: who signs in there, and what is known of the tokens. Never a token.
import type { Clock } from '../base/clock.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { toPublicConnection } from './connection-rows.ts'
import type { JoinedConnection, PublicConnection } from './connection-rows.ts'

export interface SignIn {
  readonly connection: PublicConnection
  /** Does its server ask for one at all? */
  readonly isNeeded: boolean
  /** What is known of the tokens; absent where there are none. */
  readonly tokens?: {
    readonly issuer: string
    readonly expiresAt: number | undefined
    readonly hasRefreshToken: boolean
  }
}

interface Needs {
  readonly clock: Clock
  readonly upstream: Pick<Upstream, 'flows' | 'vault'>
}

/** Reads it for a connection of the caller. */
export async function readSignIn(
  { clock, upstream }: Needs,
  tenant: Tenant,
  row: JoinedConnection,
): Promise<SignIn> {
  const pending = await upstream.flows.pending(tenant, [row.id])
  const connection = toPublicConnection(row, { isSigningIn: pending.has(row.id), now: clock.now() })
  const isNeeded = row.server_auth === 'oauth'
  const binding = await upstream.vault.binding({ tenant, connectionId: row.id })
  if (binding === undefined || (row.access_token_sealed ?? '') === '')
    return { connection, isNeeded }
  const tokens = {
    issuer: binding.issuer,
    expiresAt: row.expires_at ?? undefined,
    hasRefreshToken: row.refresh_token_sealed !== null,
  }
  return { connection, isNeeded, tokens }
}
