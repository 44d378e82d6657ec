// Who a person is, for a client that they told it to (OIDC Core §5.3). The access token must be for the tenant itself: one
// that was made for a server opens nothing here.
import { Secret } from '../base/secret.ts'
import { formatBearerChallenge } from '../oauth/challenge.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import type { Resources } from './resources.ts'
import { identityScopes } from './scopes.ts'
import type { Verify } from './verify.ts'

/** Answers one request by its Authorization field, the one place where a token may stand (RFC 6750 §2.1). */
export type UserInfo = (
  tenant: Tenant,
  authorization: string | undefined,
) => Promise<UserInfoAnswer>

export type UserInfoAnswer =
  | { readonly kind: 'person'; readonly claims: PersonClaims }
  | {
      readonly kind: 'refused'
      readonly status: 400 | 401 | 403
      /** The value of WWW-Authenticate (RFC 6750 §3). */
      readonly challenge: string
      /** Absent when no token came (RFC 6750 §3.1). */
      readonly error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope'
    }

/** Claims of OIDC Core §5.1; `sub` is the same for every client and never another person's. */
export interface PersonClaims {
  readonly sub: string
  readonly name?: string
  readonly email?: string
  readonly email_verified?: boolean
}

interface Needs {
  readonly verify: Verify
  readonly resources: Pick<Resources, 'defaultFor'>
}

// RFC 6750 §2.1: one b64token and nothing else.
const bearer = /^bearer +(?<token>[A-Za-z0-9\-._~+/]{1,8192}=*) *$/i

/** Makes the userinfo endpoint. */
export function createUserInfo({ verify, resources }: Needs): UserInfo {
  return async (tenant, authorization) => {
    if (authorization === undefined) return refused(401)
    const token = bearer.exec(authorization)?.groups?.['token']
    if (token === undefined) {
      return /^bearer(?: |$)/i.test(authorization) ? refused(400, 'invalid_request') : refused(401)
    }
    const principal = await verify(tenant, new Secret(token), resources.defaultFor(tenant))
    if (principal?.user === undefined) return refused(401, 'invalid_token')
    if (!principal.scopes.includes(identityScopes.openid)) return refused(403, 'insufficient_scope')
    return { kind: 'person', claims: personClaims(principal.user, principal.scopes) }
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

function refused(
  status: 400 | 401 | 403,
  error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope',
): UserInfoAnswer {
  const scope = error === 'insufficient_scope' ? { scope: identityScopes.openid } : {}
  const challenge = formatBearerChallenge({ ...(error === undefined ? {} : { error }), ...scope })
  return { kind: 'refused', status, challenge, ...(error === undefined ? {} : { error }) }
}
