// REST for the providers at which a tenant's people sign in: an administrator sets them up, tries them and takes them away.
import { z } from 'zod'
import { providerPresets } from '../../people/provider-presets.ts'
import { providerPageSizes } from '../../people/providers.ts'
import type { Providers } from '../../people/providers.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { discoveryFaults } from './faults.ts'
import * as shapes from './shapes/providers.ts'

const address = z.string().max(2048).exactOptional()
const kind = z.enum(['oidc', 'oauth2'])
const place = {
  issuer: address,
  authorizationEndpoint: address,
  tokenEndpoint: address,
  userinfoEndpoint: address,
  emailsEndpoint: address,
}
const claim = z.string().max(100).exactOptional()

const changedProvider = z.strictObject({
  ...place,
  name: z.string().max(200).exactOptional(),
  clientId: z.string().max(1024).exactOptional(),
  clientSecret: z.string().max(1024).exactOptional(),
  scopes: z.string().max(1024).exactOptional(),
  claims: z
    .strictObject({ subject: claim, email: claim, emailVerified: claim, name: claim })
    .exactOptional(),
  emailDomains: z.array(z.string().max(255)).max(50).exactOptional(),
  emailsAreVerified: z.boolean().exactOptional(),
  linksVerifiedEmail: z.boolean().exactOptional(),
  keepsTokens: z.boolean().exactOptional(),
})

const newProvider = z.strictObject({
  ...changedProvider.shape,
  kind,
  name: z.string().max(200),
  clientId: z.string().max(1024),
  slug: z.string().max(36).exactOptional(),
})

const checkedPlace = z.strictObject({ kind, ...place })

const shared = { surface: 'api', guard: 'admin', path: '/api/v1/providers' } as const
const one = { ...shared, path: '/api/v1/providers/{id}' } as const

/** The rows of `/api/v1/providers`. */
export function providerRoutes({ providers }: { readonly providers: Providers }): readonly Route[] {
  return [
    route({
      ...shared,
      method: 'POST',
      input: newProvider,
      output: made(shapes.provider),
      faults: ['conflict', ...discoveryFaults],
      words: 'Lets the people of this tenant sign in at a provider of their own.',
      run: async ({ principal, input }) => json(await providers.create(principal, input), 201),
    }),
    route({
      ...shared,
      method: 'GET',
      query: pageQuery(providerPageSizes),
      output: page(shapes.provider),
      words: 'The providers at which people sign in.',
      run: async ({ principal, query }) =>
        json(await providers.list(principal, pageRequestOf(query))),
    }),
    ...lookRoutes(providers),
    route({
      ...one,
      method: 'GET',
      output: found(shapes.provider),
      words: 'One provider.',
      run: async ({ principal, params }) => json(await providers.get(principal, idOf(params))),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedProvider,
      output: found(shapes.provider),
      faults: ['conflict', ...discoveryFaults],
      words: 'Changes one; an empty secret stays as it is, and another address is looked at again.',
      run: async ({ principal, params, input }) =>
        json(await providers.update(principal, idOf(params), input)),
    }),
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      faults: ['conflict'],
      words: 'Takes one away; whoever came by it is signed out.',
      run: async ({ principal, params }) => {
        await providers.remove(principal, idOf(params))
        return empty(204)
      },
    }),
  ]
}

function lookRoutes(providers: Providers): readonly Route[] {
  return [
    route({
      ...shared,
      path: '/api/v1/providers/check',
      method: 'POST',
      isNeverReplayed: true,
      input: checkedPlace,
      output: found(shapes.providerFinding),
      faults: discoveryFaults,
      words: 'Looks at what a provider says about itself, and keeps nothing.',
      run: async ({ principal, input }) => json(await providers.check(principal, input)),
    }),
    route({
      ...shared,
      path: '/api/v1/providers/presets',
      method: 'GET',
      output: found(shapes.providerPresets),
      words: 'Well-known providers, with what is the same for everybody there.',
      run: async () => json({ items: providerPresets }),
    }),
  ]
}
