// REST for the programs that use our authorization server: an administrator makes, changes, switches off and removes them,
// and rotates their secrets. A secret is in the answer that made it and nowhere else.
import { z } from 'zod'
import type { ClientWithSecret, Clients } from '../../issuer/client-administration.ts'
import { overlapMaxMs } from '../../issuer/client-administration.ts'
import type { Issuer } from '../../issuer/issuer.ts'
import { grantTypeNames } from '../../issuer/metadata.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { unescapedOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import * as shapes from './shapes/clients.ts'

const redirectUris = z.array(z.string().max(2048)).max(10)
const scopes = z.array(z.string().min(1).max(100)).max(100)
const mayReach = z.array(z.url().max(2048)).max(20)
const name = z.string().trim().min(1).max(64)

const newClient = z.strictObject({
  name,
  redirectUris,
  scopes: scopes.exactOptional(),
  authMethod: z.enum(['none', 'client_secret_basic', 'client_secret_post']).exactOptional(),
  grantTypes: z.array(z.enum(grantTypeNames)).min(1).max(grantTypeNames.length).exactOptional(),
  resource: z.url().max(2048).exactOptional(),
  dpopBoundAccessTokens: z.boolean().exactOptional(),
  mayReach: mayReach.exactOptional(),
})

const changedClient = z.strictObject({
  name: name.exactOptional(),
  redirectUris: redirectUris.exactOptional(),
  scopes: scopes.exactOptional(),
  dpopBoundAccessTokens: z.boolean().exactOptional(),
  mayReach: mayReach.exactOptional(),
  disabled: z.boolean().exactOptional(),
})

const rotation = z.strictObject({
  /** How long the secret before the new one still works. */
  overlapS: z
    .int()
    .min(0)
    .max(overlapMaxMs / 1000)
    .exactOptional(),
})

/** The rows of `/api/v1/clients`. */
export function clientRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  const { clients } = issuer
  const api = { surface: 'api', guard: 'admin' } as const
  const shared = { ...api, path: '/api/v1/clients' } as const
  const one = { ...api, path: '/api/v1/clients/{id}' } as const
  return [
    route({
      ...shared,
      method: 'POST',
      input: newClient,
      output: made(shapes.madeClient),
      words: 'Makes a client; its secret is shown once.',
      run: async ({ principal, input }) =>
        json(withSecret(await clients.create(principal, input)), 201),
    }),
    route({
      ...shared,
      method: 'GET',
      query: pageQuery(),
      output: page(shapes.client),
      words: 'The clients of this tenant, and how much each is used.',
      run: async ({ principal, query }) =>
        json(await clients.list(principal, pageRequestOf(query))),
    }),
    route({
      ...one,
      method: 'GET',
      output: found(shapes.client),
      words: 'One client.',
      run: async ({ principal, params }) =>
        json(await clients.get(principal, unescapedOf(params, 'id'))),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedClient,
      output: found(shapes.client),
      words: 'Changes a client, or switches it off or on; holds from the next request on.',
      run: async ({ principal, params, input }) =>
        json(await clients.update(principal, unescapedOf(params, 'id'), input)),
    }),
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      words: 'Removes a client with every grant and token that it has.',
      run: async ({ principal, params }) => {
        await clients.remove(principal, unescapedOf(params, 'id'))
        return empty(204)
      },
    }),
    rotateRoute(clients),
  ]
}

function rotateRoute(clients: Clients): Route {
  return route({
    surface: 'api',
    guard: 'admin',
    path: '/api/v1/clients/{id}/rotate-secret',
    method: 'POST',
    input: rotation,
    output: found(shapes.rotatedClient),
    words: 'Gives a client a new secret, shown once; the one before works for a while longer.',
    run: async ({ principal, params, input: { overlapS } }) => {
      const overlap = overlapS === undefined ? {} : { overlapMs: overlapS * 1000 }
      const rotated = await clients.rotateSecret(principal, unescapedOf(params, 'id'), overlap)
      const { previousSecretExpiresAt } = rotated
      return json({ ...withSecret(rotated), previousSecretExpiresAt })
    },
  })
}

function withSecret({ client, secret }: ClientWithSecret) {
  return { ...client, ...(secret === undefined ? {} : { clientSecret: secret.reveal() }) }
}
