// REST for the identity providers whose word about a person gives a client a token (ID-JAG): an administrator names them,
// says for which clients and resources they speak, and which of their subjects is which person.
import { z } from 'zod'
import type { Issuer } from '../../issuer/issuer.ts'
import { trustedIssuerPageSizes } from '../../issuer/trusted-issuer-administration.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf, unescapedOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { addressFaults } from './faults.ts'
import * as shapes from './shapes/trusted-issuers.ts'

const ids = z.array(z.string().min(1).max(2048)).max(100)

const changedIssuer = z.strictObject({
  jwksUri: z.string().max(2048).exactOptional(),
  jwks: z.looseObject({}).exactOptional(),
  clientIds: ids.exactOptional(),
  resources: ids.exactOptional(),
  provisions: z.boolean().exactOptional(),
  disabled: z.boolean().exactOptional(),
})

const newIssuer = z.strictObject({
  ...changedIssuer.omit({ disabled: true }).shape,
  issuer: z.string().max(2048),
})

const newIdentity = z.strictObject({ subject: z.string(), userId: z.string().max(100) })

const shared = { surface: 'api', guard: 'admin', path: '/api/v1/trusted-issuers' } as const
const one = { ...shared, path: '/api/v1/trusted-issuers/{id}' } as const

/** The rows of `/api/v1/trusted-issuers`. */
export function trustedIssuerRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  const { trustedIssuers } = issuer
  return [
    route({
      ...shared,
      method: 'POST',
      input: newIssuer,
      output: made(shapes.trustedIssuer),
      faults: ['conflict', ...addressFaults],
      words: 'Trusts an identity provider: what it says about a person gives a client a token.',
      run: async ({ principal, input }) => json(await trustedIssuers.create(principal, input), 201),
    }),
    route({
      ...shared,
      method: 'GET',
      query: pageQuery(trustedIssuerPageSizes),
      output: page(shapes.trustedIssuer),
      words: 'The identity providers that are trusted.',
      run: async ({ principal, query }) =>
        json(await trustedIssuers.list(principal, pageRequestOf(query))),
    }),
    route({
      ...one,
      method: 'GET',
      output: found(shapes.trustedIssuer),
      words: 'One trusted identity provider.',
      run: async ({ principal, params }) => json(await trustedIssuers.get(principal, idOf(params))),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedIssuer,
      output: found(shapes.trustedIssuer),
      faults: addressFaults,
      words: 'Changes one, or switches it off or on; what it may not say any more ends at once.',
      run: async ({ principal, params, input }) =>
        json(await trustedIssuers.update(principal, idOf(params), input)),
    }),
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      words: 'Trusts one no more; every access that came of its word ends at once.',
      run: async ({ principal, params }) => {
        await trustedIssuers.remove(principal, idOf(params))
        return empty(204)
      },
    }),
    ...identityRoutes(trustedIssuers),
  ]
}

function identityRoutes(trustedIssuers: Issuer['trustedIssuers']): readonly Route[] {
  return [
    route({
      ...one,
      path: `${one.path}/identities`,
      method: 'POST',
      input: newIdentity,
      output: made(shapes.identity),
      faults: ['conflict'],
      words: 'Says which person a subject of this provider is.',
      run: async ({ principal, params, input }) =>
        json(await trustedIssuers.link(principal, idOf(params), input), 201),
    }),
    route({
      ...one,
      path: `${one.path}/identities/{subject}`,
      method: 'DELETE',
      output: nothing,
      words: 'Ends that, with every access that came of it; the subject comes escaped.',
      run: async ({ principal, params }) => {
        await trustedIssuers.unlink(principal, idOf(params), unescapedOf(params, 'subject'))
        return empty(204)
      },
    }),
  ]
}
