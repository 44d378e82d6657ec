// The rows of a page that only administrators see: whoever is not signed in is led to sign in and comes back.
import { requireAdmin } from '../../people/principal.ts'
import { redirect, toSignIn } from '../answers.ts'
import { route } from '../route.ts'
import type { Route, SignedIn } from '../route.ts'

interface AdminRow {
  readonly path: string
  readonly words: string
  readonly run: (visit: SignedIn) => Promise<Response>
}

/** The page itself. */
export function adminPage({ path, words, run }: AdminRow): Route {
  return route({
    method: 'GET',
    path,
    guard: 'visitor',
    surface: 'page',
    words,
    run: async (visit) => {
      const { session: principal } = visit
      if (principal === undefined) return toSignIn(visit.path, 302)
      requireAdmin(principal)
      return run({ ...visit, principal })
    },
  })
}

/** A form on it, which a browser sends. */
export function adminForm({ path, words, run }: AdminRow): Route {
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
