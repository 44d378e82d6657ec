// What the suite asks a server for, by the names that it asks by: here the fixed contents of every kind, and tools that report,
// log or fail; what more it asks for is beside this.
import type { CallToolResult } from '@modelcontextprotocol/server'
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server'
import * as z from 'zod'
import { addAskingTools } from './asking.ts'
import { addChangingTools } from './changes.ts'
import { addJobTools } from './jobs.ts'
import { addRounds, roundStates } from './rounds.ts'
import { addDescribedTools } from './schemas.ts'
import { taskExtension } from './tasks.ts'

// One pixel, and no sound at all.
const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA='

const text = (said: string) => ({ type: 'text' as const, text: said })
const image = { type: 'image' as const, data: png, mimeType: 'image/png' }
const audio = { type: 'audio' as const, data: wav, mimeType: 'audio/wav' }
const embedded = (uri: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType: 'text/plain', text: 'What is embedded.' },
})

/** The tools that answer the same to everybody. */
const contents: Readonly<Record<string, CallToolResult['content']>> = {
  test_simple_text: [text('This is a simple text response for testing.')],
  test_image_content: [image],
  test_audio_content: [audio],
  test_embedded_resource: [embedded('test://embedded-resource')],
  test_multiple_content_types: [text('Of several kinds:'), image, embedded('test://mixed-content')],
}

const prompts: Readonly<Record<string, readonly (ReturnType<typeof text> | typeof image)[]>> = {
  test_simple_prompt: [text('This is a simple prompt for testing.')],
  test_prompt_with_image: [image, text('Please look at the image.')],
}

const resources = {
  'static-text': {
    mimeType: 'text/plain',
    text: 'This is the content of the static text resource.',
  },
  'static-binary': { mimeType: 'image/png', blob: png },
  'watched-resource': { mimeType: 'text/plain', text: 'This one is watched.' },
} as const

/** A server with all of it; each session, and each request without one, has its own. */
export function createReferenceServer(): McpServer {
  const server = new McpServer(
    { name: 'reference', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        logging: {},
        completions: {},
        extensions: taskExtension,
      },
      requestState: { verify: (state, context) => roundStates.verify(state, context) },
    },
  )
  addTools(server)
  addAskingTools(server)
  addRounds(server)
  addDescribedTools(server)
  addChangingTools(server)
  addJobTools(server)
  addResources(server)
  addPrompts(server)
  const { server: plain } = server
  for (const method of [
    'logging/setLevel',
    'resources/subscribe',
    'resources/unsubscribe',
  ] as const) {
    plain.setRequestHandler(method, async () => ({}))
  }
  plain.setRequestHandler('completion/complete', async () => ({
    completion: { values: [], total: 0, hasMore: false },
  }))
  return server
}

function addTools(server: McpServer): void {
  for (const [name, content] of Object.entries(contents)) {
    server.registerTool(name, { description: `Answers with content: ${name}` }, async () => ({
      content,
    }))
  }
  server.registerTool('test_error_handling', { description: 'Always fails' }, async () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  const nothing = z.object({})
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Reports three steps', inputSchema: nothing },
    async (_, context) => {
      const progressToken = context.mcpReq._meta?.progressToken
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        const params = { progressToken: progressToken ?? '', progress, total: 100 }
        await context.mcpReq.notify({ method: 'notifications/progress', params })
      }
      return { content: [text(String(progressToken))] }
    },
  )
  server.registerTool(
    'test_tool_with_logging',
    { description: 'Logs three lines', inputSchema: nothing },
    async (_, context) => {
      for (const data of [
        'Tool execution started',
        'Tool processing data',
        'Tool execution completed',
      ]) {
        const params = { level: 'info' as const, data }
        await context.mcpReq.notify({ method: 'notifications/message', params })
      }
      return { content: [text('It was logged.')] }
    },
  )
}

function addResources(server: McpServer): void {
  for (const [name, content] of Object.entries(resources)) {
    const uri = `test://${name}`
    const { mimeType } = content
    server.registerResource(name, uri, { title: name, mimeType }, async () => ({
      contents: [{ uri, ...content }],
    }))
  }
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined })
  const mimeType = 'application/json'
  server.registerResource(
    'template',
    template,
    { title: 'By id', mimeType },
    async (uri, { id }) => {
      const said = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` })
      return { contents: [{ uri: uri.toString(), mimeType, text: said }] }
    },
  )
}

function addPrompts(server: McpServer): void {
  for (const [name, said] of Object.entries(prompts)) {
    server.registerPrompt(name, { title: name, description: `A prompt: ${name}` }, async () => ({
      messages: said.map((content) => ({ role: 'user' as const, content })),
    }))
  }
  const named = z.object({ arg1: z.string(), arg2: z.string() })
  server.registerPrompt(
    'test_prompt_with_arguments',
    { title: 'With arguments', description: 'Says its arguments', argsSchema: named },
    async ({ arg1, arg2 }) => ({
      messages: [
        { role: 'user', content: text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`) },
      ],
    }),
  )
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    {
      title: 'With a resource',
      description: 'Embeds what is named',
      argsSchema: z.object({ resourceUri: z.string() }),
    },
    async ({ resourceUri }) => ({
      messages: [
        { role: 'user', content: embedded(resourceUri) },
        { role: 'user', content: text('Please look at the resource.') },
      ],
    }),
  )
}
