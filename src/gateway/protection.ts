// Our endpoints as protected resources: which resource an endpoint is, who may verify its tokens, which origins may call.
import type { Verify } from '../issuer/verify.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Protection } from '../protect/index.ts'
import { protectMcpServer } from '../protect/index.ts'

/** One endpoint of a tenant: its path is `/{slug}/mcp`, or `/mcp` for our own. */
export interface Endpoint {
  readonly tenant: Tenant
  readonly slug: string | undefined
  /** What a client is told to ask for. */
  readonly scopes: readonly string[]
}

/** Makes the guard of an endpoint. */
export function protectEndpoint(
  verify: Verify,
  { tenant, slug, scopes }: Endpoint,
): Protection<TokenPrincipal> {
  const resource = `${tenant.issuer}${slug === undefined ? '' : `/${slug}`}/mcp`
  return protectMcpServer({
    resource,
    issuer: tenant.issuer,
    scopes,
    verify: (token) => verify(tenant, token, resource),
  })
}

/** A page of another origin may not call (MCP Streamable HTTP, "Security": DNS rebinding); programs send no Origin. */
export function isOwnOrigin(origin: string | null | undefined, tenant: Tenant): boolean {
  return origin === null || origin === undefined || origin === tenant.issuer
}
