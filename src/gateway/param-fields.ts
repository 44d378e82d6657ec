// Asks a server, and once more with the header fields that it misses: a client of the older era, or one that has not read the
// list of tools, does not know them. What was refused for its header was not done (MCP 2026-07-28, "Server Validation").
import { paramFields } from '../connectors/param-fields.ts'
import { rpcCodes } from '../protect/index.ts'
import type { ServerLists } from './server-lists.ts'
import type { AskServer } from './upstream-call.ts'

interface Needs {
  readonly askServer: AskServer
  readonly lists: Pick<ServerLists, 'list'>
}

/** Makes what asks; the schema of a tool is looked up only where a server misses something. */
export function withParamFields({ askServer, lists }: Needs): AskServer {
  return async (call) => {
    const reply = await askServer(call)
    const isMissing = reply.kind === 'error' && reply.error.code === rpcCodes.headerMismatch
    if (!isMissing || call.method !== 'tools/call') return reply
    const listed = await lists.list('tools', call)
    const tools = listed.kind === 'items' ? listed.items : []
    const tool = tools.find(({ name }) => name === call.params['name'])
    const fields = paramFields(tool?.['inputSchema'], call.params['arguments'])
    return Object.keys(fields).length === 0 ? reply : askServer({ ...call, fields })
  }
}
