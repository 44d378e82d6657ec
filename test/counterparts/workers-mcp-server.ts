// Owns an MCP server behind Cloudflare's OAuth provider for Workers, which is its own authorization server: another
// implementation of both sides, on loopback, with a store in memory. Whoever comes is signed in and has approved.
import { registerHooks } from 'node:module'

import type { AuthInfo } from '@modelcontextprotocol/server'

import type { LoopbackPlace } from './loopback.ts'
import { startMcpServer, type RunningMcpServer } from './mcp-server.ts'

/** A running server, and how often its token endpoint was asked for what. */
export interface RunningWorkersServer extends RunningMcpServer {
  readonly tokenRequests: () => readonly string[]
  readonly tokensIssued: () => readonly string[]
}

/** Starts the server. */
export async function startWorkersMcpServer(
  options: LoopbackPlace & { readonly accessTokenTtlS?: number } = {},
): Promise<RunningWorkersServer> {
  const OAuthProvider = await loadProvider()
  const grants: string[] = []
  const issued: string[] = []
  const running = await startMcpServer((origin) => {
    const provider = new OAuthProvider({
      apiRoute: '/mcp',
      apiHandler: {
        fetch: async (_request: Request, _env: unknown, { props }: Context) => letIn(props),
      },
      defaultHandler: { fetch: approve },
      authorizeEndpoint: '/authorize',
      tokenEndpoint: '/token',
      clientRegistrationEndpoint: '/register',
      accessTokenTTL: options.accessTokenTtlS ?? 3600,
      scopesSupported: ['mcp:read'],
      resourceMetadata: { resource: `${origin}/mcp`, scopes_supported: ['mcp:read'] },
    })
    const env = { OAUTH_KV: createStore() }
    return async (request) => {
      const isToken = new URL(request.url).pathname === '/token'
      if (isToken)
        grants.push(new URLSearchParams(await request.clone().text()).get('grant_type') ?? '')
      const answer = await provider.fetch(request, env, context)
      if (isToken) issued.push(...(await tokensIn(answer.clone())))
      const subject = answer.headers.get(letInHeader)
      return subject === null ? answer : callerOf(subject)
    }
  }, options)
  return { ...running, tokenRequests: () => [...grants], tokensIssued: () => [...issued] }
}

interface Context {
  readonly props: { readonly subject: string }
}

// Outside of a Worker there is nobody who waits for what goes on after the answer.
const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} }

// What runs at Cloudflare has this module; elsewhere its one class only tells handlers of two kinds apart.
const workersModule = 'data:text/javascript,export class WorkerEntrypoint {}'

async function loadProvider(): Promise<new (options: object) => Provider> {
  const hooks = registerHooks({
    resolve: (specifier, resolving, next) =>
      specifier === 'cloudflare:workers'
        ? { url: workersModule, shortCircuit: true }
        : next(specifier, resolving),
  })
  const { OAuthProvider } = await import('@cloudflare/workers-oauth-provider')
  hooks.deregister()
  return OAuthProvider as unknown as new (options: object) => Provider // its types are a Worker's
}

interface Provider {
  readonly fetch: (request: Request, env: object, context: object) => Promise<Response>
}

const letInHeader = 'x-let-in'

function letIn({ subject }: Context['props']): Response {
  return new Response(null, { headers: { [letInHeader]: subject } })
}

function callerOf(subject: string): AuthInfo {
  return { token: '', clientId: 'workers', scopes: ['mcp:read'], extra: { subject } }
}

interface Helpers {
  readonly parseAuthRequest: (request: Request) => Promise<{ readonly scope: readonly string[] }>
  readonly completeAuthorization: (approved: object) => Promise<{ readonly redirectTo: string }>
}

/** The page of a Worker where a person would sign in and approve. */
async function approve(
  request: Request,
  { OAUTH_PROVIDER: helpers }: { readonly OAUTH_PROVIDER: Helpers },
): Promise<Response> {
  if (new URL(request.url).pathname !== '/authorize')
    return new Response('not here', { status: 404 })
  const asked = await helpers.parseAuthRequest(request)
  const { redirectTo } = await helpers.completeAuthorization({
    request: asked,
    userId: 'alice',
    metadata: {},
    scope: asked.scope,
    props: { subject: 'alice' },
  })
  return new Response(null, { status: 302, headers: { location: redirectTo } })
}

async function tokensIn(answer: Response): Promise<readonly string[]> {
  const body = (await answer.json()) as Readonly<Record<string, unknown>> // RFC 6749 §5
  const tokens = [body['access_token'], body['refresh_token']]
  return tokens.filter((token) => typeof token === 'string')
}

/** Cloudflare's key-value store, as far as the provider uses it. */
function createStore() {
  const values = new Map<string, string>()
  return {
    get: async (key: string, how?: { readonly type?: string }) => {
      const value = values.get(key) ?? null
      return value !== null && how?.type === 'json' ? (JSON.parse(value) as unknown) : value
    },
    put: async (key: string, value: string) => void values.set(key, value),
    delete: async (key: string) => void values.delete(key),
    list: async ({ prefix = '' }: { readonly prefix?: string } = {}) => ({
      keys: [...values.keys()].filter((name) => name.startsWith(prefix)).map((name) => ({ name })),
      list_complete: true,
    }),
  }
}
