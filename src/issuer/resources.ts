// What a token may be for (RFC 8707). Which resources exist is told by the platform; this room does not know servers.
import { callersFault } from '../base/fault.ts'
import type { Fault } from '../base/fault.ts'
import { parseResource } from '../oauth/resource.ts'
import type { Tenant } from '../people/tenants.ts'
import type { User } from '../people/users.ts'

/** The resources of all tenants; given by the platform. */
export interface Resources {
  readonly find: (tenant: Tenant, resource: string) => Promise<Resource | undefined>
  /** What a request without `resource` is for. */
  readonly defaultFor: (tenant: Tenant) => string
}

export interface Resource {
  /** Its identifier, the audience of its tokens. */
  readonly resource: string
  /** The name that a person knows it by. */
  readonly name: string
  /** The scopes it understands. */
  readonly scopes: readonly string[]
  /** Those that a client gets that names none; all of them unless said otherwise. */
  readonly usual?: readonly string[]
  /** How its access tokens look; `opaque` unless said otherwise (RFC 9068 for `jwt`). */
  readonly tokenFormat?: 'opaque' | 'jwt'
  /** Whether this person may use it; everybody may unless said otherwise. */
  readonly isOpenTo?: (user: User) => boolean
}

/** The one resource that a request names, or undefined when it names none. Throws Fault('invalid_target') (RFC 8707 §2). */
export async function namedResource(
  resources: Resources,
  tenant: Tenant,
  values: readonly string[],
): Promise<Resource | undefined> {
  const [named, ...more] = new Set(values.filter((value) => value !== ''))
  if (named === undefined) return undefined
  if (more.length > 0) throw refused('a token of ours is for one resource')
  const identifier = parseResource(named)
  const found = identifier === undefined ? undefined : await resources.find(tenant, identifier)
  if (found === undefined) throw refused('no such resource in this tenant')
  return found
}

/** The resource of an authorization request: the one it names, else the tenant's own (RFC 8707 §2.1). */
export async function requestedResource(
  resources: Resources,
  tenant: Tenant,
  values: readonly string[],
): Promise<Resource> {
  const named = await namedResource(resources, tenant, values)
  const found = named ?? (await resources.find(tenant, resources.defaultFor(tenant)))
  if (found === undefined) throw refused('no resource is named and there is no default')
  return found
}

function refused(because: string): Fault {
  return callersFault('invalid_target', because)
}
