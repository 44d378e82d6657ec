// Which tenant a request target names, and where in it the target leads; and the way back: a path of a tenant as others have
// to write it. Read on the raw text alone, as the gateway reads it: nothing is decoded, resolved or normalised, so there is
// one spelling of each place (threats ).
import { baseOf } from '../people/tenants.ts'
import type { Address, Tenant, Tenants } from '../people/tenants.ts'

/** A request target, taken apart. */
export interface Place {
  /** The slug in `/t/{slug}`; undefined where the host alone names the tenant. */
  readonly slug: string | undefined
  /** The path within the tenant, as at a host of its own. */
  readonly path: string
}

// A slug as tenants have them (people/tenant-input.ts). Well-known documents are asked for with the path of the issuer or the
// resource behind their name (RFC 8414 §3.1, RFC 9728 §3.1).
const inTenant =
  /^(?<document>\/\.well-known\/[a-z-]{1,64})?\/t\/(?<slug>[a-z0-9][a-z0-9-]{4,34}[a-z0-9])(?<rest>\/.*)?$/

/** Where a path leads. What only looks like a tenant's is a path like any other. */
export function placeOf(path: string): Place {
  const { slug, document = '', rest = '' } = inTenant.exec(path)?.groups ?? {}
  return slug === undefined ? { slug, path } : { slug, path: document + rest || '/' }
}

/** The same of a whole request target; the query plays no part. */
export function placeOfTarget(target: string): Place {
  const [path = ''] = target.split('?', 1)
  return placeOf(path)
}

/**
 * The tenant at an address. Where there is none, either the host is nobody's or this path of it is, and that is all that is
 * told: not whether there is a tenant of that name elsewhere, or one that is switched off.
 */
export async function tenantAt(
  tenants: Pick<Tenants, 'at'>,
  address: Address,
): Promise<Tenant | 'no_such_host' | 'no_such_path'> {
  const found = await tenants.at(address)
  if (found !== undefined) return found
  if (address.slug === undefined) return 'no_such_host'
  const ofHost = await tenants.at({ ...address, slug: undefined })
  return ofHost === undefined ? 'no_such_host' : 'no_such_path'
}

/** A path of this tenant as links, forms and redirects write it. */
export function pathIn(tenant: Tenant | undefined, path: string): string {
  return tenant === undefined ? path : baseOf(tenant) + path
}

const dotSegmentPattern = /\/(?:\.|%2e){1,2}(?:\/|$)/i

/** Does a URL parser make another path of this one? */
export function hasDotSegment(path: string): boolean {
  return dotSegmentPattern.test(path)
}
