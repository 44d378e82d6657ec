// The provider that the MCP SDK's `auth()` works on, which begins a sign-in of ours. Only its shape is here: discovery,
// registration and flows are upstream's, because the SDK's own have no guard against private addresses and no browser that
// they belong to.
import type {
  OAuthClientProvider,
  OAuthDiscoveryState,
  OAuthMetadata,
} from '@modelcontextprotocol/client'
import type { Discovery } from '../upstream/discover.ts'
import type { McpAccess } from './sdk.ts'

/** For the SDK's `auth()`: signs a person in anew. The tokens are taken by our callback, not by `finishAuth`. */
export interface SignInProvider extends OAuthClientProvider {
  /** Where to send the person's browser, once the SDK wanted it somewhere. */
  readonly authorizeUrl: () => string | undefined
}

/** What signing in to one server takes. */
export interface SignInNeeds extends Pick<McpAccess, 'credential'> {
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
