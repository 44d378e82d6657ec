// The endpoint where a device without a browser begins (RFC 8628 §3.1). What its person sees is in device.ts, how it gets
// its tokens in grant-types/device-code.ts.
import { shownAddress } from '../base/addresses.ts'
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Random } from '../base/random.ts'
import type { Attempts } from '../journal/attempts.ts'
import type { Journal } from '../journal/entries.ts'
import { holdsSecret } from '../journal/no-secrets.ts'
import { parseScope } from '../oauth/scope.ts'
import { displayName } from '../oauth/shown-text.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import { scopesFor } from './authorization-request.ts'
import type { ClientAssertions } from './client-assertion.ts'
import { authenticateClient, meetClient } from './client-authentication.ts'
import { requireGrantType } from './clients.ts'
import type { Client } from './clients.ts'
import { pollIntervalS, storeDeviceCode } from './device-codes.ts'
import type { DeviceOrigin } from './device-codes.ts'
import { readForm } from './form-request.ts'
import type { FormRequest } from './form-request.ts'
import { deviceCodeGrant } from './metadata.ts'
import type { Policy } from './policy.ts'
import { requestedResource } from './resources.ts'
import type { Resources } from './resources.ts'
import { chooseScopes } from './scopes.ts'
import { showUserCode } from './user-code.ts'

/**
 * What a device gets (RFC 8628 §3.2). There is no `verification_uri_complete`: a link that carries the code is what a
 * phisher sends (§5.4), and it would stand in logs on its way.
 */
export interface DeviceAnswer {
  readonly device_code: string
  readonly user_code: string
  readonly verification_uri: string
  readonly expires_in: number
  readonly interval: number
}

/** Takes a device's request. Throws a Fault of RFC 6749 §5.2, or `invalid_target` (RFC 8707 §2). */
export type StartDevice = (
  tenant: Tenant,
  request: FormRequest,
  caller?: Caller,
) => Promise<DeviceAnswer>

/** What the door knows about who sent the request. */
export interface Caller {
  readonly address: string | undefined
  readonly agent: string | undefined
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly journal: Journal
  readonly attempts: Pick<Attempts, 'authorized'>
  readonly resources: Resources
  readonly policy: Policy
  readonly assertions: ClientAssertions
  readonly clientFor: (tenant: Tenant, id: string) => Promise<Client>
}

/** Makes the endpoint. */
export function createDeviceAuthorization(needs: Needs): StartDevice {
  return async (tenant, request, caller) => {
    const { parameters, resources } = readForm(request)
    await meetClient(needs.clientFor, tenant, request)
    const { authorization, count } = request
    const client = await authenticateClient(needs, tenant, { authorization, parameters, count })
    // Nobody may begin in the name of a client that has no use for it.
    requireGrantType(client, deviceCodeGrant)
    const asked = parseScope(parameters.get('scope'))
    const resource = await requestedResource(needs.resources, tenant, resources)
    const scopes = chooseScopes(asked, scopesFor(client, resource))
    const origin = originOf(caller)
    const codes = await storeDeviceCode(needs, tenant, { client, scopes, resource, origin })
    return {
      device_code: codes.deviceCode.reveal(),
      user_code: showUserCode(codes.userCode),
      verification_uri: `${tenant.issuer}/device`,
      expires_in: Math.floor(needs.policy.deviceCodeLifetimeMs / 1000),
      interval: pollIntervalS,
    }
  }
}

/** Anybody can send any of it, so it is cut down to one short line, and what looks like a secret is not kept. */
function originOf({ address, agent }: Partial<Caller> = {}): DeviceOrigin {
  const words = agent === undefined ? undefined : displayName(agent)
  return {
    address: address === undefined ? undefined : shownAddress(address),
    agent: words === undefined || holdsSecret(words) ? undefined : words,
  }
}
