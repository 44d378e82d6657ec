// The introspection endpoint (RFC 7662): tells a resource server what a token presented to it is worth, and a client what
// its own token is worth. About every other token it says the same: nothing.
import type { Clock } from '../base/clock.ts'
import { callersFault } from '../base/fault.ts'
import type { Keyring } from '../base/keyring.ts'
import { Secret } from '../base/secret.ts'
import { sameResource } from '../oauth/resource.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Database } from '../store/database.ts'
import type { ClientAssertions } from './client-assertion.ts'
import { authenticateClient } from './client-authentication.ts'
import type { Client } from './clients.ts'
import { readForm, requireParameter } from './form-request.ts'
import type { FormRequest } from './form-request.ts'
import { actorClaim } from './signed-tokens.ts'
import type { ActorClaim } from './signed-tokens.ts'
import type { UseNotes } from './use-notes.ts'
import { actorsOf, findLiveToken } from './verify.ts'
import type { LiveToken } from './verify.ts'

/** Answers one request. Throws Fault('invalid_client') for a caller that did not prove itself (RFC 7662 §2.3). */
export type Introspect = (tenant: Tenant, request: FormRequest) => Promise<Introspection>

/** RFC 7662 §2.2. */
export type Introspection =
  | { readonly active: false }
  | {
      readonly active: true
      readonly iss: string
      readonly sub: string
      readonly aud: string
      readonly client_id: string
      readonly scope: string
      readonly token_type: 'Bearer' | 'DPoP'
      readonly exp: number
      readonly iat: number
      /** The key that the token is bound to (RFC 9449 §6.2). */
      readonly cnf?: { readonly jkt: string }
      /** Who acts for the person, where a token was exchanged (RFC 8693 §4.1). */
      readonly act?: ActorClaim
    }

interface Needs {
  readonly db: Database
  readonly clock: Clock
  readonly keyring: Keyring
  readonly uses: UseNotes
  readonly assertions: ClientAssertions
}

/** Makes the introspection endpoint. */
export function createIntrospection(needs: Needs): Introspect {
  return async (tenant, request) => {
    const { parameters } = readForm(request)
    const { authorization, count } = request
    const client = await authenticateClient(needs, tenant, { authorization, parameters, count })
    requireConfidential(client)
    const token = new Secret(requireParameter(parameters, 'token'))
    const live = await findLiveToken(needs, tenant, token)
    if (live === undefined || !mayKnow(client, live)) return { active: false }
    // A resource server asks because somebody uses the token.
    if (live.client_id !== client.id) await needs.uses.note(tenant, live)
    return describe(tenant, live)
  }
}

/** RFC 7662 §2.1: the endpoint is protected, and a public client's id protects nothing. */
function requireConfidential({ metadata }: Client): void {
  if (metadata.token_endpoint_auth_method !== 'none') return
  throw callersFault('invalid_client', 'a public client cannot prove who asks')
}

/** The token was made for this client, or for the resource that it serves (RFC 7662 §4). */
export function mayKnow({ id, metadata }: Client, live: LiveToken): boolean {
  const isServed = metadata.resource !== undefined && sameResource(metadata.resource, live.resource)
  return live.client_id === id || isServed
}

function describe({ issuer }: Tenant, live: LiveToken): Introspection {
  const act = actorClaim(actorsOf(live))
  return {
    active: true,
    iss: issuer,
    sub: live.user_id ?? live.client_id,
    aud: live.resource,
    client_id: live.client_id,
    scope: live.scope,
    token_type: live.jkt === null ? 'Bearer' : 'DPoP',
    exp: Math.floor(live.expires_at / 1000),
    iat: Math.floor(live.created_at / 1000),
    ...(live.jkt === null ? {} : { cnf: { jkt: live.jkt } }),
    ...(act === undefined ? {} : { act }),
  }
}
