// REST for a person's connections to other people's MCP servers, and for the flows that make them.
import { z } from 'zod'
import type { Connections } from '../../connectors/connections.ts'
import { empty, json } from '../answers.ts'
import { found, made, nothing, page } from '../output.ts'
import { pageRequestOf } from '../page-request.ts'
import { idOf } from '../params.ts'
import { pageQuery } from '../query.ts'
import { route } from '../route.ts'
import type { QueryParameter, Route } from '../route.ts'
import { discoveryFaults, exchangeFaults, refreshFaults, registrationFaults } from './faults.ts'
import * as shapes from './shapes/connections.ts'

const newConnection = z.strictObject({
  serverId: z.string().max(100),
  label: z.string().max(80).exactOptional(),
})

const authorization = z.strictObject({
  returnTo: z.string().max(2000).exactOptional(),
  additionalScopes: z.string().max(1000).exactOptional(),
  callbackUrl: z.string().max(500).exactOptional(),
})

/** What a provider may answer with is longer than what anybody types. */
const brought = z.strictObject({
  state: z.string().max(200),
  redirectUri: z.string().max(600),
  code: z.string().max(4096).exactOptional(),
  iss: z.string().max(2000).exactOptional(),
  error: z.string().max(200).exactOptional(),
  error_description: z.string().max(4096).exactOptional(),
  error_uri: z.string().max(2000).exactOptional(),
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
      output: made(shapes.connection),
      faults: ['conflict', 'not_found'],
      words: 'Makes a connection of the caller to a server.',
      run: async ({ principal, input }) => json(await connections.create(principal, input), 201),
    }),
    route({
      ...api,
      path: '/api/v1/connections',
      method: 'GET',
      query: [...pageQuery(), ...whichParameters],
      output: page(shapes.connection),
      words: 'The caller’s connections: all, or those of a `serverId` or with a `label`.',
      run: async ({ principal, query }) =>
        json(await connections.list(principal, pageRequestOf(query), whichOf(query))),
    }),
    route({
      ...api,
      path: '/api/v1/connections/{id}',
      method: 'GET',
      output: found(shapes.connection),
      words: 'One connection of the caller.',
      run: async ({ principal, params }) => json(await connections.get(principal, idOf(params))),
    }),
    route({
      ...api,
      path: '/api/v1/connections/{id}',
      method: 'PATCH',
      input: changedConnection,
      output: found(shapes.connection),
      faults: ['not_found'],
      words: 'Lets everybody use an administrator’s connection who has none, or ends that.',
      run: async ({ principal, params, input }) =>
        json(await connections.share(principal, idOf(params), input.shared)),
    }),
    route({
      ...api,
      path: '/api/v1/connections/{id}',
      method: 'DELETE',
      output: nothing,
      words: 'Forgets a connection and its tokens, here and at the provider.',
      run: async ({ principal, params }) => {
        await connections.remove(principal, idOf(params))
        return empty(204)
      },
    }),
    ...signInRoutes(connections),
    ...actionRoutes(connections),
  ]
}

const whichParameters: readonly QueryParameter[] = [
  { name: 'serverId', words: 'Those to one server.', schema: { type: 'string' } },
  { name: 'label', words: 'Those with one label.', schema: { type: 'string' } },
]

function whichOf(query: URLSearchParams) {
  const [serverId, label] = ['serverId', 'label'].map((name) => query.get(name) ?? undefined)
  // Postgres cannot be asked for a NUL; an empty label is as little anybody's.
  const asked = (text: string | undefined) => (text?.includes('\0') === true ? '' : text)
  return { serverId: asked(serverId), label: asked(label) }
}

const action = { surface: 'api', guard: 'api', method: 'POST' } as const
const pathOf = (name: string) => `/api/v1/connections/{id}/${name}`

function signInRoutes(connections: Connections): readonly Route[] {
  return [
    route({
      ...action,
      path: '/api/v1/flows/{id}',
      method: 'GET',
      output: found(shapes.flow),
      words: 'How a sign-in elsewhere is going; for its owner only.',
      run: async ({ principal, params }) => json(await connections.flow(principal, idOf(params))),
    }),
    route({
      ...action,
      path: pathOf('authorize'),
      input: authorization,
      output: found(shapes.authorization),
      faults: [...discoveryFaults, ...registrationFaults],
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
      ...action,
      path: pathOf('exchange'),
      input: brought,
      output: found(shapes.connection),
      faults: exchangeFaults,
      words: 'Ends a sign-in elsewhere whose answer came to a page of an app.',
      run: async ({ principal, params, input, browser }) =>
        json(
          await connections.exchange(principal, idOf(params), {
            ...input,
            ...(principal.kind === 'session' ? { browser } : {}),
          }),
        ),
    }),
  ]
}

function actionRoutes(connections: Connections): readonly Route[] {
  return [
    route({
      ...action,
      path: pathOf('refresh'),
      output: found(shapes.connection),
      faults: refreshFaults,
      words: 'Refreshes the tokens now, even if they still live.',
      run: async ({ principal, params }) =>
        json(await connections.refresh(principal, idOf(params))),
    }),
    route({
      ...action,
      path: pathOf('revoke'),
      input: revocation,
      output: found(shapes.connection),
      words: 'Forgets the tokens and revokes them at the provider.',
      run: async ({ principal, params, input }) =>
        json(await connections.revoke(principal, idOf(params), input)),
    }),
    route({
      ...action,
      path: pathOf('token'),
      keyScope: 'connections:token',
      isNeverReplayed: true,
      output: found(shapes.liveToken),
      faults: refreshFaults,
      words: 'A live upstream token, for the back end of an app; journalled.',
      run: async ({ principal, params }) => json(await connections.token(principal, idOf(params))),
    }),
  ]
}
