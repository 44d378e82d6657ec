// The door at which a client manages its own registration (RFC 7592). The thinking is in issuer/registration-management.
import type { Issuer } from '../../issuer/issuer.ts'
import type { NamedClient } from '../../issuer/registration-management.ts'
import { empty, json } from '../answers.ts'
import { route } from '../route.ts'
import type { Route, Visit } from '../route.ts'
import { countingStrangers } from '../row-limits.ts'
import { readRegistration } from './token.ts'

/** The rows of the client configuration endpoint (RFC 7592 §2). */
export function registrationRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  const { registrations } = issuer
  const shared = {
    path: '/oauth/register/{client}',
    guard: 'client',
    surface: 'oauth',
    cors: 'public',
    // Who comes is known only when the room has seen the token.
    limits: [],
  } as const
  return [
    route({
      ...shared,
      method: 'GET',
      words: 'Tells a client how it is registered (RFC 7592 §2.1).',
      run: (visit) =>
        countingStrangers(visit.meter, async () =>
          json(await registrations.read(visit.tenant, named(visit))),
        ),
    }),
    route({
      ...shared,
      method: 'PUT',
      words: 'Replaces what a client said about itself (RFC 7592 §2.2).',
      run: (visit) =>
        countingStrangers(visit.meter, async () => {
          const { tenant, request, body } = visit
          const description = readRegistration(request, body)
          return json(await registrations.update(tenant, named(visit), description))
        }),
    }),
    route({
      ...shared,
      method: 'DELETE',
      words: 'Removes a client by its own wish, with all its grants (RFC 7592 §2.3).',
      run: (visit) =>
        countingStrangers(visit.meter, async () => {
          await registrations.remove(visit.tenant, named(visit))
          return empty(204)
        }),
    }),
  ]
}

function named({ params, request, meter }: Visit): NamedClient {
  return {
    id: params['client'] ?? '',
    authorization: request.headers.get('authorization') ?? undefined,
    count: ({ kind, id }) => meter.take(kind, id),
  }
}
