// The device code grant (RFC 8628 §3.4 and §3.5): the device asks again and again until its person has decided. A code
// becomes tokens once; one that comes back ends what it gave, as an authorization code does.
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Keyring } from '../../base/keyring.ts'
import { Secret } from '../../base/secret.ts'
import type { Journal } from '../../journal/entries.ts'
import { parseScope } from '../../oauth/scope.ts'
import type { Tenant } from '../../people/tenants.ts'
import type { Database } from '../../store/database.ts'
import { findByDeviceCode, notePoll, spendDeviceCode } from '../device-codes.ts'
import { requireParameter } from '../form-request.ts'
import { endMisusedGrant, providerGrantOf } from '../grants.ts'
import type { GrantType, Presented } from './grant-type.ts'

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly journal: Journal
}

type FoundCode = NonNullable<Awaited<ReturnType<typeof findByDeviceCode>>>

/** Makes the grant type of devices. */
export function createDeviceCode(needs: Needs): GrantType {
  return {
    find: async ({ tenant, client, parameters }) => {
      const code = new Secret(requireParameter(parameters, 'device_code'))
      const found = await findByDeviceCode(needs, tenant, code)
      if (found === undefined) throw refused('there is no such device code')
      // A foreign client learns nothing and changes nothing, not even the time of the last poll (P-06, X-23).
      if (found.client_id !== client.id) throw refused('the code was made for another client')
      if (found.claimed_at !== null) await refuseReplay(needs, tenant, found)
      if (isExpired(needs, found)) {
        throw new Fault('expired_token', { because: 'the device code has expired' })
      }
      if (found.status === 'pending') throw await notYet(needs, found)
      return presented(needs, tenant, found)
    },
  }
}

async function refuseReplay(needs: Needs, tenant: Tenant, found: FoundCode): Promise<never> {
  if (found.grant_id !== null) {
    await endMisusedGrant(needs, tenant, {
      grantId: found.grant_id,
      clientId: found.client_id,
      reason: 'device_code_replayed',
    })
  }
  throw refused('the device code was used before')
}

function isExpired({ clock }: Needs, { expires_at }: FoundCode): boolean {
  return expires_at <= clock.now()
}

async function notYet(needs: Needs, found: FoundCode): Promise<Fault> {
  const poll = await notePoll(needs, found)
  return poll === 'in_time'
    ? new Fault('authorization_pending', { because: 'the person has not decided yet' })
    : new Fault('slow_down', { because: 'the device asked before its interval was over' })
}

async function presented(needs: Needs, tenant: Tenant, found: FoundCode): Promise<Presented> {
  const { status, grant_id: grantId, user_id: userId, granted_scope: scope } = found
  if (status !== 'approved' || grantId === null || userId === null || scope === null) {
    throw new Fault('device_denied', { because: 'the person said no' })
  }
  if (found.revoked_at !== null) throw refused('the grant of the code has ended')
  return {
    grant: {
      id: grantId,
      userId,
      scopes: parseScope(scope),
      resource: found.resource,
      providerGrantId: await providerGrantOf(needs.db, tenant, grantId),
    },
    generation: 1,
    signIn: { nonce: undefined },
    attempt: found.id,
    spend: async (tx) => {
      const isSpent = await spendDeviceCode({ tx, clock: needs.clock }, found)
      if (isSpent) return { kind: 'spent' }
      return isExpired(needs, found)
        ? { kind: 'expired' }
        : { kind: 'misused', reason: 'device_code_replayed' }
    },
  }
}

function refused(because: string): Fault {
  return new Fault('invalid_grant', { because })
}
