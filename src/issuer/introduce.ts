// Our signed word about who calls, for a server that we pass a call on to: short-lived, for that server only, and of a kind
// of its own, so that it is never taken for an access token (RFC 7519, RFC 8725 §3.11).
import { randomId } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'
import type { SigningNeeds } from './signed-tokens.ts'

/** Whom it is about, and for whom it is. */
export interface Introduced {
  readonly tenant: Tenant
  readonly user: User
  readonly clientId?: string | undefined
  readonly audience: string
}

/** Long enough for clocks that differ a little, too short to be kept. */
const lifetimeS = 60

/** Signs it with the tenant's key. */
export function introduce(
  { clock, random, signingKeys }: SigningNeeds,
  { tenant, user, clientId, audience }: Introduced,
): Promise<Secret> {
  const iat = Math.floor(clock.now() / 1000)
  const { id: sub, email, emailVerified, name } = user
  return signingKeys.sign(tenant, {
    typ: 'latchkey-assertion+jwt',
    claims: {
      iss: tenant.issuer,
      aud: audience,
      sub,
      ...(email === undefined ? {} : { email, email_verified: emailVerified }),
      ...(name === undefined ? {} : { name }),
      ...(clientId === undefined ? {} : { client_id: clientId }),
      iat,
      exp: iat + lifetimeS,
      jti: randomId(random, 'jti_'),
    },
  })
}
