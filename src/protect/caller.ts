// A caller as verified claims describe one: the same whether an authorization server was asked, or a signed token was read.
import type { Verified } from './protect-mcp-server.ts'

/** Who calls. */
export interface Caller extends Verified {
  /** The person, or the client that acts for itself. Unique at the issuer, and the name to keep people's data under. */
  readonly subject: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** In seconds since 1970, as the token has it. */
  readonly expiresAt: number
  /** All that was said. */
  readonly claims: Readonly<Record<string, unknown>>
}

interface Judged {
  readonly issuer: string
  /** The only server that the token may be for. */
  readonly audience: string
  readonly nowMs: number
}

/** Reads claims that were verified; undefined where they do not make a caller of this server. */
export function callerOf(
  claims: Readonly<Record<string, unknown>>,
  { issuer, audience, nowMs }: Judged,
): Caller | undefined {
  const { iss, aud, sub, client_id: clientId, exp, scope, cnf } = claims
  if (iss !== undefined && iss !== issuer) return undefined
  if (!isOnlyFor(audience, aud)) return undefined
  // A token that is bound to a key is worth nothing without proof of the key, and none is taken here (RFC 9449 §7.1).
  if (cnf !== undefined) return undefined
  if (typeof exp !== 'number' || nowMs >= exp * 1000) return undefined
  if (typeof sub !== 'string' || sub === '' || typeof clientId !== 'string') return undefined
  const scopes = typeof scope === 'string' ? scope.split(' ').filter((one) => one !== '') : []
  return { subject: sub, clientId, scopes, expiresAt: exp, claims }
}

/** RFC 8707 §2, byte for byte: a token that is good elsewhere too would let that place call here. */
function isOnlyFor(audience: string, aud: unknown): boolean {
  const named: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  return named === audience
}
