// The row of `/graphql`: an operation is read, counted and run as the caller who was let in as for REST.
import { execute, subscribe } from 'graphql'
import type { ExecutionResult } from 'graphql'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import type { Connections } from '../../connectors/connections.ts'
import type { Servers } from '../../connectors/servers.ts'
import type { Journal } from '../../journal/entries.ts'
import type { ApiKeys } from '../../people/api-keys.ts'
import type { Sessions } from '../../people/sessions.ts'
import { json } from '../answers.ts'
import { createGuards } from '../guards.ts'
import { createFeed } from '../live-feed.ts'
import { streamAnswer, streamOf } from '../open-streams.ts'
import type { OpenStreams } from '../open-streams.ts'
import { route } from '../route.ts'
import type { Context, Route } from '../route.ts'
import { takeAsPrincipal } from '../row-limits.ts'
import { operationInput, readOperation } from './document.ts'
import type { Operation, OperationInput } from './document.ts'
import { showError } from './refusals.ts'
import { createRoot } from './resolvers.ts'
import type { Caller } from './resolvers.ts'
import { schema } from './schema.ts'
import { resultTexts } from './stream.ts'

interface Needs {
  readonly clock: Clock
  readonly log: Log
  readonly journal: Journal
  readonly connections: Connections
  readonly servers: Servers
  readonly sessions: Sessions
  readonly apiKeys: ApiKeys
  readonly streams: OpenStreams
}

type Visit = Context<'api', OperationInput>

/** The row of `/graphql`. */
export function graphqlRoutes(needs: Needs): readonly Route[] {
  const runOperation = createRun(needs)
  const admit = createGuards(needs)
  const row: Route = route({
    surface: 'api',
    guard: 'api',
    path: '/graphql',
    method: 'POST',
    input: operationInput,
    // What is begun twice here does no harm, and a stream cannot be given again.
    isNeverReplayed: true,
    words: 'GraphQL: one operation; a subscription is answered with server-sent events.',
    run: async (visit) => {
      const { meter, principal, tenant, request } = visit
      const read = readOperation(visit.input)
      if ('errors' in read) {
        const errors = read.errors.map((error) => showError(needs.log, error))
        return answer(visit, { errors }, { isRun: false })
      }
      // By whatever alias, each field of the root is worth a request.
      for (let more = 1; more < read.rootFields; more += 1) {
        await takeAsPrincipal(meter, row, principal)
      }
      const isStillAdmitted = async () =>
        (await admit(row, tenant, request)).principal !== undefined
      return runOperation(visit, read, isStillAdmitted)
    },
  })
  return [row]
}

type Run = (
  visit: Visit,
  read: Operation,
  isStillAdmitted: () => Promise<boolean>,
) => Promise<Response>

function createRun(needs: Needs): Run {
  const rootValue = createRoot(needs)
  const show = ({ data, errors }: ExecutionResult) => ({
    ...(data === undefined ? {} : { data }),
    ...(errors === undefined ? {} : { errors: errors.map((error) => showError(needs.log, error)) }),
  })
  return async (visit, { document, operation }, isStillAdmitted) => {
    const { variables, operationName } = visit.input
    const asked = { schema, document, rootValue, variableValues: variables, operationName }
    const leaving = new AbortController()
    const contextValue = callerOf(needs, visit, leaving.signal)
    if (operation.operation !== 'subscription') {
      return answer(visit, show(await execute({ ...asked, contextValue })), { isRun: true })
    }

    requireStreamAccepted(visit.request)
    const leave = needs.streams.enter(visit.principal.user.id)
    const end = () => {
      leaving.abort()
      leave()
    }
    try {
      const results = shown(await subscribe({ ...asked, contextValue }), show)
      const subscribed = { results, isStillAdmitted, left: leaving.signal }
      return streamAnswer(streamOf(resultTexts(needs.clock, subscribed), end))
    } catch (thrown) {
      end()
      throw thrown
    }
  }
}

function callerOf(needs: Needs, { principal, browser }: Visit, left: AbortSignal): Caller {
  const tenantId = principal.tenant.id
  return {
    principal,
    browser,
    listen: async () => {
      const after = await needs.journal.head(tenantId)
      // A person's own, also for an administrator: what is theirs is all that can be asked for here.
      const feed = createFeed(needs, { tenantId, userId: principal.user.id, after })
      left.addEventListener('abort', feed.close)
      return feed
    },
  }
}

/** The results as they leave; a subscription that was refused has one, which says why. */
async function* shown(
  subscribed: AsyncIterable<ExecutionResult> | ExecutionResult,
  show: (result: ExecutionResult) => unknown,
): AsyncGenerator<unknown, void> {
  if (!(Symbol.asyncIterator in subscribed)) return yield show(subscribed)
  for await (const result of subscribed) yield show(result)
}

const modernType = 'application/graphql-response+json'

/** As "GraphQL over HTTP" has it: only the newer type says by its status that nothing was run. */
function answer(
  { request }: Visit,
  body: unknown,
  { isRun }: { readonly isRun: boolean },
): Response {
  const isModern = accepted(request).includes(modernType)
  const type = isModern ? { 'content-type': `${modernType}; charset=utf-8` } : {}
  return json(body, isModern && !isRun ? 400 : 200, type)
}

function requireStreamAccepted(request: Request): void {
  if (/text\/event-stream|text\/\*|\*\/\*/.test(accepted(request))) return
  throw new Fault('not_acceptable', { because: 'a subscription is answered with events' })
}

function accepted({ headers }: Request): string {
  return headers.get('accept') ?? '*/*'
}
