// The guard in front of an MCP server: finds the token, has it verified, and writes the refusals and the metadata by
// which a client finds its way to sign-in (RFC 6750, RFC 9728). What a token means is decided by the `verify` it is given.
import type { Fault } from '../base/fault.ts'
import { faultCatalogue, isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import { formatBearerChallenge } from '../oauth/challenge.ts'
import { formatScope } from '../oauth/scope.ts'
import { protectedResourceUrls } from '../oauth/well-known.ts'
import type { GuardedRequest } from './credentials.ts'
import { readCredentials } from './credentials.ts'
import type { RequestId } from './json-rpc.ts'
import { rpcCodes, rpcErrorText } from './json-rpc.ts'

export type { GuardedRequest } from './credentials.ts'
export { rpcCodes, rpcErrorText } from './json-rpc.ts'
export type { RequestId, RpcError } from './json-rpc.ts'

/** What a verified token must at least say. */
export interface Verified {
  readonly scopes: readonly string[]
}

/** One MCP server as a protected resource (RFC 9728 §2). */
export interface ProtectSettings<T extends Verified> {
  /** The server's own identifier: its URL (RFC 8707 §2). */
  readonly resource: string
  /** The authorization server whose tokens are taken. */
  readonly issuer: string
  /** The scopes that clients may ask for. */
  readonly scopes: readonly string[]
  /** The name for people. */
  readonly name?: string
  /** Where `metadata()` is served, when it is not the well-known place (RFC 9728 §3.1). */
  readonly metadataUrl?: string
  /** The caller behind a token that is alive and made for this resource, else undefined. */
  readonly verify: (token: Secret) => Promise<T | undefined>
  /** Scopes that every call needs. */
  readonly requireScopes?: readonly string[]
}

/** The guard of one MCP server. */
export interface Protection<T extends Verified> {
  /** Verifies the token of a request, or says how to refuse it (RFC 6750 §3). */
  readonly guard: (request: GuardedRequest) => Promise<Verdict<T>>
  /** The protected resource metadata (RFC 9728 §2). */
  readonly metadata: () => Record<string, unknown>
  /** The refusal of a verified caller whose token lacks scopes (RFC 6750 §3.1). */
  readonly insufficientScope: (needed: readonly string[], id?: RequestId) => Refusal
}

export type Verdict<T> = { readonly kind: 'verified'; readonly principal: T } | Refusal

/** An answer that is ready to be sent. */
export interface Refusal {
  readonly kind: 'refused'
  readonly reason: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const retryAfterS = 30

/** Makes the guard of one MCP server. */
export function protectMcpServer<T extends Verified>(settings: ProtectSettings<T>): Protection<T> {
  const refuse = createRefusals(settings)
  const needed = settings.requireScopes ?? []

  return {
    guard: async (request) => {
      const credentials = readCredentials(request)
      if (credentials.kind === 'none') return refuse('authentication_required')
      if (credentials.kind === 'malformed') return refuse('invalid_request')
      const outcome = await verifyOrSayWhen(settings.verify, credentials.token)
      if (outcome.kind === 'unavailable') return unavailable(outcome.fault)
      if (outcome.principal === undefined) return refuse('invalid_token')
      if (lacks(outcome.principal, needed)) return refuse('insufficient_scope', { scopes: needed })
      return { kind: 'verified', principal: outcome.principal }
    },

    metadata: () => ({
      resource: settings.resource,
      authorization_servers: [settings.issuer],
      scopes_supported: withoutOfflineAccess(settings.scopes),
      bearer_methods_supported: ['header'],
      ...(settings.name === undefined ? {} : { resource_name: settings.name }),
    }),

    insufficientScope: (scopes, id) =>
      refuse('insufficient_scope', { scopes, ...(id === undefined ? {} : { id }) }),
  }
}

type Reason = keyof typeof refusals

// RFC 6750 §3.1: a request without credentials is told no error code.
const refusals = {
  authentication_required: {
    status: 401,
    code: rpcCodes.signInNeeded,
    message: 'Authentication required',
  },
  invalid_token: {
    status: 401,
    code: rpcCodes.signInNeeded,
    message: 'Authentication required',
    description: 'The access token is expired, revoked, or not for this server',
  },
  invalid_request: {
    status: 400,
    code: rpcCodes.invalidRequest,
    message: 'Send exactly one access token, in the Authorization header.',
    description: 'Send exactly one access token, in the Authorization header',
  },
  insufficient_scope: {
    status: 403,
    code: rpcCodes.signInNeeded,
    message: 'The access token lacks a scope that this call needs.',
    description: 'The access token lacks a scope that this call needs',
  },
} as const

function createRefusals<T extends Verified>(settings: ProtectSettings<T>) {
  const metadataUrl = settings.metadataUrl ?? protectedResourceUrls(settings.resource)[0]

  return (reason: Reason, about: { scopes?: readonly string[]; id?: RequestId } = {}): Refusal => {
    const refusal = refusals[reason]
    const scopes = withoutOfflineAccess(about.scopes ?? settings.scopes)
    const challenge = formatBearerChallenge({
      ...(metadataUrl === undefined ? {} : { resourceMetadata: metadataUrl }),
      ...(scopes.length === 0 ? {} : { scope: formatScope(scopes) }),
      ...('description' in refusal ? { error: reason, errorDescription: refusal.description } : {}),
    })
    return refused({ ...refusal, reason, ...about }, { 'www-authenticate': challenge })
  }
}

interface RefusalFacts {
  readonly reason: string
  readonly status: number
  readonly code: number
  readonly message: string
  readonly id?: RequestId
}

function refused(facts: RefusalFacts, headers: Record<string, string>): Refusal {
  const { reason, status, code, message, id = null } = facts
  return {
    kind: 'refused',
    reason,
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: rpcErrorText({ id, code, message, data: { reason } }),
  }
}

type Outcome<T> =
  | { readonly kind: 'answered'; readonly principal: T | undefined }
  | { readonly kind: 'unavailable'; readonly fault: Fault }

/** A verifier that cannot answer now is no reason to send the person to sign-in again. */
async function verifyOrSayWhen<T>(
  verify: (token: Secret) => Promise<T | undefined>,
  token: Secret,
): Promise<Outcome<T>> {
  try {
    return { kind: 'answered', principal: await verify(token) }
  } catch (thrown) {
    if (isFault(thrown) && faultCatalogue[thrown.code].retryable) {
      return { kind: 'unavailable', fault: thrown }
    }
    throw thrown
  }
}

function unavailable(fault: Fault): Refusal {
  const message = 'Sign-in cannot be checked right now. Try again in a moment.'
  return refused(
    { reason: 'temporarily_unavailable', status: 503, code: rpcCodes.failed, message },
    { 'retry-after': `${fault.retryAfterS ?? retryAfterS}` },
  )
}

function lacks(principal: Verified, needed: readonly string[]): boolean {
  return needed.some((scope) => !principal.scopes.includes(scope))
}

// MCP authorization, "Refresh tokens": whether to ask for offline_access is the client's matter, not the resource's.
function withoutOfflineAccess(scopes: readonly string[]): readonly string[] {
  return scopes.filter((scope) => scope !== 'offline_access')
}
