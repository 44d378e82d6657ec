// Owns a small authorization server and MCP resource that can be told to misbehave in the ways real
// ones do but not on demand. It is honest where it is not told otherwise: PKCE, client secrets,
// redirect URIs and single use are checked.
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

import { setTimeout as sleep } from 'node:timers/promises'

import { listenOnLoopback, type LoopbackPlace } from '../counterparts/loopback.ts'
import { cutInstead, cutInTheMiddle, holdAnswer, type Hold, type Moment } from './answer-timing.ts'
import { sendBadAnswer, sendJson, type BadAnswer } from './bad-answer.ts'

export type { Hold, Moment } from './answer-timing.ts'
export type { BadAnswer } from './bad-answer.ts'

/** The places that can be told to answer badly; `refresh` is the token endpoint for that grant. */
export type Endpoint =
  | 'resource-metadata'
  | 'metadata'
  | 'register'
  | 'authorize'
  | 'token'
  | 'refresh'
  | 'revoke'
  | 'mcp'

/** What is wrong with the provider; `healthy` is what nothing is wrong with. */
export interface Faults {
  readonly answers: Readonly<Partial<Record<Endpoint, BadAnswer>>>
  readonly offersRegistration: boolean
  /** `code_challenge_methods_supported`; null leaves the member out. */
  readonly challengeMethods: readonly string[] | null
  /** The `issuer` in the metadata; undefined is the right one. */
  readonly metadataIssuer: string | undefined
  /** RFC 9207: what the callback says, and whether the metadata promises it. */
  readonly callbackIssuer: 'right' | 'wrong' | 'missing'
  readonly promisesIssuer: boolean
  /** Members to put over those of the metadata documents; undefined takes one away. */
  readonly metadataFields: Readonly<Record<string, unknown>>
  readonly resourceMetadataFields: Readonly<Record<string, unknown>>
  readonly registrationFields: Readonly<Record<string, unknown>>
  /** Members to put over those of a good token answer: wrong types, milliseconds, CR/LF. */
  readonly tokenFields: Readonly<Record<string, unknown>>
  /** Members to put over the parameters of a callback: another state, a second code. */
  readonly callbackFields: Readonly<Record<string, string | undefined>>
  /** `strict`: single use, reuse ends the family. `tolerant`: a spent one works a while longer. `none`: it stays. */
  readonly rotation: 'strict' | 'tolerant' | 'none'
  /** How long a tolerant provider takes a spent refresh token, counted from its first use; then it is strict. */
  readonly toleranceS: number
  /** How long the work of a token request takes: any time between the two. */
  readonly latencyMs: readonly [least: number, most: number]
  /** Token requests in one second beyond these are answered 429 with Retry-After: 1. */
  readonly tokenRequestsPerSecond: number
  readonly accessTokenTtlS: number
  /** Seconds until the client secret expires; 0 is never (RFC 7591 §3.2.1). */
  readonly clientSecretTtlS: number
  /** The scopes of the 401 challenge and the resource metadata. */
  readonly scopes: readonly string[]
  /** Leaves `resource_metadata` out of the challenge. */
  readonly hidesResourceMetadata: boolean
}

/** The provider without a fault. */
export const healthy: Faults = {
  answers: {},
  offersRegistration: true,
  challengeMethods: ['S256'],
  metadataIssuer: undefined,
  callbackIssuer: 'right',
  promisesIssuer: true,
  metadataFields: {},
  resourceMetadataFields: {},
  registrationFields: {},
  tokenFields: {},
  callbackFields: {},
  rotation: 'strict',
  toleranceS: 30,
  latencyMs: [0, 0],
  tokenRequestsPerSecond: Infinity,
  accessTokenTtlS: 3600,
  clientSecretTtlS: 0,
  scopes: ['mcp'],
  hidesResourceMetadata: false,
}

/** One request that reached the provider. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Empty when the connection was cut before it was read. */
  readonly body: string
  readonly at: number
}

/** One request at the token endpoint with what came of it. */
export interface SeenTokenRequest {
  readonly grant: string
  readonly parameters: Readonly<Record<string, string>>
  readonly at: number
  /** `issued`, the RFC 6749 §5.2 error it decided on, `limited`, or `bad-answer` when told to answer badly. */
  readonly outcome: string
}

/** The tokens of one sign-in. */
export interface GrantedTokens {
  readonly accessToken: string
  readonly refreshToken: string
}

/** A running fault provider. */
export interface FaultProvider {
  readonly origin: string
  readonly issuer: string
  readonly mcpUrl: string
  /** Changes the faults given; `set(healthy)` ends them all. */
  readonly set: (faults: Partial<Faults>) => void
  readonly requests: () => readonly SeenRequest[]
  readonly tokenRequests: () => readonly SeenTokenRequest[]
  /** The bodies of the registrations. */
  readonly registrations: () => readonly Readonly<Record<string, unknown>>[]
  /** Every token, code and secret handed out. */
  readonly issued: () => readonly string[]
  /** Whether an access token would still be taken. */
  readonly isLive: (accessToken: string) => boolean
  /** Names the sign-in that an access token goes back to. */
  readonly familyOf: (accessToken: string) => string | undefined
  /** How many token requests were under way at the same time, at most. */
  readonly mostAtOnce: () => number
  /** Ends every access token, so that the next call is challenged. */
  readonly expireAccessTokens: () => void
  readonly forgetClients: () => void
  /** Stops at the next request there until it is let go on: the place for a crash at a named point. */
  readonly hold: (endpoint: Endpoint, moment: Moment) => Hold
  /** Tokens as so many sign-ins would bring them. */
  readonly grant: (count: number) => readonly GrantedTokens[]
  readonly stop: () => Promise<void>
}

/** Starts a provider with these faults; change them while it runs. */
export async function startFaultProvider(
  initial: Partial<Faults> = {},
  place: LoopbackPlace = {},
): Promise<FaultProvider> {
  const state = createState({ ...healthy, ...initial })
  const { origin, stop } = await listenOnLoopback(
    (origin) => (request, response) => {
      answer({ origin, state, request, response }).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    },
    place,
  )
  return {
    origin,
    issuer: origin,
    mcpUrl: `${origin}/mcp`,
    set: (faults) => void (state.faults = { ...state.faults, ...faults }),
    requests: () => [...state.requests],
    tokenRequests: () => [...state.tokenRequests],
    registrations: () => [...state.registrations],
    issued: () => [...state.issued],
    isLive: (token) => isLive(state, token),
    familyOf: (token) => state.accessTokens.get(token)?.family.id,
    mostAtOnce: () => state.underWay.most,
    expireAccessTokens: () => state.accessTokens.clear(),
    forgetClients: () => state.clients.clear(),
    hold: (endpoint, moment) => {
      const hold = holdAnswer(moment)
      state.holds.push({ endpoint, hold })
      return hold
    },
    grant: (count) => Array.from({ length: count }, () => grantTokens(state)),
    stop,
  }
}

interface Client {
  readonly id: string
  readonly secret: string | undefined
  readonly secretExpiresAtS: number
  readonly redirectUris: readonly unknown[]
}

interface Code {
  readonly challenge: string
  readonly redirectUri: string
  readonly clientId: string
}

interface Family {
  readonly id: string
  isEnded: boolean
}

interface State {
  faults: Faults
  readonly clients: Map<string, Client>
  readonly codes: Map<string, Code>
  readonly accessTokens: Map<string, { family: Family; expiresAt: number }>
  readonly refreshTokens: Map<string, { family: Family; spentAt: number | undefined }>
  readonly issued: Set<string>
  readonly requests: SeenRequest[]
  readonly tokenRequests: SeenTokenRequest[]
  readonly registrations: Record<string, unknown>[]
  /** How often a bad answer with `times` was given. */
  readonly given: Map<BadAnswer, number>
  readonly holds: { readonly endpoint: Endpoint; readonly hold: Hold }[]
  readonly underWay: { now: number; most: number }
  /** How many token requests the running second has had. */
  second: { readonly at: number; count: number }
}

function createState(faults: Faults): State {
  return {
    faults,
    clients: new Map(),
    codes: new Map(),
    accessTokens: new Map(),
    refreshTokens: new Map(),
    issued: new Set(),
    requests: [],
    tokenRequests: [],
    registrations: [],
    given: new Map(),
    holds: [],
    underWay: { now: 0, most: 0 },
    second: { at: 0, count: 0 },
  }
}

interface Arrival {
  readonly origin: string
  readonly state: State
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

interface Exchange extends Arrival {
  readonly url: URL
  readonly body: string
}

type Handler = (exchange: Exchange) => void | Promise<void>

const routes: Readonly<Record<string, readonly [Endpoint, Handler]>> = {
  'GET /.well-known/oauth-protected-resource/mcp': ['resource-metadata', sendResourceMetadata],
  'GET /.well-known/oauth-authorization-server': ['metadata', sendMetadata],
  'GET /.well-known/openid-configuration': ['metadata', sendMetadata],
  'POST /register': ['register', register],
  'GET /authorize': ['authorize', approve],
  'POST /token': ['token', giveTokens],
  'POST /revoke': ['revoke', revoke],
  'POST /mcp': ['mcp', serveMcp],
  'GET /mcp': ['mcp', serveStream],
}

async function answer(arrival: Arrival): Promise<void> {
  const { origin, state, request, response } = arrival
  const url = new URL(request.url ?? '/', origin)
  const method = request.method ?? 'GET'
  const route = routes[`${method} ${url.pathname}`]
  const head = { method, path: url.pathname, headers: request.headers, at: Date.now() }
  if (isCutUnread(state, route?.[0])) {
    state.requests.push({ ...head, body: '' })
    return void response.socket?.resetAndDestroy()
  }
  const body = await readBody(request)
  state.requests.push({ ...head, body })
  if (!route) return void response.writeHead(404).end()
  const [place, handle] = route
  const isRefresh = place === 'token' && body.includes('grant_type=refresh_token')
  const endpoint = isRefresh ? 'refresh' : place
  await takeHold(state, endpoint)?.stopAt(response)
  const bad = takeBadAnswer(state, endpoint)
  if (bad?.kind === 'lost') cutInstead(response)
  if (bad?.kind === 'cut') cutInTheMiddle(response)
  const isAfterWork = bad === undefined || bad.kind === 'lost' || bad.kind === 'cut'
  if (isAfterWork) return handle({ ...arrival, url, body })
  if (place === 'token') noteTokenRequest(state, body, 'bad-answer')
  sendBadAnswer(response, bad)
}

// Before the body nobody knows which grant is asked for, so `refresh` stands for the token endpoint as a whole here.
function isCutUnread(state: State, endpoint: Endpoint | undefined): boolean {
  if (endpoint === undefined) return false
  const places: readonly Endpoint[] = endpoint === 'token' ? ['token', 'refresh'] : [endpoint]
  return places.some(
    (place) =>
      state.faults.answers[place]?.kind === 'reset-unread' &&
      takeBadAnswer(state, place) !== undefined,
  )
}

function takeHold(state: State, endpoint: Endpoint): Hold | undefined {
  const at = state.holds.findIndex((held) => held.endpoint === endpoint)
  return at < 0 ? undefined : state.holds.splice(at, 1)[0]?.hold
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array)) // http sends bytes
  return Buffer.concat(chunks).toString()
}

function takeBadAnswer(state: State, endpoint: Endpoint): BadAnswer | undefined {
  const bad = state.faults.answers[endpoint]
  if (bad?.times === undefined) return bad
  const given = state.given.get(bad) ?? 0
  state.given.set(bad, given + 1)
  return given < bad.times ? bad : undefined
}

function sendResourceMetadata({ origin, state, response }: Exchange): void {
  sendJson(response, 200, {
    resource: `${origin}/mcp`,
    authorization_servers: [origin],
    scopes_supported: state.faults.scopes,
    ...state.faults.resourceMetadataFields,
  })
}

function sendMetadata({ origin, state, response }: Exchange): void {
  const { faults } = state
  sendJson(response, 200, {
    issuer: faults.metadataIssuer ?? origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    revocation_endpoint: `${origin}/revoke`,
    ...(faults.offersRegistration && { registration_endpoint: `${origin}/register` }),
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    scopes_supported: faults.scopes,
    ...(faults.challengeMethods && { code_challenge_methods_supported: faults.challengeMethods }),
    ...(faults.promisesIssuer && { authorization_response_iss_parameter_supported: true }),
    ...faults.metadataFields,
  })
}

function register({ state, body, response }: Exchange): void {
  if (!state.faults.offersRegistration) return void response.writeHead(404).end()
  const metadata = JSON.parse(body) as Record<string, unknown> // a test's client sends an object
  state.registrations.push(metadata)
  const client = createClient(state, metadata)
  state.clients.set(client.id, client)
  sendJson(response, 201, {
    ...metadata,
    client_id: client.id,
    ...(client.secret !== undefined && {
      client_secret: client.secret,
      client_secret_expires_at: client.secretExpiresAtS,
    }),
    ...state.faults.registrationFields,
  })
}

function createClient(state: State, metadata: Readonly<Record<string, unknown>>): Client {
  const { redirect_uris: uris, token_endpoint_auth_method: method } = metadata
  const { clientSecretTtlS } = state.faults
  const expiresAtS = Math.floor(Date.now() / 1000) + clientSecretTtlS
  return {
    id: `client-${randomBytes(6).toString('hex')}`,
    secret: method === 'none' ? undefined : issue(state, 'secret'),
    secretExpiresAtS: clientSecretTtlS === 0 ? 0 : expiresAtS,
    redirectUris: Array.isArray(uris) ? uris : [],
  }
}

function issue(state: State, kind: string): string {
  const secret = `${kind}-${randomBytes(24).toString('base64url')}`
  state.issued.add(secret)
  return secret
}

function approve({ origin, state, url, response }: Exchange): void {
  const { faults } = state
  const asked = url.searchParams
  const redirectUri = asked.get('redirect_uri') ?? ''
  const clientId = asked.get('client_id') ?? ''
  const client = state.clients.get(clientId)
  if (client && !client.redirectUris.includes(redirectUri)) {
    return void response.writeHead(400).end('this redirect URI is not registered')
  }
  const code = issue(state, 'code')
  state.codes.set(code, { challenge: asked.get('code_challenge') ?? '', redirectUri, clientId })
  const issuers = { right: origin, wrong: 'https://evil.example', missing: undefined }
  const parameters = {
    code,
    state: asked.get('state') ?? undefined,
    iss: issuers[faults.callbackIssuer],
    ...faults.callbackFields,
  }
  const callback = new URL(redirectUri)
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) callback.searchParams.set(name, value)
  }
  response.writeHead(302, { location: callback.href }).end()
}

async function giveTokens({ state, request, body, response }: Exchange): Promise<void> {
  countUnderWay(state, response)
  if (isOverTheCap(state)) {
    noteTokenRequest(state, body, 'limited')
    return void response.writeHead(429, { 'retry-after': '1' }).end()
  }
  const [least, most] = state.faults.latencyMs
  if (most > 0) await sleep(least + Math.random() * (most - least))
  const parameters = new URLSearchParams(body)
  const client = authenticate(state, request.headers.authorization, parameters)
  const outcome = client === undefined ? 'invalid_client' : redeem(state, client, parameters)
  if (typeof outcome === 'string') {
    noteTokenRequest(state, body, outcome)
    return sendJson(response, outcome === 'invalid_client' ? 401 : 400, { error: outcome })
  }
  noteTokenRequest(state, body, 'issued')
  sendJson(response, 200, { ...outcome, ...state.faults.tokenFields })
}

function countUnderWay({ underWay }: State, response: ServerResponse): void {
  underWay.now += 1
  underWay.most = Math.max(underWay.most, underWay.now)
  response.once('close', () => {
    underWay.now -= 1
  })
}

function isOverTheCap(state: State): boolean {
  const at = Math.floor(Date.now() / 1000)
  if (state.second.at !== at) state.second = { at, count: 0 }
  state.second.count += 1
  return state.second.count > state.faults.tokenRequestsPerSecond
}

function noteTokenRequest(state: State, body: string, outcome: string): void {
  const parameters = Object.fromEntries(new URLSearchParams(body))
  const grant = parameters['grant_type'] ?? ''
  state.tokenRequests.push({ grant, parameters, at: Date.now(), outcome })
}

// RFC 6749 §2.3.1: a secret in the header or in the body, or none for a public client.
function authenticate(
  state: State,
  header: string | undefined,
  parameters: URLSearchParams,
): Client | undefined {
  const encoded = header?.startsWith('Basic ') ? header.slice('Basic '.length) : undefined
  const decoded = Buffer.from(encoded ?? '', 'base64').toString()
  const [basicId = '', basicSecret = ''] = decoded.split(':').map(decodeFormValue)
  const id = encoded === undefined ? parameters.get('client_id') : basicId
  const secret = encoded === undefined ? parameters.get('client_secret') : basicSecret
  const client = state.clients.get(id ?? '')
  if (client?.secret === undefined) return client
  const isExpired = client.secretExpiresAtS !== 0 && client.secretExpiresAtS * 1000 <= Date.now()
  return secret === client.secret && !isExpired ? client : undefined
}

function decodeFormValue(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

function redeem(state: State, client: Client, parameters: URLSearchParams) {
  const grant = parameters.get('grant_type')
  if (grant === 'authorization_code') return redeemCode(state, client, parameters)
  if (grant === 'refresh_token') return redeemRefreshToken(state, parameters)
  return 'unsupported_grant_type'
}

function redeemCode(state: State, client: Client, parameters: URLSearchParams) {
  const given = parameters.get('code') ?? ''
  const code = state.codes.get(given)
  state.codes.delete(given)
  const verifier = parameters.get('code_verifier') ?? ''
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const isGood =
    code !== undefined &&
    code.clientId === client.id &&
    code.challenge === challenge &&
    code.redirectUri === parameters.get('redirect_uri')
  return isGood ? tokensFor(state, createFamily()) : 'invalid_grant'
}

function redeemRefreshToken(state: State, parameters: URLSearchParams) {
  const given = state.refreshTokens.get(parameters.get('refresh_token') ?? '')
  if (given === undefined || given.family.isEnded) return 'invalid_grant'
  const { rotation, toleranceS } = state.faults
  if (rotation === 'none') return tokensFor(state, given.family, { isRefresh: true })
  const toleratedMs = rotation === 'tolerant' ? toleranceS * 1000 : 0
  if (given.spentAt !== undefined && Date.now() - given.spentAt >= toleratedMs) {
    given.family.isEnded = true // RFC 9700 §4.14.2: a spent refresh token ends the family.
    return 'invalid_grant'
  }
  given.spentAt ??= Date.now()
  return tokensFor(state, given.family, { isRefresh: true })
}

function grantTokens(state: State): GrantedTokens {
  const family = createFamily()
  return {
    accessToken: issueAccessToken(state, family),
    refreshToken: issueRefreshToken(state, family),
  }
}

function createFamily(): Family {
  return { id: randomBytes(8).toString('hex'), isEnded: false }
}

function tokensFor(state: State, family: Family, { isRefresh = false } = {}) {
  const { accessTokenTtlS, rotation, scopes } = state.faults
  const keepsRefreshToken = isRefresh && rotation === 'none'
  return {
    access_token: issueAccessToken(state, family),
    token_type: 'Bearer',
    expires_in: accessTokenTtlS,
    scope: scopes.join(' '),
    ...(!keepsRefreshToken && { refresh_token: issueRefreshToken(state, family) }),
  }
}

function issueAccessToken(state: State, family: Family): string {
  const accessToken = issue(state, 'access')
  const expiresAt = Date.now() + state.faults.accessTokenTtlS * 1000
  state.accessTokens.set(accessToken, { family, expiresAt })
  return accessToken
}

function issueRefreshToken(state: State, family: Family): string {
  const refreshToken = issue(state, 'refresh')
  state.refreshTokens.set(refreshToken, { family, spentAt: undefined })
  return refreshToken
}

// RFC 7009 §2.2: an unknown token is an answer of 200 as well.
function revoke({ state, body, response }: Exchange): void {
  const token = new URLSearchParams(body).get('token') ?? ''
  const refreshToken = state.refreshTokens.get(token)
  if (refreshToken) refreshToken.family.isEnded = true
  state.accessTokens.delete(token)
  response.writeHead(200).end()
}

function isLive(state: State, accessToken: string): boolean {
  const token = state.accessTokens.get(accessToken)
  return token !== undefined && !token.family.isEnded && token.expiresAt > Date.now()
}

function serveMcp({ origin, state, request, body, response }: Exchange): void {
  const token = request.headers.authorization?.replace(/^Bearer /, '')
  if (token === undefined || !isLive(state, token)) return challenge(origin, state, response)
  const message = JSON.parse(body) as { id?: unknown; method?: string } // the SDK's client sends JSON-RPC
  if (message.id === undefined) return void response.writeHead(202).end()
  const result = message.method === undefined ? undefined : mcpResults[message.method]
  const error = { code: -32_601, message: 'Method not found' }
  const outcome = result === undefined ? { error } : { result }
  sendJson(response, result === undefined ? 404 : 200, {
    jsonrpc: '2.0',
    id: message.id,
    ...outcome,
  })
}

/** A stream that says one thing and then stays open, as one for notifications does. */
function serveStream({ origin, state, request, response }: Exchange): void {
  const token = request.headers.authorization?.replace(/^Bearer /, '')
  if (token === undefined || !isLive(state, token)) return challenge(origin, state, response)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('data: {"jsonrpc":"2.0","method":"notifications/open"}\n\n')
}

function challenge(origin: string, { faults }: State, response: ServerResponse): void {
  const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`
  const scope = `scope="${faults.scopes.join(' ')}"`
  const parts = faults.hidesResourceMetadata ? [scope] : [metadata, scope]
  response.writeHead(401, { 'www-authenticate': `Bearer ${parts.join(', ')}` }).end()
}

const serverInfo = { name: 'fault-provider', version: '1.0.0' }
const complete = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' }
const mcpResults: Readonly<Record<string, unknown>> = {
  initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo },
  'server/discover': {
    ...complete,
    supportedVersions: ['2026-07-28'],
    capabilities: { tools: {} },
    _meta: { 'io.modelcontextprotocol/serverInfo': serverInfo },
  },
  'tools/list': { ...complete, tools: [{ name: 'ok', inputSchema: { type: 'object' } }] },
  'tools/call': { ...complete, content: [{ type: 'text', text: 'ok' }] },
}
