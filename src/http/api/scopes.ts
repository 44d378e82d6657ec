// REST for the scopes of a tenant: an administrator adds some and says all of them in the tenant's own words.
import { z } from 'zod'
import type { Issuer } from '../../issuer/issuer.ts'
import type { PublicScope } from '../../issuer/scope-registry.ts'
import type { ScopeInput } from '../../issuer/scope-input.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing } from '../output.ts'
import { unescapedOf } from '../params.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import * as shapes from './shapes/scopes.ts'

const words = z.string().max(1000)

const changedScope = z.strictObject({
  words: words.exactOptional(),
  icon: z.string().max(64).exactOptional(),
  /** Is it given to a client that names no scope? */
  usual: z.boolean().exactOptional(),
  includes: z.array(z.string().max(100)).max(50).exactOptional(),
})

const newScope = z.strictObject({ ...changedScope.shape, name: z.string().max(1000), words })

/** The rows of `/api/v1/scopes`. */
export function scopeRoutes({ issuer }: { readonly issuer: Issuer }): readonly Route[] {
  const { scopes } = issuer
  const api = { surface: 'api', guard: 'admin' } as const
  const shared = { ...api, path: '/api/v1/scopes' } as const
  const one = { ...api, path: '/api/v1/scopes/{name}' } as const
  return [
    route({
      ...shared,
      method: 'GET',
      output: found(shapes.scopeList),
      words: 'The scopes of this tenant, with the words that people read.',
      run: async ({ principal }) => {
        const items = await scopes.list(principal)
        return json({ items: items.map(show) })
      },
    }),
    route({
      ...shared,
      method: 'POST',
      input: newScope,
      output: made(shapes.scope),
      faults: ['conflict'],
      words: 'Adds a scope.',
      run: async ({ principal, input: { name, words, ...rest } }) =>
        json(show(await scopes.create(principal, { ...toInput(rest), name, words })), 201),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedScope,
      output: found(shapes.scope),
      words: 'Changes a scope, or says a built-in one in other words.',
      run: async ({ principal, params, input }) =>
        json(show(await scopes.update(principal, unescapedOf(params, 'name'), toInput(input)))),
    }),
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      faults: ['conflict'],
      words: 'Removes a scope that nothing names, or gives a built-in one its first words back.',
      run: async ({ principal, params }) => {
        await scopes.remove(principal, unescapedOf(params, 'name'))
        return empty(204)
      },
    }),
  ]
}

function toInput({ usual, ...rest }: z.infer<typeof changedScope>): Partial<ScopeInput> {
  return { ...rest, ...(usual === undefined ? {} : { isUsual: usual }) }
}

function show({ isUsual, isBuiltIn, isOwn, ...scope }: PublicScope) {
  return { ...scope, usual: isUsual, builtIn: isBuiltIn, own: isOwn }
}
