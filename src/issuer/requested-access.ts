// What a token request asks for of a grant that it leads to: fewer scopes, and the resource named once more.
import { callersFault } from '../base/fault.ts'
import type { Parameters } from '../oauth/parameters.ts'
import { isSubset, parseScope } from '../oauth/scope.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Client } from './clients.ts'
import { namedResource } from './resources.ts'
import type { Resource, Resources } from './resources.ts'
import { allowedScopes } from './scopes.ts'

/** What a grant holds, and what of it a request gets that names no scope: all of it unless said. */
export interface HeldScopes {
  readonly scopes: readonly string[]
  readonly usual?: readonly string[] | undefined
}

/**
 * The scopes of the new access token: those of the grant that the client may still have, or fewer if fewer are asked for
 * (RFC 6749 §6).
 */
export function narrowScopes(
  { metadata }: Client,
  { scopes, usual = scopes }: HeldScopes,
  parameters: Parameters,
): readonly string[] {
  const registered = parseScope(metadata.scope)
  const given = allowedScopes(scopes, registered)
  if (given.length === 0) {
    throw callersFault('invalid_grant', 'the client may have none of its scopes any more')
  }
  const asked = parseScope(parameters.get('scope'))
  if (asked.length === 0) return allowedScopes(usual, registered)
  if (isSubset(asked, given)) return asked
  throw callersFault('invalid_scope', 'a scope is asked for that was not granted')
}

/** The resource of the grant, if it is still there; a request may name it again but no other (RFC 8707 §2.2). */
export async function requireSameResource(
  resources: Resources,
  { tenant, resource }: { readonly tenant: Tenant; readonly resource: string },
  values: readonly string[],
): Promise<Resource | undefined> {
  const named = await namedResource(resources, tenant, values)
  if (named === undefined) return resources.find(tenant, resource)
  if (named.resource === resource) return named
  throw callersFault('invalid_target', 'the grant is for another resource')
}
