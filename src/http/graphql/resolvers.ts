// What each field of GraphQL does: the same calls of the rooms that the rows of REST make, with the same owner checks.
import type { Clock } from '../../base/clock.ts'
import { Fault, faultCatalogue, isFault } from '../../base/fault.ts'
import type { FaultCode } from '../../base/fault.ts'
import type { Secret } from '../../base/secret.ts'
import type { Connections } from '../../connectors/connections.ts'
import type { Servers } from '../../connectors/servers.ts'
import type { KeyPrincipal, SessionPrincipal } from '../../people/principal.ts'
import type { FlowView } from '../../upstream/flows.ts'
import type { Feed } from '../live-feed.ts'
import { heartbeatMs } from '../open-streams.ts'
import { eventsIn } from './events.ts'
import type { TokenEvent } from './events.ts'
import { readings } from './reading.ts'
import { toConnectionStatus, toDateTime, toFailure, toStatusResult } from './results.ts'

/** Who asks, and how they can be told of what happens. */
export interface Caller {
  readonly principal: SessionPrincipal | KeyPrincipal
  /** The browser that will bring the callback. */
  readonly browser: Secret | undefined
  /** The entries of this person from now on, until the caller leaves. */
  readonly listen: () => Promise<Feed>
}

interface Needs {
  readonly clock: Clock
  readonly connections: Connections
  readonly servers: Servers
}

interface Of<Input> {
  readonly input: Input
}

interface OfConnection {
  readonly connectionId: string
}

interface OfFlow {
  readonly stateParameter: string
}

/** The root of every operation: a function for each field of Query, Mutation and Subscription. */
export function createRoot(needs: Needs) {
  const fields = {
    ...queries(needs),
    ...readings(needs),
    ...mutations(needs),
    ...subscriptions(needs),
  }
  return Object.fromEntries(Object.entries(fields).map(([name, run]) => [name, checked(run)]))
}

function queries({ connections, clock }: Needs) {
  return {
    getMCPOAuthConnectionStatus: async ({ connectionId }: OfConnection, { principal }: Caller) =>
      toConnectionStatus(await connections.signIn(principal, connectionId), clock.now()),
    getMCPOAuthStatus: async ({ input }: Of<OfFlow>, { principal }: Caller) =>
      toStatusResult(await connections.flow(principal, input.stateParameter)),
  }
}

interface Initiation extends OfConnection {
  readonly additionalScopes?: string | null
}

interface Revocation extends OfConnection {
  readonly reason?: string | null
}

function mutations({ connections }: Needs) {
  return {
    initiateMCPOAuth: ({ input }: Of<Initiation>, { principal, browser }: Caller) =>
      orFailure(async () => {
        const begun = await connections.authorize(principal, input.connectionId, {
          additionalScopes: input.additionalScopes ?? undefined,
          // As in REST: only a session is in the browser that will come back.
          browser: principal.kind === 'session' ? browser : undefined,
        })
        if ('alreadyAuthorized' in begun) return { success: true }
        return {
          success: true,
          authorizationUrl: begun.authorizeUrl,
          // The flow's id and not its `state`: only its owner can ask by it, and it finishes nothing.
          stateParameter: begun.flowId,
          expiresAt: toDateTime(begun.expiresAt),
          usedDynamicRegistration: begun.usedRegistration === 'dcr',
        }
      }),
    revokeMCPOAuth: ({ input }: Of<Revocation>, { principal }: Caller) =>
      orFailure(async () => {
        const { connectionId, reason } = input
        await connections.revoke(principal, connectionId, { reason: reason ?? undefined })
        return { success: true, connectionId }
      }),
    refreshMCPOAuthToken: ({ input }: Of<OfConnection>, { principal }: Caller) =>
      orFailure(async () => {
        const { expiresAt } = await connections.refresh(principal, input.connectionId)
        return {
          success: true,
          requiresReauthorization: false,
          ...(expiresAt === undefined ? {} : { expiresAt: toDateTime(expiresAt) }),
        }
      }),
  }
}

function subscriptions({ connections, clock }: Needs) {
  return {
    onMCPOAuthCompleted: async ({ stateParameter }: OfFlow, { principal, listen }: Caller) => {
      // Heard from before it is looked at, so that an end in between is not missed.
      const feed = await listen()
      const view = () => connections.flow(principal, stateParameter)
      return completion({ clock, feed, view }, await view())
    },
    onMCPOAuthEvent: async ({ connectionId }: OfConnection, { principal, listen }: Caller) => {
      await connections.get(principal, connectionId)
      return tokenEvents(await listen(), connectionId)
    },
  }
}

interface Watch {
  readonly clock: Clock
  readonly feed: Feed
  readonly view: () => Promise<FlowView>
}

/** Looks again whenever something of the person happens, and when the flow expires, until it is over. */
async function* completion({ clock, feed, view }: Watch, first: FlowView) {
  let flow = first
  while (flow.status === 'pending') {
    await feed.next(Math.min(heartbeatMs, Math.max(1, flow.expiresAt - clock.now())))
    if (feed.isClosed()) return
    flow = await view()
  }
  yield { onMCPOAuthCompleted: toStatusResult(flow) }
}

async function* tokenEvents(
  feed: Feed,
  connectionId: string,
): AsyncGenerator<{ readonly onMCPOAuthEvent: TokenEvent }, void> {
  while (!feed.isClosed()) {
    const entries = await feed.next(heartbeatMs)
    const events = entries.flatMap((entry) => eventsIn(entry, connectionId))
    for (const onMCPOAuthEvent of events) yield { onMCPOAuthEvent }
    const isGone = entries.some(
      ({ type, subject }) => type === 'connection.deleted' && subject?.id === connectionId,
    )
    if (isGone) return
  }
}

/** Refusals of the call itself are errors; how a sign-in or a refresh fails is its result. */
const ofTheCall: ReadonlySet<FaultCode> = new Set([
  'not_found',
  'forbidden',
  'server_forbidden',
  'invalid_input',
  'not_signed_in',
  'too_many_requests',
  'temporarily_unavailable',
  'internal',
])

async function orFailure<T>(run: () => Promise<T>) {
  try {
    return await run()
  } catch (thrown) {
    if (!isFault(thrown) || ofTheCall.has(thrown.code)) throw thrown
    const requiresReauthorization = faultCatalogue[thrown.code].reauthorize
    return { ...toFailure(thrown), requiresReauthorization }
  }
}

const textCharsMax = 1_000

type Field = (given: never, caller: Caller) => Promise<unknown>

/** Arguments as a row of REST takes them; a literal in the query may hold what our JSON cannot. */
function checked(run: Field) {
  return (given: unknown, caller: Caller): Promise<unknown> => {
    requireTexts(given)
    return run(given as never, caller) // the schema has it that the field is given this
  }
}

function requireTexts(given: unknown, name = 'input'): void {
  if (typeof given === 'object' && given !== null) {
    for (const [field, value] of Object.entries(given)) requireTexts(value, field)
  }
  if (typeof given !== 'string') return
  if (given.length <= textCharsMax && !given.includes('\0')) return
  throw new Fault('invalid_input', {
    because: `${name} is too long or holds a NUL`,
    detail: { [name]: `Use at most ${textCharsMax} characters and no NUL.` },
  })
}
