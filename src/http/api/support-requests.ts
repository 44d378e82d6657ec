// REST for what people ask for help with: administrators read the requests, say how far each is, and whether there are any.
import { z } from 'zod'
import { supportKinds, supportPriorities, supportStatuses } from '../../people/support-requests.ts'
import type { SupportRequests } from '../../people/support-requests.ts'
import { json } from '../answers.ts'
import { found, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import * as shapes from './shapes/support-requests.ts'

const changedRequest = z.strictObject({
  status: z.enum(supportStatuses).exactOptional(),
  priority: z.enum(supportPriorities).exactOptional(),
})

const changedSettings = z.strictObject({ support: z.enum(supportKinds) })

const shared = { surface: 'api', guard: 'admin', path: '/api/v1/support-requests' } as const
const one = { ...shared, path: '/api/v1/support-requests/{id}' } as const
const settings = { ...shared, path: '/api/v1/support-settings' } as const

const statusQuery = {
  name: 'status',
  words: 'Only those that stand so.',
  schema: { type: 'string', enum: [...supportStatuses] },
}

/** The rows of `/api/v1/support-requests` and `/api/v1/support-settings`. */
export function supportRoutes({
  support,
}: {
  readonly support: SupportRequests
}): readonly Route[] {
  return [
    route({
      ...shared,
      method: 'GET',
      query: [statusQuery, ...pageQuery()],
      output: page(shapes.supportRequest),
      words: 'What people have asked for help with, oldest first.',
      run: async ({ principal, query }) => {
        const status = supportStatuses.find((known) => known === query.get('status'))
        return json(await support.list(principal, pageRequestOf(query), { status }))
      },
    }),
    route({
      ...one,
      method: 'GET',
      output: found(shapes.supportRequest),
      words: 'One request for help.',
      run: async ({ principal, params }) => json(await support.get(principal, idOf(params))),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedRequest,
      output: found(shapes.supportRequest),
      words: 'Says how far it is, or how much it presses.',
      run: async ({ principal, params, input }) =>
        json(await support.update(principal, idOf(params), input)),
    }),
    route({
      ...settings,
      method: 'GET',
      output: found(shapes.supportSettings),
      words: 'Whether people can ask for help through their apps.',
      run: async ({ principal }) => json(await support.settings(principal)),
    }),
    route({
      ...settings,
      method: 'PUT',
      input: changedSettings,
      output: found(shapes.supportSettings),
      words: 'Lets people ask for help through their apps, or ends that.',
      run: async ({ principal, input }) => json(await support.change(principal, input.support)),
    }),
  ]
}
