// The scenarios without sign-in: they ask what a client does on the wire, so the SDK's client plays them alone.
import { connectClient } from './client.ts'
import type { ClientOptions } from './client.ts'
import type { Scenario } from './scenario.ts'

type Client = Awaited<ReturnType<typeof connectClient>>

interface Play {
  readonly options?: ClientOptions
  readonly run: (client: Client, scenario: Scenario) => Promise<unknown>
}

/** Plays a scenario by its name. */
export async function playPlain(scenario: Scenario): Promise<void> {
  const play = plays[scenario.name]
  if (play === undefined) throw new Error(`nobody taught the driver ${scenario.name}`)
  const client = await connectClient(scenario, play.options)
  await play.run(client, scenario)
  await client.close()
}

const plays: Readonly<Record<string, Play>> = {
  initialize: { run: (client) => client.listTools() },

  tools_call: {
    run: async (client) => {
      await client.listTools()
      await client.callTool({ name: 'add_numbers', arguments: { a: 5, b: 3 } })
    },
  },

  'elicitation-sep1034-client-defaults': {
    options: {
      capabilities: { elicitation: { form: { applyDefaults: true } } },
      answer: { action: 'accept', content: {} },
    },
    run: async (client) => {
      await client.listTools()
      await client.callTool({ name: 'test_client_elicitation_defaults', arguments: {} })
    },
  },

  'sse-retry': {
    run: async (client) => {
      await client.listTools()
      await client.callTool({ name: 'test_reconnection', arguments: {} })
    },
  },

  'request-metadata': {
    options: {
      era: 'auto',
      capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: {} },
    },
    run: async () => undefined, // Connecting is all that is looked at.
  },

  'sep-2322-client-request-state': {
    options: {
      era: 'auto',
      capabilities: { elicitation: {} },
      answer: { action: 'accept', content: { confirmed: true } },
    },
    run: async (client) => {
      await callAll(client, ['test_mrtr_echo_state', 'test_mrtr_no_state', 'test_mrtr_unrelated'])
      // The answer without a resultType may be refused: what was sent before it is what counts.
      await callAll(client, ['test_mrtr_no_result_type']).catch(console.error)
    },
  },

  'http-standard-headers': { options: { era: 'auto' }, run: useEverything },

  'http-custom-headers': {
    options: { era: 'auto' },
    run: async (client, { context }) => {
      await client.listTools()
      for (const call of context.toolCalls ?? []) await client.callTool(call)
    },
  },

  'http-invalid-tool-headers': {
    options: { era: 'auto' },
    run: async (client) => {
      const { tools } = await client.listTools()
      for (const { name } of tools) {
        // Some of these tools exist to be refused by the server.
        await client.callTool({ name, arguments: { region: 'us-west1' } }).catch(console.error)
      }
    },
  },

  'json-schema-ref-no-deref': { options: { era: 'auto' }, run: (client) => client.listTools() },

  'json-schema-2020-12-preservation': {
    run: async (client) => {
      const { tools } = await client.listTools()
      const schema = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema
      await client.callTool({ name: 'json_schema_echo', arguments: { schema } })
    },
  },
}

async function callAll(client: Client, names: readonly string[]): Promise<void> {
  for (const name of names) await client.callTool({ name, arguments: {} })
}

async function useEverything(client: Client): Promise<void> {
  const { tools } = await client.listTools()
  await callAll(
    client,
    tools.map(({ name }) => name),
  )
  const { resources } = await client.listResources()
  for (const { uri } of resources) await client.readResource({ uri })
  const { prompts } = await client.listPrompts()
  for (const { name } of prompts) await client.getPrompt({ name, arguments: {} })
}
