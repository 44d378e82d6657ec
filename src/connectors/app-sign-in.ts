// What the SDK's provider asks, answered by our own rooms for one connection of one user of an app.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { AppPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import type { ServerRow } from '../store/schema.ts'
import { clientNameOf, redirectUriOf } from '../upstream/client-document.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Connections } from './connections.ts'
import type { Credentials } from './credential.ts'
import { becomeClient } from './prepare.ts'
import { createSignInProvider } from './sdk.ts'
import type { ForgettablePart, McpAccess, SignInProvider } from './sdk.ts'
import type { Server } from './servers.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly upstream: Upstream
  readonly connections: Connections
  readonly credentials: Credentials
}

interface Facts {
  readonly person: AppPrincipal
  readonly server: Server
  readonly connectionId: string
}

/** What calls to this server over this connection carry. */
export function accessOver({ credentials }: Needs, facts: Facts): McpAccess {
  const { person, server, connectionId } = facts
  return {
    credential: () => credentials.credentialFor(server, person, { connectionId }),
    afterUnauthorized: (refused) =>
      credentials.refreshAfterUnauthorized(server, person, refused, { connectionId }),
  }
}

/** The SDK's provider for this connection. */
export function signInOver(needs: Needs, facts: Facts): SignInProvider {
  const { upstream, connections } = needs
  const { person, server, connectionId } = facts
  const { tenant } = person
  const discover = () =>
    upstream.discover.discover({ tenant, serverUrl: server.url, issuer: server.issuer })
  return createSignInProvider({
    ...accessOver(needs, facts),
    clientName: clientNameOf(tenant),
    clientUri: tenant.issuer,
    redirectUri: redirectUriOf(tenant, server.context),
    discover,
    clientId: async () => {
      const [row, discovery] = await Promise.all([readServer(needs, server), discover()])
      const client = await becomeClient(needs, { tenant, server: row, discovery, scopes: [] })
      return client.clientId
    },
    begin: async (scopes) => {
      const begun = await connections.authorize(person, connectionId, {
        again: true,
        additionalScopes: scopes.join(' '),
      })
      if ('alreadyAuthorized' in begun) throw new Error('a sign-in that was asked for has to begin')
      return begun.authorizeUrl
    },
    forget: (part) => forget(needs, facts, part),
  })
}

function readServer({ db }: Needs, { tenantId, id }: Server): Promise<ServerRow> {
  return db
    .selectFrom('servers')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** Forgets one part, and no other. The client and what was discovered are those of all users of the server. */
async function forget(
  { db, upstream }: Needs,
  { person, server, connectionId }: Facts,
  part: ForgettablePart,
): Promise<void> {
  const { tenant } = person
  const holder = { tenant, connectionId }
  if (part === 'discovery') return upstream.discover.forget(tenant, server.url)
  if (part === 'client') return upstream.register.forgetMade(tenant.id, server.id)
  if (part === 'verifier') {
    const holders = { tenantId: tenant.id, connectionIds: [connectionId] }
    return db.transaction().execute((tx) => upstream.flows.end(tx, holders))
  }
  const held = await upstream.vault.read(holder)
  if (held === undefined) return
  await db.transaction().execute(async (tx) => {
    if (!(await upstream.vault.empty(tx, held))) return
    await upstream.events.changed(tx, held.key, { kind: 'lost', reason: 'token_rejected' })
  })
}
