// Owns the MCP clients that the tests hold: the SDK's own, with a token in hand, or with the whole
// OAuth dance (discovery, registration, PKCE) where the test plays the browser.
import {
  Client,
  StreamableHTTPClientTransport,
  UnauthorizedError,
  type DpopSession,
  type OAuthClientMetadata,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
} from '@modelcontextprotocol/client'

export type Era = 'legacy' | 'modern' | 'auto'

export interface McpClientOptions {
  readonly url: string
  readonly token?: string
  readonly era?: Era
  readonly headers?: Readonly<Record<string, string>>
  readonly fetch?: typeof fetch
}

/** Connects an SDK client with a token in hand; close it when done. */
export async function connectMcpClient(options: McpClientOptions): Promise<Client> {
  const { token } = options
  const client = createClient(options.era ?? 'auto')
  await client.connect(
    new StreamableHTTPClientTransport(new URL(options.url), {
      ...(token !== undefined && { authProvider: { token: async () => token } }),
      ...(options.headers && { requestInit: { headers: { ...options.headers } } }),
      ...(options.fetch && { fetch: options.fetch }),
    }),
  )
  return client
}

export interface OAuthMcpClientOptions {
  readonly url: string
  /** Plays the browser: opens the authorize URL and returns where the callback was sent. */
  readonly authorize: (url: string) => Promise<string>
  /** The port in the redirect URI; nothing listens there. */
  readonly redirectPort?: number
  readonly era?: Era
  readonly clientName?: string
  readonly scope?: string
  /** A Client ID Metadata Document URL, used when the server takes those. */
  readonly clientMetadataUrl?: string
  /** A key of its own: its tokens are bound to it, and every call comes with a proof (RFC 9449). */
  readonly dpop?: DpopSession
}

/** An SDK client that signed itself in, and what it holds. */
export interface OAuthMcpClient {
  readonly client: Client
  readonly tokens: () => StoredOAuthTokens | undefined
  readonly clientInformation: () => StoredOAuthClientInformation | undefined
  readonly authorizeUrls: () => readonly string[]
}

/** Connects an SDK client that finds, registers and signs in by itself. */
export async function createOAuthMcpClient(
  options: OAuthMcpClientOptions,
): Promise<OAuthMcpClient> {
  const wallet = createWallet(options)
  const client = await connectSigningIn(options, wallet)
  return {
    client,
    tokens: wallet.tokens,
    clientInformation: wallet.clientInformation,
    authorizeUrls: wallet.authorizeUrls,
  }
}

function createClient(era: Era): Client {
  const modes = { legacy: 'legacy', auto: 'auto', modern: { pin: '2026-07-28' } } as const
  const identity = { name: 'latchkey-tests', version: '1.0.0' }
  return new Client(identity, { versionNegotiation: { mode: modes[era] } })
}

async function connectSigningIn(options: OAuthMcpClientOptions, wallet: Wallet): Promise<Client> {
  const makeTransport = () =>
    new StreamableHTTPClientTransport(new URL(options.url), { authProvider: wallet.provider })
  const first = makeTransport()
  try {
    const client = createClient(options.era ?? 'auto')
    await client.connect(first)
    return client
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error
  }
  const callback = new URL(await options.authorize(wallet.authorizeUrls().at(-1) ?? ''))
  wallet.checkState(callback)
  await first.finishAuth(callback.searchParams)
  await first.close()
  const client = createClient(options.era ?? 'auto')
  await client.connect(makeTransport())
  return client
}

interface Wallet {
  readonly provider: OAuthClientProvider
  readonly tokens: () => StoredOAuthTokens | undefined
  readonly clientInformation: () => StoredOAuthClientInformation | undefined
  readonly authorizeUrls: () => readonly string[]
  readonly checkState: (callback: URL) => void
}

function createWallet(options: OAuthMcpClientOptions): Wallet {
  const redirectUrl = `http://127.0.0.1:${options.redirectPort ?? 34_117}/callback`
  const state = crypto.randomUUID()
  const authorizeUrls: string[] = []
  let information: StoredOAuthClientInformation | undefined
  let tokens: StoredOAuthTokens | undefined
  let verifier = ''
  let discovered: OAuthDiscoveryState | undefined
  const provider: OAuthClientProvider = {
    redirectUrl,
    clientMetadata: clientMetadataFor(redirectUrl, options),
    ...(options.clientMetadataUrl && { clientMetadataUrl: options.clientMetadataUrl }),
    state: () => state,
    clientInformation: () => information,
    saveClientInformation: (given) => void (information = given),
    tokens: () => tokens,
    saveTokens: (given) => void (tokens = given),
    redirectToAuthorization: (url) => void authorizeUrls.push(url.href),
    saveCodeVerifier: (given) => void (verifier = given),
    codeVerifier: () => verifier,
    saveDiscoveryState: (given) => void (discovered = given),
    discoveryState: () => discovered,
    ...(options.dpop && { dpop: () => options.dpop }),
  }
  const checkState = (callback: URL) => {
    const given = callback.searchParams.get('state')
    if (given !== state) throw new Error(`the callback carried another state: ${callback.search}`)
  }
  return {
    provider,
    tokens: () => tokens,
    clientInformation: () => information,
    authorizeUrls: () => [...authorizeUrls],
    checkState,
  }
}

function clientMetadataFor(
  redirectUrl: string,
  options: OAuthMcpClientOptions,
): OAuthClientMetadata {
  return {
    client_name: options.clientName ?? 'A test client',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    ...(options.scope && { scope: options.scope }),
  }
}
