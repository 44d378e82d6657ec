// REST for what was said in calls, where the tenant keeps it: people see that of their own calls, administrators that of
// everybody in their tenant, and nobody that of another tenant.
import type { CallContents, Readers } from '../../journal/call-contents.ts'
import { actorOf, isAdmin } from '../../people/principal.ts'
import type { KeyPrincipal, SessionPrincipal } from '../../people/principal.ts'
import { json } from '../answers.ts'
import { found, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'
import * as shapes from './shapes/call-contents.ts'

interface Needs {
  readonly callContents: Pick<CallContents, 'list' | 'read'>
}

const userParameter: QueryParameter = {
  name: 'userId',
  words: 'Only the calls of this person.',
  schema: { type: 'string' },
}

/** The rows of `/api/v1/call-contents`. */
export function callContentRoutes({ callContents }: Needs): readonly Route[] {
  const api = { surface: 'api', guard: 'api', method: 'GET' } as const
  return [
    route({
      ...api,
      path: '/api/v1/call-contents',
      query: [userParameter, ...pageQuery()],
      output: page(shapes.listedContent),
      words: 'The calls whose content is kept, the newest first, without it.',
      run: async ({ principal, query }) => {
        const whose = { ...readersOf(principal), ofUserId: personIn(query) }
        return json(await callContents.list(whose, pageRequestOf(query)))
      },
    }),
    route({
      ...api,
      path: '/api/v1/call-contents/{id}',
      output: found(shapes.content),
      words: 'What was said in one call. The journal gets who has read it.',
      run: async ({ principal, params }) =>
        json(await callContents.read(readersOf(principal), idOf(params), actorOf(principal))),
    }),
  ]
}

function personIn(query: URLSearchParams): string | undefined {
  const id = query.get('userId') ?? undefined
  // Postgres cannot be asked for a NUL; an empty id is as little anybody's.
  return id?.includes('\0') === true ? '' : id
}

function readersOf(principal: SessionPrincipal | KeyPrincipal): Readers {
  const { tenant, user } = principal
  return isAdmin(principal) ? { tenant } : { tenant, userId: user.id }
}
