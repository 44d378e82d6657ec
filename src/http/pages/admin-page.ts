// The rows of a page that only administrators see: whoever is not signed in is led to sign in and comes back.
import { requireAdmin } from '../../people/principal.ts'
import { redirect } from '../answers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { ownPage } from './own-page.ts'
import type { OwnRow } from './own-page.ts'

/** The page itself. */
export function adminPage({ run, ...row }: OwnRow): Route {
  return ownPage({
    ...row,
    run: async (visit) => {
      requireAdmin(visit.principal)
      return run(visit)
    },
  })
}

/** A form on it, which a browser sends. */
export function adminForm({ path, words, run }: OwnRow): Route {
  return route({
    method: 'POST',
    path,
    guard: 'admin',
    surface: 'page',
    words,
    run: async (visit) => {
      const { principal } = visit
      if (principal.kind !== 'session') return redirect(path, 303)
      return run({ ...visit, principal })
    },
  })
}
