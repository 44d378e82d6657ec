// What the SDK's provider asks, answered by our own rooms for one connection of one user of an app.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Journal } from '../journal/entries.ts'
import type { AppPrincipal } from '../people/principal.ts'
import type { Database } from '../store/database.ts'
import { clientNameOf, redirectUriOf } from '../upstream/client-document.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Connections } from './connections.ts'
import type { Credentials } from './credential.ts'
import { becomeClient, readServer } from './prepare.ts'
import { createSignInProvider } from './sdk-sign-in.ts'
import type { ForgettablePart, SignInProvider } from './sdk-sign-in.ts'
import type { McpAccess } from './sdk.ts'
import type { Server } from './servers.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
  readonly upstream: Upstream
  readonly connections: Connections
  readonly credentials: Credentials
}

interface Facts {
  readonly person: AppPrincipal
  readonly server: Server
  readonly connectionId: string
}

/** What calls to this server carry: over this connection, or the best there is. */
export function accessOver(
  { credentials }: Pick<Needs, 'credentials'>,
  facts: Pick<Facts, 'person' | 'server'> & Partial<Facts>,
): McpAccess {
  const { person, server, connectionId } = facts
  const wish = { connectionId }
  return {
    credential: () => credentials.credentialFor(server, person, wish),
    afterUnauthorized: (refused) =>
      credentials.refreshAfterUnauthorized(server, person, refused, wish),
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
      const [row, discovery] = await Promise.all([
        readServer(needs, { tenant_id: tenant.id, server_id: server.id }),
        discover(),
      ])
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
