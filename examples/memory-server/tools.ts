// The tools, and which scope opens which. Data is kept under the subject of the token and nothing else, so that no argument can
// reach what is somebody else's.
import { randomUUID } from 'node:crypto'
import { McpServer } from '@modelcontextprotocol/server'
import type { ServerContext } from '@modelcontextprotocol/server'
import { z } from 'zod'

/** A tool that is not named here needs all scopes. */
export const toolScopes = {
  store_memory: ['memories:write'],
  delete_memory: ['memories:write'],
  recall_memories: ['memories:read'],
  get_memory: ['memories:read'],
  create_entity: ['entities:write'],
  list_entities: ['entities:read'],
}

interface Own {
  readonly memories: Map<string, string>
  readonly entities: Map<string, string>
}

const people = new Map<string, Own>()

/** A server for one call or one session; the data outlives it. */
export function createTools(): McpServer {
  const server = new McpServer({ name: 'memories', version: '1.0.0' })
  addMemories(server)
  addEntities(server)
  return server
}

function addMemories(server: McpServer): void {
  const one = z.object({ id: z.string() })
  const text = z.object({ text: z.string().max(10_000) })
  server.registerTool('store_memory', { inputSchema: text }, ({ text }, context) => {
    const id = randomUUID()
    ownOf(context).memories.set(id, text)
    return say({ id })
  })
  server.registerTool('delete_memory', { inputSchema: one }, ({ id }, context) =>
    ownOf(context).memories.delete(id) ? say({ id }) : notFound(),
  )
  const query = z.object({ query: z.string() })
  server.registerTool('recall_memories', { inputSchema: query }, ({ query }, context) => {
    const all = [...ownOf(context).memories].map(([id, text]) => ({ id, text }))
    return say(all.filter(({ text }) => text.includes(query)))
  })
  server.registerTool('get_memory', { inputSchema: one }, ({ id }, context) => {
    const text = ownOf(context).memories.get(id)
    return text === undefined ? notFound() : say({ id, text })
  })
}

function addEntities(server: McpServer): void {
  const name = z.object({ name: z.string().max(200) })
  server.registerTool('create_entity', { inputSchema: name }, ({ name }, context) => {
    const id = randomUUID()
    ownOf(context).entities.set(id, name)
    return say({ id })
  })
  server.registerTool('list_entities', { inputSchema: z.object({}) }, (_none, context) =>
    say([...ownOf(context).entities].map(([id, name]) => ({ id, name }))),
  )
}

function ownOf(context: ServerContext): Own {
  const subject = context.http?.authInfo?.extra?.['subject']
  // The guard lets nobody through without one: a call that has none did not pass it.
  if (typeof subject !== 'string') throw new Error('nobody calls')
  const own = people.get(subject) ?? { memories: new Map(), entities: new Map() }
  people.set(subject, own)
  return own
}

function say(value: unknown) {
  return { content: [{ type: 'text' as const, text: JSON.stringify(value) }] }
}

function notFound() {
  return { isError: true, content: [{ type: 'text' as const, text: 'There is no such thing.' }] }
}
