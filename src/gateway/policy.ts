// What a verified caller may do here. For now one scope opens every tool of a server.
import { toolsScope } from '../issuer/scopes.ts'
import type { TokenPrincipal } from '../people/principal.ts'

/** The scopes that a call needs and the caller's token lacks; none when it may go on (RFC 6750 §3.1). */
export function missingScopes(principal: TokenPrincipal): readonly string[] {
  return [toolsScope].filter((scope) => !principal.scopes.includes(scope))
}
