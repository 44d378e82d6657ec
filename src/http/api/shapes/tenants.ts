// What REST shows of tenants.
import { z } from 'zod'
import { time } from './common.ts'

export const tenant = z
  .strictObject({
    id: z.string(),
    slug: z.string(),
    issuer: z
      .string()
      .describe(
        'Its origin, or `/t/{slug}` at that of the default tenant, byte for byte (RFC 8414 §2).',
      ),
    name: z.string(),
    accent: z.string().exactOptional().describe('The colour of its pages, `#rrggbb`.'),
    logoUrl: z.string().exactOptional(),
    supportContact: z.string().exactOptional().describe('An e-mail address or an https URL.'),
    limitScale: z
      .number()
      .exactOptional()
      .describe('Its limits are so many times those of the installation.'),
    callContentDays: z
      .int()
      .exactOptional()
      .describe('The content of calls is kept for so many days, 1 to 90; missing: it is not kept.'),
    disabled: z.boolean().describe('Does it answer like a host that is nobody’s?'),
    createdAt: time,
  })
  .meta({ id: 'Tenant' })

export const setupLink = z
  .strictObject({
    url: z.string().describe('Whoever opens it first makes themselves its administrator.'),
    expiresAt: time,
  })
  .meta({ id: 'SetupLink' })
