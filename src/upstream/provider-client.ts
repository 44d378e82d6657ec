// The engine that keeps tokens alive finds us as a client where the tokens came from: for a connection that is a registration,
// for a sign-in at a provider of the tenant what an administrator gave for it.
import type { Keyring } from '../base/keyring.ts'
import type { Database } from '../store/database.ts'
import type { Binding } from './held.ts'
import type { HolderKey } from './holder.ts'
import type { Register, Registration } from './register.ts'
import { findProviderRow, providerRegistration } from './sign-in-provider.ts'
import type { SignInProvider } from './sign-in-provider.ts'
import type { TokenSet } from './token-endpoint.ts'

interface Needs {
  readonly db: Database
  readonly keyring: Keyring
}

/** Is what these tokens hang on a sign-in of a person, and no connection? */
export function isSignIn({ connectionId }: Pick<HolderKey, 'connectionId'>): boolean {
  return connectionId.startsWith('pgr_')
}

/** What stays with the tokens of a sign-in. */
export function bindingOfSignIn(provider: SignInProvider, userId: string): Binding {
  const { registration, endpoints, issuer, id, scopes } = provider
  const { tokenEndpoint, revocationEndpoint } = endpoints
  return {
    // For no server: where such a token may go is said by the servers that take it.
    serverUrl: '',
    issuer,
    serverId: id,
    userId,
    tokenEndpoint,
    ...(revocationEndpoint === undefined ? {} : { revocationEndpoint }),
    clientId: registration.clientId,
    redirectUri: registration.redirectUri,
    resource: '',
    requestedScopes: scopes,
  }
}

/** Tokens with the scope that was asked for, where none is said (RFC 6749 §5.1). */
export function withScope(tokens: TokenSet, scopes: readonly string[]): TokenSet {
  const scope = tokens.scope ?? scopes.join(' ')
  return scope === '' ? tokens : { ...tokens, scope }
}

/** The registrations, with the clients that we are at providers among them. */
export function withProviderClients(needs: Needs, register: Register): Register {
  return {
    ...register,
    find: (key, db = needs.db) =>
      key.serverId.startsWith('prv_') ? findClient(needs, key, db) : register.find(key, db),
  }
}

async function findClient(
  needs: Needs,
  key: Parameters<Register['find']>[0],
  db: Database,
): Promise<Registration | undefined> {
  const row = await findProviderRow(db, { id: key.tenantId }, { id: key.serverId })
  const isSame = row?.issuer === key.issuer && row.client_id === key.clientId
  return isSame ? providerRegistration(needs, row, key.redirectUri) : undefined
}
