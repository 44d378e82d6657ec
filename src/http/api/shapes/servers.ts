// What REST shows of MCP servers and of their tools.
import { z } from 'zod'
import { serverAuths, tokenFormats } from '../../../connectors/server-input.ts'
import type { PublicServer } from '../../../connectors/servers.ts'
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
    headerNames: texts,
    issuer: z.string().exactOptional(),
    clientId: z.string().exactOptional(),
    hasClientSecret: z.boolean(),
    scopes: z.string().exactOptional(),
    tokenFormat: z.enum(tokenFormats),
    toolScopes: z.array(z.strictObject({ scope: z.string(), tools: texts })).exactOptional(),
    quirks: quirks.exactOptional(),
    createdAt: time,
    updatedAt: time,
    discovered: discovered.exactOptional().describe('In the answer to the call that looked.'),
  })
  .meta({ id: 'Server' }) satisfies z.ZodType<Omit<PublicServer, 'quirks' | 'discovered'>>

const tool = z.strictObject({ name: z.string(), description: z.string().exactOptional() })

export const serverTest = z
  .union([
    z.strictObject({ ok: z.literal(true), toolCount: z.int(), tools: z.array(tool) }),
    z.strictObject({ ok: z.literal(false), error: z.string(), words: z.string() }),
  ])
  .meta({ id: 'ServerTest' })
