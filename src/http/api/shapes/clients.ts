// What REST shows of clients.
import { z } from 'zod'
import type { PublicClient } from '../../../issuer/client-list.ts'
import { texts, time } from './common.ts'

const authMethods = [
  'none',
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
] as const

export const client = z
  .strictObject({
    id: z.string(),
    kind: z.enum(['manual', 'registered', 'document']),
    name: z.string(),
    redirectUris: texts,
    scopes: texts,
    authMethod: z.enum(authMethods),
    grantTypes: texts,
    resource: z.string().exactOptional(),
    dpopBoundAccessTokens: z.boolean(),
    mayReach: texts.exactOptional(),
    disabled: z.boolean(),
    createdAt: time,
    createdBy: z.string().exactOptional(),
    secretsAlive: z.int(),
    activeGrants: z.int(),
    lastUsedAt: time.exactOptional(),
  })
  .meta({ id: 'Client' }) satisfies z.ZodType<PublicClient>

const secret = z.string().describe('Shown here and nowhere else.')

export const madeClient = z
  .strictObject({ ...client.shape, clientSecret: secret.exactOptional() })
  .meta({ id: 'MadeClient' })

export const rotatedClient = z
  .strictObject({
    ...client.shape,
    clientSecret: secret.exactOptional(),
    previousSecretExpiresAt: time,
  })
  .meta({ id: 'RotatedClient' })
