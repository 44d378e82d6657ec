// REST for the tenants of this installation: only for operators, whom the guard of these rows finds in the default tenant alone.
import { z } from 'zod'
import type { ListedTenant, TenantAdministration } from '../../people/tenant-administration.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import * as shapes from './shapes/tenants.ts'

const text = z.string().max(2048)

const changedTenant = z.strictObject({
  name: text.exactOptional(),
  issuer: text.exactOptional(),
  accent: text.nullable().exactOptional(),
  logoUrl: text.nullable().exactOptional(),
  supportContact: text.nullable().exactOptional(),
  limitScale: z.number().nullable().exactOptional(),
  callContentDays: z.number().nullable().exactOptional(),
  disabled: z.boolean().exactOptional(),
})

const newTenant = z.strictObject({
  ...changedTenant.omit({ disabled: true }).shape,
  slug: text,
  issuer: text,
})

const shared = { surface: 'api', guard: 'operator', path: '/api/v1/tenants' } as const
const one = { ...shared, path: '/api/v1/tenants/{id}' } as const

interface Needs {
  readonly tenantAdministration: TenantAdministration
}

/** The rows of `/api/v1/tenants`. */
export function tenantRoutes({ tenantAdministration: tenants }: Needs): readonly Route[] {
  return [
    route({
      ...shared,
      method: 'POST',
      input: newTenant,
      output: made(shapes.tenant),
      faults: ['conflict'],
      words:
        'Makes a tenant: a host, or a path of the default one, with its own people, clients, servers and keys.',
      run: async ({ principal, input }) => json(show(await tenants.create(principal, input)), 201),
    }),
    route({
      ...shared,
      method: 'GET',
      query: pageQuery(),
      output: page(shapes.tenant),
      words: 'The tenants, the oldest first.',
      run: async ({ principal, query }) => {
        const { items, ...next } = await tenants.list(principal, pageRequestOf(query))
        return json({ items: items.map(show), ...next })
      },
    }),
    route({
      ...one,
      method: 'GET',
      output: found(shapes.tenant),
      words: 'One tenant.',
      run: async ({ principal, params }) => json(show(await tenants.get(principal, idOf(params)))),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedTenant,
      output: found(shapes.tenant),
      faults: ['conflict'],
      words: 'Changes one, or switches it off or on; null takes back what was set.',
      run: async ({ principal, params, input }) =>
        json(show(await tenants.update(principal, idOf(params), input))),
    }),
    ...endingRows(tenants),
  ]
}

function endingRows(tenants: TenantAdministration): readonly Route[] {
  return [
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      faults: ['conflict'],
      words: 'Removes one with everything that it has: people, clients, servers, tokens, journal.',
      run: async ({ principal, params }) => {
        await tenants.remove(principal, idOf(params))
        return empty(204)
      },
    }),
    route({
      ...one,
      path: `${one.path}/setup-link`,
      method: 'POST',
      output: made(shapes.setupLink),
      faults: ['conflict'],
      words: 'A link, shown once, that makes its first administrator; earlier links end.',
      run: async ({ principal, params }) => {
        const { url, expiresAt } = await tenants.setupLink(principal, idOf(params))
        return json({ url: url.reveal(), expiresAt }, 201)
      },
    }),
  ]
}

function show({ branding = {}, ...tenant }: ListedTenant) {
  return { ...tenant, ...branding }
}
