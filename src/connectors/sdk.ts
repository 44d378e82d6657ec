// The MCP SDK's two shapes of "who signs in": a small one for calls, with our live tokens, and the one that its `auth()`
// works on, which begins a sign-in. Only shapes: discovery, registration, flows and refresh are upstream's, because the
// SDK's own have no lock, no guard against private addresses and no browser that they belong to.
import type {
  AuthProvider,
  FetchLike,
  OAuthClientProvider,
  OAuthDiscoveryState,
  OAuthMetadata,
  StreamableHTTPClientTransportOptions,
} from '@modelcontextprotocol/client'
import { fetch as undiciFetch } from 'undici'
import { Fault } from '../base/fault.ts'
import type { Outbound } from '../base/outbound.ts'
import type { Secret } from '../base/secret.ts'
import type { Discovery } from '../upstream/discover.ts'
import type { Credential } from './credential.ts'

/** What the SDK's `StreamableHTTPClientTransport` is made with. */
export interface McpTransport {
  readonly url: URL
  readonly options: Pick<
    StreamableHTTPClientTransportOptions,
    'authProvider' | 'requestInit' | 'fetch'
  >
}

/** What a call to one server is asked for. */
export interface McpAccess {
  readonly credential: () => Promise<Credential>
  /** After the server's 401, with the credential that it refused. */
  readonly afterUnauthorized: (refused: Credential | undefined) => Promise<Credential>
}

/**
 * Gives calls a token that works now, and renews it once when the server refuses it. Throws
 * Fault('authorization_required' | 'reauthorization_required' | 'refresh_token_rejected') where only the person can help.
 */
export function createAuthProvider({ credential, afterUnauthorized }: McpAccess): AuthProvider {
  let sent: Credential | undefined
  return {
    token: async () => {
      sent = await credential()
      return tokenOf(sent)?.reveal()
    },
    onUnauthorized: async () => {
      tokenOf(await afterUnauthorized(sent))
    },
  }
}

function tokenOf(credential: Credential): Secret | undefined {
  if (credential.kind === 'bearer') return credential.token
  if (credential.kind !== 'authorization_required') return undefined
  throw signInNeeded(credential.reason)
}

function signInNeeded(reason: string): Fault {
  const isFirst = reason === 'disconnected' || reason === 'revoked'
  if (isFirst) return new Fault('authorization_required', { because: reason })
  const code =
    reason === 'refresh_token_rejected' ? 'refresh_token_rejected' : 'reauthorization_required'
  return new Fault(code, { because: reason })
}

/** How the SDK reaches a server: through our guard, with what the server wants. */
export async function transportTo(
  url: string,
  { outbound, access }: { readonly outbound: Outbound; readonly access: McpAccess },
): Promise<McpTransport> {
  const fetch = createGuardedFetch(outbound)
  const credential = await access.credential()
  if (credential.kind === 'none') return { url: new URL(url), options: { fetch } }
  if (credential.kind === 'headers') {
    const headers = Object.entries(credential.headers).map(
      ([name, value]) => [name, value.reveal()] as const,
    )
    return {
      url: new URL(url),
      options: { fetch, requestInit: { headers: Object.fromEntries(headers) } },
    }
  }
  return { url: new URL(url), options: { fetch, authProvider: createAuthProvider(access) } }
}

/** The platform's fetch would go anywhere; users chose these addresses. */
function createGuardedFetch({ vet, dispatcher }: Outbound): FetchLike {
  return async (url, init) => {
    const answer = await undiciFetch(vet(String(url)), {
      ...(init as Parameters<typeof undiciFetch>[1]), // the same shape under another name
      dispatcher,
    })
    return answer
  }
}

/** For the SDK's `auth()`: signs a person in anew. The tokens are taken by our callback, not by `finishAuth`. */
export interface SignInProvider extends OAuthClientProvider {
  /** Where to send the person's browser, once the SDK wanted it somewhere. */
  readonly authorizeUrl: () => string | undefined
}

/** What signing in to one server takes. */
export interface SignInNeeds extends McpAccess {
  readonly clientName: string
  readonly clientUri: string
  readonly redirectUri: string
  readonly discover: () => Promise<Discovery>
  /** Our client id at the discovered authorization server. */
  readonly clientId: () => Promise<string>
  /** Begins our own sign-in and gives its address. */
  readonly begin: (scopes: readonly string[]) => Promise<string>
  readonly forget: (part: ForgettablePart) => Promise<void>
}

export type ForgettablePart = 'client' | 'tokens' | 'verifier' | 'discovery'

const allParts: readonly ForgettablePart[] = ['verifier', 'tokens', 'client', 'discovery']

/** Makes the provider of one connection. */
export function createSignInProvider(needs: SignInNeeds): SignInProvider {
  let authorizeUrl: string | undefined
  return {
    authorizeUrl: () => authorizeUrl,
    redirectUrl: needs.redirectUri,
    clientMetadata: {
      client_name: needs.clientName,
      client_uri: needs.clientUri,
      redirect_uris: [needs.redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    discoveryState: async () => toDiscoveryState(await needs.discover()),
    // No `saveClientInformation`: the SDK never registers by itself.
    clientInformation: async (context) => {
      const { issuer } = await needs.discover()
      if (context !== undefined && context.issuer !== issuer) return undefined
      return { client_id: await needs.clientId(), issuer }
    },
    // Never a refresh token: only our own engine refreshes, once for everybody.
    tokens: async () => {
      const credential = await needs.credential()
      if (credential.kind !== 'bearer') return undefined
      return { access_token: credential.token.reveal(), token_type: 'Bearer' }
    },
    saveTokens: () => refuseToFinish(),
    // What the SDK prepared is not used: its verifier would be in two hands, and its address belongs to no browser.
    saveCodeVerifier: () => {},
    codeVerifier: () => refuseToFinish(),
    redirectToAuthorization: async (url) => {
      const scope = url.searchParams.get('scope') ?? ''
      authorizeUrl = await needs.begin(scope.split(' ').filter((one) => one !== ''))
    },
    invalidateCredentials: async (part) => {
      for (const one of part === 'all' ? allParts : [part]) await needs.forget(one)
    },
  }
}

function refuseToFinish(): never {
  throw new Error('The callback at publicUrl ends this sign-in: hand its request to `handle`.')
}

/** What we found, in the SDK's words, so that it asks nobody itself. */
function toDiscoveryState(discovery: Discovery): OAuthDiscoveryState {
  const { issuer, metadata, resource, protectedResource } = discovery
  const scopes = protectedResource?.scopes_supported
  return {
    authorizationServerUrl: issuer,
    authorizationServerMetadata: metadata as OAuthMetadata, // RFC 8414, whose lists are only read
    resourceMetadata: {
      resource,
      authorization_servers: [issuer],
      ...(scopes === undefined ? {} : { scopes_supported: [...scopes] }),
    },
  }
}
