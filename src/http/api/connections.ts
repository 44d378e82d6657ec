// REST for a person's connections to other people's MCP servers, and for the flows that make them.
import { z } from 'zod'
import type { Connections } from '../../connectors/connections.ts'
import { empty, json } from '../answers.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const newConnection = z.strictObject({
  serverId: z.string().max(100),
  label: z.string().max(80).exactOptional(),
})

const authorization = z.strictObject({
  returnTo: z.string().max(2000).exactOptional(),
  additionalScopes: z.string().max(1000).exactOptional(),
})

const changedConnection = z.strictObject({ shared: z.boolean() })

const revocation = z.strictObject({ reason: z.string().max(500).exactOptional() })

/** The rows of `/api/v1/connections` and `/api/v1/flows`. */
export function connectionRoutes(needs: { readonly connections: Connections }): readonly Route[] {
  const { connections } = needs
  const api = { surface: 'api', guard: 'api' } as const
  return [
    route({
      ...api,
      path: '/api/v1/connections',
      method: 'POST',
      input: newConnection,
      words: 'Makes a connection of the caller to a server.',
      run: async ({ principal, input }) => json(await connections.create(principal, input), 201),
    }),
    route({
      ...api,
      path: '/api/v1/connections',
      method: 'GET',
      words: 'The caller’s connections: all, or those of a `serverId` or with a `label`.',
      run: async ({ principal, query }) =>
        json(await connections.list(principal, pageRequestOf(query), whichOf(query))),
    }),
    route({
      ...api,
      path: '/api/v1/connections/{id}',
      method: 'GET',
      words: 'One connection of the caller.',
      run: async ({ principal, params }) => json(await connections.get(principal, idOf(params))),
    }),
    route({
      ...api,
      path: '/api/v1/connections/{id}',
      method: 'PATCH',
      input: changedConnection,
      words: 'Lets everybody use an administrator’s connection who has none, or ends that.',
      run: async ({ principal, params, input }) =>
        json(await connections.share(principal, idOf(params), input.shared)),
    }),
    route({
      ...api,
      path: '/api/v1/connections/{id}',
      method: 'DELETE',
      words: 'Forgets a connection and its tokens, here and at the provider.',
      run: async ({ principal, params }) => {
        await connections.remove(principal, idOf(params))
        return empty(204)
      },
    }),
    ...actionRoutes(connections),
    route({
      ...api,
      path: '/api/v1/flows/{id}',
      method: 'GET',
      words: 'How a sign-in elsewhere is going; for its owner only.',
      run: async ({ principal, params }) => json(await connections.flow(principal, idOf(params))),
    }),
  ]
}

function whichOf(query: URLSearchParams) {
  const [serverId, label] = ['serverId', 'label'].map((name) => query.get(name) ?? undefined)
  // Postgres cannot be asked for a NUL; an empty label is as little anybody's.
  const asked = (text: string | undefined) => (text?.includes('\0') === true ? '' : text)
  return { serverId: asked(serverId), label: asked(label) }
}

function actionRoutes(connections: Connections): readonly Route[] {
  const api = { surface: 'api', guard: 'api', method: 'POST' } as const
  const path = (action: string) => `/api/v1/connections/{id}/${action}`
  return [
    route({
      ...api,
      path: path('authorize'),
      input: authorization,
      words: 'Begins a sign-in elsewhere; answers with the address to open.',
      run: async ({ principal, params, input, browser }) =>
        json(
          await connections.authorize(principal, idOf(params), {
            ...input,
            ...(principal.kind === 'session' && browser !== undefined ? { browser } : {}),
          }),
        ),
    }),
    route({
      ...api,
      path: path('refresh'),
      words: 'Refreshes the tokens now, even if they still live.',
      run: async ({ principal, params }) =>
        json(await connections.refresh(principal, idOf(params))),
    }),
    route({
      ...api,
      path: path('revoke'),
      input: revocation,
      words: 'Forgets the tokens and revokes them at the provider.',
      run: async ({ principal, params, input }) =>
        json(await connections.revoke(principal, idOf(params), input)),
    }),
    route({
      ...api,
      path: path('token'),
      keyScope: 'connections:token',
      isNeverReplayed: true,
      words: 'A live upstream token, for the back end of an app; journalled.',
      run: async ({ principal, params }) => json(await connections.token(principal, idOf(params))),
    }),
  ]
}
