// REST for people: an administrator makes them, says what they may do, shuts them out, and removes them with all that is
// theirs.
import { z } from 'zod'
import { roles } from '../../people/users.ts'
import type { UserAdministration, UserWithPassword } from '../../people/user-administration.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import * as shapes from './shapes/users.ts'

const name = z
  .string()
  .min(1)
  .max(80)
  .regex(/^\P{C}+$/u)

const newUser = z.strictObject({
  email: z.string().max(320),
  name: name.exactOptional(),
  role: z.enum(roles).exactOptional(),
})

const changedUser = z.strictObject({
  name: name.exactOptional(),
  role: z.enum(roles).exactOptional(),
  disabled: z.boolean().exactOptional(),
})

const shared = { surface: 'api', guard: 'admin', path: '/api/v1/users' } as const
const one = { ...shared, path: '/api/v1/users/{id}', faults: ['not_found', 'conflict'] } as const

interface Needs {
  readonly administration: UserAdministration
}

/** The rows of `/api/v1/users`. */
export function userRoutes(needs: Needs): readonly Route[] {
  return [...listRoutes(needs), ...personRoutes(needs)]
}

function listRoutes({ administration }: Needs): readonly Route[] {
  return [
    route({
      ...shared,
      method: 'POST',
      input: newUser,
      output: made(shapes.userWithPassword),
      faults: ['conflict'],
      words: 'Makes a person, with a password that is shown once.',
      run: async ({ principal, input }) => {
        const person = { ...input, role: input.role ?? 'user' }
        return json(withPassword(await administration.create(principal, person)), 201)
      },
    }),
    route({
      ...shared,
      method: 'GET',
      query: pageQuery(),
      output: page(shapes.user),
      words: 'The people of this tenant, oldest first.',
      run: async ({ principal, query }) =>
        json(await administration.list(principal, pageRequestOf(query))),
    }),
  ]
}

function personRoutes({ administration }: Needs): readonly Route[] {
  return [
    route({
      ...one,
      method: 'GET',
      faults: ['not_found'],
      output: found(shapes.user),
      words: 'One person.',
      run: async ({ principal, params }) => json(await administration.get(principal, idOf(params))),
    }),
    route({
      ...one,
      method: 'PATCH',
      input: changedUser,
      output: found(shapes.user),
      words: 'Renames one, changes what they may do, or shuts them out or lets them in; at once.',
      run: async ({ principal, params, input }) =>
        json(await administration.update(principal, idOf(params), input)),
    }),
    route({
      ...one,
      method: 'DELETE',
      output: nothing,
      words:
        'Removes one with all that is theirs; providers are asked to forget their connections.',
      run: async ({ principal, params }) => {
        await administration.remove(principal, idOf(params))
        return empty(204)
      },
    }),
    route({
      ...one,
      path: '/api/v1/users/{id}/reset-password',
      method: 'POST',
      faults: ['not_found'],
      output: found(shapes.userWithPassword),
      words: 'Gives one a new password, shown once, and signs them out everywhere.',
      run: async ({ principal, params }) =>
        json(withPassword(await administration.resetPassword(principal, idOf(params)))),
    }),
  ]
}

function withPassword({ user, password }: UserWithPassword) {
  return { ...user, password: password.reveal() }
}
