// Asks for tokens without a browser, as the grant of a binding says. Asked once and never otherwise: what was refused is
// not tried again with another grant (SEP-1933). When to ask is decided by obtain.ts and refresh.ts.
import type { Secret } from '../base/secret.ts'
import type { OwnGrant } from './grant.ts'
import { newProof, proofOf } from './proofs.ts'
import type { Proofs } from './proofs.ts'
import type { Registration } from './register.ts'
import type { TokenAnswer, TokenEndpoint } from './token-endpoint.ts'
import type { Binding } from './held.ts'

/** For whom, and as whom. */
export interface OwnRequest {
  readonly binding: Binding
  readonly grant: OwnGrant
  readonly registration: Registration
  /** What the tokens so far are bound to. */
  readonly proofKey?: Secret | undefined
}

export interface OwnGrants {
  readonly ask: (request: OwnRequest) => Promise<TokenAnswer>
}

/** Makes the grants that need no browser. */
export function createOwnGrants({
  tokenEndpoint,
  proofs,
}: {
  readonly tokenEndpoint: TokenEndpoint
  readonly proofs: Proofs
}): OwnGrants {
  return {
    ask: async ({ binding, registration, proofKey }) => {
      const proof = proofOf(proofKey) ?? newProof(proofs, binding)
      const place = { ...binding, registration, proof }
      const answer = await tokenEndpoint.useOwnCredential(place, binding.requestedScopes)
      return answer.kind === 'tokens' ? { ...answer, tokens: withoutRefreshToken(answer) } : answer
    },
  }
}

/** RFC 6749 §4.4.3: what can be asked for again at any time is not refreshed, also where a server gives the means. */
function withoutRefreshToken({ tokens }: Extract<TokenAnswer, { kind: 'tokens' }>) {
  const { refreshToken: _notNeeded, ...rest } = tokens
  return rest
}
