// Asks for tokens without a browser, as the grant of a binding says. Asked once and never otherwise: what was refused is
// not tried again with another grant (SEP-1933). When to ask is decided by obtain.ts and refresh.ts.
import { Fault, isFault } from '../base/fault.ts'
import type { Secret } from '../base/secret.ts'
import type { IdentityProvider, OwnGrant } from './grant.ts'
import type { Binding } from './held.ts'
import { newProof, proofOf } from './proofs.ts'
import type { Proofs } from './proofs.ts'
import type { Register, Registration } from './register.ts'
import type { SubjectTokens } from './subject-tokens.ts'
import type { TokenAnswer, TokenEndpoint, TokenPlace } from './token-endpoint.ts'
import type { WorkloadTokens } from './workload-tokens.ts'

/** For whom, and as whom. */
export interface OwnRequest {
  readonly tenantId: string
  readonly binding: Binding
  readonly grant: OwnGrant
  readonly registration: Registration
  /** What the tokens so far are bound to. */
  readonly proofKey?: Secret | undefined
}

export interface OwnGrants {
  readonly ask: (request: OwnRequest) => Promise<TokenAnswer>
}

interface Needs {
  readonly tokenEndpoint: TokenEndpoint
  readonly proofs: Proofs
  readonly register: Pick<Register, 'find'>
  readonly workloadTokens: WorkloadTokens
  readonly subjectTokens: Pick<SubjectTokens, 'find'>
}

/** Makes the grants that need no browser. */
export function createOwnGrants(needs: Needs): OwnGrants {
  return {
    ask: async (request) => {
      const { binding, registration, proofKey } = request
      const proof = proofOf(proofKey) ?? newProof(needs.proofs, binding)
      const answer = await asRefusal(() => ask(needs, request, { ...binding, registration, proof }))
      return answer.kind === 'tokens' ? { ...answer, tokens: withoutRefreshToken(answer) } : answer
    },
  }
}

/** What keeps us from asking ends as a refusal does: nobody asks again while somebody waits. */
async function asRefusal(work: () => Promise<TokenAnswer>): Promise<TokenAnswer> {
  try {
    return await work()
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown
    return { kind: 'refused', refusal: 'request', fault: thrown }
  }
}

async function ask(needs: Needs, request: OwnRequest, place: TokenPlace): Promise<TokenAnswer> {
  const { tokenEndpoint, workloadTokens } = needs
  const { binding, grant } = request
  const { requestedScopes: scopes, issuer } = binding
  if (grant.kind === 'client_credentials') return tokenEndpoint.useOwnCredential(place, scopes)
  if (grant.kind === 'jwt_bearer') {
    const audiences = [issuer, binding.tokenEndpoint]
    const assertion = await workloadTokens.read(grant.workloadToken, audiences)
    return tokenEndpoint.presentAssertion(place, { assertion, scopes })
  }
  const answer = await askIdentityProvider(needs, request, grant.identityProvider)
  if (answer.kind === 'refused') return answer
  return tokenEndpoint.presentAssertion(place, { assertion: answer.assertion, scopes })
}

/** C32: the identity provider turns what it said of the person into a word for this one authorization server. */
async function askIdentityProvider(
  { tokenEndpoint, register, subjectTokens }: Needs,
  { tenantId, binding }: OwnRequest,
  provider: IdentityProvider,
) {
  const { serverId, redirectUri, resource, issuer: audience, userId = '' } = binding
  const { issuer, clientId } = provider
  const subjectToken = await subjectTokens.find({ tenantId, userId }, issuer)
  if (subjectToken === undefined) {
    throw new Fault('reauthorization_required', {
      because: 'the person has to sign in at their identity provider first',
    })
  }
  const registration = await register.find({ tenantId, serverId, issuer, redirectUri, clientId })
  if (registration === undefined) {
    throw new Fault('client_lost', { because: 'our client at the identity provider is not known' })
  }
  const place = { tokenEndpoint: provider.tokenEndpoint, registration, resource }
  const wish = { subjectToken, audience, scopes: binding.requestedScopes }
  return tokenEndpoint.requestIdJag(place, wish)
}

/** RFC 6749 §4.4.3: what can be asked for again at any time is not refreshed, also where a server gives the means. */
function withoutRefreshToken({ tokens }: Extract<TokenAnswer, { kind: 'tokens' }>) {
  const { refreshToken: _notNeeded, ...rest } = tokens
  return rest
}
