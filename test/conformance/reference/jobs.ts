// The tools that may go on after their call: what each asks meanwhile, how long it takes and how it ends. A client that knows no
// tasks gets the end at once.
import type {
  CallToolResult,
  InputRequests,
  McpServer,
  ServerContext,
} from '@modelcontextprotocol/server'
import { acceptedContent, inputRequired } from '@modelcontextprotocol/server'
import * as z from 'zod'

/** What a call of such a tool comes to. */
export interface Job {
  readonly seconds: number
  readonly questions: InputRequests
  readonly end: JobEnd
}

/** As `tasks/get` says it. */
export type JobEnd =
  | { readonly status: 'completed'; readonly result: CallToolResult }
  | {
      readonly status: 'failed'
      readonly error: { readonly code: number; readonly message: string }
    }

/** Whether the name is of such a tool. */
export function isJobTool(name: string): boolean {
  return Object.hasOwn(jobs, name)
}

/** What a call of such a tool comes to, or what has to be asked first. */
export function jobOf(name: string, call: Call): Job | Questions {
  const job = jobs[name]
  if (job === undefined) throw new Error(`${name} is not such a tool`)
  return job(call)
}

type Questions = ReturnType<typeof inputRequired>

interface Call {
  readonly given: unknown
  readonly context: ServerContext
}

/** Lists these tools, and the one that they are compared with. */
export function addJobTools(server: McpServer): void {
  server.registerTool(
    'greet',
    { description: 'Greets at once', inputSchema: z.object({ name: z.string() }) },
    async ({ name }) => ended(`Hello, ${name}!`).result,
  )
  for (const name of Object.keys(jobs)) {
    server.registerTool(
      name,
      { description: `May go on as a task: ${name}`, inputSchema: z.looseObject({}) },
      async (given, context) => {
        const job = jobOf(name, { given, context })
        if ('resultType' in job) return job
        return job.end.status === 'completed' ? job.end.result : { content: [], isError: true }
      },
    )
  }
}

function ended(text: string) {
  const result: CallToolResult = { content: [{ type: 'text', text }] }
  return { status: 'completed' as const, result }
}

const named = z.object({ name: z.string() })
const askName = inputRequired.elicit({ message: 'What is your name?', requestedSchema: named })
const seconds = z.object({ seconds: z.number() })

function confirmation(message: string) {
  return inputRequired.elicit({ message, requestedSchema: z.object({ confirm: z.boolean() }) })
}

const jobs: Readonly<Record<string, (call: Call) => Job | Questions>> = {
  slow_compute: ({ given }) => ({
    seconds: seconds.parse(given).seconds,
    questions: {},
    end: ended('It is computed.'),
  }),
  failing_job: () => {
    const { status, result } = ended('It failed.')
    return { seconds: 0.3, questions: {}, end: { status, result: { ...result, isError: true } } }
  },
  protocol_error_job: () => {
    const error = { code: -32_603, message: 'It broke.' }
    return { seconds: 0.3, questions: {}, end: { status: 'failed', error } }
  },
  confirm_delete: () => ({
    seconds: 0,
    questions: { sure: confirmation('Are you sure?') },
    end: ended('It is deleted.'),
  }),
  multi_input: () => ({
    seconds: 0,
    questions: { first: confirmation('The first?'), second: confirmation('The second?') },
    end: ended('Both are answered.'),
  }),
  test_tool_with_task: ({ context: { mcpReq } }) => {
    const known = acceptedContent(mcpReq.inputResponses, 'user_name', named)
    if (known === undefined) return inputRequired({ inputRequests: { user_name: askName } })
    return { seconds: 0, questions: {}, end: ended(`Hello, ${known.name}!`) }
  },
}
