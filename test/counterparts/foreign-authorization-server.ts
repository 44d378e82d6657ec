// Owns a foreign authorization server as the tests meet it: a real oidc-provider on loopback, with
// a person who signs in and consents by themselves. What the provider does is left to the provider.
import { generateKeyPairSync } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

import { createLocalJWKSet, exportJWK, jwtVerify, type JWK } from 'jose'
import { Provider, type Configuration, type KoaContextWithOIDC } from 'oidc-provider'

import { listenOnLoopback, type LoopbackPlace } from './loopback.ts'
import { createProviderMemory, type ProviderMemory } from './provider-memory.ts'

/** What the authorization server is like; every part has a default. */
export interface ForeignAuthorizationServerOptions extends LoopbackPlace {
  readonly accessTokenTtlS?: number
  readonly accessTokenFormat?: 'opaque' | 'jwt'
  /** Scopes it knows; a request without a scope gets all of them. */
  readonly scopes?: readonly string[]
  /** What it says of a person besides `sub`; an address of its own that it has verified unless said. */
  readonly claimsOf?: (user: string) => Readonly<Record<string, unknown>>
  /** Who signs in, until `signInAs` says another. */
  readonly user?: string
  /** False: no registration endpoint, so that a client must be known beforehand. */
  readonly offersRegistration?: boolean
  /** Clients known beforehand, as RFC 7591 metadata with `client_id`. */
  readonly clients?: readonly Record<string, unknown>[]
  /** Turns Client ID Metadata Documents on; answers the fetch of an https client id. */
  readonly fetchClientDocument?: (url: string) => Promise<Response>
  /** Takes proofs of keys (RFC 9449); `nonce`: each proof has to carry one of its nonces. */
  readonly proofs?: 'taken' | 'nonce'
}

/** One request at the token endpoint, as the server saw it. */
export interface TokenRequest {
  readonly grant: string
  readonly at: number
  readonly status: number
  readonly resource: string | undefined
}

/** RFC 7662 §2.2: what introspection says about a token. */
export type Introspection = Readonly<Record<string, unknown>> & { readonly active: boolean }

/** A running foreign authorization server. */
export interface ForeignAuthorizationServer {
  readonly issuer: string
  readonly introspect: (token: string) => Promise<Introspection>
  /** Every token, code and client secret it has handed out: what must never leak. */
  readonly tokensIssued: () => readonly string[]
  /** Every JWT by which a client proved itself. */
  readonly assertions: () => readonly string[]
  readonly registrations: () => number
  readonly tokenRequests: () => readonly TokenRequest[]
  readonly signInAs: (user: string) => void
  readonly decide: (decision: 'approve' | 'deny') => void
  readonly expireAccessTokens: () => void
  readonly revokeEverything: () => void
  readonly stop: () => Promise<void>
}

/** Starts a real oidc-provider: registration, PKCE, rotation, RFC 8707, RFC 9207, introspection. */
export async function startForeignAuthorizationServer(
  options: ForeignAuthorizationServerOptions = {},
): Promise<ForeignAuthorizationServer> {
  const state = createState(options)
  const key = await createSigningKey()
  const { origin, stop } = await listenOnLoopback(
    (issuer) => createListener(issuer, key, state, options),
    options,
  )
  return {
    issuer: origin,
    introspect: (token) => introspect(origin, key, state, token),
    tokensIssued: () => [...state.issued],
    assertions: () => [...state.assertions],
    registrations: () => state.registrations,
    tokenRequests: () => [...state.tokenRequests],
    signInAs: (user) => void (state.user = user),
    decide: (decision) => void (state.decision = decision),
    expireAccessTokens: () => {
      state.memory.expire('AccessToken')
      for (const token of state.accessTokens) state.expired.add(token)
    },
    revokeEverything: () => {
      state.memory.forget(['AccessToken', 'RefreshToken', 'AuthorizationCode', 'Grant'])
      for (const token of state.accessTokens) state.expired.add(token)
    },
    stop,
  }
}

const defaultScopes = ['mcp:read', 'mcp:write']
const introspectionClient = { id: 'resource-server', secret: 'resource-server-secret' }

interface State {
  readonly memory: ProviderMemory
  readonly issued: Set<string>
  readonly accessTokens: Set<string>
  readonly expired: Set<string>
  readonly tokenRequests: TokenRequest[]
  readonly assertions: string[]
  registrations: number
  user: string
  decision: 'approve' | 'deny'
}

function createState(options: ForeignAuthorizationServerOptions): State {
  return {
    memory: createProviderMemory(),
    issued: new Set(),
    accessTokens: new Set(),
    expired: new Set(),
    tokenRequests: [],
    assertions: [],
    registrations: 0,
    user: options.user ?? 'alice',
    decision: 'approve',
  }
}

async function createSigningKey(): Promise<JWK> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...(await exportJWK(privateKey)), kid: 'foreign-1', alg: 'ES256', use: 'sig' }
}

function createListener(
  issuer: string,
  key: JWK,
  state: State,
  options: ForeignAuthorizationServerOptions,
): RequestListener {
  const provider = new Provider(issuer, configurationFor(key, state, options))
  provider.use((ctx, next) => observe(ctx as KoaContextWithOIDC, next, state, options)) // Koa types no `oidc`
  const serve = provider.callback()
  return (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return void serve(request, response)
    answerInteraction(provider, state, request, response).catch((error: unknown) => {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error))
    })
  }
}

function configurationFor(
  key: JWK,
  state: State,
  options: ForeignAuthorizationServerOptions,
): Configuration {
  const scopes = options.scopes ?? defaultScopes
  const ttlS = options.accessTokenTtlS ?? 3600
  const { claimsOf = usualClaims } = options
  return {
    adapter: state.memory.adapterFor,
    jwks: { keys: [key] },
    cookies: { keys: ['a key for cookies on loopback'] },
    scopes: ['openid', 'offline_access', ...scopes],
    clients: [introspectionClientMetadata(), ...(options.clients ?? [])] as never, // checked by the provider at start
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    pkce: { required: () => true },
    responseTypes: ['code'],
    rotateRefreshToken: true, // RFC 9700 §4.14.2
    expiresWithSession: () => false,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({ sub, ...claimsOf(sub) }),
    }),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: lifeTimes(ttlS),
    features: featuresFor(scopes, ttlS, options),
    fetch:
      options.fetchClientDocument === undefined
        ? fetchOnLoopback
        : documentFetch(options.fetchClientDocument),
  }
}

function usualClaims(user: string) {
  return { email: `${user}@foreign.example`, email_verified: true }
}

function introspectionClientMetadata() {
  return {
    client_id: introspectionClient.id,
    client_secret: introspectionClient.secret,
    grant_types: [],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic',
  }
}

function lifeTimes(accessTokenTtlS: number): NonNullable<Configuration['ttl']> {
  const dayS = 24 * 60 * 60
  return {
    AccessToken: accessTokenTtlS,
    AuthorizationCode: 60,
    ClientCredentials: accessTokenTtlS,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 14 * dayS,
    Session: dayS,
    Grant: 14 * dayS,
  }
}

function featuresFor(
  scopes: readonly string[],
  accessTokenTTL: number,
  options: ForeignAuthorizationServerOptions,
): NonNullable<Configuration['features']> {
  return {
    devInteractions: { enabled: false },
    registration: { enabled: options.offersRegistration ?? true, initialAccessToken: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        const button = '<button name="logout" value="yes">Sign out</button>'
        ctx.body = form.replace('</form>', `${button}</form>`)
      },
    },
    clientCredentials: { enabled: true },
    dPoP: {
      enabled: options.proofs !== undefined,
      nonceSecret: Buffer.alloc(32, 'a secret for nonces on loopback'),
      requireNonce: () => options.proofs === 'nonce',
    },
    clientIdMetadataDocument: {
      enabled: options.fetchClientDocument !== undefined,
      ack: 'draft-02',
      allowFetch: () => true,
      allowClient: () => true,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: scopes.join(' '),
        audience: resource,
        accessTokenTTL,
        ...tokenFormat(options.accessTokenFormat ?? 'opaque'),
      }),
    },
  }
}

function tokenFormat(format: 'opaque' | 'jwt') {
  if (format === 'opaque') return { accessTokenFormat: 'opaque' as const }
  return { accessTokenFormat: 'jwt' as const, jwt: { sign: { alg: 'ES256' as const } } }
}

// Its own guard lets it call nobody on this machine, which is where everybody is in a test.
function fetchOnLoopback(
  url: string | URL | Request,
  { dispatcher: _guard, ...init }: Guarded = {},
) {
  return fetch(url, init)
}

type Guarded = RequestInit & { readonly dispatcher?: unknown }

function documentFetch(fetchClientDocument: (url: string) => Promise<Response>) {
  return (url: string | URL | Request) =>
    fetchClientDocument(url instanceof Request ? url.url : url.toString())
}

// Notes what passes by, and gives a request without a scope the default one (RFC 6749 §3.3).
async function observe(
  ctx: KoaContextWithOIDC,
  next: () => Promise<unknown>,
  state: State,
  options: ForeignAuthorizationServerOptions,
): Promise<void> {
  if (ctx.path === '/auth' && ctx.method === 'GET' && !ctx.query['scope']) {
    ctx.query = { ...ctx.query, scope: (options.scopes ?? defaultScopes).join(' ') }
  }
  await next()
  noteSecrets(state, ctx)
  if (ctx.path === '/token') {
    state.tokenRequests.push(tokenRequestOf(ctx))
    const { client_assertion: assertion } = asRecord(ctx.oidc?.body)
    if (typeof assertion === 'string') state.assertions.push(assertion)
  }
  if (ctx.path === '/reg' && ctx.status === 201) state.registrations += 1
}

function noteSecrets(state: State, ctx: KoaContextWithOIDC): void {
  const body = asRecord(ctx.body)
  const names = ['access_token', 'refresh_token', 'id_token', 'client_secret']
  const secrets = [...names, 'registration_access_token'].map((name) => body[name])
  const location = ctx.response.get('location')
  const code = URL.canParse(location) ? new URL(location).searchParams.get('code') : undefined
  for (const secret of [...secrets, code]) {
    if (typeof secret === 'string') state.issued.add(secret)
  }
  if (typeof body['access_token'] === 'string') state.accessTokens.add(body['access_token'])
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  const isPlain = typeof value === 'object' && value !== null && !Buffer.isBuffer(value)
  return isPlain ? (value as Record<string, unknown>) : {} // an object is a record of unknowns
}

function tokenRequestOf(ctx: KoaContextWithOIDC): TokenRequest {
  const sent = { ...asRecord(ctx.oidc?.body), ...asRecord(ctx.oidc?.params) }
  const { grant_type: grant, resource } = sent
  return {
    grant: typeof grant === 'string' ? grant : '',
    at: Date.now(),
    status: ctx.status,
    resource: typeof resource === 'string' ? resource : undefined,
  }
}

// The person: signs in at the login prompt, decides at the consent prompt, and needs no page.
async function answerInteraction(
  provider: Provider,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const details = await provider.interactionDetails(request, response)
  if (details.prompt.name === 'login') {
    const login = { accountId: state.user }
    return provider.interactionFinished(request, response, { login })
  }
  if (state.decision === 'deny') {
    const refusal = { error: 'access_denied', error_description: 'The person said no.' }
    return provider.interactionFinished(request, response, refusal)
  }
  const consent = { grantId: await grantAll(provider, details) }
  const merge = { mergeWithLastSubmission: true }
  return provider.interactionFinished(request, response, { consent }, merge)
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

async function grantAll(provider: Provider, interaction: Interaction): Promise<string> {
  const grant = await grantOf(provider, interaction)
  const missing = interaction.prompt.details as MissingGrants
  if (missing.missingOIDCScope) grant.addOIDCScope(missing.missingOIDCScope.join(' '))
  if (missing.missingOIDCClaims) grant.addOIDCClaims([...missing.missingOIDCClaims])
  for (const [resource, scopes] of Object.entries(missing.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '))
  }
  return grant.save()
}

// What the consent prompt's checks put into its details.
interface MissingGrants {
  readonly missingOIDCScope?: readonly string[]
  readonly missingOIDCClaims?: readonly string[]
  readonly missingResourceScopes?: Readonly<Record<string, readonly string[]>>
}

async function grantOf(provider: Provider, { grantId, session, params }: Interaction) {
  const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  if (existing) return existing
  return new provider.Grant({
    accountId: session?.accountId ?? '',
    clientId: String(params['client_id']),
  })
}

async function introspect(
  issuer: string,
  key: JWK,
  state: State,
  token: string,
): Promise<Introspection> {
  if (state.expired.has(token)) return { active: false }
  if (token.split('.').length === 3) return introspectJwt(issuer, key, token)
  const { id, secret } = introspectionClient
  const answer = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
    body: new URLSearchParams({ token }),
  })
  if (!answer.ok) throw new Error(`introspection answered ${answer.status}`)
  return (await answer.json()) as Introspection // RFC 7662 §2.2 requires `active`
}

// The provider introspects opaque tokens only; a JWT speaks for itself (RFC 9068 §4).
async function introspectJwt(issuer: string, key: JWK, token: string): Promise<Introspection> {
  const { d: _private, ...publicKey } = key
  const keys = createLocalJWKSet({ keys: [publicKey] })
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, typ: 'at+jwt' })
    return { active: true, ...payload }
  } catch {
    return { active: false } // RFC 7662 §2.2: every token that is no good is simply not active
  }
}
