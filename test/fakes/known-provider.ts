// Owns a provider under its real name, and an MCP server that trusts it, both behind TLS on loopback: what a provider
// refuses and how it answers is told by its manners. PKCE, the client's secret, redirect URIs and single use are checked.
import { createHash, randomBytes } from 'node:crypto'
import { createServer as createPlainServer } from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import type { Connector, Resolve } from '../../src/base/outbound.ts'
import { fetchOverHttp } from '../counterparts/cookie-browser.ts'
import type { FetchLike } from '../counterparts/cookie-browser.ts'
import { sendJson } from './bad-answer.ts'
import { providersCertificate, providersKey } from './providers-certificate.ts'

export const knownMcpUrl = 'https://mcp.example/mcp'
export const knownClient = {
  clientId: 'client-of-ours',
  clientSecret: `shh-${randomBytes(12).toString('hex')}`,
}

/** What was granted, for the provider to say in its own way. */
export interface Granted {
  readonly access: string
  readonly refresh: string
  readonly isRefresh: boolean
  /** The parameters of the authorization request. */
  readonly asked: URLSearchParams
}

export interface Manners {
  /** As the MCP server names the provider. */
  readonly namedIssuer: string
  readonly metadataUrl: string
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly authorization_endpoint: string
    readonly token_endpoint: string
  }
  readonly scopes: readonly string[]
  /** The error for an authorization request that it would not take. */
  readonly refusesRequest?: (asked: URLSearchParams) => string | undefined
  readonly refusesTokenRequest?: (form: URLSearchParams) => string | undefined
  readonly takesSecretIn: 'header' | 'body'
  readonly says: (granted: Granted) => Readonly<Record<string, unknown>>
  /** 200 for the ones that hide an error in a success. */
  readonly errorStatus?: 200 | 400
  /** How it answers a client that does not ask for JSON. */
  readonly answersForm?: true
}

export interface KnownProvider {
  /** For the platform: every name is a public one that leads here. */
  readonly world: { readonly resolve: Resolve; readonly connect: Connector }
  /** For the person's browser. */
  readonly fetchLike: FetchLike
  readonly authorizations: () => readonly URLSearchParams[]
  readonly tokenRequests: () => readonly URLSearchParams[]
  readonly issued: () => readonly string[]
  /** Answers the next refresh with this error. */
  readonly failRefresh: (error: string) => void
  readonly stop: () => Promise<void>
}

interface State {
  readonly manners: Manners
  readonly codes: Map<string, URLSearchParams>
  readonly refreshTokens: Map<string, URLSearchParams>
  readonly issued: string[]
  readonly authorizations: URLSearchParams[]
  readonly tokenRequests: URLSearchParams[]
  refreshError: string | undefined
}

/** Starts a provider with these manners. */
export async function startKnownProvider(manners: Manners): Promise<KnownProvider> {
  const state: State = {
    manners,
    codes: new Map(),
    refreshTokens: new Map(),
    issued: [knownClient.clientSecret],
    authorizations: [],
    tokenRequests: [],
    refreshError: undefined,
  }
  const serve: RequestListener = (request, response) => {
    answer(state, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  }
  const tls = createTlsServer({ cert: providersCertificate, key: providersKey }, serve)
  const plain = createPlainServer(serve)
  const [tlsPort, plainPort] = [await listen(tls), await listen(plain)]
  return {
    world: {
      resolve: async () => ['93.184.215.14'],
      connect: () => ({ address: '127.0.0.1', port: tlsPort }),
    },
    // The browser's own TLS is nobody's question here.
    fetchLike: (url, init) => {
      const { protocol, host, pathname, search } = new URL(url)
      if (protocol === 'http:') return fetchOverHttp(url, init)
      const headers = { ...init.headers, host }
      return fetchOverHttp(`http://127.0.0.1:${plainPort}${pathname}${search}`, {
        ...init,
        headers,
      })
    },
    authorizations: () => [...state.authorizations],
    tokenRequests: () => [...state.tokenRequests],
    issued: () => [...state.issued],
    failRefresh: (error) => void (state.refreshError = error),
    stop: async () => {
      for (const server of [tls, plain]) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
    },
  }
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port // a TCP listener has one
}

async function answer(state: State, request: IncomingMessage, response: ServerResponse) {
  const { manners } = state
  const url = new URL(request.url ?? '/', `https://${request.headers.host}`)
  const place = `${url.origin}${url.pathname}`
  const document = 'https://mcp.example/.well-known/oauth-protected-resource/mcp'
  if (place === knownMcpUrl) return challenge(document, response)
  if (place === document) {
    return sendJson(response, 200, {
      resource: knownMcpUrl,
      authorization_servers: [manners.namedIssuer],
      scopes_supported: manners.scopes,
    })
  }
  if (place === manners.metadataUrl) return sendJson(response, 200, manners.metadata)
  if (place === manners.metadata.authorization_endpoint) return approve(state, url, response)
  if (place === manners.metadata.token_endpoint) return giveTokens(state, request, response)
  response.writeHead(404).end()
}

function challenge(document: string, response: ServerResponse): void {
  response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${document}"` }).end()
}

function approve(state: State, url: URL, response: ServerResponse): void {
  const asked = url.searchParams
  state.authorizations.push(asked)
  const error = state.manners.refusesRequest?.(asked)
  const callback = new URL(asked.get('redirect_uri') ?? '')
  callback.searchParams.set('state', asked.get('state') ?? '')
  if (error === undefined) {
    const code = issue(state, 'code')
    state.codes.set(code, asked)
    callback.searchParams.set('code', code)
  } else callback.searchParams.set('error', error)
  response.writeHead(302, { location: callback.href }).end()
}

function issue(state: State, kind: string): string {
  const secret = `${kind}-${randomBytes(18).toString('base64url')}`
  state.issued.push(secret)
  return secret
}

async function giveTokens(state: State, request: IncomingMessage, response: ServerResponse) {
  const { manners } = state
  const form = new URLSearchParams(await readBody(request))
  state.tokenRequests.push(form)
  const isRefresh = form.get('grant_type') === 'refresh_token'
  const asked = redeem(state, form, request.headers.authorization)
  if (typeof asked === 'string') {
    return send(state, request, response, manners.errorStatus ?? 400, { ok: false, error: asked })
  }
  const [access, refresh] = [issue(state, 'access'), issue(state, 'refresh')]
  state.refreshTokens.set(refresh, asked)
  send(state, request, response, 200, manners.says({ access, refresh, isRefresh, asked }))
}

function redeem(
  state: State,
  form: URLSearchParams,
  header: string | undefined,
): URLSearchParams | string {
  const { takesSecretIn, refusesTokenRequest } = state.manners
  if (!isOurs(form, header, takesSecretIn)) return 'invalid_client'
  const error = refusesTokenRequest?.(form)
  if (error !== undefined) return error
  if (form.get('grant_type') === 'refresh_token') {
    if (state.refreshError !== undefined) return state.refreshError
    return state.refreshTokens.get(form.get('refresh_token') ?? '') ?? 'invalid_grant'
  }
  const code = form.get('code') ?? ''
  const asked = state.codes.get(code)
  state.codes.delete(code)
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url')
  const isGood =
    asked?.get('code_challenge') === challenge &&
    asked.get('redirect_uri') === form.get('redirect_uri')
  return isGood ? asked : 'invalid_grant'
}

function isOurs(
  form: URLSearchParams,
  header: string | undefined,
  takesSecretIn: Manners['takesSecretIn'],
): boolean {
  const { clientId, clientSecret } = knownClient
  if (takesSecretIn === 'header') {
    return header === `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`
  }
  return form.get('client_id') === clientId && form.get('client_secret') === clientSecret
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array)) // http sends bytes
  return Buffer.concat(chunks).toString()
}

function send(
  { manners }: State,
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: Readonly<Record<string, unknown>>,
): void {
  const wantsJson = request.headers.accept?.includes('application/json') === true
  if (manners.answersForm !== true || wantsJson) return sendJson(response, status, body)
  const pairs = Object.entries(body).map(([name, value]) => [name, String(value)])
  response.writeHead(status, { 'content-type': 'application/x-www-form-urlencoded' })
  response.end(new URLSearchParams(pairs).toString())
}
