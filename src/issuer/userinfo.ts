// Who a person is, for a client that they told it to (OIDC Core §5.3). The access token must be for the tenant itself: one
// that was made for a server opens nothing here.
import type { Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'
import { formatChallenges } from '../oauth/challenge.ts'
import { dpopAlgorithms } from '../oauth/dpop-algorithms.ts'
import type { PresentedToken } from '../oauth/dpop.ts'
import type { ProviderGrants } from '../people/provider-grants.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import { dpopNonces } from './dpop-nonces.ts'
import { readEndpointProof } from './dpop-proofs.ts'
import { providerGrantOf } from './grants.ts'
import type { Resources } from './resources.ts'
import { identityScopes } from './scopes.ts'
import type { Verify } from './verify.ts'

/** Answers one request by its Authorization field, the one place where a token may stand (RFC 6750 §2.1). */
export type UserInfo = (tenant: Tenant, request: UserInfoRequest) => Promise<UserInfoAnswer>

export interface UserInfoRequest {
  readonly method: 'GET' | 'POST'
  readonly authorization: string | undefined
  /** The DPoP field (RFC 9449 §7.1). */
  readonly dpop: string | undefined
  /** Counts what a token that is good is used for. Throws Fault('too_many_requests'). */
  readonly count?: ((grantId: string) => Promise<void>) | undefined
}

export type UserInfoAnswer =
  | {
      readonly kind: 'person'
      readonly claims: PersonClaims
      /** For the next proof of a caller that showed one (RFC 9449 §8.2). */
      readonly dpopNonce?: string
    }
  | {
      readonly kind: 'refused'
      readonly status: 400 | 401 | 403
      /** The value of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1). */
      readonly challenge: string
      readonly dpopNonce: string
      /** Absent when no token came (RFC 6750 §3.1). */
      readonly error?: UserInfoError
    }

type UserInfoError =
  | 'invalid_request'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce'

/** Claims of OIDC Core §5.1; `sub` is the same for every client and never another person's. */
export interface PersonClaims {
  readonly sub: string
  readonly name?: string
  readonly email?: string
  readonly email_verified?: boolean
}

interface Needs {
  readonly db: Database
  readonly providerGrants: Pick<ProviderGrants, 'standing'>
  readonly verify: Verify
  readonly resources: Pick<Resources, 'defaultFor'>
  readonly clock: Clock
  readonly keyring: Keyring
}

const knownScheme = /^(?<scheme>bearer|dpop)(?: |$)/i
// RFC 6750 §2.1, RFC 9449 §7.1: one token68 and nothing else.
const oneToken = /^\w+ +(?<token>[A-Za-z0-9\-._~+/]{1,8192}=*) *$/

/** Makes the userinfo endpoint. */
export function createUserInfo(needs: Needs): UserInfo {
  return async (tenant, request) => {
    const dpopNonce = dpopNonces(needs, tenant).current()
    const caller = await readCaller(needs, tenant, request)
    const told =
      caller.kind === 'presented'
        ? await tell(needs, tenant, { ...caller, count: request.count })
        : caller
    if (told.kind === 'refused') return { ...refused(told), dpopNonce }
    return { ...told, ...(caller.scheme === 'DPoP' ? { dpopNonce } : {}) }
  }
}

/** What these scopes tell about a person (OIDC Core §5.4). */
export function personClaims(user: User, scopes: readonly string[]): PersonClaims {
  const { id, name, email, emailVerified } = user
  const showsName = name !== undefined && scopes.includes(identityScopes.profile)
  const showsEmail = email !== undefined && scopes.includes(identityScopes.email)
  return {
    sub: id,
    ...(showsName ? { name } : {}),
    ...(showsEmail ? { email, email_verified: emailVerified } : {}),
  }
}

type Scheme = 'Bearer' | 'DPoP'

interface Caller {
  readonly kind: 'presented'
  readonly presented: PresentedToken
  readonly scheme: Scheme
}

interface Reason {
  readonly kind: 'refused'
  readonly status: 400 | 401 | 403
  readonly scheme: Scheme
  readonly error?: UserInfoError
}

/** The token of the request and, in the DPoP scheme, the proof of its key. */
async function readCaller(
  needs: Needs,
  tenant: Tenant,
  { method, authorization = '', dpop }: UserInfoRequest,
): Promise<Caller | Reason> {
  const word = knownScheme.exec(authorization)?.groups?.['scheme']?.toLowerCase()
  if (word === undefined) return { kind: 'refused', status: 401, scheme: 'Bearer' }
  const scheme = word === 'dpop' ? 'DPoP' : 'Bearer'
  const text = oneToken.exec(authorization)?.groups?.['token']
  if (text === undefined) return { kind: 'refused', status: 400, scheme, error: 'invalid_request' }
  const token = new Secret(text)
  if (scheme === 'Bearer') return { kind: 'presented', presented: { token }, scheme }
  const request = { method, path: '/oauth/userinfo', dpop, accessToken: token }
  const reading = await readEndpointProof(needs, tenant, request)
  if (reading.kind === 'proof') {
    return { kind: 'presented', presented: { token, proof: reading.proof }, scheme }
  }
  return { kind: 'refused', status: 401, scheme, error: reading.error }
}

/** What the token opens: who the person is, or why not. */
async function tell(
  needs: Needs,
  tenant: Tenant,
  { presented, scheme, count }: Caller & Pick<UserInfoRequest, 'count'>,
): Promise<{ readonly kind: 'person'; readonly claims: PersonClaims } | Reason> {
  const { verify, resources } = needs
  const refusal = { kind: 'refused', scheme } as const
  const outcome = await verify(tenant, presented, resources.defaultFor(tenant)).catch(onReplay)
  if (outcome === 'replayed') return { ...refusal, status: 401, error: 'invalid_dpop_proof' }
  if (outcome?.user === undefined) return { ...refusal, status: 401, error: 'invalid_token' }
  const { user, scopes, grantId } = outcome
  if (!(await standsAtProvider(needs, tenant, grantId))) {
    return { ...refusal, status: 401, error: 'invalid_token' }
  }
  await count?.(grantId)
  if (scopes.includes(identityScopes.openid)) {
    return { kind: 'person', claims: personClaims(user, scopes) }
  }
  return { ...refusal, status: 403, error: 'insufficient_scope' }
}

/** S4-27: a sign-in that has ended at the provider tells nothing any more. Throws Fault('temporarily_unavailable'). */
async function standsAtProvider(
  { db, providerGrants }: Needs,
  tenant: Tenant,
  grantId: string,
): Promise<boolean> {
  const id = await providerGrantOf(db, tenant, grantId)
  return id === undefined || (await providerGrants.standing(tenant, id)).kind === 'standing'
}

/** RFC 9449 §7.1: at a resource a proof that was used before is a 401 with a challenge. */
function onReplay(thrown: unknown): 'replayed' {
  if (isFault(thrown) && thrown.code === 'invalid_dpop_proof') return 'replayed'
  throw thrown
}

function refused({ status, scheme, error }: Reason) {
  const told = error === undefined ? {} : { error }
  const scope = error === 'insufficient_scope' ? { scope: identityScopes.openid } : {}
  const said = { bearer: scope, algorithms: dpopAlgorithms, scheme, error: told }
  return { kind: 'refused', status, challenge: formatChallenges(said), ...told } as const
}
