// To whose attempt does a refused request belong? Asked after a refusal only, when somebody wants to write it down: finds
// the grant behind what was presented, and says what is wrong with an access token. Nothing of it goes to the caller.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'
import { sameResource } from '../oauth/resource.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { findCode } from './codes.ts'
import { findByDeviceCode } from './device-codes.ts'
import { findRefreshToken } from './grant-types/refresh-token.ts'
import { findToken, whyEnded } from './verify.ts'
import type { LiveToken, TokenEnd } from './verify.ts'

/** What is known of the one who was refused. */
export interface Trace {
  readonly clientId: string
  /** Absent for a device whose person has not agreed. */
  readonly grantId: string | undefined
  readonly userId: string | undefined
  readonly attempt: string | undefined
}

export interface Traces {
  /** The grant of the code, refresh token or device code in a refused form, if it was one of ours. */
  readonly ofForm: (tenant: Tenant, body: string) => Promise<Trace | undefined>
  /** The grant of an access token that was refused at a resource, and why it was. */
  readonly ofToken: (
    tenant: Tenant,
    token: Secret,
    resource: string,
  ) => Promise<(Trace & { readonly because: string; readonly wasCalled: boolean }) | undefined>
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
}

/** Makes the traces. */
export function createTraces(needs: Needs): Traces {
  return {
    ofForm: async (tenant, body) => {
      const form = new URLSearchParams(body)
      const code = form.get('code')
      const refreshToken = form.get('refresh_token')
      if (code !== null) {
        const found = await findCode(needs, tenant, new Secret(code))
        return found && toTrace(found)
      }
      if (refreshToken !== null) {
        const found = await findRefreshToken(needs, tenant, new Secret(refreshToken))
        return found && toTrace(found)
      }
      const deviceCode = form.get('device_code')
      if (deviceCode === null) return undefined
      const found = await findByDeviceCode(needs, tenant, new Secret(deviceCode))
      return found && toTrace({ ...found, attempt: found.id })
    },
    ofToken: async (tenant, token, resource) => {
      const found = await findToken(needs, tenant, token)
      if (found === undefined) return undefined
      const because = whyNotGood(found, resource, needs.clock.now())
      return { ...toTrace(found), because, wasCalled: found.first_call_at !== null }
    },
  }
}

interface GrantFacts {
  readonly client_id: string
  readonly grant_id: string | null
  readonly user_id: string | null
  readonly attempt: string | null
}

function toTrace({ client_id, grant_id, user_id, attempt }: GrantFacts): Trace {
  return {
    clientId: client_id,
    grantId: grant_id ?? undefined,
    userId: user_id ?? undefined,
    attempt: attempt ?? undefined,
  }
}

function whyNotGood(row: LiveToken, resource: string, now: number): string {
  if (!sameResource(row.resource, resource)) return 'the token is for another resource'
  const end = whyEnded(row, now)
  return end === undefined ? 'the token was not presented as it is bound' : words[end]
}

/** Why a token is refused that was good once; its client refreshes then. */
export const expired = 'the token has expired'

const words: Readonly<Record<TokenEnd, string>> = {
  revoked: 'the token was revoked',
  grant_ended: 'the grant of the token has ended',
  expired,
  client_disabled: 'the client is disabled',
  user_disabled: 'the person of the token is disabled or gone',
  origin_ended: 'the token that it was exchanged for has ended',
}
