// What is fixed about tokens before they are asked for, whether a person signs in for them or we ask alone.
import type { Discovery } from './discover.ts'
import type { Binding } from './held.ts'
import type { Registration } from './register.ts'

export interface BindingFacts {
  readonly serverId: string
  readonly userId?: string | undefined
  readonly discovery: Discovery
  readonly registration: Registration
  readonly scopes: readonly string[]
}

/** Where the tokens will come from, as whom they are asked for, and for what. */
export function newBinding(facts: BindingFacts): Binding {
  const { serverId, userId, discovery, registration, scopes } = facts
  const { serverUrl, issuer, resource, metadata, proofs } = discovery
  const { token_endpoint: tokenEndpoint, revocation_endpoint: revocationEndpoint } = metadata
  return {
    serverUrl,
    issuer,
    serverId,
    ...(userId === undefined ? {} : { userId }),
    tokenEndpoint,
    ...(revocationEndpoint === undefined ? {} : { revocationEndpoint }),
    clientId: registration.clientId,
    redirectUri: registration.redirectUri,
    resource,
    requestedScopes: scopes,
    ...(proofs === undefined ? {} : { proofs }),
  }
}
