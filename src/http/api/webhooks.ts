// REST for webhooks: an administrator says who is told what, sees how that goes, and sends again what did not arrive.
import { z } from 'zod'
import { Fault } from '../../base/fault.ts'
import type { DeliveryQuery } from '../../journal/webhook-deliveries.ts'
import { deliveryStatuses } from '../../journal/webhook-deliveries.ts'
import type { WebhookManager, Webhooks, WebhookWithSecret } from '../../journal/webhooks.ts'
import { actorOf } from '../../people/principal.ts'
import type { KeyPrincipal, SessionPrincipal } from '../../people/principal.ts'
import { empty, json } from '../answers.ts'
import { begun, found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'
import { addressFaults } from './faults.ts'
import * as shapes from './shapes/webhooks.ts'

const newWebhook = z.strictObject({
  url: z.string().max(2000),
  description: z.string().max(200).exactOptional(),
  eventTypes: z.array(z.string().max(101)).min(1).max(100).exactOptional(),
})

const changedWebhook = z.strictObject({
  ...newWebhook.shape,
  url: newWebhook.shape.url.exactOptional(),
  disabled: z.boolean().exactOptional(),
})

const shared = { surface: 'api', guard: 'admin', path: '/api/v1/webhooks' } as const
const one = { surface: 'api', guard: 'admin', path: '/api/v1/webhooks/{id}' } as const

/** The rows of `/api/v1/webhooks`. */
export function webhookRoutes({ webhooks }: { readonly webhooks: Webhooks }): readonly Route[] {
  return [
    route({
      ...shared,
      method: 'POST',
      input: newWebhook,
      output: made(shapes.webhookWithSecret),
      faults: ['conflict', ...addressFaults],
      words: 'Makes a webhook that hears of what happens from now on; its secret is shown once.',
      run: async ({ principal, input }) =>
        json(withSecret(await webhooks.create(managerOf(principal), input)), 201),
    }),
    route({
      ...shared,
      method: 'GET',
      output: found(shapes.webhookList),
      words: 'The webhooks of this tenant, without their secrets.',
      run: async ({ tenant }) => json({ items: await webhooks.list(tenant.id) }),
    }),
    route({
      ...one,
      method: 'GET',
      output: found(shapes.webhook),
      words: 'One webhook.',
      run: async ({ tenant, params }) =>
        json(await webhooks.get({ tenantId: tenant.id, id: idOf(params) })),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedWebhook,
      output: found(shapes.webhook),
      faults: addressFaults,
      words:
        'Changes a webhook, or switches it off or on; switched on, it hears of the last three days.',
      run: async ({ principal, params, input }) =>
        json(await webhooks.update(managerOf(principal), idOf(params), input)),
    }),
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      words: 'Removes a webhook with its deliveries.',
      run: async ({ principal, params }) => {
        await webhooks.remove(managerOf(principal), idOf(params))
        return empty(204)
      },
    }),
    ...actionRoutes(webhooks),
    ...deliveryRoutes(webhooks),
  ]
}

function actionRoutes(webhooks: Webhooks): readonly Route[] {
  return [
    route({
      ...one,
      path: `${one.path}/rotate-secret`,
      method: 'POST',
      output: found(shapes.webhookWithSecret),
      faults: ['conflict'],
      words: 'Gives a webhook a new secret, shown once; the one before signs too for a day.',
      run: async ({ principal, params }) =>
        json(withSecret(await webhooks.rotateSecret(managerOf(principal), idOf(params)))),
    }),
    route({
      ...one,
      path: `${one.path}/test`,
      method: 'POST',
      output: found(shapes.delivery),
      faults: ['conflict'],
      words: 'Sends a `webhook.test` event now, once, and says how that went.',
      run: async ({ principal, params }) =>
        json(await webhooks.test(managerOf(principal), idOf(params))),
    }),
  ]
}

function deliveryRoutes(webhooks: Webhooks): readonly Route[] {
  return [
    route({
      ...one,
      path: `${one.path}/deliveries`,
      method: 'GET',
      query: [...pageQuery(), statusParameter],
      output: page(shapes.delivery),
      words: 'What was sent, or waits, the newest first; `?status=` shows a part.',
      run: async ({ tenant, params, query }) =>
        json(
          await webhooks.deliveries(
            { tenantId: tenant.id, id: idOf(params) },
            deliveryQuery(query),
          ),
        ),
    }),
    route({
      ...one,
      path: `${one.path}/deliveries/{deliveryId}/redeliver`,
      method: 'POST',
      output: begun(shapes.delivery),
      words: 'Sends a delivery again, under the same `webhook-id`.',
      run: async ({ principal, params }) => {
        const deliveryId = params['deliveryId'] ?? ''
        return json(await webhooks.redeliver(managerOf(principal), idOf(params), deliveryId), 202)
      },
    }),
  ]
}

function managerOf(principal: SessionPrincipal | KeyPrincipal): WebhookManager {
  return { tenantId: principal.tenant.id, actor: actorOf(principal) }
}

function withSecret({ webhook, secret }: WebhookWithSecret) {
  return { ...webhook, secret: secret.reveal() }
}

const statusParameter: QueryParameter = {
  name: 'status',
  words: 'Those that stand so.',
  schema: { type: 'string', enum: deliveryStatuses },
}

function deliveryQuery(query: URLSearchParams): DeliveryQuery {
  const text = query.get('status')
  const status = deliveryStatuses.find((known) => known === text)
  if (text !== null && status === undefined) {
    throw new Fault('invalid_input', {
      because: 'no delivery has such a status',
      detail: { status: `Use one of ${deliveryStatuses.join(', ')}.` },
    })
  }
  return { ...pageRequestOf(query), ...(status === undefined ? {} : { status }) }
}
