// The documents that tell clients where everything is: RFC 8414, its OpenID form, RFC 9728 per server, our keys, and the
// document that describes us as somebody else's client.
import { Fault } from '../../base/fault.ts'
import type { Servers } from '../../connectors/servers.ts'
import type { Gateway } from '../../gateway/gateway.ts'
import { resourceOf } from '../../gateway/targets.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import type { Resources } from '../../issuer/resources.ts'
import type { Tenant } from '../../people/tenants.ts'
import { publicDocument } from '../answers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

interface Needs {
  readonly issuer: Issuer
  readonly resources: Resources
  readonly gateway: Gateway
  readonly servers: Servers
}

/** The rows of the public documents. */
export function discoveryRoutes(needs: Needs): readonly Route[] {
  const { issuer } = needs
  const shared = { method: 'GET', guard: 'open', surface: 'oauth', cors: 'public' } as const
  return [
    ...['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'].map(
      (path) =>
        route({
          ...shared,
          path,
          words: 'What this authorization server can do (RFC 8414).',
          run: async ({ tenant }) => publicDocument(issuer.metadata(tenant)),
        }),
    ),
    route({
      ...shared,
      path: '/oauth/jwks',
      words: 'The public keys that sign our tokens (RFC 7517).',
      run: async ({ tenant }) => publicDocument(await issuer.signingKeys.published(tenant)),
    }),
    ...protectedResourceRoutes(needs, shared),
    ...clientDocumentRoutes(needs, shared),
  ]
}

type Shared = {
  readonly method: 'GET'
  readonly guard: 'open'
  readonly surface: 'oauth'
  readonly cors: 'public'
}

function protectedResourceRoutes(needs: Needs, shared: Shared): readonly Route[] {
  const prefix = '/.well-known/oauth-protected-resource'
  const words = 'Which authorization server protects this MCP server (RFC 9728).'
  const describe = async (tenant: Tenant, resource: string) => {
    const found = await needs.resources.find(tenant, resource)
    if (found === undefined) throw new Fault('not_found', { because: 'no such server' })
    return publicDocument(needs.gateway.resourceMetadata(tenant, found))
  }
  return [
    ...[prefix, `${prefix}/mcp`].map((path) =>
      route({
        ...shared,
        path,
        words,
        run: ({ tenant }) => describe(tenant, resourceOf(tenant)),
      }),
    ),
    route({
      ...shared,
      path: `${prefix}/{slug}/mcp`,
      words,
      run: ({ tenant, params }) => describe(tenant, resourceOf(tenant, params['slug'] ?? '')),
    }),
  ]
}

function clientDocumentRoutes(needs: Needs, shared: Shared): readonly Route[] {
  const words = 'Us as a client of other authorization servers (Client ID Metadata Document).'
  const answer = async (tenant: Tenant, context?: string) => {
    const document = await needs.servers.clientDocument(tenant, context)
    if (document === undefined) throw new Fault('not_found', { because: 'no such context' })
    return publicDocument(document)
  }
  return [
    route({
      ...shared,
      path: '/connect/client-metadata.json',
      words,
      run: ({ tenant }) => answer(tenant),
    }),
    route({
      ...shared,
      path: '/connect/client-metadata/{context}',
      words,
      run: ({ tenant, params }) => answer(tenant, params['context']?.replace(/\.json$/, '')),
    }),
    route({
      ...shared,
      path: '/connect/client-keys/{context}',
      words: 'The public key that proves us at another authorization server (RFC 7517).',
      run: async ({ tenant, params }) => {
        const context = (params['context'] ?? '').replace(/\.json$/, '')
        const keys = await needs.servers.clientKeys(tenant, context)
        if (keys === undefined) throw new Fault('not_found', { because: 'no key of this context' })
        return publicDocument(keys)
      },
    }),
  ]
}
