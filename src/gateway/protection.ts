// Our endpoints as protected resources: which resource an endpoint is, who may verify its tokens, which origins may call.
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { formatBearerChallenge, formatDpopChallenge } from '../oauth/challenge.ts'
import { dpopAlgorithms } from '../oauth/dpop-algorithms.ts'
import type { Issuer } from '../issuer/issuer.ts'
import type { Verify } from '../issuer/verify.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import { originOf } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Protection, Refusal, Scheme } from '../protect/index.ts'
import { protectMcpServer, rpcCodes } from '../protect/index.ts'
import type { Answer } from './answers.ts'
import { rpcAnswer } from './answers.ts'
import type { Call } from './calls.ts'
import type { Policy } from './policy.ts'
import { resourceOf } from './targets.ts'

/** A resource as people and clients know it. */
export interface DescribedResource {
  readonly resource: string
  readonly name: string
  readonly scopes: readonly string[]
  /** What a client is told to ask for; all of its scopes unless said. */
  readonly usual?: readonly string[]
}

/** One endpoint of a tenant: its path is `/{slug}/mcp`, or `/mcp` for our own. */
export interface Endpoint {
  readonly tenant: Tenant
  readonly slug: string | undefined
  /** What a client is told to ask for. */
  readonly scopes: readonly string[]
}

/** What it takes to verify a caller. */
export interface ProtectionNeeds {
  readonly verify: Verify
  readonly dpopNonces: Issuer['dpopNonces']
  readonly clock: Clock
}

/** Makes the guard of an endpoint. */
export function protectEndpoint(
  needs: ProtectionNeeds,
  { tenant, slug, scopes }: Endpoint,
): Protection<TokenPrincipal> {
  return protectResource(needs, tenant, { resource: resourceOf(tenant, slug), scopes })
}

/** A resource of ours, under a name where people and clients are told of it. */
export function protectResource(
  { verify, dpopNonces, clock }: ProtectionNeeds,
  tenant: Tenant,
  described: Omit<DescribedResource, 'name'> & { readonly name?: string },
): Protection<TokenPrincipal> {
  const { resource, name, scopes, usual = scopes } = described
  return protectMcpServer({
    resource,
    ...(name === undefined ? {} : { name }),
    issuer: tenant.issuer,
    scopes: usual,
    verify: (presented) => verify(tenant, presented, resource),
    dpop: { now: clock.now, nonces: dpopNonces(tenant) },
  })
}

/** A verified caller at an endpoint, and what the endpoint asks of it. */
export interface Guarded {
  readonly principal: TokenPrincipal
  readonly scheme: Scheme
  readonly policy: Policy
  readonly protection: Protection<TokenPrincipal>
}

/** What the caller is told whose scopes do not open this call. Throws Fault('forbidden') where no scope does. */
export function refusalOf(
  { principal, scheme, policy, protection }: Guarded,
  call: Call,
): Refusal | undefined {
  const decision = policy.decide(principal, call)
  if (decision.kind === 'allowed') return undefined
  if (decision.kind === 'lacks') {
    return protection.insufficientScope(decision.scopes, { id: call.id, scheme })
  }
  const { because = 'no scope opens this tool' } = decision
  throw new Fault('forbidden', { because })
}

/** What a program is told that acts for itself where a person has to stand behind the call. */
export function personNeeded(
  { scheme }: Pick<Guarded, 'scheme'>,
  call: Call,
): Answer & { readonly reason: string } {
  const reason = 'person_needed'
  // No code of RFC 6750 §3.1 says this: a client answers insufficient_scope with one more token of the same kind.
  const says = { errorDescription: personNeededWords }
  const challenge =
    scheme === 'DPoP'
      ? formatDpopChallenge({ ...says, algorithms: dpopAlgorithms })
      : formatBearerChallenge(says)
  const error = { id: call.id, code: rpcCodes.failed, message: personNeededWords, data: { reason } }
  return { ...rpcAnswer(403, error, { 'www-authenticate': challenge }), reason }
}

const personNeededWords =
  "This token belongs to a program and nobody stands behind it, but this server is reached for a person. Let a person sign in with the program, or call Latchkey's own tools at /mcp."

/** The answer to a page of another origin. */
export function foreignOrigin(): Fault {
  return new Fault('forbidden', { because: 'a page of another origin called' })
}

/** A page of another origin may not call (MCP Streamable HTTP, "Security": DNS rebinding); programs send no Origin. */
export function isOwnOrigin(origin: string | null | undefined, tenant: Tenant): boolean {
  return origin === null || origin === undefined || origin === originOf(tenant)
}
