// Tools that do something besides answering: change a list that a client listens to, log, end their stream, ask for what the
// client may not have.
import { setTimeout as delay } from 'node:timers/promises'
import type { McpServer } from '@modelcontextprotocol/server'
import { InMemoryServerEventBus, inputRequired } from '@modelcontextprotocol/server'
import * as z from 'zod'

/** Where changes are told; whoever listens hears them. */
export const changes = new InMemoryServerEventBus()

/** The tools of the scenarios for streams, with sessions and without. */
export function addChangingTools(server: McpServer): void {
  const nothing = z.object({})
  const done = { content: [{ type: 'text' as const, text: 'It is done.' }] }
  for (const list of ['tool', 'prompt'] as const) {
    server.registerTool(
      `test_trigger_${list}_change`,
      { description: `Tells of a change: ${list}`, inputSchema: nothing },
      async () => {
        changes.publish({ kind: `${list}s_list_changed` })
        return done
      },
    )
  }
  server.registerTool(
    'test_logging_tool',
    { description: 'Logs when it may', inputSchema: nothing },
    async (_, { mcpReq }) => {
      await mcpReq.log('info', 'It was called')
      return done
    },
  )
  server.registerTool(
    'test_reconnection',
    { description: 'Ends its stream before it answers', inputSchema: nothing },
    async (_, { http }) => {
      http?.closeSSE?.()
      await delay(betweenMs)
      return done
    },
  )
  server.registerTool(
    'test_missing_capability',
    { description: 'Needs a model of the client', inputSchema: nothing },
    async () => inputRequired({ inputRequests: { sample } }),
  )
  server.registerTool(
    'test_streaming_elicitation',
    { description: 'Asks in a stream', inputSchema: nothing },
    async (_, { mcpReq }) => {
      const params = { progressToken: 'asking', progress: 1 }
      await mcpReq.notify({ method: 'notifications/progress', params })
      return inputRequired({ inputRequests: { name } })
    },
  )
}

// The client has to find the answer missing, and then to hear it in the stream that it asks for.
const betweenMs = 300

const sample = inputRequired.createMessage({
  messages: [{ role: 'user', content: { type: 'text', text: 'Say something' } }],
  maxTokens: 10,
})
const name = inputRequired.elicit({
  message: 'What is your name?',
  requestedSchema: z.object({ name: z.string() }),
})
