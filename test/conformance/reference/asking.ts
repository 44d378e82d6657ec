// The tools that ask the client something in the middle of a call. The SDK asks with a request of its own in a session, and with
// `input_required` where there is none.
import type {
  ElicitRequestFormParams,
  InputRequests,
  McpServer,
  ServerContext,
} from '@modelcontextprotocol/server'
import { inputRequired, inputResponse } from '@modelcontextprotocol/server'
import * as z from 'zod'

/** Sampling, elicitation, and what may stand in an elicitation's form. */
export function addAskingTools(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Asks the model of the client', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, context) => {
      const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }]
      return ask(context, inputRequired.createMessage({ messages, maxTokens: 100 }))
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the person', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, context) => ask(context, form(message, person)),
  )
  for (const [name, properties] of Object.entries(forms)) {
    server.registerTool(
      name,
      { description: `Asks the person with a form: ${name}`, inputSchema: z.object({}) },
      async (_, context) => ask(context, form('Please fill in the form', properties)),
    )
  }
}

function ask({ mcpReq }: ServerContext, question: InputRequests[string]) {
  const answer = inputResponse(mcpReq.inputResponses, 'asked')
  if (answer.kind === 'missing') return inputRequired({ inputRequests: { asked: question } })
  return {
    content: [{ type: 'text' as const, text: `It was answered: ${JSON.stringify(answer)}` }],
  }
}

function form(message: string, properties: Properties) {
  return inputRequired.elicit({ message, requestedSchema: { type: 'object', properties } })
}

type Properties = ElicitRequestFormParams['requestedSchema']['properties']

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
