// The tools that ask the client something in the middle of a call, as the revisions with sessions do: the question goes out on
// the call's own stream, and the answer comes back with another request.
import type { McpServer, ServerContext } from '@modelcontextprotocol/server'
import * as z from 'zod'

/** Sampling, elicitation, and what may stand in an elicitation's form. */
export function addAskingTools(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Asks the model of the client', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, { mcpReq }) => {
      const messages = [{ role: 'user', content: { type: 'text', text: prompt } }]
      const params = { messages, maxTokens: 100 }
      const { content } = await mcpReq.send({ method: 'sampling/createMessage', params })
      return said(`LLM response: ${JSON.stringify(content)}`)
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the person', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, context) => askPerson(context, message, person),
  )
  for (const [name, properties] of Object.entries(forms)) {
    server.registerTool(
      name,
      { description: `Asks the person with a form: ${name}`, inputSchema: z.object({}) },
      async (_, context) => askPerson(context, 'Please fill in the form', properties),
    )
  }
}

async function askPerson({ mcpReq }: ServerContext, message: string, properties: Properties) {
  const requestedSchema = { type: 'object', properties, required: [] }
  const params = { message, requestedSchema }
  const { action, content } = await mcpReq.send({ method: 'elicitation/create', params })
  return said(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`)
}

type Properties = Readonly<Record<string, object>>

const person: Properties = {
  username: { type: 'string', description: 'The name' },
  email: { type: 'string', description: 'The address' },
}

const options = ['option1', 'option2', 'option3']
const titled = [
  { const: 'value1', title: 'First' },
  { const: 'value2', title: 'Second' },
  { const: 'value3', title: 'Third' },
]

const forms: Readonly<Record<string, Properties>> = {
  test_elicitation_sep1034_defaults: {
    name: { type: 'string', default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  },
  test_elicitation_sep1330_enums: {
    untitledSingle: { type: 'string', enum: options },
    titledSingle: { type: 'string', oneOf: titled },
    legacyEnum: { type: 'string', enum: ['opt1', 'opt2'], enumNames: ['One', 'Two'] },
    untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
    titledMulti: { type: 'array', items: { anyOf: titled } },
  },
}

function said(text: string) {
  return { content: [{ type: 'text' as const, text }] }
}
