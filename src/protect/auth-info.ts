// A caller in the shape that the MCP SDKs hand to tools (`authInfo`, `req.auth`), and a verifier in the shape that their own
// bearer middleware takes.
import { Secret } from '../base/secret.ts'
import type { Caller } from './caller.ts'
import type { Verify } from './protect-mcp-server.ts'

/** The SDKs' `AuthInfo`, of 1.x and of 2.x. */
export interface AuthInfo {
  token: string
  clientId: string
  scopes: string[]
  /** In seconds since 1970. */
  expiresAt?: number
  resource?: URL
  /** `subject` is the person; the rest are the claims as they came. */
  extra?: Record<string, unknown>
}

/** What tools are told of a caller. The token is left out: a tool that passed it on would let others call as the person. */
export function authInfoOf(caller: Caller, resource: string): AuthInfo {
  return {
    token: '',
    clientId: caller.clientId,
    scopes: [...caller.scopes],
    expiresAt: caller.expiresAt,
    resource: new URL(resource),
    extra: { ...caller.claims, subject: caller.subject },
  }
}

interface VerifierSettings {
  readonly resource: string
  readonly verify: Verify<Caller>
  /** Makes the error by which the SDK knows that a token is worth nothing: `InvalidTokenError` of 1.x, `OAuthError` of 2.x. */
  readonly invalidToken: (words: string) => Error
}

/** Makes an `OAuthTokenVerifier` for the SDK's `requireBearerAuth`. */
export function tokenVerifier({ resource, verify, invalidToken }: VerifierSettings) {
  return {
    verifyAccessToken: async (token: string): Promise<AuthInfo> => {
      const caller = await verify({ token: new Secret(token) }, { resource })
      if (caller !== undefined) return authInfoOf(caller, resource)
      throw invalidToken('The access token is expired, revoked, or not for this server')
    },
  }
}
