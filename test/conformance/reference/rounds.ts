// MCP 2026-07-28, "Multi Round-Trip Requests": tools and a prompt that answer with questions until all are answered. The number
// of the round stands in a signed `requestState`, where there is one.
import { randomBytes } from 'node:crypto'
import type { InputRequests, McpServer, ServerContext } from '@modelcontextprotocol/server'
import { createRequestStateCodec, inputRequired, inputResponse } from '@modelcontextprotocol/server'
import * as z from 'zod'

/** What `requestState` carries: how many rounds are over. */
export const roundStates = createRequestStateCodec<number>({ key: randomBytes(32) })

/** The tools and the prompt whose answer takes more than one request. */
export function addRounds(server: McpServer): void {
  for (const [name, round] of Object.entries(plain)) {
    addTool(server, name, async (context) => ask(context, round))
  }
  for (const [name, rounds] of Object.entries(stateful)) {
    addTool(server, name, async (context) => askInRounds(context, rounds))
  }
  addTool(server, 'capabilities', async (context) => ask(context, answerable(server)))
  server.registerPrompt(
    'test_input_required_result_prompt',
    { title: 'Asks first', description: 'Asks for a context' },
    async (context) => {
      const questions = ask(context, { user_context: form('Which context?', 'context') })
      const content = { type: 'text' as const, text: answersOf(context) }
      return questions ?? { messages: [{ role: 'user', content }] }
    },
  )
}

type Questions = ReturnType<typeof inputRequired> | undefined

function addTool(
  server: McpServer,
  name: string,
  questionsFor: (context: ServerContext) => Promise<Questions>,
): void {
  server.registerTool(
    `test_input_required_result_${name}`,
    { description: `Asks first: ${name}`, inputSchema: z.object({}) },
    async (_, context) => {
      const questions = await questionsFor(context)
      return questions ?? { content: [{ type: 'text', text: `state-ok ${answersOf(context)}` }] }
    },
  )
}

function ask(context: ServerContext, inputRequests: InputRequests): Questions {
  return isAnswered(context, inputRequests) ? undefined : inputRequired({ inputRequests })
}

async function askInRounds(
  context: ServerContext,
  rounds: readonly InputRequests[],
): Promise<Questions> {
  const round = context.mcpReq.requestState<number>() ?? 0
  const next = isAnswered(context, rounds[round] ?? {}) ? round + 1 : round
  const inputRequests = rounds[next]
  if (inputRequests === undefined) return undefined
  return inputRequired({ inputRequests, requestState: await roundStates.mint(next) })
}

function isAnswered({ mcpReq }: ServerContext, requests: InputRequests): boolean {
  const kindOf = (key: string) => inputResponse(mcpReq.inputResponses, key).kind
  return Object.keys(requests).every((key) => kindOf(key) !== 'missing')
}

function answersOf({ mcpReq }: ServerContext): string {
  return JSON.stringify(mcpReq.inputResponses)
}

/** Of two questions those that the client says it can answer. */
function answerable(server: McpServer): InputRequests {
  const capabilities = server.server.getClientCapabilities()
  return {
    ...(capabilities?.sampling === undefined ? {} : { greeting: sample('Generate a greeting') }),
    ...(capabilities?.elicitation === undefined ? {} : { user_name: askName }),
  }
}

function form(message: string, field: string) {
  const requestedSchema = z.object({ [field]: z.string() })
  return inputRequired.elicit({ message, requestedSchema })
}

function sample(text: string) {
  const messages = [{ role: 'user' as const, content: { type: 'text' as const, text } }]
  return inputRequired.createMessage({ messages, maxTokens: 100 })
}

const askName = form('What is your name?', 'name')
const confirm = { confirm: form('Please confirm', 'ok') }
const capital = { capital_question: sample('What is the capital of France?') }
const client_roots = inputRequired.listRoots()

const plain: Readonly<Record<string, InputRequests>> = {
  elicitation: { user_name: askName },
  sampling: capital,
  list_roots: { client_roots },
}

const stateful: Readonly<Record<string, readonly InputRequests[]>> = {
  request_state: [confirm],
  tampered_state: [confirm],
  multiple_inputs: [{ user_name: askName, greeting: sample('Generate a greeting'), client_roots }],
  multi_round: [{ step1: askName }, { step2: form('What is your favorite color?', 'color') }],
}
