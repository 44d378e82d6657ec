// An MCP server of ours for whatever stands behind it: the SDK speaks both eras with the client, and each request brings its
// own visit. What is thrown on the way reaches no client in its own words.
import type { AuthInfo, Server, ServerContext } from '@modelcontextprotocol/server'
import {
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  ProtocolError,
} from '@modelcontextprotocol/server'
import { faultCatalogue } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Message } from '../connectors/post-message.ts'
import type { TokenPrincipal } from '../people/principal.ts'
import { rpcCodes } from '../protect/index.ts'
import { isJsonObject } from './exact-json.ts'
import { toFault } from './unexpected.ts'

export interface McpEndpoint<V> {
  /** Answers one MCP request of either era for a verified caller; `message` is the parsed body. */
  readonly answer: (request: Request, visit: V, message: unknown) => Promise<Response>
  readonly close: () => Promise<void>
}

/** What every visit has, and what each request of it says. */
interface Visited {
  readonly principal: TokenPrincipal
  /** Ends when the client leaves or cancels. */
  readonly signal: AbortSignal
  readonly capabilities?: Message | undefined
  readonly notified?: ((message: Message) => void) | undefined
}

/** Makes one whose server is made anew for each request. */
export function createMcpEndpoint<V extends Visited>(
  log: Log,
  serverFor: (visit: V) => Server,
): McpEndpoint<V> {
  // The handler passes AuthInfo through as it is, so the object itself leads back to the visit.
  const visits = new WeakMap<AuthInfo, V>()
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const visit = authInfo && visits.get(authInfo)
      if (visit === undefined) throw new Error('something was asked for without a principal')
      return serverFor(visit)
    },
    { onerror: (error) => log.debug({ because: error.message }, 'an MCP request was refused') },
  )

  return {
    answer: (request, visit, message) => {
      const { clientId, scopes } = visit.principal
      const authInfo = { token: '', clientId, scopes: [...scopes] } // Nothing behind it has a use for the token.
      visits.set(authInfo, visit)
      const given = message === undefined ? { authInfo } : { authInfo, parsedBody: message }
      return handler.fetch(request, given)
    },
    close: () => handler.close(),
  }
}

/** Has one method of a server answered; `params` are as the client sent them. */
export function handle<V extends Visited>(
  { server, log, visit }: { readonly server: Server; readonly log: Log; readonly visit: V },
  method: string,
  work: (params: Message, visit: V) => Promise<Message>,
): void {
  server.setRequestHandler(method as 'tools/list', async (request, context) => {
    const params: Message = { ...request.params, ...metaOf(context), ...inputOf(context) }
    const result = await answered(log, () => work(params, visitWith(visit, context)))
    return result as never // what it holds is checked by the SDK, or was when it was listed
  })
}

async function answered(log: Log, work: () => Promise<Message>): Promise<Message> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown
    const { code, because, cause } = toFault(thrown)
    if (code === 'internal') log.error({ because, cause }, 'an MCP request failed')
    else log.info({ code, because }, 'an MCP request was refused')
    const rpcCode = code === 'internal' ? rpcCodes.internal : rpcCodes.failed
    throw new ProtocolError(rpcCode, faultCatalogue[code].words, { reason: code })
  }
}

/** The client's own `_meta` goes on to the server; what MCP keeps for itself was taken out by the SDK. */
function metaOf({ mcpReq }: ServerContext): Message {
  return mcpReq._meta === undefined ? {} : { _meta: mcpReq._meta }
}

/** What a client brings back with a retry is for the server that asked. */
function inputOf({ mcpReq }: ServerContext): Message {
  const [requestState, inputResponses] = [mcpReq.requestState(), mcpReq.inputResponses]
  return {
    ...(requestState === undefined ? {} : { requestState }),
    ...(inputResponses === undefined ? {} : { inputResponses }),
  }
}

/** Said by every request of the newer era. The others are between the client and us. */
function askableOf({ mcpReq }: ServerContext): Message | undefined {
  const envelope: Message = mcpReq.envelope ?? {}
  const said = envelope[CLIENT_CAPABILITIES_META_KEY]
  if (!isJsonObject(said)) return undefined
  const { elicitation, sampling, roots } = said
  return Object.fromEntries(
    Object.entries({ elicitation, sampling, roots }).filter(([, value]) => value !== undefined),
  )
}

const passedOn = new Set(['notifications/progress'])

function visitWith<V extends Visited>(visit: V, context: ServerContext): V {
  const { mcpReq } = context
  return {
    ...visit,
    capabilities: askableOf(context),
    signal: AbortSignal.any([visit.signal, mcpReq.signal]),
    notified: (message: Message) => {
      const { method, params } = message
      if (typeof method !== 'string' || !passedOn.has(method)) return
      // The token of the client's own request came with its `_meta`, so the server's notifications carry it.
      const notification = { method, params } as Parameters<typeof mcpReq.notify>[0] // it is one of the above
      void mcpReq.notify(notification).catch(() => undefined) // the client has left
    },
  }
}
