// Which MCP endpoint a request target names, and where an endpoint is. Decided on the raw text alone: nothing is decoded,
// resolved or normalised, so there is only one spelling of each endpoint (threats P-12, X-26).
import type { Tenant } from '../people/tenants.ts'

const serverPattern = /^\/(?<slug>[a-z0-9-]{1,36})\/mcp$/

/** The slug in `/{slug}/mcp`, or undefined for every other path. The query plays no part. */
export function slugOf(requestTarget: string): string | undefined {
  const [path = ''] = requestTarget.split('?', 1)
  return slugIn(path)
}

/** The same for a resource of this tenant, where a query makes it another one. */
export function slugOfResource({ issuer }: Tenant, resource: string): string | undefined {
  return resource.startsWith(`${issuer}/`) ? slugIn(resource.slice(issuer.length)) : undefined
}

/** The identifier of `/{slug}/mcp`, or of our own `/mcp` without a slug (RFC 8707 §2). */
export function resourceOf({ issuer }: Pick<Tenant, 'issuer'>, slug?: string): string {
  return slug === undefined ? `${issuer}/mcp` : `${issuer}/${slug}/mcp`
}

function slugIn(path: string): string | undefined {
  return serverPattern.exec(path)?.groups?.['slug']
}
