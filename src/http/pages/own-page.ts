// The rows of a page that is a person's own: whoever is not signed in is led to sign in and comes back.
import { toSignIn } from '../answers.ts'
import { route } from '../route.ts'
import type { Route, SignedIn } from '../route.ts'

/** A row of a page that needs to know who looks. */
export interface OwnRow {
  readonly path: string
  readonly words: string
  readonly run: (visit: SignedIn) => Promise<Response>
}

/** The page itself. */
export function ownPage({ path, words, run }: OwnRow): Route {
  return route({
    method: 'GET',
    path,
    guard: 'visitor',
    surface: 'page',
    words,
    run: async (visit) =>
      visit.session === undefined
        ? toSignIn(visit.path, 302)
        : run({ ...visit, principal: visit.session }),
  })
}
