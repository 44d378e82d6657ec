// The guard in front of an MCP server: finds the token, has it verified, and writes the refusals and the metadata by
// which a client finds its way to sign-in (RFC 6750, RFC 9728), and checks the proof of a token that is bound to a key
// (RFC 9449). What a token means is decided by the `verify` it is given.
import type { Fault } from '../base/fault.ts'
import { faultCatalogue, isFault } from '../base/fault.ts'
import { formatChallenges } from '../oauth/challenge.ts'
import { dpopAlgorithms } from '../oauth/dpop-algorithms.ts'
import type { PresentedToken } from '../oauth/dpop.ts'
import { formatScope } from '../oauth/scope.ts'
import { protectedResourceUrls } from '../oauth/well-known.ts'
import type { GuardedRequest, Scheme } from './credentials.ts'
import { readCredentials } from './credentials.ts'
import type { RequestId } from './json-rpc.ts'
import { rpcCodes, rpcErrorText } from './json-rpc.ts'
import { readPresentation } from './presented.ts'
import type { DpopSettings } from './presented.ts'

/** What a verified token must at least say. */
export interface Verified {
  readonly scopes: readonly string[]
}

/** Tells whom a token stands for; `at` is the server that it was presented to. */
export type Verify<T> = (
  presented: PresentedToken,
  at: { readonly resource: string },
) => Promise<T | undefined>

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
  /**
   * The caller behind a token that is alive and made for this resource, else undefined. Where `dpop` is set, a token that
   * is bound to a key is taken with a proof of that key only (`cnf.jkt` is `proof.jkt`), any other without a proof only,
   * and a proof whose `id` was seen before is refused with Fault('invalid_dpop_proof').
   */
  readonly verify: Verify<T>
  /** Takes tokens that are bound to a key too (RFC 9449 §7). */
  readonly dpop?: DpopSettings
  /** Scopes that every call needs. */
  readonly requireScopes?: readonly string[]
}

/** The guard of one MCP server. */
export interface Protection<T extends Verified> {
  readonly resource: string
  readonly scopes: readonly string[]
  /** Verifies the token of a request, or says how to refuse it (RFC 6750 §3). */
  readonly guard: (request: GuardedRequest) => Promise<Verdict<T>>
  /** The protected resource metadata (RFC 9728 §2). */
  readonly metadata: () => Record<string, unknown>
  /** Where clients look for it, the place in our challenges first (RFC 9728 §3.1). */
  readonly metadataUrls: readonly string[]
  /** The refusal of a verified caller whose token lacks scopes (RFC 6750 §3.1). */
  readonly insufficientScope: (
    needed: readonly string[],
    call?: { readonly id?: RequestId | undefined; readonly scheme?: Scheme },
  ) => Refusal
}

export type Verdict<T> =
  | {
      readonly kind: 'verified'
      readonly principal: T
      /** How the token was presented: what comes of the call is told to this scheme. */
      readonly scheme: Scheme
      /** Fields that belong into the answer: the nonce of the caller's next proof (RFC 9449 §8.2). */
      readonly headers: Readonly<Record<string, string>>
    }
  | Refusal

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
  const { requireScopes: needed = [], dpop } = settings

  return {
    resource: settings.resource,
    scopes: settings.scopes,
    guard: async (request) => {
      const credentials = readCredentials(request, dpop === undefined ? ['Bearer'] : schemes)
      if (credentials.kind === 'none') return refuse('authentication_required')
      const { scheme } = credentials
      if (credentials.kind === 'malformed') return refuse('invalid_request', { scheme })
      const presentation = await readPresentation(settings, credentials, request)
      if (presentation.kind === 'refused') return refuse(presentation.reason, { scheme })
      const outcome = await verifyOrSayWhy(settings, presentation.presented)
      if (outcome.kind === 'unavailable') return unavailable(outcome.fault)
      if (outcome.kind === 'replayed') return refuse('invalid_dpop_proof', { scheme })
      const { principal } = outcome
      if (principal === undefined) return refuse('invalid_token', { scheme })
      if (lacks(principal, needed)) return refuse('insufficient_scope', { scopes: needed, scheme })
      const headers = scheme === 'DPoP' ? nonceField(dpop) : {}
      return { kind: 'verified', principal, scheme, headers }
    },

    metadataUrls:
      settings.metadataUrl === undefined
        ? protectedResourceUrls(settings.resource)
        : [settings.metadataUrl],

    metadata: () => ({
      resource: settings.resource,
      authorization_servers: [settings.issuer],
      scopes_supported: withoutOfflineAccess(settings.scopes),
      bearer_methods_supported: ['header'],
      // RFC 9728 §2: absent where no proof is taken.
      ...(dpop === undefined ? {} : { dpop_signing_alg_values_supported: dpopAlgorithms }),
      ...(settings.name === undefined ? {} : { resource_name: settings.name }),
    }),

    insufficientScope: (scopes, { id, scheme = 'Bearer' } = {}) =>
      refuse('insufficient_scope', { scopes, scheme, ...(id === undefined ? {} : { id }) }),
  }
}

const schemes: readonly Scheme[] = ['Bearer', 'DPoP']

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
  invalid_dpop_proof: {
    status: 401,
    code: rpcCodes.signInNeeded,
    message: 'The DPoP proof is missing, not valid, or was used before.',
    description: 'The DPoP proof is missing, not valid, or was used before',
  },
  use_dpop_nonce: {
    status: 401,
    code: rpcCodes.signInNeeded,
    message: 'The DPoP proof needs the nonce of this answer.',
    description: 'The DPoP proof needs the nonce of this answer',
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

  const { dpop } = settings

  return (reason: Reason, { scheme = 'Bearer', ...about }: About = {}): Refusal => {
    const refusal = refusals[reason]
    const scopes = withoutOfflineAccess(about.scopes ?? settings.scopes)
    const error =
      'description' in refusal ? { error: reason, errorDescription: refusal.description } : {}
    const challenges = formatChallenges({
      bearer: {
        ...(metadataUrl === undefined ? {} : { resourceMetadata: metadataUrl }),
        ...(scopes.length === 0 ? {} : { scope: formatScope(scopes) }),
      },
      algorithms: dpop && dpopAlgorithms,
      scheme,
      error,
    })
    const nonce = refusal.status === 401 ? nonceField(dpop) : {}
    const headers = { 'www-authenticate': challenges, ...nonce }
    return refused({ ...refusal, reason, ...about }, headers)
  }
}

interface About {
  readonly scopes?: readonly string[]
  readonly id?: RequestId
  readonly scheme?: Scheme
}

/** RFC 9449 §9: the nonce for the next proof. */
function nonceField(dpop: DpopSettings | undefined): Readonly<Record<string, string>> {
  return dpop?.nonces === undefined ? {} : { 'dpop-nonce': dpop.nonces.current() }
}

interface RefusalFacts {
  readonly reason: string
  readonly status: number
  readonly code: number
  readonly message: string
  readonly id?: RequestId
}

function refused(facts: RefusalFacts, headers: Readonly<Record<string, string>>): Refusal {
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
  | { readonly kind: 'replayed' }
  | { readonly kind: 'unavailable'; readonly fault: Fault }

/** A verifier that cannot answer now is no reason to send the person to sign-in again. */
async function verifyOrSayWhy<T>(
  { verify, resource }: { readonly verify: Verify<T>; readonly resource: string },
  presented: PresentedToken,
): Promise<Outcome<T>> {
  try {
    return { kind: 'answered', principal: await verify(presented, { resource }) }
  } catch (thrown) {
    if (isFault(thrown) && thrown.code === 'invalid_dpop_proof') return { kind: 'replayed' }
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
