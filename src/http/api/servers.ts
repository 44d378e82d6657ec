// REST for MCP servers behind the gateway (admins make them, everybody signed in sees them).
import { z } from 'zod'
import { cacheMinutes, serverAuths, tokenFormats } from '../../connectors/server-input.ts'
import type { Servers } from '../../connectors/servers.ts'
import { grantTypes } from '../../upstream/grant.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { addressFaults, discoveryFaults } from './faults.ts'
import * as shapes from './shapes/servers.ts'

const newServer = z.strictObject({
  url: z.string().max(500),
  name: z.string().min(1).max(80).exactOptional(),
  slug: z.string().max(36).exactOptional(),
  auth: z.enum(serverAuths).exactOptional(),
  /** For `provider`: the provider of the tenant at which the caller has to be signed in. */
  providerId: z.string().max(100).exactOptional(),
  headers: z.record(z.string(), z.string().max(4096)).exactOptional(),
  issuer: z.string().max(1000).exactOptional(),
  clientId: z.string().max(500).exactOptional(),
  clientSecret: z.string().max(2000).exactOptional(),
  /** A private key in PEM or as a JWK, `generate`, or an empty text to take it away. */
  clientKey: z.string().max(8000).exactOptional(),
  scopes: z.string().max(1000).exactOptional(),
  grantType: z.enum(grantTypes).exactOptional(),
  workloadToken: z.string().max(100).exactOptional(),
  identityProvider: z
    .strictObject({
      issuer: z.string().max(1000),
      tokenEndpoint: z.string().max(1000),
      clientId: z.string().max(500),
      clientSecret: z.string().max(2000).exactOptional(),
    })
    .exactOptional(),
  tokenFormat: z.enum(tokenFormats).exactOptional(),
  /** How long what discovery found is used again; null: as long as the installation says. */
  metadataCacheMinutes: z
    .int()
    .min(cacheMinutes.least)
    .max(cacheMinutes.most)
    .nullable()
    .exactOptional(),
  /** What clients need for its tools; an empty list: one scope opens all. */
  toolScopes: z
    .array(
      z.strictObject({
        scope: z.string().min(1).max(100),
        tools: z.array(z.string().max(130)).max(500),
      }),
    )
    .max(50)
    .exactOptional(),
  /** Tells the server who calls in plain header fields (`X-Latchkey-User` and its kin) too. */
  identityHeaders: z.boolean().exactOptional(),
  /** Which of its tools may be called at all; null: every one. */
  toolPolicy: z
    .strictObject({
      allow: z.array(z.string().max(130)).max(500).exactOptional(),
      deny: z.array(z.string().max(130)).max(500).exactOptional(),
      readOnly: z.boolean().exactOptional(),
    })
    .nullable()
    .exactOptional(),
  /** Ids of people and names of roles; an empty list: everybody of the tenant. */
  mayUse: z.array(z.string().max(100)).max(200).exactOptional(),
})

const changedServer = z.strictObject({
  ...newServer.shape,
  url: newServer.shape.url.exactOptional(),
})

/** The rows of `/api/v1/servers`. */
export function serverRoutes({ servers }: { readonly servers: Servers }): readonly Route[] {
  const shared = { surface: 'api', path: '/api/v1/servers' } as const
  return [
    route({
      ...shared,
      method: 'POST',
      guard: 'admin',
      input: newServer,
      output: made(shapes.server),
      faults: ['conflict', 'not_found', ...discoveryFaults],
      words: 'Adds an MCP server; runs discovery and says what it found.',
      run: async ({ principal, input }) => json(await servers.create(principal, input), 201),
    }),
    route({
      ...shared,
      method: 'GET',
      guard: 'api',
      query: pageQuery(),
      output: page(shapes.server),
      words: 'The servers of this tenant.',
      run: async ({ principal, query }) =>
        json(await servers.list(principal, pageRequestOf(query))),
    }),
    templateRoute(servers),
    ...oneServerRoutes(servers),
  ]
}

function oneServerRoutes(servers: Servers): readonly Route[] {
  const one = { surface: 'api', path: '/api/v1/servers/{id}' } as const
  return [
    route({
      ...one,
      method: 'GET',
      guard: 'api',
      output: found(shapes.server),
      words: 'One server.',
      run: async ({ principal, params }) => json(await servers.get(principal, idOf(params))),
    }),
    route({
      ...one,
      method: 'PATCH',
      guard: 'admin',
      input: changedServer,
      output: found(shapes.server),
      faults: ['conflict', ...addressFaults],
      words: 'Changes a server; a new URL or issuer drops the tokens that belong to the old one.',
      run: async ({ principal, params, input }) =>
        json(await servers.update(principal, idOf(params), input)),
    }),
    route({
      ...one,
      method: 'DELETE',
      guard: 'admin',
      output: nothing,
      words: 'Removes a server with its connections.',
      run: async ({ principal, params }) => {
        await servers.remove(principal, idOf(params))
        return empty(204)
      },
    }),
    route({
      ...one,
      path: `${one.path}/test`,
      method: 'POST',
      guard: 'api',
      output: found(shapes.serverTest),
      words: 'Lists the tools of a server as the caller, or says why that does not work.',
      run: async ({ principal, params }) => json(await servers.test(principal, idOf(params))),
    }),
  ]
}

function templateRoute({ templates }: Servers): Route {
  return route({
    surface: 'api',
    path: '/api/v1/server-templates',
    method: 'GET',
    guard: 'admin',
    output: found(shapes.templateList),
    words: 'Well-known MCP servers, and what it takes to add each.',
    run: async () => json({ items: templates }),
  })
}
