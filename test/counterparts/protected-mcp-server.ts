// Owns the MCP servers that Latchkey reaches out to: one protected by a foreign authorization
// server the way the SDK recommends, one that is open, one that wants a fixed header.
import { timingSafeEqual } from 'node:crypto'

import {
  getOAuthProtectedResourceMetadataUrl,
  OAuthError,
  OAuthErrorCode,
  oauthMetadataResponse,
  requireBearerAuth,
  type AuthInfo,
  type OAuthMetadata,
} from '@modelcontextprotocol/server'

import {
  startMcpServer,
  type Guard,
  type McpServerOptions,
  type RunningMcpServer,
} from './mcp-server.ts'

export type { McpCall, McpServerOptions, RunningMcpServer } from './mcp-server.ts'

export interface ProtectedMcpServerOptions extends McpServerOptions {
  readonly issuer: string
  /** Asks the authorization server about a token (RFC 7662). */
  readonly introspect: (token: string) => Promise<Readonly<Record<string, unknown>>>
  /** What the RFC 9728 metadata announces. */
  readonly scopes?: readonly string[]
  /** What every call needs; named in the 401 challenge. */
  readonly requiredScopes?: readonly string[]
}

/** A running MCP server with its resource identifier. */
export interface RunningProtectedMcpServer extends RunningMcpServer {
  readonly resource: string
}

/** Starts an MCP server with RFC 9728 metadata, RFC 6750 challenges and an audience check. */
export async function startProtectedMcpServer(
  options: ProtectedMcpServerOptions,
): Promise<RunningProtectedMcpServer> {
  const answer = await fetch(`${options.issuer}/.well-known/oauth-authorization-server`)
  const oauthMetadata = (await answer.json()) as OAuthMetadata // the SDK's helper reads it as given
  const running = await startMcpServer(
    (origin) => createBearerGuard(`${origin}/mcp`, oauthMetadata, options),
    options,
  )
  return { ...running, resource: running.url }
}

/** Starts an MCP server that anyone may call. */
export function startOpenMcpServer(options: McpServerOptions = {}): Promise<RunningMcpServer> {
  return startMcpServer(() => async () => undefined, options)
}

/** Starts an MCP server that wants one fixed header, such as an API key. */
export function startHeaderMcpServer(
  options: McpServerOptions & { readonly headerName: string; readonly value: string },
): Promise<RunningMcpServer> {
  const guard: Guard = async (request) => {
    const given = request.headers.get(options.headerName) ?? ''
    if (isSame(given, options.value)) return undefined
    return Response.json({ error: 'unauthorized' }, { status: 401 })
  }
  return startMcpServer(() => guard, options)
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

function createBearerGuard(
  resource: string,
  oauthMetadata: OAuthMetadata,
  options: ProtectedMcpServerOptions,
): Guard {
  const resourceServerUrl = new URL(resource)
  const gate = requireBearerAuth({
    verifier: { verifyAccessToken: (token) => verify(token, options) },
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resourceServerUrl),
    expectedResource: resourceServerUrl,
    ...(options.requiredScopes && { requiredScopes: [...options.requiredScopes] }),
  })
  const metadata = {
    oauthMetadata,
    resourceServerUrl,
    resourceName: 'Counterpart',
    dangerouslyAllowInsecureIssuerUrl: true,
    ...(options.scopes && { scopesSupported: [...options.scopes] }),
  }
  return async (request) => oauthMetadataResponse(request, metadata) ?? (await gate(request))
}

async function verify(token: string, options: ProtectedMcpServerOptions): Promise<AuthInfo> {
  const said = await options.introspect(token)
  if (said['active'] !== true) {
    throw new OAuthError(OAuthErrorCode.InvalidToken, 'The token is not active')
  }
  const { sub, scope, exp, client_id: clientId } = said
  const audience = audienceOf(said['aud'])
  return {
    token,
    clientId: String(clientId),
    scopes: typeof scope === 'string' ? scope.split(' ') : [],
    extra: { subject: sub },
    ...(typeof exp === 'number' && { expiresAt: exp }),
    ...(audience !== undefined && { resource: new URL(audience) }),
  }
}

// RFC 7662 §2.2: one audience or a list of them; a token for several is not for us alone.
function audienceOf(value: unknown): string | undefined {
  const audiences = Array.isArray(value) ? value : [value]
  const [only] = audiences
  const isUsable = audiences.length === 1 && typeof only === 'string' && URL.canParse(only)
  return isUsable ? only : undefined
}
