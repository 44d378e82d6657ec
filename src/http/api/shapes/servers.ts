// What REST shows of MCP servers and of their tools.
import { z } from 'zod'
import { serverAuths, tokenFormats } from '../../../connectors/server-input.ts'
import type { PublicServer } from '../../../connectors/servers.ts'
import { signingAlgorithms } from '../../../oauth/jws.ts'
import { grantTypes } from '../../../upstream/grant.ts'
import { transports } from '../../../upstream/mcp.ts'
import { texts, time, trace } from './common.ts'

const quirk = z
  .strictObject({
    provider: z.string(),
    kind: z.string(),
    because: z.string(),
  })
  .meta({ id: 'Quirk' })

const quirks = z.array(quirk).describe('What is done otherwise than the standards say, and why.')

const discovered = z
  .strictObject({
    auth: z.enum(serverAuths),
    issuer: z.string().exactOptional(),
    resource: z.string().exactOptional(),
    scopesSupported: texts.exactOptional(),
    registration: z.enum(['preregistered', 'cimd', 'dcr', 'none']).exactOptional(),
    isGuessed: z.boolean().exactOptional(),
    openToAll: z.boolean().exactOptional(),
    transport: z.enum(transports).exactOptional().describe('Where it shows without signing in.'),
    quirks: quirks.exactOptional(),
    trace,
  })
  .meta({ id: 'Discovered' })

export const server = z
  .strictObject({
    id: z.string(),
    slug: z.string(),
    name: z.string(),
    url: z.string(),
    auth: z.enum(serverAuths),
    providerId: z
      .string()
      .exactOptional()
      .describe('For `provider`: at which one the caller has to be signed in.'),
    headerNames: texts,
    issuer: z.string().exactOptional(),
    clientId: z.string().exactOptional(),
    hasClientSecret: z.boolean(),
    clientKey: z
      .object({
        kty: z.string(),
        alg: z.enum(signingAlgorithms),
        kid: z.string(),
        use: z.literal('sig'),
        jwksUri: z.string(),
      })
      .catchall(z.string())
      .exactOptional()
      .describe('The public half of the key that proves us there, and its address.'),
    scopes: z.string().exactOptional(),
    identityHeaders: z.boolean().describe('Told who calls in `X-Latchkey-…` fields too.'),
    grantType: z.enum(grantTypes).describe('How its tokens are got.'),
    workloadToken: z.string().exactOptional(),
    identityProvider: z
      .strictObject({ issuer: z.string(), tokenEndpoint: z.string(), clientId: z.string() })
      .exactOptional(),
    tokenFormat: z.enum(tokenFormats),
    transport: z
      .enum(transports)
      .exactOptional()
      .describe('`sse`: it speaks only the older HTTP+SSE. Missing until it has answered.'),
    metadataCacheMinutes: z
      .int()
      .exactOptional()
      .describe('How long what discovery found is used again; missing: as the installation says.'),
    mayUse: texts.exactOptional().describe('For administrators: who else may use it.'),
    toolScopes: z.array(z.strictObject({ scope: z.string(), tools: texts })).exactOptional(),
    toolPolicy: z
      .strictObject({
        allow: texts.exactOptional(),
        deny: texts.exactOptional(),
        readOnly: z.boolean().exactOptional(),
      })
      .exactOptional()
      .describe('Which of its tools may be called at all; missing: every one.'),
    redirectUri: z.string().exactOptional().describe('What a client made by hand has to name.'),
    quirks: quirks.exactOptional(),
    createdAt: time,
    updatedAt: time,
    discovered: discovered.exactOptional().describe('In the answer to the call that looked.'),
  })
  .meta({ id: 'Server' }) satisfies z.ZodType<Omit<PublicServer, 'quirks' | 'discovered'>>

const template = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    url: z.string(),
    auth: z.enum(serverAuths),
    client: z.enum(['none', 'given']).describe('`given`: a client has to be made there by hand.'),
    words: z.string().describe('What to do before, for people.'),
  })
  .meta({ id: 'ServerTemplate' })

export const templateList = z.strictObject({ items: z.array(template) })

const tool = z.strictObject({
  name: z.string(),
  description: z.string().exactOptional(),
  annotations: z
    .strictObject({
      readOnlyHint: z.boolean().exactOptional(),
      destructiveHint: z.boolean().exactOptional(),
    })
    .exactOptional()
    .describe('What the tool says of itself; nobody has checked it.'),
})

export const serverTest = z
  .union([
    z.strictObject({ ok: z.literal(true), toolCount: z.int(), tools: z.array(tool) }),
    z.strictObject({
      ok: z.literal(false),
      error: z.string(),
      words: z.string(),
      discovered: discovered.exactOptional().describe('Where the caller has not signed in yet.'),
    }),
  ])
  .meta({ id: 'ServerTest' })
