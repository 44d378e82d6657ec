// What a flow has to remember until its callback: where to go, as whom, for what. Fixed at the beginning, so that nothing
// that changes meanwhile can send a code elsewhere (RFC 9700 §4.4). No secret is in it.
import type { Secret } from '../base/secret.ts'
import { requireS256 } from '../oauth/metadata.ts'
import type { FlowRow } from '../store/schema.ts'
import { redirectUriOf } from './client-document.ts'
import type { Discovery } from './discover.ts'
import type { TenantFacts } from './holder.ts'
import type { Registration } from './register.ts'
import type { Binding } from './held.ts'
import { newBinding } from './new-binding.ts'

/** What a sign-in begins with. */
export interface BeginFlow {
  readonly tenant: TenantFacts
  readonly user: { readonly id: string }
  readonly connection: { readonly id: string }
  readonly server: { readonly id: string; readonly context: string }
  readonly discovery: Discovery
  readonly registration: Registration
  readonly scopes: readonly string[]
  /** Where the person goes afterwards; already checked by the caller. */
  readonly returnTo?: string | undefined
  /** The browser that will bring the callback; absent when an API key starts the flow. */
  readonly browser?: Secret | undefined
}

export interface FlowPlan extends Binding {
  readonly userId: string
  readonly authorizationEndpoint: string
  /** RFC 9207 §2.4: the server said that it always names itself in its answer. */
  readonly isIssuerExpected: boolean
  readonly method: Registration['method']
  /** The answer comes to a page of an app, which brings it here. */
  readonly isOfApp: boolean
  readonly scopes: readonly string[]
}

export function planOf(facts: BeginFlow): FlowPlan {
  const { discovery, registration, server, user, scopes } = facts
  const { metadata } = discovery
  // Also where the finding comes from a look that was for programs.
  requireS256(metadata)
  return {
    ...newBinding({ serverId: server.id, userId: user.id, discovery, registration, scopes }),
    userId: user.id,
    authorizationEndpoint: metadata.authorization_endpoint,
    isIssuerExpected: metadata.authorization_response_iss_parameter_supported === true,
    method: registration.method,
    isOfApp: registration.redirectUri !== redirectUriOf(facts.tenant, server.context),
    scopes,
  }
}

export function readPlan(row: Pick<FlowRow, 'plan'>): FlowPlan {
  return JSON.parse(row.plan) as FlowPlan // only flows.ts writes it, from planOf()
}

/** What of it stays with the tokens. */
export function bindingOfPlan(plan: FlowPlan): Binding {
  const { issuer, serverId, userId, tokenEndpoint, revocationEndpoint, clientId } = plan
  const { serverUrl, redirectUri, resource, requestedScopes, proofs } = plan
  return {
    serverUrl,
    issuer,
    serverId,
    userId,
    tokenEndpoint,
    ...(revocationEndpoint === undefined ? {} : { revocationEndpoint }),
    clientId,
    redirectUri,
    resource,
    requestedScopes,
    ...(proofs === undefined ? {} : { proofs }),
  }
}
