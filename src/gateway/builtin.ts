// The MCP server at `/mcp`: our own tools and those of all servers as one, in both eras. Each request brings its own visit;
// what a server is to be asked for a person goes through the aggregate.
import type { AuthInfo, ServerContext } from '@modelcontextprotocol/server'
import {
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  ProtocolError,
  ProtocolErrorCode,
  Server,
} from '@modelcontextprotocol/server'
import type { Log } from '../base/log.ts'
import { rpcCodes } from '../protect/index.ts'
import { faultCatalogue } from '../base/fault.ts'
import type { Aggregate, Missing, Visit } from './aggregate.ts'
import { isJsonObject } from './exact-json.ts'
import { ownToolsFor } from './own-tools.ts'
import type { OwnToolNeeds } from './own-tools.ts'
import { listMethods } from './server-lists.ts'
import type { Kind } from './server-lists.ts'
import { readName } from './shared-names.ts'
import { toFault } from './unexpected.ts'
import type { Message } from '../connectors/post-message.ts'

export interface Builtin {
  /** Answers one MCP request of either era for a verified caller; `body` is the parsed one. */
  readonly answer: (request: Request, visit: Visit, body: unknown) => Promise<Response>
  readonly close: () => Promise<void>
}

interface Needs extends OwnToolNeeds {
  readonly aggregate: Aggregate
  readonly log: Log
}

/** Makes the server. */
export function createBuiltin(needs: Needs): Builtin {
  const { log } = needs
  // The handler passes AuthInfo through as it is, so the object itself leads back to the visit.
  const visits = new WeakMap<AuthInfo, Visit>()
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const visit = authInfo && visits.get(authInfo)
      if (visit === undefined) throw new Error('something was asked for without a principal')
      return serverFor(needs, visit)
    },
    { onerror: (error) => log.debug({ because: error.message }, 'a request at /mcp was refused') },
  )

  return {
    answer: (request, visit, body) => {
      const { clientId, scopes } = visit.principal
      const authInfo = { token: '', clientId, scopes: [...scopes] } // Tools have no use for the token.
      visits.set(authInfo, visit)
      const given = body === undefined ? { authInfo } : { authInfo, parsedBody: body }
      return handler.fetch(request, given)
    },
    close: () => handler.close(),
  }
}

const identity = { name: 'latchkey', version: '0.1.0' }
// Nobody is told of changes or of what happens to a resource: that is for /{slug}/mcp.
const capabilities = { tools: {}, prompts: {}, resources: {}, completions: {} }
const routed = ['prompts/get', 'resources/read', 'completion/complete'] as const
const merged = ['prompts', 'resources', 'resourceTemplates'] as const

function serverFor(needs: Needs, visit: Visit): Server {
  const server = new Server(identity, { capabilities })
  const handle = (method: string, work: (params: Message, visit: Visit) => Promise<Message>) =>
    server.setRequestHandler(method as 'tools/list', async (request, context) => {
      const params: Message = { ...request.params, ...metaOf(context), ...inputOf(context) }
      const result = await answered(needs.log, () => work(params, visitWith(visit, context)))
      return result as never // what it holds is checked by the SDK, or was when it was listed
    })

  handle('tools/list', async (_params, here) => {
    const own = await ownToolsFor(needs, here.principal)
    const { items, missing } = await needs.aggregate.list('tools', here)
    return listed('tools', [...own.map((tool) => tool.listed), ...items], missing)
  })
  handle('tools/call', (params, here) => callTool(needs, params, here))
  for (const kind of merged) {
    handle(listMethods[kind], async (_params, here) => {
      const { items, missing } = await needs.aggregate.list(kind, here)
      return listed(kind, items, missing)
    })
  }
  for (const method of routed) {
    handle(method, (params, here) => needs.aggregate.route(method, params, here))
  }
  return server
}

/** Which servers are not in a list, and why: in its `_meta`. */
const missingKey = 'latchkey/missing'

function listed(kind: Kind, items: readonly Message[], missing: readonly Missing[]): Message {
  return { [kind]: items, ...(missing.length === 0 ? {} : { _meta: { [missingKey]: missing } }) }
}

async function callTool(needs: Needs, params: Message, visit: Visit): Promise<Message> {
  const name = String(params['name'])
  if (readName(name) !== undefined) return needs.aggregate.route('tools/call', params, visit)
  const tools = await ownToolsFor(needs, visit.principal)
  const tool = tools.find(({ listed: { name: own } }) => own === name)
  if (tool !== undefined) return tool.run(params['arguments'])
  const words = `There is no such tool here: ${name.slice(0, 128)}`
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, words)
}

/** Nothing that is thrown on the way reaches the client in its own words. */
async function answered(log: Log, work: () => Promise<Message>): Promise<Message> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown
    const { code, because, cause } = toFault(thrown)
    if (code === 'internal') log.error({ because, cause }, 'a request at /mcp failed')
    else log.info({ code, because }, 'a request at /mcp was refused')
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

function visitWith(visit: Visit, context: ServerContext): Visit {
  const { mcpReq } = context
  return {
    ...visit,
    capabilities: askableOf(context),
    signal: AbortSignal.any([visit.signal, mcpReq.signal]),
    notified: (message) => {
      const { method, params } = message
      if (typeof method !== 'string' || !passedOn.has(method)) return
      // The token of the client's own request came with its `_meta`, so the server's notifications carry it.
      const notification = { method, params } as Parameters<typeof mcpReq.notify>[0] // it is one of the above
      void mcpReq.notify(notification).catch(() => undefined) // the client has left
    },
  }
}
