// What REST shows of trusted issuers.
import { z } from 'zod'
import { texts, time } from './common.ts'

export const trustedIssuer = z
  .strictObject({
    id: z.string(),
    issuer: z.string(),
    jwksUri: z.string().exactOptional(),
    jwks: z.looseObject({}).exactOptional().describe('Its public keys (RFC 7517).'),
    clientIds: texts,
    resources: texts,
    provisions: z.boolean(),
    disabled: z.boolean(),
    createdAt: time,
  })
  .meta({ id: 'TrustedIssuer' })

export const identity = z
  .strictObject({
    issuer: z.string(),
    subject: z.string(),
    userId: z.string(),
    createdAt: time,
  })
  .meta({ id: 'Identity' })
