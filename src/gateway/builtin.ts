// The MCP server at `/mcp`: our own tools and those of all servers as one, in both eras. Each request brings its own visit;
// what a server is to be asked for a person goes through the aggregate.
import { ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server'
import type { Log } from '../base/log.ts'
import type { Aggregate, Missing, Visit } from './aggregate.ts'
import { createMcpEndpoint, handle } from './mcp-endpoint.ts'
import type { McpEndpoint } from './mcp-endpoint.ts'
import { ownToolsFor } from './own-tools.ts'
import type { OwnToolNeeds } from './own-tools.ts'
import { listMethods } from './server-lists.ts'
import type { Kind } from './server-lists.ts'
import { readName } from './shared-names.ts'
import type { Message } from '../connectors/post-message.ts'

export type Builtin = McpEndpoint<Visit>

interface Needs extends OwnToolNeeds {
  readonly aggregate: Aggregate
  readonly log: Log
}

/** Makes the server. */
export function createBuiltin(needs: Needs): Builtin {
  return createMcpEndpoint(needs.log, (visit: Visit) => serverFor(needs, visit))
}

const identity = { name: 'latchkey', version: '0.1.0' }
// Nobody is told of changes or of what happens to a resource: that is for /{slug}/mcp.
const capabilities = { tools: {}, prompts: {}, resources: {}, completions: {} }
const routed = ['prompts/get', 'resources/read', 'completion/complete'] as const
const merged = ['prompts', 'resources', 'resourceTemplates'] as const

function serverFor(needs: Needs, visit: Visit): Server {
  const server = new Server(identity, { capabilities })
  const answer = (method: string, work: (params: Message, visit: Visit) => Promise<Message>) =>
    handle({ server, log: needs.log, visit }, method, work)

  answer('tools/list', async (_params, here) => {
    const own = await ownToolsFor(needs, here.principal)
    const { items, missing } = await needs.aggregate.list('tools', here)
    return listed('tools', [...own.map((tool) => tool.listed), ...items], missing)
  })
  answer('tools/call', (params, here) => callTool(needs, params, here))
  for (const kind of merged) {
    answer(listMethods[kind], async (_params, here) => {
      const { items, missing } = await needs.aggregate.list(kind, here)
      return listed(kind, items, missing)
    })
  }
  for (const method of routed) {
    answer(method, (params, here) => needs.aggregate.route(method, params, here))
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
