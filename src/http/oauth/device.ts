// The door where a device without a browser begins (RFC 8628 §3.1). The thinking is in issuer/device-authorization.
import type { Issuer } from '../../issuer/issuer.ts'
import { json } from '../answers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { countingFailures, formOf } from './token.ts'

/** The row of the device authorization endpoint. */
export function deviceRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/oauth/device_authorization',
      guard: 'client',
      surface: 'oauth',
      cors: 'public',
      limits: ['token', 'token-place'],
      words: 'Begins an authorization on a device without a browser (RFC 8628).',
      run: (visit) =>
        countingFailures(visit, async () => {
          const { tenant, visitor } = visit
          const { address, agent } = visitor
          return json(await issuer.startDevice(tenant, formOf(visit), { address, agent }))
        }),
    }),
  ]
}
