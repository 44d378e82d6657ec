// What REST shows of webhooks and of what was sent to them.
import { z } from 'zod'
import { deliveryStatuses } from '../../../journal/webhook-deliveries.ts'
import type { Webhook, WebhookDelivery } from '../../../journal/webhooks.ts'
import { texts, time } from './common.ts'

export const webhook = z
  .strictObject({
    id: z.string(),
    url: z.string(),
    description: z.string(),
    eventTypes: texts,
    disabled: z.boolean(),
    disabledReason: z.enum(['switched_off', 'gone']).exactOptional(),
    failingSince: time.exactOptional(),
    previousSecretExpiresAt: time.exactOptional(),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Webhook' }) satisfies z.ZodType<Webhook>

export const webhookList = z.strictObject({ items: z.array(webhook) })

export const webhookWithSecret = z
  .strictObject({
    ...webhook.shape,
    secret: z.string().describe('Shown here and nowhere else.'),
  })
  .meta({ id: 'WebhookWithSecret' })

const attempt = z.strictObject({
  at: time,
  status: z.int().exactOptional(),
  error: z.string().exactOptional(),
  excerpt: z.string().exactOptional(),
})

export const delivery = z
  .strictObject({
    id: z.string(),
    webhookId: z.string(),
    eventType: z.string(),
    status: z.enum(deliveryStatuses),
    attemptCount: z.int(),
    attempts: z.array(attempt),
    nextAttemptAt: time.exactOptional(),
    error: z.string().exactOptional(),
    createdAt: time,
    finishedAt: time.exactOptional(),
  })
  .meta({ id: 'WebhookDelivery' }) satisfies z.ZodType<WebhookDelivery>
