// How flows, sign-ins and refusals look over GraphQL: pure, from what the rooms tell.
import { faultCatalogue } from '../../base/fault.ts'
import type { Fault, FaultCode } from '../../base/fault.ts'
import type { SignIn } from '../../connectors/connection-sign-in.ts'
import { messageOf } from '../../upstream/messages.ts'
import type { FlowView } from '../../upstream/flows.ts'

/** A moment as GraphQL has it. */
export function toDateTime(ms: number): string {
  return new Date(ms).toISOString()
}

/** MCPOAuthStatusResult. */
export function toStatusResult(flow: FlowView) {
  const { status, connectionId, beganAt, endedAt } = flow
  return {
    success: true,
    status: status.toUpperCase(),
    connectionId,
    initiatedAt: toDateTime(beganAt),
    ...(endedAt === undefined ? {} : { completedAt: toDateTime(endedAt) }),
    ...errorOf(flow),
  }
}

function errorOf({ status, error, retryable }: FlowView) {
  const code = status === 'expired' ? 'authorization_timeout' : error
  if (code === undefined || !isFaultCode(code)) return {}
  const { words, retryable: isRetryable } = messageOf(code)
  return {
    authErrorCode: code,
    authErrorDescription: words,
    isRetryable: retryable ?? isRetryable,
  }
}

function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(faultCatalogue, code)
}

/** MCPOAuthConnectionStatus. */
export function toConnectionStatus({ connection, isNeeded, tokens }: SignIn, now: number) {
  const isMissing = isNeeded && !connection.authorized
  return {
    connectionId: connection.id,
    isOAuthEnabled: isNeeded,
    hasValidTokens: isNeeded && connection.authorized,
    requiresReauthorization: isMissing,
    ...(isMissing ? { reauthorizationReason: reasonOf(connection) } : {}),
    ...(tokens === undefined ? {} : toTokenFacts(tokens, now)),
    ...(connection.scopes.length === 0 ? {} : { grantedScopes: connection.scopes.join(' ') }),
  }
}

function toTokenFacts(
  { issuer, expiresAt, hasRefreshToken }: NonNullable<SignIn['tokens']>,
  now: number,
) {
  return {
    issuerUrl: issuer,
    hasRefreshToken,
    isAccessTokenExpired: (expiresAt ?? Infinity) <= now,
    ...(expiresAt === undefined ? {} : { tokenExpiresAt: toDateTime(expiresAt) }),
  }
}

function reasonOf({ statusWords, lastError }: SignIn['connection']): string {
  return statusWords ?? lastError ?? faultCatalogue.authorization_required.words
}

/** The result of a mutation that did not come off, in words for people. */
export function toFailure({ code, detail = {} }: Fault) {
  const words = [faultCatalogue[code].words, ...Object.values(detail)]
  return { success: false, errorMessage: words.join(' ') }
}
